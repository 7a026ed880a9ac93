"""The screen of `resume` and `abort`, and its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bluegreen.cli.layout import Page

if TYPE_CHECKING:
    from bluegreen.app.recover import Recovered
    from bluegreen.model.release import Release


def data(found: Recovered) -> dict[str, Any]:
    """``resume --json`` and ``abort --json``."""
    return {
        "operation": found.operation,
        "live": _release(found.live),
        "standby": _release(found.standby),
        "candidate": _release(found.candidate),
        "share": found.share,
    }


def lines(page: Page, found: Recovered) -> list[str]:
    if found.outcome == "finished":
        page.field("FINISHED", f"{found.operation} went on to its end")
    elif found.outcome == "aborted":
        what = "the candidate is removed" if found.operation == "candidate" else f"{found.operation} is put back"
        if found.candidate is not None and found.share:
            page.field("ABORTED", f"{found.candidate.tag} has lost its {found.share} % of visitors; {what}")
        else:
            page.field("ABORTED", what)
    else:
        page.field("NOTHING TO DO", found.operation)
    page.field("LIVE", found.live.tag if found.live else "nothing")
    page.field("STANDBY", f"{found.standby.tag}, warm" if found.standby else "none is warm")
    return page.lines


def _release(release: Release | None) -> dict[str, Any] | None:
    return {"release": release.number, "tag": release.tag} if release else None
