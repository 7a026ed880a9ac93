"""`wait`: its screen, its data and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bluegreen.model.errors import Exit
from tests.unit.cli.conftest import Program
from tests.world import World


@pytest.fixture
def candidate(bg: Program, file: Path) -> Program:
    """v1 is live, v2 has half of the visitors."""
    assert file.is_file()
    for words in (("deploy", "v1"), ("deploy", "v2", "--stage"), ("canary", "50")):
        answer = bg(*words)
        assert answer.code == Exit.DONE, answer
    return bg


def test_a_candidate_that_was_taken_back_before_it_began_ends_it_with_5(candidate: Program) -> None:
    candidate("rollback", "--reason", "it fails")
    answer = candidate("wait", "--timeout", "5s")
    assert (answer.code, answer.wide) == (Exit.VERDICT, [])
    assert answer.out.startswith("TAKEN BACK  v2: v1 is live\nWHY      it fails\n")
    told = candidate("--json", "wait", "v2")
    assert (told.code, told.document["outcome"]) == (Exit.VERDICT, "taken-back")
    assert told.data | {"seconds": 0} == {
        "project": "shop",
        "release": 2,
        "tag": "v2",
        "live": "v1",
        "reason": "it fails",
        "seconds": 0,
        "notices": [],
    }


def test_an_alarm_ends_it_with_5_too(candidate: Program, world: World) -> None:
    event = {"event": "verdict", "release": 2, "did": "alarm", "cause": "live", "reason": "live fails"}
    with world.site().session() as session:
        session.run([{"op": "append", "events": [event]}])
    answer = candidate("--json", "wait", "--timeout", "5s")
    assert (answer.code, answer.document["outcome"], answer.data["reason"]) == (Exit.VERDICT, "alarmed", "live fails")


@pytest.mark.parametrize(
    ("then", "code", "outcome"), [(("promote",), Exit.INCONCLUSIVE, "undecided"), (("abort",), 6, "ended")]
)
def test_without_a_decision_it_ends_with_6(candidate: Program, then: tuple[str], code: int, outcome: str) -> None:
    candidate(*then)
    answer = candidate("--json", "wait", "--timeout", "0s")
    assert (answer.code, answer.document["outcome"]) == (code, outcome)


def test_a_release_that_was_replaced_early_ended_and_one_that_nobody_knows_is_refused(candidate: Program) -> None:
    candidate("promote")
    assert candidate("--json", "wait", "v1").code == Exit.INCONCLUSIVE
    answer = candidate("--json", "wait", "v9")
    assert (answer.code, answer.document["errors"][0]["code"]) == (Exit.REFUSED, "wait.unknown")


def test_before_any_deploy_it_says_what_watch_says(bg: Program) -> None:
    answers = [bg("--json", "-p", "shop", *words) for words in (("wait",), ("watch", "--for", "1s"))]
    assert [answer.code for answer in answers] == [Exit.REFUSED, Exit.REFUSED]
    waited, watched = (answer.document["errors"] for answer in answers)
    assert waited == watched
