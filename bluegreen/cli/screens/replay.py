"""`watch --replay`: its options as values, its screen, its data."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bluegreen.cli.layout import Page, count, duration
from bluegreen.model.errors import Exit, UsageError

if TYPE_CHECKING:
    from bluegreen.app.pastlog import Part
    from bluegreen.app.replay import Judged, Replayed, Step
    from bluegreen.cli.run import Run

_CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?")


def answer(run: Run, logs: Sequence[str], share: int | None, at: str | None, given: Mapping[str, Any]) -> int:
    """Replay and print. ``given``: the ``candidate``, and settings of the judge by name."""
    from bluegreen.app.replay import replay
    from bluegreen.cli.screens.watch import local
    from bluegreen.model.judging import JudgeSettings, problems

    if not logs:
        raise UsageError(
            "usage", "--share, --at and the judge's settings are for a past log: name it with --replay LOG"
        )
    if share is not None and at is not None:
        raise UsageError("usage", "--share is for the whole log and --at for its parts: give one of them")
    settings = JudgeSettings(
        **{name: value for name, value in given.items() if name != "candidate" and value is not None}
    )
    if found := problems(settings):
        raise UsageError("usage", "; ".join(found))
    files = in_order([Path(log) for log in logs])
    steps = steps_of(at, _first_moment(files)) if at is not None else ()
    result = replay(files, settings, steps, given.get("candidate") or "", share=share, clock=local)
    return run.answer(str(result.outcome), data(files, result), lines(run.page(), files, result), exit_of(result))


def steps_of(text: str, start: float) -> tuple[Step, ...]:
    """``TIME=SHARE,TIME=SHARE``. A time is RFC 3339, or of the day on which the log begins, here."""
    from bluegreen.app.replay import Step

    found = []
    for part in text.split(","):
        moment, sign, share = part.strip().rpartition("=")
        if not sign or not share.isdigit() or int(share) > 100:
            raise UsageError("usage", f"--at {part.strip()}: it is TIME=SHARE, such as 12:03=10 or 12:03:07=25")
        found.append(Step(int(share), _moment(moment, start)))
    return tuple(found)


def in_order(files: Sequence[Path]) -> list[Path]:
    """Rotated files begin with the oldest: by their first line's time, as they are given where that isn't told."""
    return sorted(files, key=lambda file: _first_moment([file]))


def data(files: Sequence[Path], result: Replayed) -> dict[str, Any]:
    from bluegreen.cli.screens.watch import verdict_data

    return {
        "log": {
            "files": [str(file) for file in files],
            "format": str(result.form),
            "from": result.first,
            "to": result.last,
            "requests": result.requests,
            "unreadable": result.unreadable,
        },
        "candidate": result.slot or None,
        "steps": [
            {
                "share": one.step.share,
                "since": one.step.since,
                "until": one.until,
                "requests": one.requests,
                "decided": one.decided,
                "verdict": verdict_data(one.verdict),
            }
            for one in result.steps
        ],
        "harm": {
            "before": {"errors": result.errors[0], "clients": result.clients[0]},
            "after": {"errors": result.errors[1], "clients": result.clients[1]},
        },
        "notes": list(result.notes),
    }


def lines(page: Page, files: Sequence[Path], result: Replayed) -> list[str]:
    from bluegreen.cli.screens.watch import local

    lost = f", {count(result.unreadable, 'line')} that can't be read" if result.unreadable else ""
    name = files[0].name + (f" and {len(files) - 1} more" if len(files) > 1 else "")
    day = time.strftime("%Y-%m-%d", time.localtime(result.first))
    span = f"{day}, {local(result.first)} to {local(result.last)}"
    page.field("REPLAYED", f"{name}: {count(result.requests, 'request')}{lost}; {span}")
    if result.part is not None:
        page.field("CANDIDATE", _candidate(result.part))
    elif result.slot and any(one.step.share < 100 for one in result.steps):
        page.field("CANDIDATE", f"{result.slot} (--candidate names the other one)")
    for one in result.steps:
        share = "all visitors" if one.step.share == 100 else f"{one.step.share} %"
        page.field(
            "STEP", f"{share} from {local(one.step.since)}, {count(one.requests, 'request')}: {one.verdict.outcome}"
        )
        page.field("", one.verdict.reason)
    if (taken := result.decided) is not None:
        page.field("TAKEN BACK", _taken(taken, result, local(taken.decided or taken.until)))
    for note in (*result.notes, *result.steps[-1].verdict.warnings):
        page.field("NOTE", note)
    alpha = sum(
        {one.step.share == 100: one.verdict.alpha_sum for one in result.steps}.values()
    )  # beside live, and after
    page.field("BOUND", f"a release no worse than live is ever taken back with at most {alpha:.3g} of probability")
    return page.lines


def _candidate(part: Part) -> str:
    from bluegreen.cli.screens.watch import local

    beside = f" beside {part.live}" if part.live else ""
    return f"{part.candidate} ({part.candidate.slot}){beside}, {local(part.since)} to {local(part.until)}"


def _taken(taken: Judged, result: Replayed, at: str) -> str:
    after = (taken.decided or taken.until) - result.steps[0].step.since
    met = f"{count(result.errors[0], 'error')}, met by {count(result.clients[0], 'client')}, up to then"
    spared = (
        f"; {result.errors[1]} more, met by {count(result.clients[1], 'other')}, came later" if result.errors[1] else ""
    )
    return f"would have been at {at}, {duration(after * 1000)} into it: {met}{spared}"


def exit_of(result: Replayed) -> int:
    return {"fail": Exit.VERDICT, "inconclusive": Exit.INCONCLUSIVE}.get(str(result.outcome), Exit.DONE)


def _first_moment(files: Sequence[Path]) -> float:
    """When a log's first line was written; 0.0 where nothing tells."""
    from bluegreen.traffic.lines import Format, parse

    for file in files:
        try:
            with file.open("rb") as stream:
                line = stream.readline(1 << 16)
        except OSError as error:
            raise UsageError("replay.file", f"it can't be read: {error.strerror}", where=str(file)) from error
        for form in Format:
            if hits := parse(line, form).hits:
                return hits[0].ended
    return 0.0


def _moment(text: str, start: float) -> float:
    try:
        if _CLOCK.fullmatch(text):
            day = datetime.fromtimestamp(start).strftime("%Y-%m-%d")  # noqa: DTZ006 - as people here read a clock
            text = f"{day}T{text.rjust(len(text) + (text[1] == ':'), '0')}"
        found = datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise UsageError(
            "usage", f"--at: {text!r} is no time such as 12:03, 12:03:07 or 2026-11-22T12:03:07Z"
        ) from error
    return found
