"""A past log in which several releases have shared two slots: each request is judged as the release's that it was."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest

from bluegreen.app.replay import Replayed, Step, replay
from bluegreen.cli.program import run
from bluegreen.cli.run import Run
from bluegreen.model.errors import Refused
from bluegreen.model.judging import JudgeSettings, Outcome
from tests.unit.traffic.logs import line

START = 1763850000


def requests(
    since: int,
    until: int,
    live: tuple[str, int],
    candidate: tuple[str, int] | None = None,
    share: int = 0,
    *,
    errors: float = 0.0,
    named: bool = True,
) -> bytes:
    """Five visitors a second from one second to another, each with a place; who has which is a slot and a release."""
    chance = random.Random(since)  # noqa: S311 - no secret
    lines = []
    for number in range(since * 5, until * 5):
        visitor = chance.randrange(100_000)
        mine = visitor % 100 < share
        slot, release = candidate if mine and candidate else live
        lines.append(
            line(
                msec=b"%.3f" % (START + number / 5 + 0.013),
                bg_slot=slot.encode(),
                bg_release=b"%d" % release if named else b"",
                bg_counted_bucket=b"%d" % (visitor % 100),
                status=b"500" if mine and chance.random() < errors else b"200",
                bg_client=b"%032x" % visitor,
                remote_addr=b"203.0.113.%d" % (visitor % 250),
            )
        )
    return b"".join(lines)


BLUE, GREEN = "blue", "green"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Release 1 has all visitors; 2 is bad, 3 is promoted, and 4 is tried beside it where 1 had been."""
    path = tmp_path_factory.mktemp("log") / "access.log"
    path.write_bytes(
        requests(0, 150, (BLUE, 1))
        + requests(150, 300, (BLUE, 1), (GREEN, 2), 10, errors=0.5)
        + requests(300, 400, (BLUE, 1))
        + requests(400, 700, (BLUE, 1), (GREEN, 3), 25)
        + requests(700, 900, (GREEN, 3))
        + requests(900, 1200, (GREEN, 3), (BLUE, 4), 25)
        + requests(1200, 1230, (GREEN, 3))
    )
    return path


def of(found: Replayed) -> tuple[int, int | None, str]:
    assert found.part is not None
    return found.part.candidate.release, found.part.live.release if found.part.live else None, found.slot


def test_the_newest_candidate_is_judged_beside_what_was_live_then(log: Path) -> None:
    found = replay([log], JudgeSettings())
    assert of(found) == (4, 3, BLUE)
    (step,) = found.steps
    assert (step.step.share, found.outcome, step.verdict.warnings) == (25, Outcome.PASS, ())
    assert START + 900 <= step.step.since < START + 905
    assert START + 1195 < step.until <= START + 1201
    assert (step.verdict.candidate, step.verdict.live) == ("release 4", "release 3")
    assert 1480 < step.requests <= 1500


def test_a_share_that_is_given_counts_from_when_there_was_a_candidate(log: Path) -> None:
    found = replay([log], JudgeSettings(), share=25)
    assert (of(found), found.outcome, found.steps[-1].verdict.warnings) == ((4, 3, BLUE), Outcome.PASS, ())


def test_another_candidate_is_named_by_its_number(log: Path) -> None:
    found = replay([log], JudgeSettings(), candidate="2")
    assert (of(found), found.steps[0].step.share, found.outcome) == ((2, 1, GREEN), 10, Outcome.FAIL)
    assert found.decided is not None
    assert found.decided.verdict.reason.startswith("backend release 2: 3 of ")
    assert found.errors[0] == 3
    assert of(replay([log], JudgeSettings(), candidate="3")) == (3, 1, GREEN)
    assert of(replay([log], JudgeSettings(), candidate="green")) == (3, 1, GREEN)


def test_the_other_candidates_are_told_with_their_times(log: Path) -> None:
    found = replay([log], JudgeSettings(), clock=lambda moment: f"{round((moment - START) / 100)}")
    assert "tried in this log too: release 2 from 2 to 3, release 3 from 4 to 7 (--candidate 3)" in found.notes


def test_times_choose_the_release_that_was_tried_then_and_what_followed_is_left_out(log: Path) -> None:
    found = replay([log], JudgeSettings(), [Step(25, START + 400), Step(100, START + 700)])
    assert of(found) == (3, 1, GREEN)
    assert [one.verdict.candidate for one in found.steps] == ["release 3"] * 2
    assert found.steps[1].requests == 200 * 5 + sum(1 for one in _of(log, 3) if one >= START + 900)
    assert of(replay([log], JudgeSettings(), [Step(10, START + 140)])) == (2, 1, GREEN)


def _of(log: Path, release: int) -> list[float]:
    mark = b'"release":"%d"' % release
    return [float(written[5:19]) for written in log.read_bytes().splitlines() if mark in written]


def test_a_switch_is_judged_by_the_release_that_it_led_to(log: Path) -> None:
    found = replay([log], JudgeSettings(), [Step(100, START + 680)])  # to the minute
    assert of(found) == (3, None, GREEN)
    with pytest.raises(Refused, match=r"more than one release could be judged: .*release 4 in blue") as refused:
        replay([log], JudgeSettings(), [Step(100, START + 1000)])
    assert any("--candidate 4" in way for way in refused.value.problem.next)
    found = replay([log], JudgeSettings(), [Step(100, START + 1000)], "3")
    assert (of(found), found.outcome) == ((3, None, GREEN), Outcome.PASS)


def test_a_release_that_was_not_tried_is_refused_with_those_that_were(log: Path) -> None:
    for wanted in ("1", "12"):
        with pytest.raises(Refused, match=f"does not tell how {wanted} can be judged: release 1 in blue") as refused:
            replay([log], JudgeSettings(), candidate=wanted)
        assert refused.value.problem.next[0] == "bg watch --replay LOG --candidate 2"


def test_lines_that_name_no_release_go_by_their_slot(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_bytes(
        requests(0, 300, (BLUE, 1), (GREEN, 2), 10, named=False)
        + requests(300, 600, (BLUE, 1), (GREEN, 2), 10)
        + requests(600, 900, (BLUE, 1), (GREEN, 2), 10, named=False)
    )
    found = replay([log], JudgeSettings(), candidate="2")
    assert of(found) == (2, 1, GREEN)
    log.write_bytes(requests(0, 300, (BLUE, 1), (GREEN, 2), 10, named=False))
    found = replay([log], JudgeSettings())
    assert (found.part, found.slot, found.steps[0].verdict.candidate) == (None, GREEN, GREEN)


def test_switches_alone_are_no_canary(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_bytes(requests(0, 300, (BLUE, 1)) + requests(300, 600, (GREEN, 2)) + requests(600, 900, (BLUE, 3)))
    with pytest.raises(Refused, match=r"release 1 in blue .* release 2 in green .* release 3 in blue") as refused:
        replay([log], JudgeSettings())
    assert "--at TIME=100" in refused.value.problem.next[0]
    assert of(replay([log], JudgeSettings(), [Step(100, START + 300)])) == (2, None, GREEN)


def test_the_screen_names_the_releases_and_counts_one_as_one(log: Path, tmp_path: Path) -> None:
    def bg(*words: str) -> tuple[int, str]:
        out = io.StringIO()
        return run(["watch", "--replay", *words], Run({}, out, io.StringIO())), " ".join(out.getvalue().split())

    code, said = bg(str(log))
    assert (code, "CANDIDATE release 4 (blue) beside release 3, " in said) == (0, True), said
    assert bg(str(log), "--candidate", "2")[0] == 5
    assert bg(str(log), "--candidate", "purple")[0] == 2
    single = tmp_path / "single.log"
    single.write_bytes(line(bg_release=b"1", bg_slot=b"blue") + line(bg_release=b"2", msec=b"1763850009.000") + b"x\n")
    code, said = bg(str(single), "--at", "2025-11-22T22:20:05Z=100")
    assert "2 requests, 1 line that can't be read" in said
    assert ", 1 request:" in said
