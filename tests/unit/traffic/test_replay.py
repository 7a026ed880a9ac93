"""A past log is judged again, by other settings, and says when a release would have been taken back."""

from __future__ import annotations

import io
import json
import random
import time
from pathlib import Path

import pytest

from bluegreen.app.replay import Step, replay
from bluegreen.cli.program import run
from bluegreen.cli.run import Run
from bluegreen.cli.screens.replay import steps_of
from bluegreen.model.errors import Refused, UsageError
from bluegreen.model.judging import JudgeSettings, Outcome
from bluegreen.traffic.lines import Format
from tests.unit.traffic.logs import line

START = 1763850000


def write(path: Path, *, errors: float, share: int = 10, seconds: int = 600, before: int = 0, seed: int = 1) -> Path:
    """Five visitors a second, each with a place of their own; before the share live alone answers."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    lines = []
    for number in range((before + seconds) * 5):
        at = START + number / 5
        visitor = chance.randrange(4000)
        bucket = visitor % 100
        mine = bucket < share and at >= START + before
        wrong = mine and chance.random() < errors
        lines.append(
            line(
                msec=b"%.3f" % at,
                bg_slot=b"green" if mine else b"blue",
                bg_counted_bucket=b"%d" % bucket,
                status=b"500" if wrong else b"200",
                bg_client=b"%032x" % visitor,
            )
        )
    path.write_bytes(b"".join(lines))
    return path


def test_a_bad_candidate_would_have_been_taken_back_and_when(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", errors=0.5, before=60)
    found = replay([log], JudgeSettings(), [Step(10, START + 60)])
    assert (found.outcome, found.slot, found.requests) == (Outcome.FAIL, "green", 3300)
    taken = found.decided
    assert taken is not None
    assert taken.decided is not None
    assert START + 60 < taken.decided < START + 120
    assert taken.verdict.evidence[0].candidate.hit == 3  # as the judge says of 10 % with no error on live
    assert found.clients[0] == 3
    assert found.errors[1] > 50
    assert taken.verdict.reason.startswith("backend green: 3 of ")
    assert "first: GET /api/v1/products 500 at " in taken.verdict.reason


def test_a_good_one_passes_and_is_not_taken_back(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", errors=0.0, seconds=1200)
    found = replay([log], JudgeSettings(), share=10)
    assert (found.outcome, found.errors) == (Outcome.PASS, (0, 0))


def test_other_settings_give_another_verdict(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", errors=0.01, seconds=300)
    assert replay([log], JudgeSettings(), share=10).outcome is not Outcome.FAIL
    assert replay([log], JudgeSettings(alpha=0.4), share=10).outcome is Outcome.FAIL


def test_without_a_share_it_is_what_the_places_in_the_log_show_and_that_is_said(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", errors=0.5, share=25)
    found = replay([log], JudgeSettings())
    assert [one.step.share for one in found.steps] == [25]
    assert "25 % is the highest share that the log shows for green" in found.notes[0]


def test_each_step_has_its_own_verdict(tmp_path: Path) -> None:
    log = write(tmp_path / "access.log", errors=0.0, share=25, seconds=300)
    steps = [Step(25, START + 100), Step(100, START + 200)]
    found = replay([log], JudgeSettings(), steps, "green")
    assert [(one.step.share, one.verdict.candidate) for one in found.steps] == [(25, "green"), (100, "green")]
    assert [one.requests for one in found.steps] == [500, 499]  # one had begun before its step


def test_a_combined_log_is_judged_by_what_was_before_a_time(tmp_path: Path) -> None:
    log = tmp_path / "combined.log"
    lines = []
    for number in range(6000):
        at = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(START + number // 5))
        status = 502 if number >= 3000 and number % 7 == 0 else 200
        lines.append(f'10.0.{number // 250}.{number % 250} - - [{at}] "GET /x HTTP/1.1" {status} 1 "-" "y"\n')
    log.write_text("".join(lines))
    found = replay([log], JudgeSettings(), [Step(100, START + 600)])
    assert (found.form, found.outcome, found.slot) == (Format.COMBINED, Outcome.FAIL, "")
    assert found.decided is not None
    assert found.decided.decided is not None
    assert START + 600 <= found.decided.decided < START + 620
    with pytest.raises(Refused, match="does not say which release answered"):
        replay([log], JudgeSettings(), share=10)


def test_what_cannot_be_told_is_refused_with_what_would_work(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_bytes(line())
    with pytest.raises(Refused, match="nothing to compare with"):
        replay([log], JudgeSettings(), share=10)
    log.write_bytes(line(bg_counted_bucket=b"99") + line(bg_slot=b"blue") * 2)
    with pytest.raises(Refused, match="does not tell its share"):
        replay([log], JudgeSettings())
    with pytest.raises(Refused, match="nothing was judged"):
        replay([log], JudgeSettings(), [Step(10, START + 1e6)])
    log.write_bytes(b"")
    with pytest.raises(Refused, match="no request"):
        replay([log], JudgeSettings())
    log.write_bytes(b"this is no log\n")
    with pytest.raises(Refused, match="neither"):
        replay([log], JudgeSettings())
    with pytest.raises(UsageError, match="can't be read"):
        replay([tmp_path / "gone"], JudgeSettings())


def test_times_are_of_the_day_on_which_the_log_begins_or_whole() -> None:
    here = time.strftime("%Y-%m-%dT", time.localtime(START))
    clock = [
        Step(10, time.mktime(time.strptime(f"{here}{at}", "%Y-%m-%dT%H:%M:%S"))) for at in ("09:03:00", "12:03:07")
    ]
    assert [step.since for step in steps_of("9:03=10, 12:03:07=25", START)] == [step.since for step in clock]
    assert steps_of("2025-11-22T22:20:00Z=100", 0) == (Step(100, START),)
    for wrong in ("12:03", "=10", "12:03=110", "noon=10", "25:00=10", ""):
        with pytest.raises(UsageError):
            steps_of(wrong, START)


def bg(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = run(["watch", *words], Run({}, out, err))
    return code, out.getvalue(), err.getvalue()


def test_the_command_says_what_would_have_been_done_and_ends_with_the_verdicts_code(tmp_path: Path) -> None:
    log = str(write(tmp_path / "access.log", errors=0.5, before=60))
    at = time.strftime("%H:%M:%S", time.localtime(START + 60))
    code, out, _ = bg("--replay", log, "--at", f"{at}=10")
    assert code == 5
    for said in ("REPLAYED", "3300 requests", f"10 % from {at}", "TAKEN BACK", "would have been at", "BOUND", "0.015"):
        assert said in out
    assert max(map(len, out.splitlines())) <= 80
    good = str(write(tmp_path / "good.log", errors=0.0, seconds=1200))
    assert bg("--replay", good, "--share", "10")[0] == 0
    assert bg("--replay", good, "--share", "10", "--p-max", "0.001")[0] == 6


def test_the_json_of_a_replay(tmp_path: Path) -> None:
    log = str(write(tmp_path / "access.log", errors=0.5))
    code, out, _ = bg("--replay", log, "--share", "10", "--json")
    found = json.loads(out)
    assert (code, found["outcome"], found["command"]) == (5, "fail", "watch")
    assert found["data"].keys() == {"log", "candidate", "steps", "harm", "notes", "notices"}
    assert found["data"]["steps"][0].keys() == {"share", "since", "until", "requests", "decided", "verdict"}
    assert found["data"]["log"]["requests"] == 3000


def test_rotated_files_are_read_from_the_oldest_on(tmp_path: Path) -> None:
    whole = write(tmp_path / "access.log", errors=0.5).read_bytes().splitlines(keepends=True)
    (tmp_path / "new").write_bytes(b"".join(whole[1000:]))
    (tmp_path / "old").write_bytes(b"".join(whole[:1000]))
    words = ("--share", "10", "--json")
    one = json.loads(bg("--replay", str(tmp_path / "access.log"), *words)[1])["data"]
    two = json.loads(bg("--replay", str(tmp_path / "new"), "--replay", str(tmp_path / "old"), *words)[1])["data"]
    assert one["steps"] == two["steps"]


@pytest.mark.parametrize(
    "words", [("--share", "10"), ("--alpha", "0.5"), ("--replay", "x", "--share", "10", "--at", "1:00=10")]
)
def test_what_makes_no_sense_together_is_a_usage_error(words: tuple[str, ...]) -> None:
    assert bg(*words)[0] == 2


def test_settings_that_cannot_be_judged_by_are_told(tmp_path: Path) -> None:
    log = str(write(tmp_path / "access.log", errors=0.0))
    code, _, err = bg("--replay", log, "--share", "10", "--alpha", "2")
    assert code == 2
    assert "alpha: 2 is not between" in err
