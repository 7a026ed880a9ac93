"""`deploy TAG --canary 5,25,50`: steps that end by verdicts, over visitors who are played to the access log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bluegreen.app.canary import canary, standing
from bluegreen.app.ramp import ramp
from bluegreen.app.recover import abort, resume
from bluegreen.app.rollback import promote, rollback
from bluegreen.app.site import LEASE_SECONDS
from bluegreen.app.watch import watch
from bluegreen.engine.behaviour import Answer, Behaviour
from bluegreen.model.errors import BluegreenError, Held, Overtaken, Refused
from bluegreen.model.judging import Outcome
from bluegreen.model.names import Slot
from tests.strikes import Killed
from tests.visitors import Visitors, run
from tests.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """v2 is live in green; v3 is the candidate in blue."""
    with World.with_candidate() as made:
        yield made


def test_a_clean_release_passes_each_step_and_gets_all_visitors(world: World) -> None:
    result = run(Visitors(world))
    assert (result.outcome, result.share) == ("promoted", 100)
    assert [(s.share, s.outcome) for s in result.steps] == [(10, Outcome.PASS), (50, Outcome.PASS)]
    assert all(s.verdict is not None and s.verdict.share == s.share for s in result.steps)
    after = world.check_clean()
    assert (str(after.live_release), str(after.standby)) == ("v3", "v2")
    assert [s.share for s in after.history.shifts] == [10, 50]


def test_a_release_that_fails_is_taken_back_at_its_first_step(world: World) -> None:
    visitors = Visitors(world)
    visitors.failing[Slot.BLUE] = 0.3
    result = run(visitors)
    assert (result.outcome, result.share) == ("taken-back", 0)
    assert result.action is not None
    assert result.action.errors >= 3
    after = world.check_clean()
    assert (str(after.live_release), str(after.candidate), after.share) == ("v2", "v3", 0)
    assert after.history.is_bad(3)
    assert "clients saw errors" in (after.history.releases[3].reason or "")


def test_without_traffic_there_is_no_verdict_and_the_share_stays(world: World) -> None:
    result = run(Visitors(world, a_second=0))
    assert (result.outcome, result.share, result.inconclusive) == ("held", 10, True)
    assert [s.outcome for s in result.steps] == [Outcome.INCONCLUSIVE]
    after = world.check_clean()
    assert after.share == 10


def test_both_failing_alike_is_no_reason_to_take_back_nor_to_go_on(world: World) -> None:
    visitors = Visitors(world)
    visitors.failing = {Slot.GREEN: 0.3, Slot.BLUE: 0.3}
    result = run(visitors)
    assert (result.outcome, result.inconclusive) == ("held", True)
    assert not world.observed().history.is_bad(3)


def test_stopped_by_hand_it_goes_back_to_the_last_share_that_passed(world: World) -> None:
    visitors = Visitors(world)
    stopped: list[int] = []

    def stop() -> bool:
        if world.observed().share == 50:
            visitors.a_second = 0
            stopped.append(50)
        return bool(stopped)

    result = run(visitors, 10, 50, stopped=stop)
    assert (result.outcome, result.share) == ("stopped", 10)
    assert world.check_clean().share == 10


def test_a_candidate_that_does_not_answer_before_a_step_stays_where_it_passed(world: World) -> None:
    visitors = Visitors(world)

    def sick() -> None:
        for container in world.engine.containers("shop"):
            if container.slot is Slot.BLUE and container.service == "api":
                world.engine._world.find(container.name).behaviour = Behaviour(answer=Answer(500, b"broken"))

    visitors.at[3.0] = sick
    with pytest.raises(BluegreenError, match=r"did not get 50 % of visitors.* it stays at 10 %"):
        run(visitors, 10, 50)
    observed = world.observed()
    assert (observed.share, observed.history.unfinished) == (10, None)


def test_a_rollback_by_somebody_else_ends_it(world: World) -> None:
    visitors = Visitors(world)
    visitors.at[1.0] = lambda: rollback(world.site(), reason="I do not like it")
    with pytest.raises(Overtaken):
        run(visitors)
    after = world.check_clean()
    assert (after.share, after.history.is_bad(3)) == (0, True)


def test_others_wait_while_it_runs(world: World) -> None:
    visitors = Visitors(world)
    seen: list[type[BaseException]] = []

    def others() -> None:
        for act in (lambda: canary(world.site(), 70), lambda: promote(world.site()), lambda: abort(world.site())):
            with pytest.raises(Held) as refused:
                act()
            seen.append(refused.type)

    visitors.at[1.0] = others
    assert run(visitors).outcome == "promoted"
    assert seen == [Held] * 3


# -- its process dies --------------------------------------------------------------------------------------------------


def die_at(world: World, share: int) -> None:
    """The process that runs the steps dies while the candidate has this share."""
    visitors = Visitors(world)

    def stop() -> bool:
        if world.observed().share == share:
            visitors.a_second = 0
            raise Killed
        return False

    with pytest.raises(Killed):
        run(visitors, 10, 50, stopped=stop)
    visitors.a_second = 0

    observed = world.observed()
    assert observed.history.unfinished is not None
    assert (observed.share, observed.history.unfinished.kind) == (share, "canary")


@pytest.mark.parametrize(("died", "safe"), [(10, 0), (50, 10)])
def test_the_next_command_ends_what_was_left_at_its_last_safe_share_and_says_so(
    world: World, died: int, safe: int
) -> None:
    die_at(world, died)
    assert standing(world.site()).share == died
    canary(world.site(), safe)
    said = [e.message for e in world.events if e.kind == "notice"]
    assert any(f"was left by its process (test@here): back from {died} % to {safe} %" in m for m in said), said
    assert world.check_clean().share == safe


@pytest.mark.parametrize("somebody", [True, False], ids=["another command came by", "nobody came by"])
def test_a_process_that_slept_past_its_lease_goes_on_with_nothing(world: World, somebody: bool) -> None:
    """As a laptop does whose lid is closed: what it was about to do is for nobody to trust any more."""
    visitors = Visitors(world)

    def sleeps() -> None:
        visitors._really(LEASE_SECONDS + 30)
        if somebody:
            canary(world.site(), 0)

    visitors.at[1.0] = sleeps
    with pytest.raises(Overtaken):
        run(visitors)
    assert any("was left by its process (test@here): back from 10 % to 0 %" in e.message for e in world.events)
    after = world.check_clean()
    assert (after.share, after.history.is_bad(3), str(after.candidate)) == (0, False, "v3")


def test_a_guard_ends_it_at_its_last_safe_share(world: World) -> None:
    die_at(world, 50)
    site = world.site()
    watch(site, lambda glance: glance.caught_up)
    assert any("was left by its process" in e.message for e in world.events)
    assert world.check_clean().share == 10


@pytest.mark.parametrize("way", ["resume", "abort", "rollback", "promote", "deploy"])
def test_every_way_on_from_a_dead_canary_ends_clean(world: World, way: str) -> None:
    die_at(world, 50)
    if way == "resume":
        resume(world.site())
        expected = ("v2", 10)
    elif way == "abort":
        abort(world.site())
        expected = ("v2", 0)
    elif way == "rollback":
        assert rollback(world.site()).how == "canary"
        expected = ("v2", 0)
    elif way == "promote":
        promote(world.site())
        expected = ("v3", 0)
    else:
        with pytest.raises(Refused, match="10 % of visitors are on the candidate v3"):
            world.deploy("v4")
        expected = ("v2", 10)
    after = world.check_clean()
    assert (str(after.live_release), after.share) == expected


def test_the_first_release_of_all_has_nothing_to_be_compared_with() -> None:
    world = World()
    try:
        candidate = world.deploy("v1", stage=True).release
        result = ramp(world.site(), candidate, (10, 50))
        assert (result.outcome, result.steps) == ("promoted", ())
        assert str(world.check_clean().live_release) == "v1"
    finally:
        world.close()
