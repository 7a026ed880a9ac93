"""`watch`: what is guarded, what is done about it, and what never is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from bluegreen.app import acting
from bluegreen.app.canary import canary
from bluegreen.app.guarding import subject_of
from bluegreen.app.history import history, why
from bluegreen.app.recover import abort
from bluegreen.app.rollback import promote, rollback
from bluegreen.app.watch import Glance, Watched, watch
from bluegreen.model.errors import EngineFailed
from bluegreen.model.guard import GuardCheck, GuardSettings
from bluegreen.model.judging import JudgeSettings, Outcome
from bluegreen.model.names import Slot
from tests.visitors import Visitors
from tests.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """v2 is live in green, and has been for longer than it is guarded; v3 is the candidate in blue."""
    with World.with_candidate(settled=True) as made:
        yield made


def after(visitors: Visitors, seconds: float) -> Callable[[Glance], bool]:
    """Enough once so much time has gone by."""
    site = visitors.site()
    begin = site.clock()
    return lambda glance: glance.caught_up and site.clock() - begin >= seconds


def guard(visitors: Visitors, seconds: float = 8.0, **more: object) -> Watched:
    return watch(visitors.site(), after(visitors, seconds), **more)  # type: ignore[arg-type]


def test_a_candidate_that_fails_loses_its_visitors_once_and_is_bad(world: World) -> None:
    visitors = Visitors(world)
    canary(visitors.site(), 25)
    visitors.failing[Slot.BLUE] = 0.3
    found = guard(visitors)
    (action,) = found.actions
    assert (action.did, action.subject.release.tag) == ("taken-back", "v3")
    assert action.verdict.outcome is Outcome.FAIL
    assert action.detect_ms is not None
    assert action.detect_ms < 1000
    assert action.clients >= 4  # as the judge says of 25 % with no error on live
    assert action.errors >= action.clients
    observed = world.check_clean()
    assert (observed.share, observed.history.is_bad(3), str(observed.live_release)) == (0, True, "v2")
    assert "api v3: " in (observed.history.releases[3].reason or "")


def test_with_no_act_it_is_only_said(world: World) -> None:
    visitors = Visitors(world)
    canary(visitors.site(), 25)
    visitors.failing[Slot.BLUE] = 0.3
    (action,) = guard(visitors, act=False).actions
    assert (action.did, action.moved) == ("alarm", None)
    assert world.observed().share == 25


def test_a_clean_candidate_passes_and_is_left_alone(world: World) -> None:
    visitors = Visitors(world)
    canary(visitors.site(), 25)
    found = guard(visitors)
    assert found.actions == ()
    assert found.verdict is not None
    assert found.verdict.outcome is Outcome.PASS
    assert world.observed().share == 25


def test_both_sides_failing_gives_an_alarm_and_takes_nothing_back(world: World) -> None:
    visitors = Visitors(world)
    visitors._pause(5)
    canary(visitors.site(), 25)
    visitors.failing = {Slot.GREEN: 0.3, Slot.BLUE: 0.3}
    (action,) = guard(visitors).actions
    assert action.did == "alarm"
    assert "live itself" in action.why_not
    assert world.observed().share == 25


def test_a_release_that_fails_after_its_switch_is_rolled_back_and_what_it_goes_to_is_not_guarded(
    world: World,
) -> None:
    visitors = Visitors(world)
    visitors._pause(5)  # what v2 does is known
    promote(visitors.site())
    visitors.failing[Slot.BLUE] = 0.5
    found = guard(visitors, 12.0)
    assert [a.did for a in found.actions] == ["taken-back"], found
    observed = world.check_clean()
    assert (str(observed.live_release), observed.history.is_bad(3)) == ("v2", True)
    assert subject_of(observed) is None


def test_it_never_goes_to_a_release_that_is_marked_bad_but_gives_an_alarm(world: World) -> None:
    visitors = Visitors(world)
    abort(visitors.site())
    rollback(visitors.site(), reason="v2 is bad")
    world.deploy("v4")
    rollback(visitors.site(), reason="v4 is bad")  # v1 is live again, v4 stands by and is bad
    world.deploy("v5")  # in its slot; v1 stands by
    rollback(visitors.site(), reason="v5 is bad")
    assert str(world.observed().live_release) == "v1"
    # Forward once more to what is bad, on purpose; then nothing good is left but v1, which is marked too.
    from bluegreen.app.rollback import switch

    switch(visitors.site(), "v5")
    with world.site().session() as session:
        session.run([{"op": "append", "events": [{"event": "marked", "release": 1, "mark": "bad", "reason": "x"}]}])
    visitors._pause(1)
    live = world.observed().live
    assert live is not None
    visitors.failing[live] = 0.9
    found = guard(visitors)
    assert [a.did for a in found.actions] == ["alarm"]
    assert "marked bad" in found.actions[0].why_not
    assert str(world.observed().live_release) == "v5"


def test_a_release_passes_after_its_switch_when_its_guarded_time_is_over(world: World) -> None:
    visitors = Visitors(world)
    visitors._pause(5)
    promote(visitors.site())
    early = guard(visitors, 3.0).verdict
    assert early is not None
    assert early.outcome is Outcome.INCONCLUSIVE
    assert "no alarm in " in early.reason
    visitors.at[12.0] = lambda: visitors._really(GuardSettings().after_switch)
    late = guard(visitors, 8.0)
    assert late.verdict is not None
    assert (late.verdict.outcome, late.actions) == (Outcome.PASS, ())


def test_nothing_is_guarded_when_nothing_is_new(world: World) -> None:
    found = guard(Visitors(world), 3.0)
    assert (found.subject, found.verdict, found.actions) == (None, None, ())


def test_what_a_check_says_three_times_takes_a_candidate_back(world: World) -> None:
    visitors = Visitors(world)
    canary(visitors.site(), 25)
    checks = (GuardCheck("queue", command="exit 3", every=1.0),)
    (action,) = guard(visitors, checks=checks).actions
    assert action.did == "taken-back"
    assert not action.verdict.bounded
    assert action.verdict.reason.startswith("queue: exit code 3")


def test_a_guard_that_is_started_again_knows_what_the_one_before_it_knew(world: World) -> None:
    visitors = Visitors(world)
    canary(visitors.site(), 25)
    visitors.failing[Slot.BLUE] = 0.3
    visitors._pause(5)  # nobody watches
    visitors.a_second = 0
    (action,) = guard(visitors, 2.0).actions
    assert action.did == "taken-back"


def test_a_proxy_that_goes_away_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    visitors = Visitors(world)
    canary(visitors.site(), 25)
    visitors.failing[Slot.BLUE] = 0.3
    really, failures = world.engine.exec_stream, iter([EngineFailed("engine.gone", "it went away")] * 2)

    def sometimes(*args: object, **more: object) -> object:
        for failure in failures:
            raise failure
        return really(*args, **more)  # type: ignore[arg-type]

    site = visitors.site()
    site.pause = visitors._pause
    enough = after(visitors, 10.0)
    monkeypatch.setattr(world.engine, "exec_stream", sometimes)
    (action,) = watch(site, enough).actions
    assert action.did == "taken-back"


def test_a_rollback_that_fails_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    visitors = Visitors(world)
    canary(visitors.site(), 25)
    visitors.failing[Slot.BLUE] = 0.3
    failures = iter([EngineFailed("engine.failed", "not now")] * 2)

    def sometimes(*args: object, **more: object) -> object:
        for failure in failures:
            raise failure
        return rollback(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(acting, "rollback", sometimes)
    (action,) = guard(visitors).actions
    assert action.did == "taken-back"


def test_an_alarm_is_told_later_and_a_failure_after_it_comes_first(world: World) -> None:
    visitors = Visitors(world)
    visitors._pause(5)
    canary(visitors.site(), 25)
    visitors.failing = {Slot.GREEN: 0.3, Slot.BLUE: 0.3}
    guard(visitors)
    told = why(world.site())
    assert (told.release, told.code) == (3, "release.alarm")
    assert "live itself fails" in told.message
    row = next(r for r in history(world.site()) if r.release == 3)
    assert row.note == told.message

    journal = world.volume / "journal.jsonl"
    assert journal.read_text().count('"did":"alarm"') == 1
    again = guard(visitors)  # another one, which reads the same log from its beginning
    assert [a.did for a in again.actions] == ["alarm"]
    assert journal.read_text().count('"did":"alarm"') == 1, "the journal has it already"
    visitors._pause(1)
    rollback(world.site(), reason="enough")
    assert (why(world.site()).code, why(world.site()).message) == ("release.rolled-back", "enough")


def test_containers_that_grow_or_start_again_and_again_take_a_candidate_back_where_the_file_says_so(
    world: World,
) -> None:
    visitors = Visitors(world)
    abort(visitors.site())
    world.deploy("v4", stage=True, guard=GuardSettings(judge=JudgeSettings(max_memory_growth=3.0)))
    canary(visitors.site(), 25)

    def grow() -> None:
        for container in world.engine.containers("shop"):
            if container.slot is Slot.BLUE and container.service == "api":
                found = world.engine._world.find(container.name)
                found.behaviour = replace(found.behaviour, memory=10 << 20)

    visitors.at[3.0] = grow
    (action,) = guard(visitors).actions
    assert action.did == "taken-back"
    assert action.verdict.reason.startswith("api uses 10.0 times the memory it had, of at most 3")
