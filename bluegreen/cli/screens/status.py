"""The screen of `status`, and its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bluegreen.cli.layout import Page, count
from bluegreen.model.codec import encode

if TYPE_CHECKING:
    from bluegreen.app.status import Kept, Place, Status


def data(status: Status) -> dict[str, Any]:
    """``status --json``: pinned by tests and in docs/json.md."""
    return {
        "project": status.project,
        "url": status.url,
        "generation": status.generation,
        "live": encode(status.live),
        "standby": encode(status.standby),
        "candidate": encode(status.candidate),
        "kept": encode(status.kept),
        "shared": dict(status.shared),
        "operation": encode(status.operation),
        "lease": encode(status.lease),
        "journal": status.journal,
        "troubles": encode(status.troubles),
    }


def lines(page: Page, status: Status) -> list[str]:
    page.line(status.project, f"generation {status.generation}" if status.generation else "")
    page.line()
    if status.live is None and any(t.code.startswith("proxy.") for t in status.troubles):
        page.field("LIVE", "not known while the proxy does not run")
    elif status.live is None:
        page.field("LIVE", "nothing yet: bg deploy TAG is the first step")
    else:
        page.line(f"LIVE     {_place(status.live)}", status.url or "")
        page.line(f"         {_running(status.live)}", f"since {short_time(status.live.since)}")
        if 0 < status.live.share < 100:
            page.line(f"         {status.live.share} % of visitors")
    if status.standby is not None:
        page.line(f"STANDBY  {_place(status.standby)}", "marked bad" if status.standby.mark == "bad" else "warm")
        page.line(f"         {_running(status.standby)}")
        if status.standby.connections:
            open_now = count(status.standby.connections, "connection")
            page.commands("DRAIN", [f"bg drain --now    {open_now} still on {status.standby.tag}"])
    elif status.live is not None and status.candidate is None:
        page.field("STANDBY", "none" + (": a rollback recreates a kept release" if any_whole(status.kept) else ""))
    if status.candidate is not None:
        _candidate(page, status, status.candidate)
    page.commands("NEXT", _moves(status))
    if status.kept:
        page.field("KEPT", ", ".join(_kept(k) for k in status.kept))
    if status.shared:
        page.field("SHARED", ", ".join(f"{name} {state}" for name, state in sorted(status.shared.items())))
    if status.operation is not None and status.lease is not None:
        by = f" by {status.operation.by}" if status.operation.by else ""
        page.field("NOW", f"{status.operation} is under way{by}, at: {status.operation.last_step or 'its beginning'}")
    for trouble in status.troubles:
        page.line()
        page.field("TROUBLE", trouble.message)
        page.commands("NEXT", trouble.next)
    return page.lines


def any_whole(kept: tuple[Kept, ...]) -> bool:
    return any(k.whole and k.mark != "bad" for k in kept)


def short_time(at: str) -> str:
    """Local time of an RFC 3339 moment, to the second; the text itself where it is none."""
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(at).astimezone()
    except ValueError:
        return at or "?"
    today = datetime.now().astimezone().date()
    return moment.strftime("%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M")


def _moves(status: Status) -> list[str]:
    """Where traffic can go from here."""
    if _unfinished(status):
        return []  # what to do about that is said with the trouble
    if status.candidate is not None and status.live is not None:
        from bluegreen.cli.screens.canary import moves

        return moves(status.candidate.tag, status.candidate.share)
    if status.standby is None:
        return []
    tag = status.standby.tag
    if status.standby.mark == "bad":
        return [f"bg switch {tag}    forward to {tag} again, if you are sure"]
    return [f"bg rollback    back to {tag}, in milliseconds"]


def _candidate(page: Page, status: Status, found: Place) -> None:
    if found.share:
        since = f" since {short_time(found.since)}" if found.since else ""
        page.line(f"CANARY   {_place(found)}", f"{found.share} % of visitors{since}")
    else:
        label = "UNPROVEN" if _unfinished(status) else "STAGED"
        page.line(f"{label:9}{_place(found)}", "without traffic" + (", marked bad" if found.mark == "bad" else ""))
    page.line(f"         {_running(found)}")
    if found.connections and not found.share and found.since:
        page.line(f"         {count(found.connections, 'connection')} still open to it")


def _unfinished(status: Status) -> bool:
    """Whether what is in the idle slot is there because an operation did not end."""
    return status.operation is not None and status.candidate is not None


def _place(place: Place) -> str:
    return f"{place.tag}  release {place.release}  {place.slot}"


def _running(place: Place) -> str:
    workers = f", {count(place.workers, 'worker')}" if place.workers else ""
    return f"{place.running} of {count(place.wanted, 'container')} running{workers}"


def _kept(kept: Kept) -> str:
    marks = [m for m in ("bad" if kept.mark == "bad" else "", "" if kept.whole else "not whole") if m]
    return f"{kept.tag} ({kept.release}{''.join(', ' + m for m in marks)})"
