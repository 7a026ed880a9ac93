"""`watch`: guard a project. What the log says is judged as it comes, and a release that fails is taken back.

Taking back is `bluegreen.app.rollback.rollback`, as the command does it. It is done once for one cause, never to a
release that is marked bad; where there is no way back, and where live fails beside a candidate, there is an alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from bluegreen.app.canary import abandoned, end_abandoned
from bluegreen.app.facts import Looker
from bluegreen.app.guarding import Guard, Subject, alarming, moment
from bluegreen.app.opening import Opening
from bluegreen.app.rollback import MoveResult, rollback
from bluegreen.app.site import Site
from bluegreen.app.traffic import RowKeeper
from bluegreen.judge.wording import Clock, utc
from bluegreen.model.errors import BluegreenError, EngineFailed, EngineUnreachable, Held, ProxyFailed, Refused
from bluegreen.model.events import Event
from bluegreen.model.guard import GuardCheck
from bluegreen.model.judging import Outcome, Verdict
from bluegreen.model.observed import Observed
from bluegreen.model.value import dataclass
from bluegreen.planning.proxysteps import Flip, Shift
from bluegreen.proxy.session import ProxySession
from bluegreen.traffic.lines import Hit, Lines, parse, pieces

TICK = 0.2
"""Seconds that a look waits for new lines, at most."""

TELL_EVERY = 30.0
"""Seconds after which the numbers are told again while nothing is decided."""

ROWS_EVERY = 10.0
ATTEMPTS = 5
"""At taking one release back."""

SETTLE_SECONDS = 2.0
"""For which answers of a release are counted after it was taken back: what was on its way, and the log's delay."""

MOST_HURT = 100_000
"""Clients that are told apart."""

BY_THE_GUARD = "the guard: "
"""How the reason begins of what it has taken back."""

LOST_AGAIN = 1.0
"""Seconds between two attempts to reach an engine or a proxy that has gone away."""


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


@dataclass(frozen=True, slots=True)
class Watched:
    """How watching ended. ``verdict``: the last one, of what is or was guarded last."""

    verdict: Verdict | None
    subject: Subject | None
    actions: tuple[Action, ...] = ()
    seconds: float = 0.0
    requests: int = 0
    missed: int = 0  # bytes of the log that were gone before they could be read
    unreadable: int = 0  # lines


@dataclass(frozen=True, slots=True)
class Glance:
    """How things stand, for whoever decides when to stop watching."""

    observed: Observed
    subject: Subject | None
    verdict: Verdict | None
    actions: tuple[Action, ...]
    now: float  # seconds since 1970, by the proxy's clock
    caught_up: bool  # everything that the log had was read


Enough = Callable[[Glance], bool]


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


class _Telling:
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


class _Progress:
    """What has to outlast a lost session."""

    def __init__(self) -> None:
        self.position: Mapping[str, Any] | None = None
        self.requests = 0
        self.missed = 0
        self.unreadable = 0
        self.actions: list[Action] = []
        self.acted: set[tuple[str, tuple[str, int, float]]] = set()
        self.rows_due = float("-inf")
        self.failures = 0  # of taking back what is guarded now
        self.not_ended = ""  # why a canary that was left could not be, last
        self.verdict: Verdict | None = None
        self.subject: Subject | None = None
        self.harm: _Harm | None = None
        self.telling = _Telling()

    def see(self, lines: Lines, subject: Subject | None) -> None:
        """``subject`` is what is guarded now; what was before is followed until its last answers are in."""
        self.requests += len(lines.hits)
        self.unreadable += lines.unreadable
        ending = self.harm is not None and self.harm.until is not None
        if subject is not None and not ending and (self.harm is None or self.harm.subject.key != subject.key):
            self.harm = _Harm(subject)
        if self.harm is not None:
            self.harm.see(lines.hits)
            self.count_harm(self.harm)

    def count_harm(self, harm: _Harm) -> None:
        number = next((n for n, action in enumerate(self.actions) if action.subject.key == harm.subject.key), None)
        if number is not None:
            self.actions[number] = replace(self.actions[number], errors=harm.errors, clients=len(harm.hurt))

    def settled(self, now: float) -> bool:
        """Whether nothing is missing from what actions say."""
        if self.harm is None or self.harm.until is None:
            return True
        if now < self.harm.until:
            return False
        self.harm = None
        return True


def watch(
    site: Site,
    enough: Enough,
    *,
    act: bool = True,
    checks: Sequence[GuardCheck] = (),
    clock: Clock = utc,
    stopped: Callable[[], bool] | None = None,
) -> Watched:
    """Guard until it is ``enough``. With ``act`` False nothing is taken back, and what would be is told.

    An engine or a proxy that is lost is waited for, until it has been ``stopped``. Raises `Refused` where nothing of
    the project is on the engine at the beginning.
    """
    guard, progress, start = Guard(clock), _Progress(), site.clock()
    site.executor(None, None)  # imported now, and not on the way back
    looker = Looker(site, checks)
    lost = False
    while True:
        try:
            with site.session() as session:
                if lost:
                    site.notice("the proxy answers again: guarding goes on")
                    lost = False
                _follow(site, session, guard, looker, progress, enough, act=act)
                break
        except (ProxyFailed, EngineFailed, EngineUnreachable) as error:
            if stopped is not None and stopped():
                break
            if not lost:
                _need_here(site, error)
                site.notice(f"nothing is guarded now: {error.problem}; trying again every {LOST_AGAIN:g} s")
            lost = True
            site.pause(LOST_AGAIN)
    return Watched(
        progress.verdict,
        progress.subject,
        tuple(progress.actions),
        site.clock() - start,
        progress.requests,
        progress.missed,
        progress.unreadable,
    )


def _need_here(site: Site, error: BluegreenError) -> None:
    """A project that isn't there will not come back by waiting."""
    try:
        here = bool(site.engine.containers(site.name))
    except BluegreenError:
        return  # the engine is what is lost
    if not here:
        raise Refused(
            "project.not-here",
            f"nothing of a project {site.name} is on this engine",
            next=("bg status -p NAME    if it has another name",),
        ) from error


def _follow(
    site: Site,
    session: ProxySession,
    guard: Guard,
    looker: Looker,
    progress: _Progress,
    enough: Enough,
    *,
    act: bool,
) -> None:
    rows = RowKeeper(session)
    for part in session.follow(progress.position, oldest=progress.position is None, seconds=TICK):
        # The picture comes after the lines: each of them is judged by a share that is known.
        observed = site.observe(session, networks=False)
        if act and abandoned(observed):
            observed = _end_abandoned(site, session, progress, observed)
        if guard.look(observed):
            _say_subject(site, guard.subject)
        for piece in pieces(part.data):
            lines = parse(piece)
            guard.read(lines.hits)
            progress.see(lines, guard.subject)
            rows.count(lines.hits)
        rows.read(part)
        progress.position = part.position
        if part.missed:
            progress.missed += part.missed
            site.notice(f"{part.missed} bytes of the access log were gone before they were read: it turns too fast")
        now, read = moment(observed.proxy.clock) or 0.0, site.clock()
        caught_up = not part.behind
        if guard.subject is not None and guard.subject.kind == "canary":
            guard.facts(looker.look(observed, guard.subject))
        verdict = guard.verdict(now)
        progress.telling.tell(site, verdict)
        progress.verdict = verdict or progress.verdict
        progress.subject = guard.subject or progress.subject
        _decide(site, session, guard, progress, observed, now, read, act=act)
        if rows.full or (caught_up and read >= progress.rows_due):
            progress.rows_due = read + ROWS_EVERY
            with suppress(ProxyFailed):  # a full volume of the log: what is judged doesn't depend on the rows
                rows.keep()
        glance = Glance(observed, guard.subject, verdict, tuple(progress.actions), now, caught_up)
        if progress.settled(now) and enough(glance):
            return


def _end_abandoned(site: Site, session: ProxySession, progress: _Progress, observed: Observed) -> Observed:
    """What fails is tried again at the next look; what is there is guarded all the same."""
    try:
        return end_abandoned(site, session, observed)
    except Held:
        return observed  # somebody else is quicker
    except (ProxyFailed, EngineFailed, EngineUnreachable):
        raise
    except BluegreenError as error:
        if progress.not_ended != str(error.problem):
            progress.not_ended = str(error.problem)
            site.notice(f"the canary that was left could not be ended: {error.problem}; trying again")
        return site.observe(session, networks=False)


def _decide(
    site: Site,
    session: ProxySession,
    guard: Guard,
    progress: _Progress,
    observed: Observed,
    now: float,
    read: float,
    *,
    act: bool,
) -> None:
    """``read``: when everything had been read, by the site's clock."""
    subject, verdict = guard.subject, guard.verdict(now)
    if subject is None or verdict is None:
        return
    if alarming(guard.live_alarm) and ("live", subject.key) not in progress.acted:
        progress.acted.add(("live", subject.key))
        assert guard.live_alarm is not None  # noqa: S101 - for the type checker
        why = "live itself fails more often than it did, and no release is known that would do better"
        _alarm(site, session, progress, observed, Action("alarm", "live", subject, guard.live_alarm, why))
    if verdict.outcome is not Outcome.FAIL or ("back", subject.key) in progress.acted:
        return
    progress.acted.add(("back", subject.key))
    if not act:
        why = "this only watches: nothing is taken back"
        _alarm(site, session, progress, observed, Action("alarm", "told", subject, verdict, why))
        return
    detect = (now - guard.crossed) * 1000 if guard.crossed is not None else None
    decided = site.clock()
    flip = _Flip(site)
    try:
        moved = rollback(
            replace(site, emit=flip),
            reason=f"{BY_THE_GUARD}{verdict.reason}",
            # The session that follows the log: starting another agent takes longer than the rest of a rollback.
            opening=Opening(site, session),
            losing=subject.release.number,
        )
    except BluegreenError as error:
        if error.code == "rollback.moot":
            return  # somebody else took it back, or removed it
        if not isinstance(error, Refused) and not _has_visitors(site, session, subject):
            done = Action("taken-back", "release", subject, verdict, str(error.problem), None, detect)
            _note(site, session, progress, done)
            if progress.harm is not None:
                progress.harm.until = now + SETTLE_SECONDS
            return
        draft = Action("alarm", "release", subject, verdict, str(error.problem), detect_ms=detect)
        _not_taken_back(site, session, progress, observed, draft, error)
        return
    decide = (decided - read) * 1000
    execute = ((flip.at or site.clock()) - decided) * 1000
    done = Action("taken-back", "release", subject, verdict, "", moved, detect, decide, execute)
    _note(site, session, progress, done)
    if progress.harm is not None:
        progress.harm.until = now + SETTLE_SECONDS


def _has_visitors(site: Site, session: ProxySession, subject: Subject) -> bool:
    """Whether a release still has some after a rollback that failed: it may have done so after it had moved them."""
    observed = site.observe(session, networks=False)
    there = observed.tried.release if observed.tried and subject.kind == "canary" else observed.live_release
    return (
        there is not None
        and there.number == subject.release.number
        and (subject.kind == "bake" or observed.share > 0 or observed.live is subject.slot)
    )


def _not_taken_back(
    site: Site,
    session: ProxySession,
    progress: _Progress,
    observed: Observed,
    alarm: Action,
    error: BluegreenError,
) -> None:
    """A refusal is final. What failed is tried again at the next look, so often as makes sense."""
    if not isinstance(error, Refused):
        progress.failures += 1
        if progress.failures < ATTEMPTS:
            progress.acted.discard(("back", alarm.subject.key))
            site.notice(f"{alarm.subject.release.tag} could not be taken back ({error.problem}): trying again")
            return
    progress.failures = 0
    _alarm(site, session, progress, observed, alarm)


def _alarm(site: Site, session: ProxySession, progress: _Progress, observed: Observed, action: Action) -> None:
    """Once for one cause, also where this guard was started again, or is not the only one."""
    known = observed.history.releases.get(action.subject.release.number)
    at = moment(known.alarm_at or "") if known and known.alarm_cause == action.cause else None
    if known is None or at is None or at < action.subject.since:
        _note(site, session, progress, action)
        return
    progress.actions.append(action)
    site.notice(f"there was an alarm for this at {known.alarm_at} already: {known.alarm}")


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


def _note(site: Site, session: ProxySession, progress: _Progress, action: Action) -> None:
    """Tell it, and write it into the journal: `why` and `history` show it later."""
    progress.actions.append(action)
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
        "by": site.by,
        "why_not": action.why_not,
        "ms": {"detect": action.detect_ms, "decide": action.decide_ms, "execute": action.execute_ms},
    }
    answer = session.send([{"op": "append", "events": [event]}])
    if not answer or not answer[0].get("ok"):
        site.notice("the verdict could not be written into the journal (bg doctor says more)")
    site.emit(Event("guard", action.did, verdict.candidate, verdict.reason, action.execute_ms, event))


def horizon_of(subject: Subject) -> int | None:
    """The answers over which the bound of a release without a control group holds; None beside live."""
    return subject.release.guard.judge.bake_horizon if subject.kind == "bake" else None


def _say_subject(site: Site, subject: Subject | None) -> None:
    if subject is None:
        site.emit(Event("guard", "idle", "", "nothing has to be guarded now"))
        return
    data = {"release": subject.release.number, "kind": subject.kind, "slot": subject.slot}
    beside = f" beside {subject.live.tag}" if subject.kind == "canary" and subject.live else ""
    what = "the candidate" if subject.kind == "canary" else "since its switch,"
    site.emit(Event("guard", "subject", subject.release.tag, f"{what} {subject.release.tag}{beside}", data=data))
