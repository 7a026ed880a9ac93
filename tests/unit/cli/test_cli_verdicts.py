"""The screens that tell of verdicts, at 80 columns."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from bluegreen.app.acting import Action
from bluegreen.app.guarding import Subject
from bluegreen.app.history import Row, Why
from bluegreen.app.ramp import Ramp, Step
from bluegreen.app.watch import Watched
from bluegreen.cli.layout import Page
from bluegreen.cli.run import Run
from bluegreen.cli.screens import history, ramp, watch
from bluegreen.judge.wording import bound
from bluegreen.model.events import Event
from bluegreen.model.history import Judgement, Shift
from bluegreen.model.judging import Outcome, Verdict
from bluegreen.model.names import Slot
from bluegreen.model.release import Release
from tests.unit.cli.conftest import Program

REASON = (
    "backend v1.1.0: 3 of 41 clients saw errors against 0 of 380 on v1.0.0: E = 341 >= 100; first: GET "
    "/api/v1/simulate 500 at 12:03:07"
)
BESIDE = "a release no worse than live is ever taken back by comparison with a probability of at most 1.5 %"
LIVE, TRIED = Release(1, "v1.0.0", "digest", {}), Release(2, "v1.1.0", "digest", {})


def verdict(outcome: Outcome = Outcome.FAIL, alpha_sum: float = 0.015) -> Verdict:
    return Verdict(outcome, REASON, "v1.0.0", "v1.1.0", 10, 0.0, 0.0, (), alpha_sum)


def subject(kind: str = "canary") -> Subject:
    return Subject(kind, TRIED, Slot.GREEN, LIVE, 0.0)  # type: ignore[arg-type]


def flat(lines: list[str]) -> str:
    assert all(len(line) <= 80 for line in lines), lines
    return " ".join(" ".join(lines).split())


# -- the bound ---------------------------------------------------------------------------------------------------------


def test_the_bound_is_another_one_where_there_is_nothing_to_compare_with() -> None:
    assert bound(0.015) == BESIDE
    assert bound(0.02, 1_000_000) == (
        "while errors are as they were before, a release is taken back within 1,000,000 answers with a probability of "
        "at most 2 %"
    )


@pytest.mark.parametrize(
    ("kind", "said"), [("canary", BESIDE), ("bake", "within 1,000,000 answers with a probability")]
)
def test_watch_says_what_is_guaranteed_by_what_it_guarded(kind: str, said: str) -> None:
    assert said in flat(watch.lines(Page(), Watched(verdict(Outcome.PASS), subject(kind), requests=1)))


def test_a_canary_by_itself_says_it_with_its_verdict_too() -> None:
    passed = Ramp("promoted", TRIED, LIVE, 100, (Step(10, Outcome.PASS, 12.0, verdict(Outcome.PASS)),))
    assert f"BOUND {BESIDE}" in flat(ramp.lines(Page(), passed))
    failed = Ramp("taken-back", TRIED, LIVE, 0, (), Action("taken-back", "release", subject(), verdict(), errors=1))
    assert f"BOUND {BESIDE}" in flat(ramp.lines(Page(), failed))


# -- one is no plural --------------------------------------------------------------------------------------------------


def test_one_is_no_plural() -> None:
    action = Action("taken-back", "release", subject(), verdict(), errors=1, clients=1)
    said = flat(watch.lines(Page(), Watched(verdict(), subject(), (action,), 3.0, 1)))
    assert "HARM 1 error on v1.1.0, met by 1 client " in said
    assert "READ 1 request in 3 s" in said
    assert "met by 1 client " in flat(ramp.lines(Page(), Ramp("taken-back", TRIED, LIVE, 0, (), action)))
    many = replace(action, errors=2, clients=2)
    assert "HARM 2 errors on v1.1.0, met by 2 clients" in flat(
        ramp.lines(Page(), Ramp("taken-back", TRIED, LIVE, 0, (), many))
    )


# -- lines while it runs -----------------------------------------------------------------------------------------------


def test_a_guards_lines_fit_and_stand_below_each_other() -> None:
    err = io.StringIO()
    progress = watch.Progress(Run({}, io.StringIO(), err))
    progress(Event("guard", "taken-back", "v1.1.0", REASON, data={"alpha_sum": 0.015, "horizon": None}))
    first, *rest = err.getvalue().splitlines()
    assert re.match(r"\d\d:\d\d:\d\d TAKEN BACK backend v1.1.0: ", first)
    assert all(len(line) <= 80 for line in (first, *rest))
    below = [line for line in rest if line.startswith(" ")]
    assert {len(line) - len(line.lstrip()) for line in below} == {20}
    assert BESIDE in flat([line[20:] for line in rest])


def test_a_request_that_is_longer_than_a_line_is_broken_in_a_guards_line() -> None:
    err = io.StringIO()
    watch.Progress(Run({}, io.StringIO(), err))(Event("guard", "alarm", "v1.1.0", f"first: GET /{'x' * 150} 500"))
    assert all(len(line) <= 80 for line in err.getvalue().splitlines())
    assert "".join(err.getvalue().split()).count("x") == 150


# -- later -------------------------------------------------------------------------------------------------------------

AT = "2026-01-25T12:03:07Z"
ROW = Row(2, "v1.1.0", AT, "root@build", "candidate", "bad", None, None, False, f"the guard: {REASON}", None)


def test_the_notes_of_history_begin_with_what_tells() -> None:
    *_, line = history.lines(Page(), [ROW])
    assert len(line) <= 80
    assert "bad  3 of 41 client" in line
    *_, line = history.lines(Page(), [replace(ROW, note="10 %, 50 %: passed; Add v1.1.0: a sentence on its own")])
    assert "bad  10 %, 50 %: pas" in line
    assert history.markdown([ROW])[-1].endswith(f"| the guard: {REASON} |")


JUDGED = (Judgement(AT, 2, 5, "pass", "v1.1.0: 0 of 200", 0.015), Judgement(AT, 2, 10, "fail", REASON, 0.015))
SHIFTS = (Shift(AT, 2, 5, 0, "canary-1"), Shift(AT, 2, 10, 5, "canary-1"))


def test_why_tells_each_verdict_and_a_reason_once() -> None:
    failed = Why(2, "v1.1.0", AT, "release.rolled-back", f"the guard: {REASON}", None, (), "", SHIFTS, JUDGED)
    said = flat(history.why_lines(Page(), failed))
    assert "WHY the guard: backend v1.1.0: 3 of 41" in said
    assert re.search(r"5 % passed at [-\d: ]+: v1\.1\.0: 0 of 200 10 % failed at [-\d: ]+ BOUND ", said), said
    assert said.count("E = 341") == 1
    assert said.count(BESIDE) == 1


def test_why_is_asked_of_a_release_that_did_not_fail() -> None:
    passed = Why(2, "v1.1.0", AT, "release.pass", "5 %: passed", None, (), "", SHIFTS, JUDGED[:1])
    assert "VERDICT 5 %: passed SHARES 5 % at" in flat(history.why_lines(Page(), passed))
    only = replace(passed, code="release.unjudged", message="nothing failed, and there was no verdict", judgements=())
    assert "NOTHING failed, and there was no verdict SHARES" in flat(history.why_lines(Page(), only))


@pytest.mark.usefixtures("file")
def test_a_canary_without_a_verdict_is_told_of_later(bg: Program) -> None:
    bg("deploy", "v1")
    assert bg("why").code == 3
    assert bg("deploy", "v2", "--canary", "5", "--hold", "50ms").code == 6
    why = bg("why", "v2")
    assert why.code == 0
    said = flat(why.out.splitlines())
    assert "VERDICT 5 %: inconclusive SHARES 5 % at" in said
    assert re.search(r"5 % inconclusive at [-\d: ]+: v2 has answered nobody in this step", said), said
    assert BESIDE.replace("1.5", "1") in said
    assert bg("why").out == why.out
    assert "5 %: inconclusive" in bg("history").out
    (row,) = [row for row in bg("history", "--json").data["releases"] if row["tag"] == "v2"]
    found = bg("why", "--json").data["why"]
    assert row["judgements"] == found["judgements"]
    assert set(found["judgements"][0]) == {"at", "release", "share", "outcome", "reason", "alpha_sum", "horizon"}
