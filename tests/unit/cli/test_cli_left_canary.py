"""`canary` while a process takes a candidate from share to share, and after that process was killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bluegreen.app.canary import canary_operation, shift
from bluegreen.app.site import begin, lease
from bluegreen.engine.behaviour import Answer as Answering
from bluegreen.engine.behaviour import Behaviour
from bluegreen.model.history import Operation
from bluegreen.model.names import Slot
from tests.unit.cli.conftest import Program
from tests.world import World


@pytest.fixture(autouse=True)
def staged(bg: Program, file: Path) -> None:  # noqa: ARG001 - the project's file is there first
    """v1 is live in blue; v2 is the candidate in green."""
    bg("deploy", "v1")
    bg("deploy", "v2", "--stage")


@contextmanager
def steps(world: World, *shares: int) -> Iterator[None]:
    """A process that gives the candidate these shares: all but the last have passed. It is gone at the end of this."""
    site = world.site()
    with site.session() as session:
        observed = site.observe(session)
        assert observed.candidate is not None
        operation = canary_operation(site, observed, observed.candidate)
        with lease(site, session, operation.id) as epoch:
            begin(session, epoch, operation)
            for number, share in enumerate(shares):
                observed = shift(site, session, epoch, observed, share)
                if number < len(shares) - 1:
                    passed = {"event": "passed", "release": operation.release, "share": share}
                    session.run([{"op": "append", "epoch": epoch, "events": [passed]}])
            yield


def flat(text: str) -> str:
    return " ".join(text.split())


def test_a_canary_under_way_is_shown_with_whose_it_is_and_only_commands_that_work_now(
    bg: Program, world: World
) -> None:
    with steps(world, 5, 10):
        answer = bg("canary")
        said = flat(answer.out)
        assert "CANARY 10 % of visitors to v2 (green)" in said
        assert "NOW canary v2 is under way by test@here since " in said
        assert "its last safe share is 5 %" in said
        assert "bluegreen wait" in answer.out
        assert "bluegreen rollback" in answer.out
        for busy in ("promote", "abort", "canary 25"):
            assert f"bluegreen {busy}" not in answer.out
            assert bg(*busy.split()).code == 7
        assert not answer.wide


def test_a_canary_whose_process_is_gone_is_shown_with_its_last_safe_share(bg: Program, world: World) -> None:
    with steps(world, 5, 10):
        pass
    answer = bg("canary")
    said = flat(answer.out)
    assert "CANARY 10 % of visitors to v2 (green)" in said
    assert "TROUBLE canary v2 was left by its process (test@here, begun " in said
    assert "its last safe share is 5 %" in said
    assert "bluegreen resume ends it at 5 %, its last safe share" in said
    assert "bluegreen canary 25 25 % of visitors to v2" in said
    assert not answer.wide
    assert (bg("resume").code, world.check_clean().share) == (0, 5)
    assert "left by its process" not in bg("canary").out


def test_another_operation_that_was_interrupted_is_shown_too(bg: Program, world: World) -> None:
    site = world.site()
    with site.session() as session, lease(site, session, "drain-1") as epoch:
        begin(session, epoch, Operation(id="drain-1", kind="drain", by="test@here"))
        under_way = flat(bg("canary").out)
    assert "NOW drain is under way by test@here since " in under_way
    assert "bluegreen canary 5" not in under_way
    left = flat(bg("canary").out)
    assert "TROUBLE drain was interrupted (test@here, begun " in left
    assert "NEXT bluegreen resume" in left


@pytest.mark.parametrize(("wanted", "way"), [(20, [20]), (10, []), (7, [7]), (5, [5]), (2, [5, 2])])
def test_nobody_goes_back_and_forth_where_more_is_asked_for_than_is_safe(
    bg: Program, world: World, wanted: int, way: list[int]
) -> None:
    """At 10 %, 5 of which have passed: with less than these it goes by the safe share, down both times."""
    with steps(world, 5, 10):
        pass
    before = len(world.observed().history.shifts)
    answer = bg("canary", str(wanted))
    assert answer.code == 0, answer
    after = world.check_clean()
    assert after.share == wanted
    generations = [s.share for s in after.history.shifts[before:]]
    assert generations == way
    said = flat(answer.err)
    if wanted >= 10:
        assert f"was left by its process (test@here): it stays at 10 %, since {wanted} % is asked for" in said
    done = "NOTHING TO DO" if wanted == 10 else "CANARY"
    assert flat(answer.out).startswith(f"{done} {wanted} % of visitors to v2 (green)")


def test_a_candidate_that_is_not_whole_goes_back_to_its_safe_share_whatever_is_asked_for(
    bg: Program, world: World
) -> None:
    with steps(world, 5, 10):
        pass
    world.engine.stop("shop-green-api-1", 1)
    answer = bg("canary", "20")
    assert (answer.code, "lacks running containers" in flat(answer.err)) == (3, True), answer
    assert "back from 10 % to 5 %, its last safe state" in flat(answer.err)
    assert world.observed().share == 5


def test_a_candidate_that_does_not_answer_keeps_what_it_has_and_that_is_said(bg: Program, world: World) -> None:
    with steps(world, 10):
        pass
    world.engine._world.find("shop-green-api-1").behaviour = Behaviour(answer=Answering(500, b"broken"))
    answer = bg("canary", "20")
    assert (answer.code, "it keeps its 10 %" in flat(answer.err)) == (1, True), answer
    assert world.observed().stack(Slot.GREEN)


def test_a_dry_run_of_a_share_is_planned_from_what_is_there(bg: Program, world: World) -> None:
    with steps(world, 5, 10):
        pass
    answer = bg("canary", "20", "--dry-run")
    assert (answer.code, "20 % of visitors to v2 in green" in answer.out) == (0, True), answer
    assert world.observed().history.unfinished is not None
