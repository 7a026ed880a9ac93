"""`down` takes what is the project's, and nothing of a project whose name begins alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bluegreen.app.upkeep import down
from bluegreen.model import labels
from bluegreen.model.errors import BluegreenError, Exit
from bluegreen.model.project import Volume
from tests.strikes import Strike
from tests.world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def test_down_with_volumes_leaves_nothing_of_the_project_and_all_of_its_neighbour(world: World) -> None:
    world.engine.ensure_volume(Volume("shop_x_data"), {labels.PROJECT: "shop_x"})
    world.engine.add_image("shop-x-api:v1", labels={labels.BUILT_FOR: "shop-x"})
    world.engine.add_image("shop-api:v1", labels={labels.BUILT_FOR: "shop"})
    world.deploy("v1")
    world.deploy("v2")
    down(world.site(), volumes=True, images=True)
    assert world.engine.volumes() == ["shop_x_data"]
    assert world.engine.containers() == []
    assert world.engine.networks() == []
    assert world.engine.image("shop-x-api:v1") is not None
    assert world.engine.image("shop-api:v1") is None
    assert down(world.site(), volumes=True, images=True).outcome == "nothing"


def test_down_that_is_interrupted_says_how_to_remove_the_rest(world: World) -> None:
    world.deploy("v1")
    with pytest.raises(BluegreenError) as caught:
        world.struck(Strike("stop", "interrupted"), lambda: down(world.site(), volumes=True))
    assert (caught.value.code, caught.value.exit) == ("down.interrupted", Exit.INTERRUPTED)
    assert "bg down --volumes --yes" in caught.value.problem.next[0]
    down(world.site(), volumes=True)
    world.check_gone(volumes=True)


def test_down_keeps_named_volumes_unless_told(world: World) -> None:
    world.deploy("v1")
    down(world.site())
    assert world.engine.volumes() == ["shop_data"]
