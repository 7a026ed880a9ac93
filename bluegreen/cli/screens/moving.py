"""The screens of `rollback` and `switch`, and their data."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bluegreen.cli.layout import INDENT, Page, count, duration
from bluegreen.cli.screens.plan import plan_lines
from bluegreen.model.codec import encode
from bluegreen.model.errors import BluegreenError, Exit, Problem

if TYPE_CHECKING:
    from bluegreen.app.rollback import MoveResult

_HEADS = {"rollback": "ROLLED BACK", "switch": "SWITCHED", "promote": "PROMOTED"}


def data(project: str, result: MoveResult, timings: Mapping[str, float]) -> dict[str, Any]:
    """``rollback``, ``switch`` and ``promote --json``. ``verified_ms`` counts from the start of the process."""
    verified = timings.get("verified")
    return {
        "project": project,
        "kind": result.kind,
        "how": result.how,
        "release": result.release.number,
        "tag": result.release.tag,
        "slot": result.slot.value,
        "previous": {"release": result.previous.number, "tag": result.previous.tag} if result.previous else None,
        "share": result.share,
        "since": result.since or None,
        "url": result.url,
        "public": encode(result.public),
        "verified_ms": None if verified is None else round(verified, 1),
        "timings": {name: round(ms, 1) for name, ms in timings.items() if name != "verified"},
        "smoke": {"passed": result.smoke[0], "all": result.smoke[1]} if result.smoke else None,
        "connections": result.connections,
        "plan": [dict(step) for step in result.plan],
    }


def headline(page: Page, kind: str, tag: str, now: float, timings: Mapping[str, float], *, whole: bool) -> None:
    """The line that counts. ``whole`` says that the probe and the switch were all there was to do."""
    page.line(f"{_HEADS[kind]} in {duration(timings['verified'])}   new requests answered by {tag} since {_clock(now)}")
    _where_time_went(page, timings, whole=whole)


def taken_back(page: Page, kind: str, tag: str, now: float, timings: Mapping[str, float], *, whole: bool) -> None:
    """The same where a candidate had a part of the traffic, and live the rest."""
    page.line(f"{_HEADS[kind]} in {duration(timings['verified'])}   all visitors on {tag} since {_clock(now)}")
    _where_time_went(page, timings, whole=whole)


def _clock(now: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now * 1000) % 1000:03}"


def _where_time_went(page: Page, timings: Mapping[str, float], *, whole: bool) -> None:
    total = timings["verified"]
    if not whole:
        return
    parts = {name: timings[name] for name in ("probe", "switch") if name in timings}
    before = total - sum(parts.values())
    shown = "  ".join(f"{name} {ms:.0f}" for name, ms in parts.items())
    page.line(f"{'':{INDENT}}of these: start and look {before:.0f}  {shown}")


def lines(page: Page, result: MoveResult, *, flipped: bool) -> list[str]:
    """What follows the headline; the whole of it where an earlier run had moved the traffic."""
    tag, previous = result.release.tag, result.previous
    if not flipped and result.how == "canary":
        page.field("FINISHED", f"{tag} had all visitors already; what was left of the {result.kind} is done")
    elif not flipped:
        page.field("FINISHED", f"{tag} had the traffic already; what was left of the {result.kind} is done")
    left = previous.tag if previous is not None and previous.number != result.release.number else None
    if result.url:
        page.field("PUBLIC", "; ".join(filter(None, (str(result.public or result.url), _smoke(result)))))
    elif result.smoke:
        page.field("SMOKE", _smoke(result))
    if result.connections and left:
        page.commands("DRAIN", [f"bg drain --now    {count(result.connections, 'connection')} still on {left}"])
    for failure in result.smoke_failures:
        page.field("WARNING", f"smoke check failed: {failure}")
    if result.smoke_failures:
        page.field("", f"{tag} has the traffic and keeps it: whether to go elsewhere is for you to say.")
    if left is not None:
        _afterwards(page, result, left)
    return page.lines


def plan(page: Page, result: MoveResult) -> list[str]:
    came = result.previous.tag if result.previous else "nothing"
    page.line(f"{came} -> {result.release.tag} ({result.slot}, {result.how})")
    return plan_lines(page, result.plan)


def exit_of(result: MoveResult) -> int:
    """Traffic has moved; a smoke check that failed afterwards is a step after it."""
    return int(Exit.INCOMPLETE if result.smoke_failures else Exit.DONE)


def smoke_error(result: MoveResult) -> BluegreenError:
    return BluegreenError(
        "smoke.failed",
        f"{result.release.tag} has the traffic, and smoke checks fail",
        next=(
            f"bg logs {result.release.tag}",
            *([f"bg switch {result.previous.tag}    forward again"] if result.previous else []),
        ),
        exit=Exit.INCOMPLETE,
        problems=tuple(Problem("smoke.failed", failure, result.release.tag) for failure in result.smoke_failures),
    )


def _afterwards(page: Page, result: MoveResult, left: str) -> None:
    if result.how == "canary":
        page.commands("LOGS", [f"bg logs {left} --since 10m    {left} still runs, without traffic"])
        page.line()
        page.line(f"{left} is now marked bad, and stays as a candidate at 0 %; {result.release.tag} was not touched.")
        again = [f"bg canary {result.share}    sends visitors to it again"] if result.share else []
        page.commands("NEXT", ["bg abort    remove it", "bg deploy TAG    the release that mends it", *again])
    elif result.kind == "rollback":
        page.commands("LOGS", [f"bg logs {left} --since 10m    {left} still runs, without traffic"])
        page.line()
        page.line(f"{left} is now marked bad: a plain rollback will not go back to it.")
        page.commands("NEXT", ["bg deploy TAG    the release that mends it", f"bg switch {left}    forward again"])
    else:
        page.commands("UNDO", ["bg rollback    images, configuration and environment go back"])


def _smoke(result: MoveResult) -> str:
    return f"smoke {result.smoke[0]} of {result.smoke[1]} passed" if result.smoke else ""
