"""What a guard does about a verdict: it takes the release back, once for one cause, or gives an alarm.

Taking back is `bluegreen.app.rollback.rollback`, as the command does it, and never to a release that is marked bad.
Where there is no way back, and where live fails beside a candidate, there is an alarm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bluegreen.app.guarding import Guard, Subject, alarming, moment
from bluegreen.app.opening import Opening
from bluegreen.app.rollback import MoveResult, rollback
from bluegreen.app.site import Site
from bluegreen.model.errors import BluegreenError, Refused
from bluegreen.model.events import Event
from bluegreen.model.judging import Outcome, Verdict
from bluegreen.model.observed import Observed
from bluegreen.model.value import dataclass
from bluegreen.planning.proxysteps import Flip, Shift
from bluegreen.proxy.session import ProxySession
from bluegreen.traffic.lines import Hit

ATTEMPTS = 5
"""At taking one release back."""

SETTLE_SECONDS = 2.0
"""For which answers of a release are counted after it was taken back: what was on its way, and the log's delay."""

MOST_HURT = 100_000
"""Clients that are told apart."""

BY_THE_GUARD = "the guard: "
"""How the reason begins of what it has taken back."""


@dataclass(frozen=True, slots=True)
class Action:
    """What a guard did about a verdict. Times are milliseconds, one after the other: from the end of the request that
    took the evidence over its threshold to its having been read; to the decision; to the moment at which the proxy
    confirmed that nobody is sent to the release any more."""

    did: str  # taken-back, alarm
    cause: str  # release: it fails; live: live does, beside it; told: it fails, and nobody was asked to act
    subject: Subject
    verdict: Verdict
    why_not: str = ""  # of an alarm: why nothing was taken back
    moved: MoveResult | None = None
    detect_ms: float | None = None
    decide_ms: float = 0.0
    execute_ms: float = 0.0
    errors: int = 0  # that visitors got of the release, those on their way when it was taken back included
    clients: int = 0  # who got them


class _Harm:
    """What a subject's visitors got of it, until what was on its way when it was taken back is answered."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.errors = 0
        self.hurt: set[str] = set()
        self.until: float | None = None  # None: goes on

    def see(self, hits: Iterable[Hit]) -> None:
        slot = str(self.subject.slot)
        for hit in hits:
            if hit.slot == slot and hit.error and hit.drawn and hit.at >= self.subject.since:
                self.errors += 1
                if len(self.hurt) < MOST_HURT:
                    self.hurt.add(hit.client)


class Acting:
    """What was done so far, which outlasts a lost session. With ``act`` False nothing is taken back."""

    def __init__(self, site: Site, *, act: bool) -> None:
        self.actions: list[Action] = []
        self._site = site
        self._act = act
        self._acted: set[tuple[str, tuple[str, int, float]]] = set()
        self._failures = 0  # of taking back what is guarded now
        self._harm: _Harm | None = None

    def see(self, hits: list[Hit], subject: Subject | None) -> None:
        """``subject`` is what is guarded now; what was before is followed until its last answers are in."""
        ending = self._harm is not None and self._harm.until is not None
        if subject is not None and not ending and (self._harm is None or self._harm.subject.key != subject.key):
            self._harm = _Harm(subject)
        if self._harm is not None:
            self._harm.see(hits)
            self._count_harm(self._harm)

    def settled(self, now: float) -> bool:
        """Whether nothing is missing from what actions say."""
        if self._harm is None or self._harm.until is None:
            return True
        if now < self._harm.until:
            return False
        self._harm = None
        return True

    def decide(self, session: ProxySession, guard: Guard, observed: Observed, now: float, read: float) -> None:
        """``now`` by the proxy's clock; ``read``: when everything had been read, by the site's."""
        subject, verdict = guard.subject, guard.verdict(now)
        if subject is None or verdict is None:
            return
        if alarming(guard.live_alarm) and ("live", subject.key) not in self._acted:
            self._acted.add(("live", subject.key))
            assert guard.live_alarm is not None  # noqa: S101 - for the type checker
            why = "live itself fails more often than it did, and no release is known that would do better"
            self._alarm(session, observed, Action("alarm", "live", subject, guard.live_alarm, why))
        if verdict.outcome is not Outcome.FAIL or ("back", subject.key) in self._acted:
            return
        self._acted.add(("back", subject.key))
        if not self._act:
            why = "this only watches: nothing is taken back"
            self._alarm(session, observed, Action("alarm", "told", subject, verdict, why))
            return
        detect = (now - guard.crossed) * 1000 if guard.crossed is not None else None
        begun = Action("taken-back", "release", subject, verdict, detect_ms=detect)
        decided = self._site.clock()
        flip = _Flip(self._site)
        try:
            moved = rollback(
                replace(self._site, emit=flip),
                reason=f"{BY_THE_GUARD}{verdict.reason}",
                # The session that follows the log: starting another agent takes longer than the rest of a rollback.
                opening=Opening(self._site, session),
                losing=subject.release.number,
            )
        except BluegreenError as error:
            self._failed(session, observed, replace(begun, why_not=str(error.problem)), error, now)
            return
        decide = (decided - read) * 1000
        execute = ((flip.at or self._site.clock()) - decided) * 1000
        self._taken_back(session, replace(begun, moved=moved, decide_ms=decide, execute_ms=execute), now)

    def _taken_back(self, session: ProxySession, action: Action, now: float) -> None:
        self._note(session, action)
        if self._harm is not None:
            self._harm.until = now + SETTLE_SECONDS

    def _failed(
        self, session: ProxySession, observed: Observed, action: Action, error: BluegreenError, now: float
    ) -> None:
        """A refusal is final. What failed is tried again at the next look, so often as makes sense."""
        if error.code == "rollback.moot":
            return  # somebody else took it back, or removed it
        if not isinstance(error, Refused):
            if not _has_visitors(self._site, session, action.subject):
                self._taken_back(session, action, now)
                return
            self._failures += 1
            if self._failures < ATTEMPTS:
                self._acted.discard(("back", action.subject.key))
                tag = action.subject.release.tag
                self._site.notice(f"{tag} could not be taken back ({error.problem}): trying again")
                return
        self._failures = 0
        self._alarm(session, observed, replace(action, did="alarm"))

    def _alarm(self, session: ProxySession, observed: Observed, action: Action) -> None:
        """Once for one cause, also where this guard was started again, or is not the only one."""
        known = observed.history.releases.get(action.subject.release.number)
        at = moment(known.alarm_at or "") if known and known.alarm_cause == action.cause else None
        if known is None or at is None or at < action.subject.since:
            self._note(session, action)
            return
        self.actions.append(action)
        self._site.notice(f"there was an alarm for this at {known.alarm_at} already: {known.alarm}")

    def _note(self, session: ProxySession, action: Action) -> None:
        """Tell it, and write it into the journal: `why` and `history` show it later."""
        self.actions.append(action)
        verdict = action.verdict
        event = {
            "event": "verdict",
            "release": action.subject.release.number,
            "outcome": str(verdict.outcome),
            "reason": verdict.reason,
            "did": action.did,
            "cause": action.cause,
            "share": verdict.share,
            "alpha_sum": verdict.alpha_sum,
            "horizon": horizon_of(action.subject),
            "by": self._site.by,
            "why_not": action.why_not,
            "ms": {"detect": action.detect_ms, "decide": action.decide_ms, "execute": action.execute_ms},
        }
        answer = session.send([{"op": "append", "events": [event]}])
        if not answer or not answer[0].get("ok"):
            self._site.notice("the verdict could not be written into the journal (bg doctor says more)")
        self._site.emit(Event("guard", action.did, verdict.candidate, verdict.reason, action.execute_ms, event))

    def _count_harm(self, harm: _Harm) -> None:
        number = next((n for n, action in enumerate(self.actions) if action.subject.key == harm.subject.key), None)
        if number is not None:
            self.actions[number] = replace(self.actions[number], errors=harm.errors, clients=len(harm.hurt))


def _has_visitors(site: Site, session: ProxySession, subject: Subject) -> bool:
    """Whether a release still has some after a rollback that failed: it may have done so after it had moved them."""
    observed = site.observe(session, networks=False)
    there = observed.tried.release if observed.tried and subject.kind == "canary" else observed.live_release
    return (
        there is not None
        and there.number == subject.release.number
        and (subject.kind == "bake" or observed.share > 0 or observed.live is subject.slot)
    )


class _Flip:
    """A rollback's events: passes on what is worth a line, and knows when traffic had been moved."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.at: float | None = None

    def __call__(self, event: Event) -> None:
        if event.kind == "step-done" and event.name in (Flip.verb, Shift.verb) and self.at is None:
            self.at = self._site.clock()
        if event.kind == "notice":
            self._site.emit(event)


def horizon_of(subject: Subject) -> int | None:
    """The answers over which the bound of a release without a control group holds; None beside live."""
    return subject.release.guard.judge.bake_horizon if subject.kind == "bake" else None
