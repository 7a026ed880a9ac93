"""`watch`: guard a project. What the log says is judged as it comes, and a release that fails is taken back.

What is judged, and by what, is in `bluegreen.app.guarding`; what is done about it in `bluegreen.app.acting`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from bluegreen.app.acting import Acting, Action
from bluegreen.app.canary import abandoned, end_abandoned
from bluegreen.app.facts import Looker
from bluegreen.app.guarding import Guard, Subject, moment
from bluegreen.app.site import Site, not_here
from bluegreen.app.telling import Telling, say_subject
from bluegreen.app.traffic import RowKeeper
from bluegreen.judge.wording import Clock, utc
from bluegreen.model.errors import BluegreenError, EngineFailed, EngineUnreachable, Held, ProxyFailed
from bluegreen.model.guard import GuardCheck
from bluegreen.model.judging import Verdict
from bluegreen.model.observed import Observed
from bluegreen.model.value import dataclass
from bluegreen.proxy.session import ProxySession
from bluegreen.traffic.lines import parse, pieces

TICK = 0.2
"""Seconds that a look waits for new lines, at most."""

ROWS_EVERY = 10.0

LOST_AGAIN = 1.0
"""Seconds between two attempts to reach an engine or a proxy that has gone away."""


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


class _Progress:
    """What has to outlast a lost session."""

    def __init__(self) -> None:
        self.position: Mapping[str, Any] | None = None
        self.requests = 0
        self.missed = 0
        self.unreadable = 0
        self.rows_due = float("-inf")
        self.not_ended = ""  # why a canary that was left could not be, last
        self.verdict: Verdict | None = None
        self.subject: Subject | None = None
        self.telling = Telling()


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
    guard, acting, progress, start = Guard(clock), Acting(site, act=act), _Progress(), site.clock()
    site.executor(None, None)  # imported now, and not on the way back
    looker = Looker(site, checks)
    lost = False
    while True:
        try:
            with site.session() as session:
                if lost:
                    site.notice("the proxy answers again: guarding goes on")
                    lost = False
                _follow(site, session, guard, acting, looker, progress, enough, act=act)
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
        tuple(acting.actions),
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
        raise not_here(site) from error


def _follow(
    site: Site,
    session: ProxySession,
    guard: Guard,
    acting: Acting,
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
            say_subject(site, guard.subject)
        for piece in pieces(part.data):
            lines = parse(piece)
            guard.read(lines.hits)
            acting.see(lines.hits, guard.subject)
            progress.requests += len(lines.hits)
            progress.unreadable += lines.unreadable
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
        acting.decide(session, guard, observed, now, read)
        if rows.full or (caught_up and read >= progress.rows_due):
            progress.rows_due = read + ROWS_EVERY
            with suppress(ProxyFailed):  # a full volume of the log: what is judged doesn't depend on the rows
                rows.keep()
        glance = Glance(observed, guard.subject, verdict, tuple(acting.actions), now, caught_up)
        if acting.settled(now) and enough(glance):
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
