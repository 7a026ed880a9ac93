"""Every command killed, and interrupted, after every one of its effects; and every way on from there.

The whole matrix runs in memory: the real agent on a real directory, the real planner and executor, and an engine
that the contract suite holds to Docker's behaviour. `tests.strikes` says why "after every effect" is everywhere.
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pytest

from bluegreen.app.canary import canary
from bluegreen.app.ground import start_proxy
from bluegreen.app.ramp import ramp
from bluegreen.app.recover import abort, resume
from bluegreen.app.rollback import promote, rollback, switch
from bluegreen.app.upgrade import upgrade_proxy
from bluegreen.app.upkeep import down, drain, prune, repair_journal
from bluegreen.engine.behaviour import Answer, Behaviour
from bluegreen.model.errors import BluegreenError, JournalLost, ProxyFailed, Refused, Unhealthy
from bluegreen.model.observed import Observed
from tests.strikes import How, Killed, Strike
from tests.world import World

Act = Callable[[World], object]
WAYS_ON = ("resume", "abort", "again", "rollback")
SHOWN = 12
"""Ways that went wrong that a failure lists."""


# -- where a plan begins -----------------------------------------------------------------------------------
def deployed(*tags: str) -> Act:
    def prepare(world: World) -> None:
        for tag in tags:
            world.deploy(tag)

    return prepare


def staged(world: World) -> None:
    deployed("v1", "v2")(world)
    world.deploy("v3", stage=True)


def shared(world: World) -> None:
    """The candidate has a share of the visitors."""
    staged(world)
    canary(world.site(), 25)


def rolled_back(world: World) -> None:
    deployed("v1", "v2")(world)
    rollback(world.site())


def connected(world: World) -> None:
    """The standby still has connections."""
    deployed("v1", "v2")(world)
    observed = world.observed()
    world.nginx.held = {ip: 1 for c in observed.stack(observed.idle) for ip in c.addresses.values() if ip}


def without_proxy(world: World) -> None:
    deployed("v1", "v2")(world)
    world.engine.remove("shop-proxy")


def without_journal(world: World) -> None:
    deployed("v1", "v2", "v3")(world)
    (world.volume / "journal.jsonl").unlink()


def struck(prepare: Act, act: Act, after: str, how: How = "killed") -> Act:
    """What is left of a command that was struck after its first effect of this kind."""

    def prepared(world: World) -> None:
        prepare(world)
        strike = Strike(after, how)
        with pytest.raises((Killed, KeyboardInterrupt)):
            world.struck(strike, lambda: act(world))
        assert strike.struck, f"it had no effect {after!r}: {strike.effects}"

    return prepared


# -- what is done ------------------------------------------------------------------------------------------
def deploy(tag: str, *, stage: bool = False, force: bool = False) -> Act:
    return lambda world: world.deploy(tag, stage=stage, force=force)


def sick(world: World) -> object:
    world.image("v3", behaviour=Behaviour(answer=Answer(500, b"broken")))
    try:
        return world.deploy("v3")
    except Unhealthy as error:
        return error


def removed(*, everything: bool = False) -> Act:
    return lambda world: down(world.site(), volumes=everything, images=everything)


def aborted(world: World) -> object:
    return abort(world.site())


def resumed(world: World) -> object:
    return resume(world.site())


def back(world: World) -> object:
    return rollback(world.site(), reason="500s")


def shift(share: int) -> Act:
    return lambda world: canary(world.site(), share)


def stepping(world: World) -> object:
    """The steps of a candidate, without a visitor: the first one ends inconclusive."""
    candidate = world.observed().candidate
    assert candidate is not None
    return ramp(world.site(), candidate, (10, 50), hold=0.0)


def promoted(world: World) -> object:
    return promote(world.site())


def cold(world: World) -> object:
    return rollback(world.site(), "v1", reason="500s")


@dataclass(frozen=True)
class Row:
    """A kind of plan. ``gap``: the public listener may refuse meanwhile, which is announced. ``gone``: at its end
    nothing is left. ``like`` another one's: each place gets one of the ways on, by turns (CHAOS=all: each).
    ``between``: a third coherent state that it goes through."""

    prepare: Act
    act: Act
    gap: bool = False
    gone: bool = False
    like: bool = False
    between: str | None = None


TWO, THREE = deployed("v1", "v2"), deployed("v1", "v2", "v3")
PLANS: dict[str, Row] = {
    "first deploy": Row(deployed(), deploy("v1")),
    "second deploy": Row(deployed("v1"), deploy("v2"), like=True),
    "deploy over a standby": Row(TWO, deploy("v3")),
    "deploy after a rollback": Row(rolled_back, deploy("v3"), like=True),
    "deploy that fails": Row(TWO, sick, like=True),
    "deploy of what is live, forced": Row(TWO, deploy("v2", force=True), like=True),
    "deploy of what stands by": Row(rolled_back, deploy("v2")),
    "deploy over a candidate": Row(staged, deploy("v4"), like=True),
    "stage": Row(TWO, deploy("v3", stage=True)),
    "warm rollback": Row(TWO, back),
    "cold rollback": Row(THREE, cold),
    "rollback past a candidate": Row(staged, lambda w: rollback(w.site()), like=True),
    "switch forward": Row(rolled_back, lambda w: switch(w.site(), "v2")),
    "switch to a candidate": Row(staged, lambda w: switch(w.site(), "v3")),
    "shift": Row(staged, shift(10)),
    "shift to more": Row(shared, shift(50), like=True),
    "shift to nobody": Row(shared, shift(0), like=True),
    "canary by itself": Row(staged, stepping),
    "resume of a canary by itself": Row(struck(staged, stepping, "shift"), resumed, like=True),
    "promote": Row(shared, promoted),
    "rollback of a candidate with a share": Row(shared, back),
    "rollback past a candidate with a share": Row(shared, cold, like=True, between="v2"),
    "abort of a candidate with a share": Row(shared, aborted),
    "abort of a shift": Row(struck(shared, shift(50), "shift"), aborted, like=True),
    "resume of a shift": Row(struck(staged, shift(10), "begin shift"), resumed, like=True),
    "resume of a rollback of a candidate": Row(struck(shared, back, "shift"), resumed, like=True),
    "abort of a candidate": Row(staged, aborted),
    "abort of a deploy before its switch": Row(struck(TWO, deploy("v3"), "start shop-blue-web"), aborted, like=True),
    "abort of a cold rollback before its flip": Row(struck(THREE, cold, "start shop-green-web"), aborted, like=True),
    "resume of a deploy before its switch": Row(struck(TWO, deploy("v3"), "start shop-blue-web"), resumed, like=True),
    "resume of a deploy after its switch": Row(struck(TWO, deploy("v3"), "switch"), resumed, like=True),
    "resume of a cold rollback before its flip": Row(struck(THREE, cold, "start shop-green-web"), resumed, like=True),
    "resume of a rollback after its flip": Row(struck(TWO, back, "switch"), resumed, like=True),
    "the same deploy after a death": Row(struck(TWO, deploy("v3"), "stop "), deploy("v3"), like=True),
    "rollback from a deploy that died": Row(struck(TWO, deploy("v3"), "shop-r1-api-1"), back, like=True),
    "prune": Row(deployed("v1", "v2", "v3", "v4"), lambda w: prune(w.site(), 0)),
    "drain now": Row(connected, lambda w: drain(w.site(), now=True)),
    "repair of the journal": Row(without_journal, lambda w: repair_journal(w.site())),
    "start of the proxy": Row(without_proxy, lambda w: start_proxy(w.site()), gap=True),
    "proxy upgrade": Row(TWO, lambda w: upgrade_proxy(w.site()), gap=True),
    "down": Row(THREE, removed(), gone=True),
    "down with volumes and images": Row(THREE, removed(everything=True), gone=True, like=True),
}


# -- the matrix --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", PLANS)
def test_struck_anywhere_it_serves_a_coherent_state_and_every_way_on_ends_clean(name: str) -> None:
    row = PLANS[name]
    world = World()
    try:
        row.prepare(world)
        before, start = world.serving(), world.observed()
        after, *effects = in_fork(partial(whole, world, row)).splitlines()
        possible = {before, None if after == "None" else after, *((None,) if row.gap else ())}
        possible |= {row.between} if row.between else set()
        cells: list[Cell] = []
        for at, effect in enumerate(["the start", *effects]):
            turn = (WAYS_ON[(at + list(PLANS).index(name)) % len(WAYS_ON)],)
            few = (is_a_note(effect) or row.like) and os.environ.get("CHAOS") != "all"
            ways = turn if few else WAYS_ON
            strikes: list[tuple[How, Sequence[str]]] = [("killed", ways), ("interrupted", turn)]
            for how, chosen in strikes:
                cells.append(Cell(world, name, how, at, chosen, possible, start))
        complaints = in_forks([cell.run for cell in cells])
    finally:
        world.close()
    assert len(effects) > 1
    found = [line for complaint in complaints if complaint for line in complaint.splitlines()]
    if found:
        raise AssertionError("\n".join([f"{len(found)} ways went wrong", *found[:SHOWN]]))


def whole(world: World, row: Row) -> str:
    """The command without any strike: what serves at its end, and its effects, one a line."""
    world.move_volume()
    strike = Strike()
    world.struck(strike, lambda: row.act(world))
    if row.gone:
        world.check_gone(volumes=row.act is PLANS["down with volumes and images"].act)
    else:
        world.check_clean()
    return "\n".join([str(world.serving()), *strike.effects])


def is_a_note(effect: str) -> bool:
    """Whether it only says in the journal what is about to happen or has happened, which no way on depends on."""
    return all(part.startswith(("intent ", "outcome ")) for part in effect.split(", "))


@dataclass
class Cell:
    """One command, struck at one place, and the ways on from what that leaves."""

    world: World
    name: str
    how: How
    at: int
    ways: Sequence[str]
    possible: set[str | None]
    start: Observed
    where: str = ""

    def run(self) -> str:
        row, world = PLANS[self.name], self.world
        world.move_volume()
        strike = Strike(self.at, self.how)
        ended: BaseException | None = None
        try:
            world.struck(strike, lambda: row.act(world))
        except (Killed, KeyboardInterrupt, BluegreenError) as error:
            ended = error
        self.where = f"{self.name}, {strike.where}"
        with complaining(self.where):
            assert strike.struck
            assert isinstance(ended, Killed) == (self.how == "killed"), repr(ended)
            after = world.check()
            assert world.serving() in self.possible, f"{world.serving()} serves, not one of {self.possible}"
            if self.how == "interrupted" and self.start.history.unfinished is None:
                self.check_put_back(after)
        *others, last = self.ways
        found = [c for c in in_forks([partial(self.go_on_in_a_copy, way) for way in others], at_once=1) if c]
        try:
            self.go_on(last)
        except AssertionError as error:
            found.append(str(error))
        if found:
            raise AssertionError("\n".join(found))
        return ""

    def check_put_back(self, after: Observed) -> None:
        """An interrupted deploy that has not moved the traffic leaves nothing to be done."""
        left = after.history.unfinished
        if self.moved(after) or (left is not None and left.kind != "deploy"):
            return
        if left is not None and PLANS[self.name].act is sick and after.history.releases[left.release or 0].failure:
            return  # it had failed by itself, and was putting things back: that is what was interrupted
        assert left is None, f"{left} is left unfinished by an interruption"
        if after.candidate is None and not PLANS[self.name].gone:
            self.check_standby(after)

    def check_standby(self, after: Observed) -> None:
        """What stood by stands by again, where the traffic has not been moved to it."""
        before = self.start.standby
        if before is not None and not self.moved(after):
            assert str(after.standby) == str(before), f"{before} does not stand by again, but {after.standby}"

    def moved(self, after: Observed) -> bool:
        return after.live_release != self.start.live_release

    def go_on_in_a_copy(self, way: str) -> str:
        self.world.move_volume()
        self.go_on(way)
        return ""

    def go_on(self, way: str) -> None:
        row, world = PLANS[self.name], self.world
        with complaining(f"{self.where}, then {way}"):
            go_on(world, way, row)
            if row.gone:
                removed(everything=True)(world)
                world.check_gone(volumes=True)
                return
            after = world.check_clean()
            if way == "abort":
                self.check_standby(after)


def go_on(world: World, way: str, row: Row) -> None:
    """One way on after a strike. A refusal must say what to do, and change nothing."""
    before = world.serving()
    try:
        if way == "resume":
            resume(world.site())
        elif way == "abort":
            abort(world.site())
        elif way == "again":
            row.act(world)
        elif way == "rollback":
            rollback(world.site(), reason="to be safe")
    except Unhealthy:  # the release that can't get healthy, resumed
        assert "v3" in {r.tag for r in world.observed().history.releases.values() if r.failure}
    except (Refused, ProxyFailed, JournalLost) as refusal:
        end_what_is_left(world, row, way, before, refusal)


def end_what_is_left(world: World, row: Row, way: str, before: str | None, refusal: BluegreenError) -> None:
    """What was refused leaves the operation to be ended, by a command that it names: that must work."""
    assert way != "again" or isinstance(refusal, Refused), f"the same command again: {refusal}"
    assert refusal.problem.next, refusal
    # A proxy that did not run is brought back before anything else.
    assert world.serving() == before or (before is None and (row.gap or row.gone))
    if isinstance(refusal, JournalLost):
        repair_journal(world.site())
    if refusal.code == "proxy.not-running" and not row.gone:
        assert any("proxy start" in line for line in refusal.problem.next), refusal.problem
        start_proxy(world.site())
    if not row.gone and world.observed().history.unfinished is not None:
        try:
            abort(world.site())
        except Refused as second:  # pragma: no cover - told apart for the message
            raise AssertionError(f"{refusal}; and then: {second}") from second


class complaining:  # noqa: N801 - reads as what it does
    """Says of every failure where it was."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (AssertionError, BluegreenError)):
            raise AssertionError(f"{self._where}: {type(error).__name__}: {error}") from error


# -- processes ---------------------------------------------------------------------------------------------
def in_fork(test: Callable[[], str]) -> str:
    """Run it in a forked process, so that the world here stays as it is; answers what it answers."""
    failed, answer = _result(*_fork(test))
    assert not failed, answer
    return answer


def in_forks(tests: Sequence[Callable[[], str]], at_once: int = os.cpu_count() or 1) -> list[str]:
    """The same of many, ``at_once`` at a time; answers what went wrong with each."""
    complaints: list[str] = []
    waiting = list(reversed(tests))
    running: list[tuple[int, int]] = []
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(_fork(waiting.pop()))
        failed, answer = _result(*running.pop(0))
        complaints.append(answer if failed else "")
    return complaints


def _fork(test: Callable[[], str]) -> tuple[int, int]:
    for thread in threading.enumerate():  # what one of them holds a lock on would stay locked in the fork
        if thread is not threading.current_thread():
            thread.join(10)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell started it in the background
        try:
            answer = f".{test()}"
        except BaseException as error:
            answer = f"!{error}" if isinstance(error, AssertionError) else f"!{traceback.format_exc()}"
        os.write(writer, answer.encode()[:60000])
        os._exit(0)
    os.close(writer)
    return child, reader


def _result(child: int, reader: int) -> tuple[bool, str]:
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(child, 0)
    return not answer.startswith("."), answer[1:]
