"""The screen of `wait`, and its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bluegreen.cli.layout import Page
from bluegreen.model.errors import Exit

if TYPE_CHECKING:
    from bluegreen.app.waiting import Waited

_EXITS = {"taken-back": Exit.VERDICT, "ended": Exit.INCONCLUSIVE, "undecided": Exit.INCONCLUSIVE}


def exit_of(found: Waited) -> int:
    return _EXITS.get(found.outcome, Exit.DONE)


def data(project: str, found: Waited) -> dict[str, Any]:
    """``wait --json``."""
    release = found.subject.release if found.subject else None
    return {
        "project": project,
        "release": release.number if release else None,
        "tag": release.tag if release else None,
        "live": found.live,
        "reason": found.reason or None,
        "seconds": round(found.seconds, 1),
    }


def lines(page: Page, found: Waited) -> list[str]:
    if found.subject is None:
        page.field("NOTHING", f"to wait for: no candidate has visitors, and {found.live or 'nothing'} is not new")
        return page.lines
    tag = found.subject.release.tag
    words = {
        "promoted": ("PROMOTED", f"{tag} has all visitors"),
        "good": ("GOOD", f"{tag} has been live for as long as it is guarded"),
        "taken-back": ("TAKEN BACK", f"{tag}: {found.live} has all visitors"),
        "ended": ("ENDED", f"{tag} was removed or replaced without a verdict; {found.live} has all visitors"),
        "undecided": ("UNDECIDED", f"nothing has been decided about {tag} in {found.seconds:.0f} s"),
    }
    page.field(*words[found.outcome])
    if found.reason:
        page.field("WHY", found.reason)
    if found.outcome == "undecided":
        page.commands("NEXT", ["bg canary    how visitors are shared", "bg watch    judges and acts", "bg status"])
    return page.lines
