"""A share of the visitors to a candidate, and back: by commands, in a world in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bluegreen.app.canary import canary, standing
from bluegreen.app.history import rows
from bluegreen.app.recover import abort, resume
from bluegreen.app.rollback import promote, rollback, switch
from bluegreen.app.status import report
from bluegreen.app.upkeep import drain
from bluegreen.engine.behaviour import Answer, Behaviour
from bluegreen.model.errors import BluegreenError, Refused, UsageError
from bluegreen.model.history import fold
from bluegreen.model.names import Slot
from bluegreen.planning.proxysteps import Drain
from bluegreen.planning.restore import plan_restore
from bluegreen.planning.retire import retire
from bluegreen.planning.steps import Step
from tests.strikes import Killed, Strike
from tests.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """v2 is live in green; v3 is the candidate in blue, where v1 had stood by."""
    with World.with_candidate() as made:
        yield made


def split(world: World) -> dict[str, int]:
    """How many of the hundred places each release has, by who answers."""
    found: dict[str, int] = {}
    for bucket in range(100):
        slot, status, _ = world.nginx.serve("/", bucket=bucket)
        assert status == 200
        tag = {Slot.GREEN: "v2", Slot.BLUE: "v3"}[slot] if slot else "nothing"
        found[tag] = found.get(tag, 0) + 1
    return found


# -- canary N ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [1, 10, 50, 99])
def test_a_share_of_the_visitors_goes_to_the_candidate_and_the_others_stay(world: World, share: int) -> None:
    result = canary(world.site(), share)
    assert (result.outcome, result.share, result.previous) == ("shifted", share, 0)
    assert result.candidate is not None
    assert result.candidate.tag == "v3"
    assert split(world) == {"v2": 100 - share, "v3": share}
    world.check_clean()


def test_nobody_goes_back_while_the_share_grows(world: World) -> None:
    before: set[int] = set()
    for share in (0, 1, 5, 25, 60, 99):
        canary(world.site(), share)
        now = {b for b in range(100) if world.nginx.serve("/", bucket=b)[0] is Slot.BLUE}
        assert before <= now
        before = now


def test_a_shift_never_reloads_nginx(world: World) -> None:
    reloads = world.nginx.reloads
    for share in (5, 25, 10, 0, 50):
        canary(world.site(), share)
    rollback(world.site())
    assert world.nginx.reloads == reloads


def test_without_a_candidate_nobody_is_sent_to_an_old_standby() -> None:
    world = World()
    try:
        with pytest.raises(Refused, match="nothing is live"):
            canary_on_nothing(world)
        world.deploy("v2")
        for _ in range(2):
            for act in (lambda: canary(world.site(), 10), lambda: promote(world.site())):
                with pytest.raises(Refused, match="there is no candidate: v") as refused:
                    act()
                assert "bg deploy TAG --stage" in refused.value.problem.next[0]
            world.deploy("v3")
        rollback(world.site())
        with pytest.raises(Refused, match="there is no candidate"):
            canary(world.site(), 10)
        assert world.observed().share == 0
    finally:
        world.close()


def canary_on_nothing(world: World) -> None:
    world.deploy("v1", stage=True)
    canary(world.site(), 10)


@pytest.mark.parametrize("share", [-1, 100, 101, 1000])
def test_all_visitors_is_a_promotion_and_nonsense_is_refused(world: World, share: int) -> None:
    with pytest.raises(UsageError) as refused:
        canary(world.site(), share)
    assert refused.value.problem.next == (("bg promote",) if share == 100 else ("bg canary 10",))
    assert world.observed().share == 0


def test_a_candidate_that_does_not_answer_gets_nobody_and_keeps_what_it_has(world: World) -> None:
    canary(world.site(), 5)
    sick(world)
    with pytest.raises(BluegreenError, match=r"did not get 25 % of visitors.* it keeps its 5 %") as failed:
        canary(world.site(), 25)
    assert failed.value.code == "canary.failed"
    assert failed.value.problem.next[1].startswith("bg rollback ")
    assert world.observed().share == 5
    assert canary(world.site(), 2).share == 2, "fewer it may get, sick as it is"
    assert world.observed().history.unfinished is None


def sick(world: World) -> None:
    """The candidate's backends answer 500 from now on."""
    for container in world.engine.containers("shop"):
        if container.slot is Slot.BLUE and container.service == "api":
            world.engine._world.find(container.name).behaviour = Behaviour(answer=Answer(500, b"broken"))


def test_a_candidate_that_lacks_a_container_gets_nobody_and_status_says_so_where_it_has_some(world: World) -> None:
    canary(world.site(), 10)
    world.engine.stop("shop-blue-api-1", 1)
    with pytest.raises(Refused, match="lacks running containers"):
        canary(world.site(), 20)
    troubles = {t.code: t for t in report(world.observed(), "localhost").troubles}
    assert "10 % of visitors and lacks running containers: api-1" in troubles["candidate.incomplete"].message
    rollback(world.site())
    assert world.observed().share == 0


def test_the_same_share_again_is_nothing_to_do(world: World) -> None:
    canary(world.site(), 10)
    generation = world.observed().proxy.routes
    assert canary(world.site(), 10).outcome == "nothing"
    assert world.observed().proxy.routes == generation


def test_workers_stay_with_live(world: World) -> None:
    canary(world.site(), 99)
    running = {c.slot for c in world.observed().containers if c.service == "worker" and c.running}
    assert running == {Slot.GREEN}
    promote(world.site())
    running = {c.slot for c in world.observed().containers if c.service == "worker" and c.running}
    assert running == {Slot.BLUE}


def test_a_dry_run_says_what_would_be_done_and_does_nothing(world: World) -> None:
    steps = [step["step"] for step in canary(world.site(), 10, dry_run=True).plan]
    assert steps == ["probe", "shift", "record"]
    assert world.observed().share == 0


# -- what is said of it ------------------------------------------------------------------------------------------------


def test_status_history_and_the_question_without_a_number_tell_of_the_share(world: World) -> None:
    assert (standing(world.site()).share, standing(world.site()).since) == (0, "")
    canary(world.site(), 5)
    canary(world.site(), 25, reason="nobody complained")
    found = standing(world.site())
    assert (found.outcome, found.share, len(found.since)) == ("found", 25, 24)
    assert [(s.share, s.source, s.reason) for s in found.shifts] == [(5, 0, None), (25, 5, "nobody complained")]
    status = report(world.observed(), "localhost")
    assert status.candidate is not None
    assert status.live is not None
    assert (status.candidate.share, status.live.share) == (25, 75)
    assert status.candidate.since == found.since
    assert not status.troubles
    row = next(r for r in rows(world.observed()) if r.tag == "v3")
    assert [s.share for s in row.shifts] == [5, 25]


def test_a_tail_of_the_journal_knows_the_share_that_the_whole_of_it_tells(world: World) -> None:
    canary(world.site(), 5)
    canary(world.site(), 25)
    site = world.site()
    with site.session() as session:
        tail = site.observe(session).history
    assert [s.share for s in tail.shifts] == [5, 25]
    assert tail.snapshot()["shifts"] == fold([]).snapshot()["shifts"] + tail.snapshot()["shifts"]


# -- back --------------------------------------------------------------------------------------------------------------


def test_a_rollback_takes_the_visitors_back_marks_the_candidate_bad_and_touches_no_container(world: World) -> None:
    canary(world.site(), 25)
    before = {c.name: c.state for c in world.engine.containers("shop")}
    result = rollback(world.site(), reason="500s")
    assert (result.how, result.release.tag, result.share) == ("canary", "v2", 25)
    assert result.previous is not None
    assert result.previous.tag == "v3"
    assert split(world) == {"v2": 100}
    assert {c.name: c.state for c in world.engine.containers("shop")} == before
    observed = world.check_clean()
    assert observed.history.is_bad(result.previous.number)
    assert observed.candidate is not None


def test_a_second_rollback_does_not_take_back_the_release_that_was_spared(world: World) -> None:
    canary(world.site(), 25)
    rollback(world.site(), reason="500s")
    with pytest.raises(Refused, match="v3 was taken back already") as refused:
        rollback(world.site())
    assert refused.value.problem.next[0] == "bg rollback --to v1"
    assert rollback(world.site(), "v1").release.tag == "v1"
    world.check_clean()


def test_a_rollback_to_an_older_release_takes_the_visitors_back_first(world: World) -> None:
    canary(world.site(), 25)
    result = rollback(world.site(), "v1", reason="both are bad")
    assert (result.how, result.release.tag) == ("cold", "v1")
    after = world.check_clean()
    assert {r.tag for r in after.history.releases.values() if r.mark == "bad"} == {"v2", "v3"}
    assert after.share == 0


def test_a_rollback_to_what_is_live_means_the_candidates_visitors(world: World) -> None:
    canary(world.site(), 25)
    assert rollback(world.site(), "v2").how == "canary"
    canary(world.site(), 25)
    with pytest.raises(Refused, match="v3 is the candidate"):
        rollback(world.site(), "v3")


def test_a_rollback_without_its_journal_takes_the_visitors_back(world: World) -> None:
    canary(world.site(), 25)
    (world.volume / "journal.jsonl").unlink()
    assert rollback(world.site()).how == "canary"
    assert split(world) == {"v2": 100}


def test_who_was_taken_back_may_be_tried_again_on_purpose(world: World) -> None:
    canary(world.site(), 25)
    rollback(world.site(), reason="500s")
    canary(world.site(), 5)
    assert any("v3 was marked bad (500s)" in e.message for e in world.events)
    assert not world.observed().history.is_bad(3)
    assert split(world) == {"v2": 95, "v3": 5}


def test_an_abort_takes_the_visitors_at_once_then_waits_for_connections_and_the_former_standby_is_back(
    world: World,
) -> None:
    canary(world.site(), 25)
    seen: list[tuple[str, int]] = []

    def note(when: str, step: Step) -> None:
        if when == "before":
            seen.append((step.verb, split(world).get("v3", 0)))

    result = abort(world.site(note))
    assert (result.outcome, result.share) == ("aborted", 25)
    verbs = [verb for verb, _ in seen]
    assert verbs.index("shift") < verbs.index("drain") < verbs.index("remove")
    assert all(share == 0 for verb, share in seen if verb in ("drain", "remove"))
    after = world.check_clean()
    assert (str(after.standby), after.candidate) == ("v1", None)


def test_connections_of_a_former_canary_are_waited_for_from_the_moment_that_it_lost_its_visitors(world: World) -> None:
    canary(world.site(), 25)
    world.nginx.clock.pause(1000)
    canary(world.site(), 0)
    observed = world.observed()
    assert observed.proxy.routes is not None
    assert observed.left_at(Slot.BLUE) == observed.history.shifts[-1].at > observed.proxy.routes.since
    waits = [s for s in retire(observed, Slot.BLUE, 4, drain=300) if isinstance(s, Drain)]
    waits += [s for s in plan_restore(observed, Slot.BLUE, 3, None, "x").flat() if isinstance(s, Drain)]
    assert [w.since for w in waits] == [observed.left_at(Slot.BLUE)] * 2


def test_a_candidate_that_never_had_visitors_is_removed_without_waiting(world: World) -> None:
    steps = plan_restore(world.observed(), Slot.BLUE, 3, None, "x").flat()
    assert not [s for s in steps if isinstance(s, Drain)]


def test_visitors_are_taken_back_in_one_session_and_nothing_is_rendered_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary(world.site(), 25)

    def unwanted(*_: object) -> None:
        raise AssertionError("a template is rendered")

    monkeypatch.setattr("bluegreen.proxy.render.render", unwanted)
    sessions = world.nginx.sessions
    assert rollback(world.site()).how == "canary"
    assert world.nginx.sessions == sessions + 1


# -- forward -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [lambda w: promote(w.site()), lambda w: switch(w.site(), "v3")])
@pytest.mark.parametrize("share", [0, 25])
def test_a_promotion_gives_all_visitors_and_what_was_live_stands_by(world: World, act: object, share: int) -> None:
    canary(world.site(), share)
    result = act(world)  # type: ignore[operator]
    assert (result.outcome, result.release.tag, result.share) == ("switched", "v3", share)
    assert split(world) == {"v3": 100}
    after = world.check_clean()
    assert (str(after.live_release), str(after.standby), after.share) == ("v3", "v2", 0)
    assert after.proxy.routes is not None
    assert not after.proxy.routes.trial
    assert rollback(world.site()).how == "warm"
    assert split(world) == {"v2": 100}
    world.check_clean()


def test_a_candidate_that_does_not_answer_is_not_promoted_and_stays(world: World) -> None:
    canary(world.site(), 25)
    sick(world)
    with pytest.raises(BluegreenError, match=r"v3 did not pass.*v3 keeps its 25 % of visitors") as failed:
        promote(world.site())
    assert failed.value.problem.next[0].startswith("bg rollback ")
    observed = world.observed()
    assert (observed.share, str(observed.candidate), observed.history.unfinished) == (25, "v3", None)


def test_a_promotion_of_what_was_taken_back_takes_its_mark_away(world: World) -> None:
    canary(world.site(), 25)
    rollback(world.site(), reason="500s")
    promote(world.site())
    assert not world.observed().history.is_bad(3)


# -- what is refused meanwhile -----------------------------------------------------------------------------------------


def test_nothing_touches_a_slot_that_has_visitors(world: World) -> None:
    canary(world.site(), 10)
    before = world.engine.state()["containers"]
    for act in (
        lambda: world.deploy("v4"),
        lambda: world.deploy("v3", force=True),
        lambda: world.deploy("v4", stage=True),
        lambda: drain(world.site(), now=True),
    ):
        with pytest.raises(Refused, match="10 % of visitors are on the candidate v3") as refused:
            act()
        assert {line.partition("    ")[0] for line in refused.value.problem.next} >= {"bg promote", "bg abort"}
    assert world.engine.state()["containers"] == before
    assert split(world) == {"v2": 90, "v3": 10}


def test_without_a_share_the_candidates_slot_is_reused_and_places_are_not_kept_any_more(world: World) -> None:
    canary(world.site(), 10)
    canary(world.site(), 0)
    world.deploy("v4")
    after = world.check_clean()
    assert after.proxy.routes is not None
    assert (str(after.live_release), after.proxy.routes.trial) == ("v4", False)


def test_another_candidate_draws_places_anew(world: World) -> None:
    salts = []
    for tag in ("v4", "v5"):
        world.deploy(tag, stage=True)
        routes = world.observed().proxy.routes
        assert routes is not None
        assert routes.trial
        salts.append(routes.salt)
    assert salts == [4, 5]


# -- interrupted -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["resume", "again", "abort", "rollback"])
def test_a_shift_that_was_killed_is_resumed_repeated_aborted_or_rolled_back(world: World, way: str) -> None:
    canary(world.site(), 5)
    with pytest.raises(Killed):
        world.struck(Strike("shift"), lambda: canary(world.site(), 25))
    with pytest.raises(Refused, match="shift v3"):
        promote(world.site())
    if way == "resume":
        resume(world.site())
        expected = {"v2": 75, "v3": 25}
    elif way == "again":
        canary(world.site(), 25)
        expected = {"v2": 75, "v3": 25}
    else:
        abort(world.site()) if way == "abort" else rollback(world.site())
        expected = {"v2": 100}
    assert split(world) == expected
    after = world.check_clean()
    assert (after.candidate is None) is (way == "abort")


def test_a_former_standby_that_no_way_back_leads_to_is_no_candidate() -> None:
    world = World()
    try:
        world.deploy("v1")
        world.deploy("v2")
        with world.site().session() as session:
            session.run([{"op": "drop_back"}])
        assert str(world.observed().candidate) == "v1", "it stands in the idle slot, and does not stand by"
        for act in (lambda: canary(world.site(), 10), lambda: promote(world.site())):
            with pytest.raises(Refused, match="there is no candidate"):
                act()
    finally:
        world.close()
