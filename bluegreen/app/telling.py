"""What a guard says while it watches: whom it guards, and how it stands with that."""

from __future__ import annotations

from bluegreen.app.guarding import Subject
from bluegreen.app.site import Site
from bluegreen.model.events import Event
from bluegreen.model.judging import Outcome, Verdict

TELL_EVERY = 30.0
"""Seconds after which the numbers are told again while nothing is decided."""


class Telling:
    """Tells a verdict where it is another one, also where somebody came after nobody; while nothing is decided its
    numbers from time to time."""

    def __init__(self) -> None:
        self._kind: object = None  # of the verdict that was told last
        self._reason = ""
        self._at = 0.0

    def tell(self, site: Site, verdict: Verdict | None) -> None:
        if verdict is None:
            return
        now, kind = site.clock(), _kind(verdict)
        late = verdict.outcome is Outcome.INCONCLUSIVE and now - self._at >= TELL_EVERY
        if kind == self._kind and not (late and verdict.reason != self._reason):
            return
        self._kind, self._reason, self._at = kind, verdict.reason, now
        data = {"outcome": str(verdict.outcome), "share": verdict.share, "warnings": list(verdict.warnings)}
        site.emit(Event("guard", "verdict", verdict.candidate, verdict.reason, data=data))


def _kind(verdict: Verdict) -> object:
    """What makes it another one. Its numbers don't, nor those of its warnings."""
    anybody = any(evidence.name in ("pass", "bake") and evidence.candidate.of for evidence in verdict.evidence)
    warnings = ["".join(c for c in warning if not c.isdigit() and c != ".") for warning in verdict.warnings]
    return verdict.candidate, verdict.share, verdict.outcome, anybody, warnings


def say_subject(site: Site, subject: Subject | None) -> None:
    if subject is None:
        site.emit(Event("guard", "idle", "", "nothing has to be guarded now"))
        return
    data = {"release": subject.release.number, "kind": subject.kind, "slot": subject.slot}
    beside = f" beside {subject.live.tag}" if subject.kind == "canary" and subject.live else ""
    what = "the candidate" if subject.kind == "canary" else "since its switch,"
    site.emit(Event("guard", "subject", subject.release.tag, f"{what} {subject.release.tag}{beside}", data=data))
