"""The screen of `wait`, and its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bluegreen.cli.layout import Page
from bluegreen.model.errors import Exit

if TYPE_CHECKING:
    from bluegreen.app.waiting import Waited

_EXITS = {
    "taken-back": Exit.VERDICT,
    "alarmed": Exit.VERDICT,
    "ended": Exit.INCONCLUSIVE,
    "undecided": Exit.INCONCLUSIVE,
}


def exit_of(found: Waited) -> int:
    return _EXITS.get(found.outcome, Exit.DONE)


def data(project: str, found: Waited) -> dict[str, Any]:
    """``wait --json``."""
    return {
        "project": project,
        "release": found.release,
        "tag": found.tag,
        "live": found.live,
        "reason": found.reason or None,
        "seconds": round(found.seconds, 1),
    }


def lines(page: Page, found: Waited) -> list[str]:
    tag = found.tag
    words = {
        "nothing": ("NOTHING", "to wait for: no release was ever tried"),
        "promoted": ("PROMOTED", f"{tag} has all visitors"),
        "good": ("GOOD", f"the time for which {tag} is guarded is over, without an alarm"),
        "taken-back": ("TAKEN BACK", f"{tag}: {found.live} is live"),
        "alarmed": ("ALARM", f"{tag}, and nothing was taken back"),
        "ended": ("ENDED", f"{tag} was removed or replaced without a verdict; {found.live} is live"),
        "undecided": ("UNDECIDED", f"nothing has been decided about {tag} in {found.seconds:.0f} s"),
    }
    page.field(*words[found.outcome])
    if found.reason:
        page.field("WHY", found.reason)
    if found.outcome == "undecided":
        page.commands("NEXT", ["bg canary    how visitors are shared", "bg watch    judges and acts", "bg status"])
    elif found.outcome in ("taken-back", "alarmed"):
        page.commands("NEXT", ["bg why", "bg history", "bg status"])
    return page.lines
