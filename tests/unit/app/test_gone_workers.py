"""A worker's container that somebody has removed keeps no operation from its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bluegreen.app.recover import resume
from bluegreen.app.rollback import rollback
from bluegreen.app.status import status
from bluegreen.planning.steps import Step
from tests.world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def test_a_worker_that_is_removed_while_a_deploy_runs_needs_no_stopping(world: World) -> None:
    world.deploy("v1")

    def removing(when: str, step: Step) -> None:
        if when == "before" and step.verb == "stop":
            world.engine.remove("shop-blue-worker-1")

    world.deploy("v2", removing)
    assert world.serving() == "v2"
    assert world.observed().history.unfinished is None


def test_a_rollback_to_a_release_whose_worker_was_removed_ends_and_status_tells(world: World) -> None:
    world.deploy("v1")
    world.deploy("v2")
    world.engine.remove("shop-blue-worker-1")
    assert rollback(world.site(), reason="500s").how == "warm"
    assert world.serving() == "v1"
    assert world.observed().history.unfinished is None
    assert {t.code for t in status(world.site()).troubles} == {"worker.stopped"}


def test_a_rollback_that_was_cut_off_before_its_worker_was_removed_can_be_resumed(world: World) -> None:
    world.deploy("v1")
    world.deploy("v2")

    def cut(when: str, step: Step) -> None:
        if when == "before" and step.verb == "start":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rollback(world.site(cut), reason="500s")
    world.engine.remove("shop-blue-worker-1")
    resume(world.site())
    assert world.observed().history.unfinished is None
    assert world.serving() == "v1"
