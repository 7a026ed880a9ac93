"""What walks found that `status` did not say, and a dry run that was none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bluegreen.app.rollback import rollback
from bluegreen.app.status import Trouble, status
from bluegreen.model.errors import ProxyFailed
from tests.world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def troubles(world: World) -> dict[str, Trouble]:
    return {t.code: t for t in status(world.site()).troubles}


def test_a_worker_of_the_live_release_that_does_not_run_is_a_trouble(world: World) -> None:
    world.deploy("v1")
    assert troubles(world) == {}
    world.engine.stop("shop-blue-worker-1", 1)
    found = troubles(world)["worker.stopped"]
    assert "shop-blue-worker-1" in found.message
    assert found.next[0] == "docker start shop-blue-worker-1"
    world.engine.remove("shop-blue-worker-1")
    assert troubles(world)["worker.stopped"].next == ("bg deploy v1 --force    starts a whole new stack",)


def test_a_worker_that_runs_outside_of_the_live_slot_is_a_trouble(world: World) -> None:
    world.deploy("v1")
    world.deploy("v2")
    world.engine.start("shop-blue-worker-1")
    found = troubles(world)["worker.elsewhere"]
    assert "shop-blue-worker-1" in found.message
    assert found.next == ("docker stop shop-blue-worker-1",)


def test_a_dry_run_of_a_rollback_does_not_start_the_proxy(world: World) -> None:
    world.deploy("v1")
    world.deploy("v2")
    world.engine.stop("shop-proxy", 1)
    before = world.engine.state()
    with pytest.raises(ProxyFailed, match="not running") as failed:
        rollback(world.site(), dry_run=True)
    assert failed.value.problem.next[0] == "bg proxy start"
    assert world.engine.state() == before
