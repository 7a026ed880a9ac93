"""`wait`: until it is decided what becomes of a candidate, or of a release that was switched to.

A guard acts within seconds, so what is waited for may have happened before: nothing here depends on having seen it.
"""

from __future__ import annotations

from bluegreen.app.guarding import FORWARD, moment
from bluegreen.app.site import Site, not_here
from bluegreen.model.errors import ProxyFailed, Refused
from bluegreen.model.history import ReleaseRecord, Switch
from bluegreen.model.observed import Observed
from bluegreen.model.release import Release
from bluegreen.model.value import dataclass

LOOK_EVERY = 0.5
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Waited:
    """``outcome``: promoted; good (its guarded time is over, without an alarm); taken-back (it is marked bad); alarmed
    (since it is what it is a guard gave an alarm, and took nothing back); ended (aborted or replaced, not marked bad);
    undecided (the time was over first); nothing (no release was ever tried)."""

    outcome: str
    release: int | None
    tag: str | None
    live: str | None  # the tag that is live now
    reason: str = ""  # of a mark, an alarm, or a failure
    seconds: float = 0.0


def wait(site: Site, name: str | None = None, timeout: float | None = None) -> Waited:
    """Wait for the release with this tag or number, at most ``timeout`` seconds; None: for the candidate, else the one
    that visitors were sent to last. Decides nothing: a guard, or somebody, does.

    Raises `Refused` where there is no such release, or nothing of the project on the engine.
    """
    try:
        return _wait(site, name, timeout)
    except ProxyFailed as error:
        if site.engine.containers(site.name):
            raise
        raise not_here(site) from error


def _wait(site: Site, name: str | None, timeout: float | None) -> Waited:
    start = site.clock()
    with site.session() as session:
        observed = site.observe(session, networks=False)
        number = _last_tried(observed) if name is None else _named(observed, name)
        candidate = _candidate(observed)
        tried = candidate is not None and candidate.number == number
        outcome, reason = "nothing", ""
        while number is not None:
            outcome, reason = _became(observed, number, tried=tried)
            if not outcome and timeout is not None and site.clock() - start >= timeout:
                outcome = "undecided"
            if outcome:
                break
            site.pause(LOOK_EVERY)
            observed = site.observe(session, networks=False)
    live = observed.live_release
    tag = _record(observed, number).tag if number is not None else None
    return Waited(outcome, number, tag, live.tag if live else None, reason, site.clock() - start)


def _became(observed: Observed, number: int, *, tried: bool) -> tuple[str, str]:
    """What became of a release, and why; "" while that is open. ``tried``: it was a candidate when waiting began."""
    record, live, candidate = _record(observed, number), observed.live_release, _candidate(observed)
    is_live = live is not None and live.number == number
    is_candidate = candidate is not None and candidate.number == number
    if is_live and tried:
        return "promoted", ""
    # The mark comes after the switch, and goes after one to it on purpose: what has visitors is not taken back.
    if record.mark == "bad" and not is_live and not (is_candidate and observed.share):
        return "taken-back", record.reason or ""
    switch = next((s for s in reversed(observed.history.switches) if s.to == number), None)
    since = _tried_since(observed, number) if is_candidate or switch is None else moment(switch.at)
    alarm_at = moment(record.alarm_at or "")
    if alarm_at is not None and since is not None and alarm_at >= since:
        return "alarmed", record.alarm or ""
    if is_candidate:
        return "", ""
    until = _guarded_until(observed, number, switch)
    if is_live:
        return ("good", "") if until is None or (moment(observed.proxy.clock) or 0.0) >= until else ("", "")
    left = moment(record.left or "")
    if until is not None and left is not None and left >= until:
        return "good", ""
    # Between a switch away and its mark the operation that makes both is under way.
    return ("", "") if observed.history.unfinished else ("ended", record.failure or "")


def _guarded_until(observed: Observed, number: int, switch: Switch | None) -> float | None:
    """Seconds since 1970; None where it never was guarded, or the engine does not know any more for how long."""
    release, since = observed.release(number), moment(switch.at) if switch else None
    if switch is None or switch.kind not in FORWARD or release is None or since is None:
        return None
    return since + release.guard.after_switch


def _tried_since(observed: Observed, number: int) -> float | None:
    """When a candidate's first visitors came."""
    return next((moment(s.at) for s in observed.history.shifts_of(number) if s.share), None)


def _candidate(observed: Observed) -> Release | None:
    """What is in the idle slot and neither live nor the standby, with visitors or without."""
    return observed.tried.release if observed.tried is not None else observed.candidate


def _last_tried(observed: Observed) -> int | None:
    """The candidate, else the release that visitors were last sent to, as a candidate or all of them."""
    candidate = _candidate(observed)
    if candidate is not None:
        return candidate.number
    sent = [(s.at, s.to) for s in observed.history.switches if s.kind in FORWARD]
    sent += [(s.at, s.release) for s in observed.history.shifts if s.share]
    return max(sent)[1] if sent else None


def _named(observed: Observed, name: str) -> int:
    """The newest release with this tag, else the one with this number."""
    tags = {number: record.tag for number, record in observed.history.releases.items()}
    tags |= {r.number: r.tag for r in (observed.live_release, _candidate(observed)) if r is not None}
    found = [number for number, tag in tags.items() if tag == name] or [n for n in tags if str(n) == name]
    if not found:
        raise Refused("wait.unknown", f"no release {name} is known", next=("bg history",))
    return max(found)


def _record(observed: Observed, number: int) -> ReleaseRecord:
    """What is known of it, also where the journal was lost."""
    release = observed.release(number)
    known = observed.history.releases.get(number)
    return known or ReleaseRecord(number, release.tag if release else f"#{number}")
