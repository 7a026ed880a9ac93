"""A guard says the same wherever it begins, and whatever happens to its journal, its project and its colleagues."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bluegreen.app import acting
from bluegreen.app import canary as trying
from bluegreen.app.canary import canary
from bluegreen.app.ramp import ramp
from bluegreen.app.recover import abort
from bluegreen.app.rollback import promote, rollback
from bluegreen.app.watch import Glance, Watched, watch
from bluegreen.cli.screens.watch import exit_of
from bluegreen.model.errors import BluegreenError, Exit
from bluegreen.model.judging import Outcome
from bluegreen.model.names import Slot
from tests.visitors import Visitors
from tests.world import World


@pytest.fixture
def empty() -> Iterator[World]:
    made = World()
    made.deploy("v1")
    yield made
    made.close()


@pytest.fixture
def world(empty: World) -> World:
    """v2 is live in green, and has been for longer than it is guarded; v3 is the candidate in blue."""
    empty.deploy("v2")
    empty.nginx.clock.pause(1000)
    empty.deploy("v3", stage=True)
    return empty


def guard(visitors: Visitors, seconds: float = 8.0) -> Watched:
    site = visitors.site()
    begin = site.clock()

    def enough(glance: Glance) -> bool:
        return glance.caught_up and site.clock() - begin >= seconds

    return watch(site, enough)


def later(visitors: Visitors, seconds: float, act: Callable[[], object]) -> None:
    visitors.at[visitors._clock.monotonic() - visitors._begin + seconds] = act


def long_log(world: World, errors: float) -> Visitors:
    """More than one message of the agent's, before v3 is staged."""
    visitors = Visitors(world)
    visitors.failing = {Slot.GREEN: errors, Slot.BLUE: errors}
    visitors._pause(10)
    world.deploy("v2")
    visitors._pause(40)
    world.deploy("v3", stage=True)
    visitors._pause(5)
    return visitors


def test_a_guard_that_begins_after_the_switch_expects_what_the_whole_log_says(empty: World) -> None:
    visitors = long_log(empty, 0.05)
    promote(visitors.site())
    visitors._pause(1)
    assert guard(visitors, 25.0).actions == ()


def test_a_guard_that_begins_beside_a_candidate_knows_how_long_live_took(empty: World) -> None:
    visitors = long_log(empty, 0.0)
    canary(visitors.site(), 25)
    found = guard(visitors, 5.0)
    assert found.verdict is not None
    assert "latency" in [evidence.name for evidence in found.verdict.evidence]


def test_a_release_is_compared_with_the_one_before_it_also_after_a_candidate_has_come_and_gone(empty: World) -> None:
    visitors = Visitors(empty)
    visitors.failing = {Slot.GREEN: 0.05, Slot.BLUE: 0.05}
    visitors._really(2000)
    later(visitors, 30, lambda: empty.deploy("v2"))
    later(visitors, 34, lambda: empty.deploy("v3", stage=True))
    later(visitors, 36, lambda: canary(empty.site(), 10))
    later(visitors, 40, lambda: abort(empty.site()))
    assert guard(visitors, 80.0).actions == ()


def test_a_candidate_that_is_given_visitors_again_is_judged_anew_and_taken_back_again(world: World) -> None:
    visitors = Visitors(world)
    canary(visitors.site(), 25)
    visitors.failing[Slot.BLUE] = 0.3

    def once_more() -> None:
        visitors.failing[Slot.BLUE] = 0.0
        canary(world.site(), 25)

    later(visitors, 10, once_more)
    later(visitors, 15, lambda: visitors.failing.update({Slot.BLUE: 0.9}))
    found = guard(visitors, 25.0)
    assert [action.did for action in found.actions] == ["taken-back", "taken-back"]
    assert world.observed().share == 0


def test_what_it_did_before_it_was_taken_back_is_not_held_against_it_again(world: World) -> None:
    visitors = Visitors(world)
    canary(visitors.site(), 25)
    visitors.failing[Slot.BLUE] = 0.3
    guard(visitors)
    visitors.failing[Slot.BLUE] = 0.0
    canary(world.site(), 25)
    visitors._pause(1)
    assert guard(visitors).actions == ()


def test_a_candidate_is_judged_also_where_the_journal_is_broken(world: World) -> None:
    visitors = Visitors(world)
    canary(visitors.site(), 25)
    visitors.failing[Slot.BLUE] = 0.9
    with (world.volume / "journal.jsonl").open("a") as journal:
        journal.write("garbage\n")
    found = guard(visitors)
    assert "taken-back" in [action.did for action in found.actions]
    assert world.observed().share == 0


def test_a_rollback_that_fails_after_it_moved_the_visitors_is_told_as_what_it_did(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_then(*args: Any, **more: Any) -> None:
        rollback(*args, **more)
        raise BluegreenError("rollback.incomplete", "a step after it failed", exit=Exit.INCOMPLETE)

    visitors = Visitors(world)
    canary(visitors.site(), 25)
    visitors.failing[Slot.BLUE] = 0.3
    monkeypatch.setattr(acting, "rollback", fails_then)
    found = guard(visitors)
    (action,) = found.actions
    assert (action.did, action.why_not, exit_of(found)) == ("taken-back", "a step after it failed", Exit.VERDICT)
    assert action.errors > 0


def test_whoever_is_too_late_to_take_it_back_says_by_its_code_that_it_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def beaten(*args: Any, **more: Any) -> object:
        rollback(world.site(), reason="another guard", losing=3)
        return rollback(*args, **more)

    visitors = Visitors(world)
    canary(visitors.site(), 25)
    visitors.failing[Slot.BLUE] = 0.3
    monkeypatch.setattr(acting, "rollback", beaten)
    found = guard(visitors)
    assert (found.actions, exit_of(found)) == ((), Exit.VERDICT)


def test_a_canary_that_a_guard_elsewhere_took_back_ends_as_taken_back(world: World) -> None:
    visitors = Visitors(world)
    candidate = world.observed().candidate
    assert candidate is not None
    later(visitors, 1, lambda: rollback(world.site(), reason="the guard: 4 of 4 clients", losing=3))
    found = ramp(visitors.site(), candidate, (25,), hold=20)
    assert (found.outcome, found.share, found.by_another) == ("taken-back", 0, "the guard: 4 of 4 clients")


def test_a_canary_that_was_left_and_cannot_be_ended_does_not_end_the_guard(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed() -> bool:
        raise Killed

    visitors = Visitors(world)
    candidate = world.observed().candidate
    assert candidate is not None
    with pytest.raises(Killed):
        ramp(visitors.site(), candidate, (25,), hold=20, stopped=killed)
    really, calls = trying.finish, []

    def fails_once(*args: Any, **more: Any) -> object:
        calls.append(args)
        if len(calls) == 1:
            raise BluegreenError("canary.failed", "not now")
        return really(*args, **more)

    monkeypatch.setattr(trying, "finish", fails_once)
    guard(visitors)
    assert any("not now; trying again" in event.message for event in world.events)
    assert world.observed().history.unfinished is None


def test_a_guard_that_begins_late_counts_towards_a_pass_only_who_came_in_this_step(world: World) -> None:
    visitors = Visitors(world)
    canary(visitors.site(), 50)
    visitors._pause(5)  # enough for a pass, had it been looked at
    visitors.a_second = 0
    canary(visitors.site(), 60)
    found = guard(visitors, 2.0)
    assert found.verdict is not None
    assert found.verdict.outcome is Outcome.INCONCLUSIVE
    assert "no traffic" in found.verdict.reason
