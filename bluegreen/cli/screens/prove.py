"""The receipt of `prove`, its data, and its progress."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bluegreen.cli.layout import INDENT, Page, count, duration
from bluegreen.model.codec import encode
from bluegreen.model.errors import BluegreenError, Exit

if TYPE_CHECKING:
    from bluegreen.app.prove import ProveResult
    from bluegreen.cli.run import Run
    from bluegreen.model.events import Event
    from bluegreen.prove.receipt import Failure, Processed, Receipt

SHOWN = 8
"""Failures on the screen; the JSON has more."""
EVERY = 2.0
_TITLES = {"http10": "HTTP/1.0", "post": "POST", "websocket": "WebSocket", "close": "close", "events": "events"}


class Progress:
    """A line every two seconds at most."""

    def __init__(self, run: Run, switches: int | None) -> None:
        self._run = run
        self._of = f" of {switches}" if switches else ""
        self._next = 0.0

    def __call__(self, event: Event) -> None:
        if event.kind == "notice":
            self._run.say("note", event.message)
        if (event.kind, event.name) != ("progress", "prove") or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY
        lost = event.data["lost"]
        self._run.say(
            "prove", f"switch {event.data['switches']}{self._of}, to {event.subject}; {lost or 'nothing'} lost so far"
        )


def data(project: str, result: ProveResult) -> dict[str, Any]:
    """``prove --json``, and what ``--out`` writes."""
    return {
        "project": project,
        "live": {"release": result.live.number, "tag": result.live.tag},
        "standby": {"release": result.standby.number, "tag": result.standby.tag},
        "stopped": result.stopped,
        **receipt_data(result.receipt),
    }


def receipt_data(receipt: Receipt) -> dict[str, Any]:
    found: dict[str, Any] = encode(receipt)
    found.pop("project")
    for key, processed in (("posts", receipt.posts), ("uploads", receipt.uploads)):
        if processed is not None:
            found[key] |= {"duplicates": processed.duplicates, "missing": processed.missing}
    return {**found, "lost": receipt.lost, "duplicates": receipt.duplicates}


def lines(page: Page, result: ProveResult) -> list[str]:
    receipt = result.receipt
    head = "PROVED" if error(result) is None else "NOT PROVED"
    between = f"{count(receipt.switches, 'switch', 'switches')} between {result.live.tag} and {result.standby.tag}"
    page.line()
    page.field(head, f"{between} in {duration(receipt.seconds * 1000)}: {_lost(receipt)}")
    if result.stopped:
        page.field("STOPPED", f"before its time; {result.live.tag} has the traffic, as before")
    if result.trouble is not None:
        page.field("WHY", str(result.trouble.problem))
    receipt_lines(page, receipt)
    return page.lines


def receipt_lines(page: Page, receipt: Receipt) -> None:
    page.field("REQUESTS", _requests(receipt))
    page.field("", "  ".join(f"{_title(k.name)} {k.requests:,}" for k in receipt.kinds if k.clients))
    if receipt.posts is not None:
        page.field("ONCE", _processed("POSTs", receipt.posts))
    if receipt.uploads is not None:
        page.field("" if receipt.posts is not None else "ONCE", _processed("uploads", receipt.uploads))
    if receipt.streams.get("opened"):
        page.field("STREAMS", _streams(receipt.streams))
    if receipt.assets:
        answers = count(receipt.assets, "answer")
        page.field("ASSETS", f"{answers} of the other release, which still has what the live one has not")
    _latency(page, receipt.latency)
    _moments(page, receipt)
    if receipt.proxy:
        used = receipt.proxy
        page.field(
            "PROXY",
            f"{used['memory_max'] / 1e6:.1f} MB at most ({used['memory_first'] / 1e6:.1f} at first), "
            f"{count(used['workers_max'], 'worker')} at most",
        )
    reasons: dict[str, list[str]] = {}
    for kind in receipt.kinds:
        if kind.why_not is not None:
            why = kind.why_not.replace(f" {kind.name}", " path for it")
            reasons.setdefault(why, []).append(_title(kind.name))
    for why, kinds in reasons.items():
        page.field("NOT RUN", f"{', '.join(kinds)}: {why}")
    for note in receipt.notes:
        page.field("note", note)
    for failure in receipt.failures[:SHOWN]:
        page.field("LOST", _failure(failure))
    if len(receipt.failures) > SHOWN:
        page.field("", "more of them with --json or --out")


def error(result: ProveResult) -> BluegreenError | None:
    receipt = result.receipt
    if receipt.lost:
        return BluegreenError(
            "prove.lost",
            f"{receipt.lost} of {receipt.requests:,} requests were lost over {receipt.switches} switches",
            next=("bg logs --since 10m", "bg prove --out FILE    writes down every one"),
            exit=Exit.FAILED,
        )
    if result.trouble is not None:
        return result.trouble
    if not receipt.switches:
        return BluegreenError(
            "prove.stopped", "stopped before the first switch", next=("bg prove",), exit=Exit.INTERRUPTED
        )
    return None


def lost_in_deploy(tag: str, receipt: Receipt) -> BluegreenError:
    """The traffic has moved, verified; that something was lost on the way is for a person to weigh."""
    return BluegreenError(
        "prove.lost",
        f"{tag} has the traffic, and {receipt.lost} of {receipt.requests:,} requests were lost while it was deployed",
        next=("bg rollback    goes back, if you think so", "bg logs --since 10m"),
        exit=Exit.INCOMPLETE,
    )


def next_steps(page: Page, found: BluegreenError) -> None:
    page.commands("NEXT", found.problem.next)


def _lost(receipt: Receipt) -> str:
    return f"{receipt.lost:,} LOST" if receipt.lost else "nothing lost"


def _requests(receipt: Receipt) -> str:
    late = "" if receipt.late is None else f", {receipt.late} answered by the old release too late"
    resent = f", {receipt.resent} sent again behind a Connection: close" if receipt.resent else ""
    return (
        f"{receipt.requests:,} over {receipt.connections:,} connections: {receipt.failed} failed, "
        f"{receipt.truncated} truncated, {receipt.duplicates} processed twice{late}{resent}"
    )


def _processed(what: str, processed: Processed) -> str:
    if processed.processed is None:
        return f"{processed.acknowledged:,} {what} acknowledged; not counted by the application"
    return (
        f"{processed.acknowledged:,} {what} acknowledged, {processed.processed:,} processed, "
        f"{processed.duplicates} twice"
    )


def _streams(streams: Mapping[str, int]) -> str:
    ended = streams["ended_at_deadline"]
    drained = f", {ended} ended at their drain deadline" if ended else ""
    return f"{streams['opened']} opened, {streams['over_a_switch']} over a switch, {streams['cut']} cut{drained}"


def _latency(page: Page, latency: Mapping[str, Mapping[str, float]]) -> None:
    words = {"before": "before the switches", "during": "within 250ms of one", "after": "otherwise"}
    label = "LATENCY"
    for key, words_ in words.items():
        figures = latency.get(key, {})
        if figures.get("requests"):
            page.line(
                f"{label:{INDENT}}{words_:20} p50 {_ms(figures['p50']):>8}  p99 {_ms(figures['p99']):>8}  "
                f"max {_ms(figures['max']):>8}"
            )
            label = ""


def _moments(page: Page, receipt: Receipt) -> None:
    label = "SWITCH"
    rows = {
        "last sent to the old": receipt.cutover,
        "last from the old": receipt.last_old,
        "first from the new": receipt.first_new,
    }
    for words, figures in rows.items():
        if figures is not None:
            page.line(
                f"{label:{INDENT}}{words:20} p50 {_ms(figures['p50']):>8}  p99 {_ms(figures['p99']):>8}  "
                f"max {_ms(figures['max']):>8}"
            )
            label = ""
    if receipt.cutover is not None:
        page.field("", f"{receipt.sent_soon:,} requests were sent within 5ms after a switch")


def _ms(ms: float) -> str:
    return f"{ms:.1f}ms" if ms < 1000 else f"{ms / 1000:.1f}s"


def _title(kind: str) -> str:
    return _TITLES.get(kind, kind)


def _failure(failure: Failure) -> str:
    where = f"{failure.method} {failure.path}" if failure.path else _title(failure.kind)
    when = f"{_ms(failure.begun_ms)} after switch {failure.switch}" if failure.begun_ms is not None else "before any"
    on = f", request {failure.number} on a connection" if failure.number else ""
    name = f" [{failure.id}]" if failure.id else ""
    return f"{_title(failure.kind)} {where}{name}: {failure.problem}, {failure.seen} ({when}{on})"
