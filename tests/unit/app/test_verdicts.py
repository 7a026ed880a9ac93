"""What is told of verdicts: while they come in, and later by `why` and `history`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bluegreen.app.canary import canary
from bluegreen.app.history import history, why
from bluegreen.app.rollback import promote, rollback
from bluegreen.app.telling import TELL_EVERY, Telling
from bluegreen.app.watch import watch
from bluegreen.model.errors import Refused
from bluegreen.model.history import SNAPSHOT_JUDGEMENTS, fold
from bluegreen.model.judging import Count, Evidence, Outcome, Verdict
from bluegreen.model.names import Slot
from tests.visitors import Visitors, run
from tests.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """v2 is live in green; v3 is the candidate in blue."""
    with World.with_candidate() as made:
        yield made


def said(world: World, *names: str) -> list[str]:
    return [e.message for e in world.events if e.kind == "guard" and e.name in names]


# -- later -------------------------------------------------------------------------------------------------------------


def test_a_release_that_passed_is_told_of_with_the_verdict_of_each_step(world: World) -> None:
    run(Visitors(world))
    told = why(world.site(), "v3")
    assert (told.code, told.message) == ("release.pass", "10 %, 50 %: passed")
    assert [(j.share, j.outcome, j.alpha_sum) for j in told.judgements] == [(10, "pass", 0.01), (50, "pass", 0.01)]
    assert all("clients saw errors in this step" in j.reason and j.at for j in told.judgements)
    assert [s.share for s in told.shifts] == [10, 50]
    assert why(world.site()) == told
    row = next(r for r in history(world.site()) if r.tag == "v3")
    assert (row.note or "").startswith("10 %, 50 %: passed")
    assert row.judgements == told.judgements


def test_one_that_got_no_verdict_in_time_is_told_of_with_how_far_it_came(world: World) -> None:
    run(Visitors(world, a_second=20), 10)
    told = why(world.site(), "v3")
    assert (told.code, told.message) == ("release.inconclusive", "10 %: inconclusive")
    assert "184 clean clients are needed" in told.judgements[0].reason


def test_one_that_was_taken_back_is_told_of_with_the_sum_of_the_alphas(world: World) -> None:
    visitors = Visitors(world)

    def fails_at_50() -> bool:
        visitors.failing[Slot.BLUE] = 0.3 if world.observed().share == 50 else 0.0
        return False

    assert run(visitors, 10, 50, stopped=fails_at_50).outcome == "taken-back"
    told = why(world.site(), "v3")
    assert told.code == "release.rolled-back"
    assert [(j.share, j.outcome) for j in told.judgements] == [(10, "pass"), (50, "fail")]
    assert told.judgements[-1].reason in told.message
    assert (told.judgements[-1].alpha_sum, told.judgements[-1].horizon) == (0.01, None)


def test_one_that_failed_after_its_switch_is_judged_over_a_horizon(world: World) -> None:
    visitors = Visitors(world)
    visitors._pause(5)
    promote(visitors.site())
    visitors.failing[Slot.BLUE] = 0.5
    site = visitors.site()
    watch(site, lambda glance: bool(glance.actions))
    (judgement,) = why(world.site(), "v3").judgements
    assert (judgement.share, judgement.outcome, judgement.horizon) == (100, "fail", 1_000_000)


def test_what_is_alarming_about_live_is_no_judgement_of_the_candidate(world: World) -> None:
    visitors = Visitors(world)
    visitors._pause(5)
    canary(visitors.site(), 25)
    visitors.failing = {Slot.GREEN: 0.3, Slot.BLUE: 0.3}
    watch(visitors.site(), lambda glance: bool(glance.actions))
    told = why(world.site(), "v3")
    assert (told.code, told.judgements) == ("release.alarm", ())


def test_the_last_failure_comes_first_unless_one_asks_for_another_release(world: World) -> None:
    run(Visitors(world))
    world.deploy("v4", stage=True)
    canary(world.site(), 10)
    rollback(world.site(), reason="I do not like it")
    assert (why(world.site()).tag, why(world.site()).code) == ("v4", "release.rolled-back")
    assert (why(world.site(), "v3").tag, why(world.site(), "v3").code) == ("v3", "release.pass")


def test_shares_without_a_verdict_are_told_of_only_where_one_asks(world: World) -> None:
    canary(world.site(), 10)
    told = why(world.site(), "v3")
    assert (told.code, [s.share for s in told.shifts]) == ("release.unjudged", [10])
    with pytest.raises(Refused, match="no failure is recorded, nor a verdict"):
        why(world.site())
    with pytest.raises(Refused, match="no failure of v2 is recorded, nor a verdict"):
        why(world.site(), "v2")


def test_a_snapshot_carries_the_newest_judgements_only() -> None:
    passes = [{"event": "passed", "release": n, "share": 10, "reason": f"number {n}"} for n in range(1, 30)]
    past = fold(passes)
    end = {"event": "end", "op": "a", "outcome": "done", "snapshot": past.snapshot()}
    later = fold([end])
    assert [j.release for j in later.judgements] == list(range(30 - SNAPSHOT_JUDGEMENTS, 30))
    assert later.judgements_of(29) == past.judgements_of(29)


def test_a_snapshot_of_an_earlier_version_has_none() -> None:
    old = fold([{"event": "released", "release": {"number": 1, "tag": "v1"}}]).snapshot()
    del old["judgements"]
    assert fold([{"event": "end", "op": "a", "snapshot": old}]).last_number == 1


# -- while they come in ------------------------------------------------------------------------------------------------


def test_once_somebody_has_come_nobody_reads_of_no_traffic_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The canary's lease ends before 30 s of a played clock.
    monkeypatch.setattr("bluegreen.app.telling.TELL_EVERY", 12.0)
    visitors = Visitors(world, a_second=0)
    visitors.at[5.0] = lambda: setattr(visitors, "a_second", 20)
    assert run(visitors, 10, hold=20.0).outcome == "held"
    nobody, first, later = said(world, "verdict")
    assert "has answered nobody in this step" in nobody
    assert "0 of 1 client saw" in first
    assert "clients saw errors in this step" in later
    assert "clients saw errors in this step" in said(world, "step-over")[-1]


def test_stopped_by_hand_it_says_how_far_the_step_came(world: World) -> None:
    visitors = Visitors(world, a_second=20)
    clock = visitors.site().clock
    begin = clock()
    found = run(visitors, 10, 50, stopped=lambda: clock() - begin > 10)
    assert (found.outcome, found.share, found.inconclusive) == ("stopped", 0, False)
    (step,) = found.steps
    assert step.verdict is not None
    assert "clients saw errors in this step" in step.verdict.reason
    assert said(world, "step-over") == [f"10 %: inconclusive: {step.verdict.reason}"]
    assert [j.reason for j in why(world.site(), "v3").judgements] == [step.verdict.reason]


def verdict(reason: str, **more: object) -> Verdict:
    evidence = (Evidence("pass", False, candidate=Count(0, 3)),)
    made = Verdict(Outcome.INCONCLUSIVE, reason, "v2", "v3", 10, 0.0, 0.0, evidence, 0.01)
    return replace(made, **more)  # type: ignore[arg-type]


def test_numbers_alone_make_no_other_verdict(world: World) -> None:
    site, telling, now = world.site(), Telling(), [0.0]
    site.clock = lambda: now[0]
    telling.tell(site, verdict("1", warnings=("81.2 % of the requests",)))
    telling.tell(site, verdict("2", warnings=("9 % of the requests",)))
    assert said(world, "verdict") == ["1"]
    now[0] = TELL_EVERY
    telling.tell(site, verdict("3"))
    telling.tell(site, verdict("4"))
    assert said(world, "verdict") == ["1", "3"]
    now[0] = 2 * TELL_EVERY
    telling.tell(site, verdict("3"))
    assert said(world, "verdict") == ["1", "3"], "it is what was said last"
    telling.tell(site, verdict("5", share=50))
    telling.tell(site, verdict("6", share=50, outcome=Outcome.PASS))
    now[0] = 9 * TELL_EVERY
    telling.tell(site, verdict("7", share=50, outcome=Outcome.PASS))
    assert said(world, "verdict") == ["1", "3", "5", "6"]
