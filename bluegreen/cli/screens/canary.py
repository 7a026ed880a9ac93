"""The screen of `canary`, and its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bluegreen.cli.layout import Page, count, duration
from bluegreen.cli.screens.plan import plan_lines
from bluegreen.cli.screens.status import short_time
from bluegreen.model.codec import encode

if TYPE_CHECKING:
    from bluegreen.app.canary import Canary
    from bluegreen.app.explaining import Explained
    from bluegreen.model.release import Release

STEPS = (1, 5, 10, 25, 50)
"""Percent. What is proposed next."""


def data(project: str, found: Canary) -> dict[str, Any]:
    """``canary --json``."""
    candidate = _release(found.candidate)
    if candidate is not None and found.slot is not None:
        candidate |= {"slot": found.slot.value, "share": found.share, "since": found.since or None, "mark": found.mark}
    return {
        "project": project,
        "live": _release(found.live),
        "candidate": candidate,
        "share": found.share,
        "previous": found.previous,
        "url": found.url,
        "shifts": encode(found.shifts),
        "plan": [dict(step) for step in found.plan],
    }


def outcome(found: Canary) -> str:
    return found.outcome if found.candidate else "none"


def lines(page: Page, found: Canary) -> list[str]:
    live = found.live.tag if found.live else "nothing"
    if found.candidate is None:
        page.field("NO CANDIDATE", f"{live} has all visitors" if found.live else "nothing is live yet")
        if not _unfinished(page, found):
            page.commands("NEXT", ["bg deploy TAG --stage    makes a candidate", "bg status"])
        return page.lines
    tag = found.candidate.tag
    if found.outcome == "nothing":
        page.field("NOTHING TO DO", f"{_has(found, tag)} already")
    else:
        confirmed = ", confirmed by the proxy" if found.outcome == "shifted" else ""
        page.field("CANARY", f"{_has(found, tag)}{confirmed}")
    if found.share:
        page.field("LIVE", f"{100 - found.share} % of visitors to {live}; who is on {tag} stays on it")
    else:
        page.field("LIVE", f"all visitors to {live}; {tag} stays as it is, without traffic")
    if found.mark == "bad":
        page.field("NOTE", f"{tag} is marked bad: it was rolled back")
    earlier = found.shifts[:-1] if found.share or found.outcome == "shifted" else found.shifts
    if earlier and found.outcome == "found":
        page.field("BEFORE", ", ".join(f"{s.share} % at {short_time(s.at)}" for s in earlier))
    if not _unfinished(page, found):
        page.commands("NEXT", moves(tag, found.share))
    return page.lines


def plan(page: Page, found: Canary) -> list[str]:
    tag = found.candidate.tag if found.candidate else "nothing"
    page.line(f"{found.live} and {tag} ({found.slot}), which has {found.share} % of visitors now")
    return plan_lines(page, found.plan)


def explained_data(project: str, found: Explained) -> dict[str, Any]:
    """``canary --explain --json``."""
    return {
        "project": project,
        "clients_per_second": round(found.clients_per_second, 4),
        "requests": found.requests,
        "warning": found.warning,
        "steps": [
            {
                "share": step.share,
                "clean_needed": step.clean_needed,
                "seconds_to_pass": step.seconds_to_pass,
                "errors_needed": step.errors_needed,
                "detections": encode(step.detections),
                "said": list(step.lines),
            }
            for step in found.steps
        ],
    }


def explained(page: Page, found: Explained) -> list[str]:
    if found.requests:
        seen = f"{count(found.requests, 'request')} of the last {duration(found.seconds * 1000)} in the access log"
        page.field("BASIS", f"{seen}; new is a client who first asked in the later half of that")
    else:
        page.field("NOTE", "the access log has no request of the last half hour: how long a step takes is not known")
    if found.warning:
        page.field("WARNING", found.warning)
    for step in found.steps:
        page.field(f"{step.share} %", "\n".join(step.lines))
    return page.lines


def moves(tag: str, share: int) -> list[str]:
    """Where visitors can go from here."""
    more = next((step for step in STEPS if step > max(share, 4)), None)
    found = [f"bg canary {more}    {more} % of visitors to {tag}"] if more else []
    found.append(f"bg promote    all of them to {tag}")
    if share:
        return [
            *found,
            f"bg rollback    none of them, at once, and {tag} is bad",
            f"bg abort    none of them, and {tag} is removed",
        ]
    return [*found, "bg preview    look at it first", "bg abort    remove it"]


def _unfinished(page: Page, found: Canary) -> bool:
    """Says what is under way, or was interrupted, and the commands that work meanwhile. Whether there is anything."""
    operation = found.operation
    if operation is None:
        return False
    began, rollback = short_time(operation.at), "bg rollback    never waits: it takes the traffic back, as always"
    steps = operation.kind == "canary"
    safe = f"its last safe share is {found.safe} %"
    if found.held:
        page.field("NOW", f"{operation} is under way by {operation.by} since {began}" + (f"; {safe}" if steps else ""))
        wait = "bg wait    until it is decided" if steps and found.share else "bg status"
        page.commands("NEXT", [wait, rollback])
    elif steps:
        page.field("TROUBLE", f"{operation} was left by its process ({operation.by}, begun {began}); {safe}")
        ways = moves(operation.tag or "it", found.share)
        page.commands("NEXT", [f"bg resume    ends it at {found.safe} %, its last safe share", *ways])
    else:
        page.field("TROUBLE", f"{operation} was interrupted ({operation.by}, begun {began})")
        page.commands("NEXT", ["bg resume    goes on with it", "bg abort    puts things back", rollback])
    return True


def _has(found: Canary, tag: str) -> str:
    since = f" since {short_time(found.since)}" if found.since else ""
    if not found.share:
        return f"{tag} ({found.slot}) has no visitors{since}"
    return f"{found.share} % of visitors to {tag} ({found.slot}){since}"


def _release(release: Release | None) -> dict[str, Any] | None:
    return {"release": release.number, "tag": release.tag} if release else None
