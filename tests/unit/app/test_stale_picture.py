"""Between a command's look and its turn somebody else may move traffic: what was decided on the look is not done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bluegreen.app import recover, upkeep
from bluegreen.app import rollback as moving
from bluegreen.app.site import lease
from bluegreen.model.errors import Overtaken
from bluegreen.planning.steps import AwaitOvertaken
from tests.strikes import Killed, Strike
from tests.world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    for tag in ("v1", "v2"):
        made.deploy(tag)
    yield made
    made.close()


def dead_deploy(world: World) -> None:
    """A deploy of v3 that was killed with its containers made."""
    with pytest.raises(Killed):
        world.struck(Strike("start"), lambda: world.deploy("v3"))


def distracted(monkeypatch: pytest.MonkeyPatch, module: Any, meanwhile: Callable[[], object]) -> None:
    """Somebody else's command comes between this one's look and its turn."""
    others = iter([meanwhile])

    @contextmanager
    def later(*args: Any, **more: Any) -> Iterator[int]:
        for other in others:
            other()
        with lease(*args, **more) as epoch:
            yield epoch

    monkeypatch.setattr(module, "lease", later)


def served(world: World) -> str:
    """The tag of the live release, which runs whole."""
    observed = world.observed()
    assert observed.live is not None
    assert observed.live_release is not None
    assert observed.runs_whole(observed.live_release, observed.live)
    return observed.live_release.tag


def test_an_abort_that_waited_for_a_deploy_to_end_does_not_take_its_release_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead_deploy(world)
    with monkeypatch.context() as patched:
        distracted(patched, recover, lambda: world.deploy("v3"))
        with pytest.raises(Overtaken):
            recover.abort(world.site())
    assert served(world) == "v3"


def test_a_cold_rollback_looks_again_when_a_deploy_has_switched_since(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead_deploy(world)
    with monkeypatch.context() as patched:
        distracted(patched, moving, lambda: world.deploy("v3"))
        found = moving.rollback(world.site())
    assert (found.release.tag, found.how) == ("v2", "warm")
    assert served(world) == "v2"


def test_a_prune_does_not_remove_what_was_decided_before_its_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deploy("v3")
    distracted(monkeypatch, upkeep, lambda: world.deploy("v4"))
    with pytest.raises(Overtaken):
        upkeep.prune(world.site(), 1)


def test_a_cold_rollback_still_waits_for_the_last_effect_of_the_deploy_that_it_takes_over(world: World) -> None:
    dead_deploy(world)
    unfinished = world.observed().history.unfinished
    assert unfinished is not None
    holder = world.site()
    with holder.session() as session, lease(holder, session, unfinished.id):
        found = moving.rollback(world.site())
    assert found.how == "cold"
    waited = [e for e in world.events if (e.kind, e.name, e.subject) == ("step", AwaitOvertaken.verb, unfinished.id)]
    assert len(waited) == 1
