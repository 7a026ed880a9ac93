"""`wait`: until it is decided what becomes of a candidate, or of a release that was switched to not long ago."""

from __future__ import annotations

from bluegreen.app.guarding import Subject, subject_of
from bluegreen.app.site import Site
from bluegreen.model.observed import Observed
from bluegreen.model.value import dataclass

LOOK_EVERY = 0.5
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Waited:
    """``outcome``: promoted; good (its guarded time is over); taken-back; ended (aborted or replaced, not marked bad);
    undecided (the time was over first); nothing (there was nothing to wait for)."""

    outcome: str
    subject: Subject | None
    live: str | None  # the tag that is live now
    reason: str = ""  # of a mark
    seconds: float = 0.0


def wait(site: Site, timeout: float | None = None) -> Waited:
    """Wait, at most ``timeout`` seconds. Decides nothing: a guard, or somebody, does."""
    start = site.clock()
    with site.session() as session:
        observed = site.observe(session, networks=False)
        subject = subject_of(observed)
        while subject is not None:
            outcome, reason = _became(observed, subject)
            if outcome == "" and timeout is not None and site.clock() - start >= timeout:
                outcome = "undecided"
            if outcome:
                return _waited(site, observed, subject, outcome, reason, start)
            site.pause(LOOK_EVERY)
            observed = site.observe(session, networks=False)
        return _waited(site, observed, None, "nothing", "", start)


def _became(observed: Observed, subject: Subject) -> tuple[str, str]:
    """What became of it, and why; "" while that is open."""
    now = subject_of(observed)
    if now is not None and now.key == subject.key:
        return "", ""
    number, record = subject.release.number, observed.history.releases.get(subject.release.number)
    if record is not None and record.mark == "bad":
        return "taken-back", record.reason or ""
    live = observed.live_release
    if live is not None and live.number == number:
        return ("promoted", "") if subject.kind == "canary" else ("good", "")
    tried = observed.tried
    if subject.kind == "canary" and tried is not None and tried.release.number == number:
        return "", ""  # it has no visitors at the moment
    return "ended", ""


def _waited(site: Site, observed: Observed, subject: Subject | None, outcome: str, reason: str, start: float) -> Waited:
    live = observed.live_release
    return Waited(outcome, subject, live.tag if live else None, reason, site.clock() - start)
