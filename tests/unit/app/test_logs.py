"""Output of releases that failed, from the proxy's volume."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bluegreen.app.history import logs
from bluegreen.engine.behaviour import Answer, Behaviour
from bluegreen.model.errors import Refused, Unhealthy
from tests.world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.deploy("v1")
    made.image("v2", behaviour=Behaviour(answer=Answer(500), logs=("api began",)))
    made.image("v2", "web", Behaviour(logs=("web began",)))
    with pytest.raises(Unhealthy):
        made.deploy("v2")
    yield made
    made.close()


def said(world: World, *words: str) -> set[str]:
    found = logs(world.site(), words, tail=None, since=None, follow=False, timestamps=False)
    return {line.decode() for _, line in found}


def test_the_saved_output_of_a_failed_release_is_all_of_it_or_that_of_the_services_named(world: World) -> None:
    assert said(world, "v2") == {"api began", "web began"}
    assert said(world, "v2", "web") == {"web began"}
    with pytest.raises(Refused, match="v2 nothing"):
        said(world, "v2", "nothing")
