"""What a mark means for the next rollback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bluegreen.app.rollback import rollback, switch
from bluegreen.model.errors import Refused
from tests.world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def test_a_second_rollback_does_not_go_back_and_forth(world: World) -> None:
    world.deploy("v1")
    world.deploy("v2")
    rollback(world.site(), reason="500s")
    with pytest.raises(Refused, match="marked bad"):
        rollback(world.site())
    assert world.serving() == "v1"


def test_a_release_that_someone_switched_to_on_purpose_is_a_way_back_again(world: World) -> None:
    world.deploy("v1")
    world.deploy("v2")
    rollback(world.site(), reason="500s")
    switch(world.site(), "v2")
    world.deploy("v3")
    assert rollback(world.site()).release.tag == "v2"
    world.check_clean()
