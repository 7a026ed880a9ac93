"""`prove`: put what is live under load while it switches to what stands by, and back, and leave it as it was."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from bluegreen.app.proving import CONNECTIONS, Proof, heard, need_sound, proving
from bluegreen.app.rollback import rollback, switch
from bluegreen.app.site import Site, need_ended, need_journal
from bluegreen.model.errors import BluegreenError, Exit, Held, Refused
from bluegreen.model.events import Event
from bluegreen.model.history import History, ReleaseRecord
from bluegreen.model.observed import Observed
from bluegreen.model.prove import ProveSettings
from bluegreen.model.release import Release
from bluegreen.prove.receipt import Receipt

SWITCHES = 20
REASON = "bg prove"
QUIET = 1.0
"""Seconds of load before the first switch and after the last."""
BETWEEN = 0.2
"""Seconds between two switches: long enough for every client to meet the new release."""
ATTEMPTS = 5


class Enough:
    """Whether the user has had enough. A signal's handler sets it: an event has a lock, which the code that was
    interrupted may be holding."""

    def __init__(self) -> None:
        self._said = False

    def set(self) -> None:
        self._said = True

    def is_set(self) -> bool:
        return self._said

    def wait(self, seconds: float) -> None:
        """So long, or until it is said."""
        until = time.monotonic() + seconds
        while not self._said and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))


@dataclass(frozen=True, slots=True)
class ProveRequest:
    """``switches`` None: as many as ``seconds`` allow. ``stop`` is set when the user has had enough."""

    settings: ProveSettings | None = None
    why_no_settings: str = ""
    switches: int | None = SWITCHES
    seconds: float | None = None
    connections: int = CONNECTIONS
    stop: Enough = field(default_factory=Enough)


@dataclass(frozen=True, slots=True)
class ProveResult:
    """``trouble`` is what ended the switching early."""

    receipt: Receipt
    live: Release
    standby: Release
    stopped: bool = False
    trouble: BluegreenError | None = None


def prove(site: Site, request: ProveRequest) -> ProveResult:
    """Raises `Refused` where nothing stands by warm, and `BluegreenError` where what was live could not be made live
    again: the project then serves the other release, whole."""
    with site.session() as session:
        observed = site.observe(session, networks=False)
        live, standby = _pair(observed)
        try:
            with proving(
                site,
                session,
                observed,
                request.settings,
                why_no_settings=request.why_no_settings,
                connections=request.connections,
            ) as proof:
                course = _Course(site, proof, request, live, standby, observed.history)
                trouble = course.run()
                receipt = proof.finish()
        except BaseException:
            with suppress(BluegreenError):  # it must not hide what went wrong
                _restore_marks(site, observed.history, (live, standby))
            raise
        _restore_marks(site, observed.history, (live, standby))
    return ProveResult(receipt, live, standby, request.stop.is_set(), trouble)


def _pair(observed: Observed) -> tuple[Release, Release]:
    need_journal(observed)
    need_ended(observed)
    live, standby = observed.live_release, observed.standby
    if live is None:
        raise Refused("prove.nothing-live", "nothing is live yet: there is nothing to prove", next=("bg deploy TAG",))
    if standby is None:
        candidate = observed.candidate
        if candidate is not None:
            raise Refused(
                "prove.no-standby",
                f"{candidate.tag} is a candidate in the idle slot; a proof switches to a release that stands by",
                next=(f"bg switch {candidate.tag}    then {live.tag} stands by", "bg abort    removes the candidate"),
            )
        raise Refused(
            "prove.no-standby",
            f"{live.tag} is live and no release stands by warm, so there is nothing to switch to and back",
            next=("bg deploy TAG    then what is live now stands by",),
        )
    return live, standby


class _Course:
    """The switches of a proof: there by one verb, back by the other, and home at the end."""

    def __init__(
        self,
        site: Site,
        proof: Proof,
        request: ProveRequest,
        live: Release,
        standby: Release,
        history: History,
    ) -> None:
        self._site = site
        self._proof = proof
        self._request = request
        self._home, self._away = live, standby
        self._here = live
        # A rollback never goes to a release marked bad by itself; a switch does, and takes the mark away.
        self._verb = "switch" if history.is_bad(standby.number) else "rollback"
        self._moving = replace(site, emit=heard(site, proof))

    def run(self) -> BluegreenError | None:
        """Until enough switches are made, the time is over, or somebody has had enough. Answers what went wrong."""
        stop, request = self._request.stop, self._request
        trouble: BluegreenError | None = None
        try:
            stop.wait(QUIET)
            need_sound(self._proof)
            until = None if request.seconds is None else time.monotonic() + request.seconds
            made = 0
            while not stop.is_set() and (request.switches is None or made < request.switches):
                if until is not None and time.monotonic() >= until:
                    break
                self._move()
                made += 1
                stop.wait(BETWEEN)
            if stop.is_set():
                self._site.notice("interrupted: no further switch, and back to what was live before")
        except (Held, Refused) as error:
            trouble = error
        finally:
            self._go_home()
        threading.Event().wait(QUIET)
        return trouble

    def _move(self) -> None:
        there = self._away if self._here is self._home else self._home
        self._proof.asks(self._verb, self._here.drain)
        if self._verb == "rollback":
            result = rollback(self._moving, reason=REASON)
        else:
            result = switch(self._moving, str(there.number), reason=REASON)
        if result.release.number != there.number or result.previous is None:
            raise _Elsewhere("prove.elsewhere", f"{result.release.tag} has the traffic: somebody else moves it too")
        self._here = there
        self._verb = "switch" if self._verb == "rollback" else "rollback"
        number = len(self._proof.movements)
        data = {"switches": number, "lost": self._proof.lost, "tag": there.tag, "slot": str(result.slot)}
        self._site.emit(Event("progress", "prove", there.tag, f"switch {number}", data=data))

    def _go_home(self) -> None:
        """What was live before is live again. Leaves alone what somebody else has moved since."""
        for attempt in range(ATTEMPTS):
            with self._site.session() as session:
                observed = self._site.observe(session, networks=False)
            live = observed.live_release
            if live is None or live.number == self._home.number:
                return
            if live.number != self._here.number:
                self._site.notice(f"{live.tag} has the traffic: somebody else moved it meanwhile, and it stays there")
                return
            try:
                self._move()
            except BluegreenError as error:
                if attempt == ATTEMPTS - 1 or isinstance(error, Refused):
                    raise BluegreenError(
                        "prove.not-restored",
                        f"{live.tag} has the traffic, where {self._home.tag} had it before the proof: {error.problem}",
                        next=(f"bg switch {self._home.tag}", "bg status"),
                        exit=Exit.INCOMPLETE,
                    ) from error
                threading.Event().wait(1.0)


class _Elsewhere(Refused):
    """Traffic went where this proof did not send it."""


def _restore_marks(site: Site, before: History, releases: tuple[Release, ...]) -> None:
    """A proof says nothing about a release: what it was marked before it is marked again."""
    with site.session() as session:
        after = site.observe(session, networks=False).history
        events = []
        for release in releases:
            was, now = _mark(before.releases.get(release.number)), _mark(after.releases.get(release.number))
            if was != now and now["reason"] in (None, REASON, "switched to on purpose"):
                events.append({"event": "marked", "release": release.number, **was})
        if events:
            session.run([{"op": "append", "events": events}])


def _mark(record: ReleaseRecord | None) -> Mapping[str, Any]:
    return {"mark": record.mark if record else None, "reason": record.reason if record else None}
