"""Every command killed before and after every effect, and every way on from there.

The whole matrix runs in memory: the real agent on a real directory, the real planner and executor, and an engine
that the contract suite holds to Docker's behaviour.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from bluegreen.app.recover import abort, resume
from bluegreen.app.rollback import rollback, switch
from bluegreen.app.upkeep import prune
from bluegreen.engine.behaviour import Answer, Behaviour
from bluegreen.model.errors import BluegreenError, ProxyFailed, Refused, Unhealthy
from bluegreen.model.release import Release
from tests.world import Kill, Killed, World

Act = Callable[[World, Kill | None], object]


def deployed(*tags: str) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        for tag in tags:
            world.deploy(tag)

    return prepare


def staged(world: World) -> None:
    deployed("v1", "v2")(world)
    world.deploy("v3", stage=True)


def rolled_back(world: World) -> None:
    deployed("v1", "v2")(world)
    rollback(world.site())


def deploy(tag: str, *, stage: bool = False) -> Act:
    return lambda world, kill: world.deploy(tag, kill, stage=stage)


def sick(world: World, kill: Kill | None) -> object:
    world.image("v3", behaviour=Behaviour(answer=Answer(500, b"broken")))
    try:
        return world.deploy("v3", kill)
    except BluegreenError as error:
        return error


PLANS: dict[str, tuple[Callable[[World], None], Act]] = {
    "first deploy": (deployed(), deploy("v1")),
    "second deploy": (deployed("v1"), deploy("v2")),
    "deploy over a standby": (deployed("v1", "v2"), deploy("v3")),
    "deploy after a rollback": (rolled_back, deploy("v3")),
    "deploy that fails": (deployed("v1", "v2"), sick),
    "stage": (deployed("v1", "v2"), deploy("v3", stage=True)),
    "warm rollback": (deployed("v1", "v2"), lambda w, k: rollback(w.site(k), reason="500s")),
    "cold rollback": (deployed("v1", "v2", "v3"), lambda w, k: rollback(w.site(k), "v1", reason="500s")),
    "rollback past a candidate": (staged, lambda w, k: rollback(w.site(k))),
    "switch forward": (rolled_back, lambda w, k: switch(w.site(k), "v2")),
    "switch to a candidate": (staged, lambda w, k: switch(w.site(k), "v3")),
    "abort of a candidate": (staged, lambda w, k: abort(w.site(k))),
    "prune": (deployed("v1", "v2", "v3", "v4"), lambda w, k: prune(w.site(k), 0)),
}

WAYS_ON = ("resume", "abort", "again", "rollback")


def checkpoints(name: str) -> int:
    prepare, act = PLANS[name]
    world = World()
    try:
        prepare(world)
        kill = Kill()
        act(world, kill)
        world.check_clean()
        return kill.seen
    finally:
        world.close()


def go_on(world: World, way: str, act: Act) -> None:
    """One way on after a crash. A refusal must say what to do, and change nothing."""
    before = world.serving()
    try:
        if way == "resume":
            resume(world.site())
        elif way == "abort":
            abort(world.site())
        elif way == "again":
            act(world, None)
        elif way == "rollback":
            rollback(world.site(), reason="to be safe")
    except Unhealthy:  # the release that can't get healthy, resumed
        assert "v3" in {r.tag for r in world.observed().history.releases.values() if r.failure}
    except (Refused, ProxyFailed) as refusal:
        if isinstance(refusal, ProxyFailed) and refusal.code != "proxy.not-running":
            raise
        assert refusal.problem.next, refusal  # noqa: PT017 - a refusal is one of the ways on
        assert world.serving() == before
        # What was refused leaves the operation to be ended: that must work.
        if world.observed().history.unfinished is not None:
            try:
                abort(world.site())
            except Refused as second:  # pragma: no cover - told apart for the message
                raise AssertionError(f"{refusal}; and then: {second}") from second


@pytest.mark.parametrize("name", PLANS)
def test_killed_anywhere_it_serves_a_coherent_state_and_every_way_on_ends_clean(name: str) -> None:
    prepare, act = PLANS[name]
    total = checkpoints(name)
    assert total > 1
    world = World()
    try:
        prepare(world)
        tests = [partial(kill_and_go_on, world, name, act, at, total) for at in range(total)]
        complaints = in_forks(tests)
    finally:
        world.close()
    found = [line for complaint in complaints if complaint for line in complaint.splitlines()]
    assert not found, "\n".join([f"{len(found)} ways went wrong", *found[:12]])


def kill_and_go_on(world: World, name: str, act: Act, at: int, total: int) -> None:
    """Kill the command at one place; from what that leaves, try every way on."""
    world.move_volume()
    before, standby = world.serving(), world.observed().standby
    kill = Kill(at)
    with pytest.raises(Killed):
        act(world, kill)
    where = f"{name}, killed {kill.passed[-1]} ({at} of {total})"
    try:
        world.check()
        assert world.serving() in {before, "v1", "v2", "v3"}
    except (AssertionError, BluegreenError) as error:
        raise AssertionError(f"{where}: {error}") from error
    found = in_forks([partial(end_clean, world, way, act, where, before, standby) for way in WAYS_ON], at_once=1)
    assert not any(found), "\n".join(c for c in found if c)


def end_clean(world: World, way: str, act: Act, where: str, before: str | None, standby: Release | None) -> None:
    world.move_volume()
    try:
        go_on(world, way, act)
        world.check_clean()
        after = world.observed()
        if way == "abort" and world.serving() == before and standby is not None and after.live_release != standby:
            assert str(after.standby) == str(standby), f"{standby} does not stand by again, but {after.standby}"
    except (AssertionError, BluegreenError) as error:
        raise AssertionError(f"{where}, then {way}: {type(error).__name__}: {error}") from error


def in_forks(tests: Sequence[Callable[[], None]], at_once: int = os.cpu_count() or 1) -> list[str]:
    """Run each in a forked process, so that the world here stays as it is; answers what went wrong with each."""
    complaints: list[str] = []
    for start in range(0, len(tests), at_once):
        running = [_fork(test) for test in tests[start : start + at_once]]
        complaints.extend(_result(*child) for child in running)
    return complaints


def _fork(test: Callable[[], None]) -> tuple[int, int]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            test()
            complaint = ""
        except BaseException as error:
            complaint = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
        os.write(writer, complaint.encode()[:60000])
        os._exit(0)
    os.close(writer)
    return child, reader


def _result(child: int, reader: int) -> str:
    with os.fdopen(reader, "rb") as pipe:
        complaint = pipe.read().decode()
    os.waitpid(child, 0)
    return complaint
