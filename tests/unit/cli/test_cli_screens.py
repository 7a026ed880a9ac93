"""Screens as they are, at 80 columns: from events and results made by hand."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

from bluegreen.app.history import Row
from bluegreen.app.rollback import MoveResult
from bluegreen.app.status import Kept, Place, Status, Trouble
from bluegreen.cli.layout import Page
from bluegreen.cli.phases import Phases
from bluegreen.cli.progress import PlainProgress, header, noted
from bluegreen.cli.run import Run
from bluegreen.cli.screens import history, moving, phases, status
from bluegreen.cli.tree import Tree
from bluegreen.model.events import Event, Kind
from bluegreen.model.history import Operation
from bluegreen.model.names import Slot
from bluegreen.model.release import Release
from bluegreen.probes.public import Look

OPERATION = Event(
    "operation",
    "deploy",
    "v1.1.0",
    data={
        "project": "tokenlab",
        "release": 12,
        "revision": "9f3c2ab4711",
        "subject": "Fix Monte Carlo seed",
        "dirty": False,
        "slot": "green",
    },
)


def step(kind: Kind, verb: str, subject: str, phase: str, ms: float | None = None, message: str = "") -> Event:
    return Event(kind, verb, subject, message, ms, {"phase": phase})


def pair(verb: str, subject: str, phase: str, ms: float, cause: str = "") -> list[Event]:
    return [step("step", verb, subject, phase, None, cause), step("step-done", verb, subject, phase, ms)]


DEPLOY = [
    *pair("network", "tokenlab-blue", "prepare", 10),
    step("step", "build", "backend, worker", "build"),
    Event("progress", "build", "backend, worker", "#5 RUN pip install"),
    step("step-done", "build", "backend, worker", "build", 11200),
    step("step-done", "build", "frontend", "build", 0, "built before, from the same content"),
    OPERATION,
    Event("notice", "notice", "", "until the switch, rollback to v0.9.0 is cold (its slot is being reused)"),
    *pair("drop-back", "green", "retire", 2),
    *pair("keep", "tokenlab-green-backend-1 as tokenlab-r10-backend-1", "retire", 800),
    *pair("create", "tokenlab-green-backend-1", "start", 50),
    *pair("create", "tokenlab-green-backend-2", "start", 50),
    *pair("start", "tokenlab-green-backend-1", "start", 600),
    *pair("start", "tokenlab-green-backend-2", "start", 600),
    *pair("start", "tokenlab-green-frontend-1", "start", 600),
    *pair("await", "backend", "health", 100),
    *pair("probe", "backend", "health", 2000, "/api/v1/health must answer 2 times in a row"),
    *pair("probe", "frontend", "health", 100, "/ must answer 2 times in a row"),
    *pair("topology", "blue: v1.0.0, green: v1.1.0", "topology", 200),
    *pair("settle", "gate 2", "switch", 60),
    *pair("probe", "green", "switch", 5),
    *pair("smoke", "3 checks on green", "smoke", 400),
    *pair("switch", "all traffic to v1.1.0 in green", "switch", 38),
    *pair("stop", "tokenlab-blue-worker-1", "workers", 300),
    *pair("start", "tokenlab-green-worker-1", "workers", 300),
    *pair("prune-generations", "keeping 20", "prune", 1),
    step("step-done", "public", "GET http://203.0.113.7/ 200", "public", 4.2),
]

SCREEN = """\
  build    backend, worker 11.2s  frontend (built before)                   2.0s
  keep     1 former container stopped, kept for a cold rollback             3.0s
  start    backend 2/2  frontend 1/1                                        9.0s
  health   backend /api/v1/health ok  frontend / ok                         5.0s
  proxy    knows the new containers                                         1.0s
  smoke    3 of 3 passed                                                    1.0s
  switch   100 % to green at 12:03:07.412, confirmed by the proxy           38ms
  workers  blue worker stopped, green worker running                        3.0s
  public   GET http://203.0.113.7/ 200                                       4ms"""


class Ticking:
    """A clock that moves on by a second with each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_the_phases_of_a_deploy() -> None:
    folded = Phases("tokenlab", Ticking(), lambda: 1_769_342_587.412)
    for event in DEPLOY:
        folded.feed(event)
    found = [line for p in folded.ordered() for line in phases.lines(p, p.items, folded.project)]
    said = re.sub(r"at \d\d:\d\d:", "at 12:03:", "\n".join(found))  # wherever this runs
    assert said == SCREEN


def test_the_header() -> None:
    found = header(OPERATION)
    assert found == 'tokenlab  release 12  v1.1.0  9f3c2ab  "Fix Monte Carlo seed"           -> green'
    long = header(replace(OPERATION, data={**OPERATION.data, "subject": "x" * 200}))
    assert len(long) == 80
    assert long.endswith("…  -> green")


def test_plain_lines_come_as_phases_end() -> None:
    out, err = io.StringIO(), io.StringIO()
    run = Run({}, out, err)
    run.site_name = "tokenlab"
    progress = PlainProgress(run)
    for event in DEPLOY:
        progress(event)
    progress.close()
    said = err.getvalue().splitlines()
    assert [line.split()[0] for line in said if line.strip()] == [
        "build",
        "tokenlab",
        "build",
        "note",
        "reused)",
        "keep",
        "start",
        "health",
        "proxy",
        "smoke",
        "switch",
        "workers",
        "public",
    ]
    assert out.getvalue() == ""
    assert all(len(line) <= 80 for line in said)


def test_a_note_of_any_command_fits_and_keeps_long_words_whole() -> None:
    err = io.StringIO()
    progress = PlainProgress(Run({}, io.StringIO(), err))
    progress(Event("notice", "notice", "", "word " * 40))
    lines = err.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert {len(line) - len(line.lstrip()) for line in lines[1:]} == {11}
    assert noted("  note     ", f"see {'x' * 90}", 80)[-1].strip() == "x" * 90


def test_verbosely_each_step_has_its_line() -> None:
    err = io.StringIO()
    run = Run({}, io.StringIO(), err)
    run.take("verbose", True)
    progress = PlainProgress(run)
    for event in DEPLOY:
        progress(event)
    assert "  do       switch all traffic to v1.1.0 in green" in err.getvalue()
    assert "  done     switch all traffic to v1.1.0 in green  38ms" in err.getvalue()
    assert "#5 RUN pip install" in err.getvalue()


def test_after_a_failure_what_is_done_is_putting_back() -> None:
    folded = Phases("tokenlab", Ticking())
    for event in (
        OPERATION,
        step("step", "probe", "backend", "health", None, "/health must answer 2 times in a row"),
        step("step-failed", "probe", "backend", "health", 60000, "backend answers 500"),
        *pair("save-logs", "deploy-1", "restore", 10),
        *pair("remove", "tokenlab-green-backend-1", "retire", 10),
        *pair("start", "tokenlab-green-backend-1", "start", 10),
    ):
        folded.feed(event)
    found = [phases.summary(p, p.items, "tokenlab") for p in folded.ordered()]
    assert found == [
        "backend FAILED",
        "the candidate is removed, its output saved, former standby started: backend",
    ]


def test_after_an_interruption_what_ran_has_been_stopped() -> None:
    folded = Phases("tokenlab", Ticking())
    for event in (
        OPERATION,
        *pair("start", "tokenlab-green-backend-1", "start", 10),
        step("step", "probe", "backend", "health", None, "/health must answer 2 times in a row"),
        *pair("save-logs", "deploy-1", "restore", 10),
        *pair("remove", "tokenlab-green-backend-1", "retire", 10),
        *pair("start", "tokenlab-green-backend-1", "start", 10),
    ):
        folded.feed(event)
    assert [phases.summary(p, p.items, "tokenlab") for p in folded.ordered()] == [
        "backend 1/1",
        "backend stopped",
        "the candidate is removed, its output saved, former standby started: backend",
    ]


def test_the_tree_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    err = Terminal()
    run = Run({"TERM": "xterm", "NO_COLOR": "1"}, io.StringIO(), err)
    tree = Tree(run)
    for event in DEPLOY[:-6]:
        tree(event)
    half = [line.plain for line in tree.render().renderables if hasattr(line, "plain")]
    assert half[0].startswith("tokenlab  release 12")
    tree.close()
    assert "smoke    3 of 3 passed" in err.getvalue()
    assert "\x1b[31m" not in err.getvalue()


def test_a_terminal_that_is_closed_while_the_tree_grows_stops_nothing() -> None:
    class Closed(io.StringIO):
        def isatty(self) -> bool:
            return True

        def write(self, _text: str) -> int:
            raise OSError(5, "Input/output error")

    run = Run({"TERM": "xterm"}, io.StringIO(), Closed())
    tree = Tree(run)
    for event in DEPLOY:
        tree(event)
    tree.close()


PLACE = Place(Slot.GREEN, 12, "v1.1.0", "2026-01-25T12:00:00Z", "2026-01-25T12:03:07Z", 3, 3, 1, 0)
STATUS = Status(
    project="tokenlab",
    url="http://203.0.113.7/",
    generation=44,
    live=PLACE,
    standby=replace(PLACE, slot=Slot.BLUE, release=11, tag="v1.0.0", workers=0, connections=2),
    candidate=None,
    kept=(Kept(10, "v0.9.0", True), Kept(9, "v0.8.0", False, "bad")),
    shared={"ledger": "running"},
    operation=None,
    lease=None,
    journal="ok",
    troubles=(),
)


def test_the_screen_of_status(monkeypatch: Any) -> None:
    monkeypatch.setattr(status, "short_time", lambda _at: "12:03:07")
    assert "\n".join(status.lines(Page(), STATUS)) == (
        "tokenlab                                                           generation 44\n"
        "\n"
        "LIVE     v1.1.0  release 12  green                           http://203.0.113.7/\n"
        "         3 of 3 containers running, 1 worker                      since 12:03:07\n"
        "STANDBY  v1.0.0  release 11  blue                                           warm\n"
        "         3 of 3 containers running\n"
        "DRAIN    bg drain --now   2 connections still on v1.0.0\n"
        "NEXT     bg rollback   back to v1.0.0, in milliseconds\n"
        "KEPT     v0.9.0 (10), v0.8.0 (9, bad, not whole)\n"
        "SHARED   ledger running"
    )


def test_status_with_nothing_live_and_with_trouble() -> None:
    bare = replace(STATUS, live=None, standby=None, kept=(), shared={}, generation=None)
    assert "LIVE     nothing yet" in "\n".join(status.lines(Page(), bare))
    busy = replace(
        STATUS,
        operation=Operation("deploy-1", "deploy", tag="v1.2.0", by="ci@build", last_step="probe"),
        lease={"operation": "deploy-1"},
        troubles=(Trouble("live.incomplete", "live v1.1.0 lacks running containers: api-1 (gone)", ("bg rollback",)),),
    )
    said = "\n".join(status.lines(Page(), busy))
    assert "NOW      deploy v1.2.0 is under way by ci@build, at: probe" in said
    assert "TROUBLE  live v1.1.0 lacks running containers: api-1 (gone)\nNEXT     bg rollback" in said


def _release(number: int, tag: str) -> Release:
    return Release(number, tag, "digest", {})


MOVED = MoveResult(
    outcome="switched",
    kind="rollback",
    how="warm",
    release=_release(11, "v1.0.0"),
    slot=Slot.BLUE,
    previous=_release(12, "v1.1.0"),
    since="2026-01-25T12:09:19.233Z",
    flip_ms=None,
    url="http://203.0.113.7/",
    public=Look("http://203.0.113.7/", 200, 4.0, slot="blue", release=11),
    smoke=(3, 3),
    connections=1,
)


def test_the_screen_of_a_rollback() -> None:
    assert moving.lines(Page(), MOVED, flipped=True) == [
        "PUBLIC   GET http://203.0.113.7/ 200, served by release 11; smoke 3 of 3 passed",
        "DRAIN    bg drain --now   1 connection still on v1.1.0",
        "LOGS     bg logs v1.1.0 --since 10m   v1.1.0 still runs, without traffic",
        "",
        "v1.1.0 is now marked bad: a plain rollback will not go back to it.",
        "NEXT     bg deploy TAG      the release that mends it",
        "         bg switch v1.1.0   forward again",
    ]


def test_smoke_that_fails_after_a_rollback_is_loud_and_moves_nothing() -> None:
    failed = replace(MOVED, smoke=(2, 3), smoke_failures=("GET /api/v1/version: it answered 500",))
    said = moving.lines(Page(), failed, flipped=True)
    assert "WARNING  smoke check failed: GET /api/v1/version: it answered 500" in said
    assert moving.exit_of(failed) == 9
    assert moving.exit_of(MOVED) == 0


def test_the_runbooks_version_table() -> None:
    row = Row(1, "v1.0.0", "2026-01-25T12:00:00Z", "DevOps", "kept", "good", None, None, False, "Initial", None)
    bad = replace(row, release=2, tag="v0.9.0", state="standby", mark="bad", note="Monte Carlo bugs")
    table = history.markdown([row, bad])
    assert table[0] == "| Version | Date | Deployed By | Status | Notes |"
    assert table[2].startswith("| v1.0.0 | 2026-01-25 ")
    assert table[2].endswith("| DevOps | ✅ Stable | Initial |")
    assert table[3].endswith("| DevOps | ⚠️ Unstable | Monte Carlo bugs |")


def test_a_page_wraps_text_and_never_a_command() -> None:
    page = Page(lambda text: text.replace("bg ", "bluegreen --file deep/down/in/some/directory/compose.yaml "))
    page.field("WHY", "word " * 40)
    page.commands("NEXT", ["bg rollback --to v1.0.0    images, configuration and environment go back"])
    assert all(len(line) <= 80 for line in page.lines[:-2])
    assert page.lines[-2] == ("NEXT     bluegreen --file deep/down/in/some/directory/compose.yaml rollback --to v1.0.0")
    assert page.lines[-1] == "             images, configuration and environment go back"
