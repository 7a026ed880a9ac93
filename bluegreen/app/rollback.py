"""`rollback` and `switch`. On the way to the flip nothing is imported or asked that isn't needed for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from typing import Any

from bluegreen.app.opening import Opening
from bluegreen.app.site import Site, begin, describe, end, lease, need_ended, need_journal, operation_id, still
from bluegreen.app.tools import ATTEMPTS, look_in_public, public_url, rendering, run_planned, tidy
from bluegreen.execution.executor import Executor
from bluegreen.execution.proxyside import probe_reason, smoke_request
from bluegreen.model.errors import BluegreenError, Overtaken, ProxyFailed, Refused, Stale
from bluegreen.model.events import Event
from bluegreen.model.history import Operation
from bluegreen.model.names import Slot
from bluegreen.model.observed import Observed
from bluegreen.model.release import Release
from bluegreen.model.value import dataclass
from bluegreen.planning.deploy import Deployment
from bluegreen.planning.place import from_kept
from bluegreen.planning.rollback import Target, choose, choose_promotion, choose_switch, plan_rollback
from bluegreen.planning.steps import Plan
from bluegreen.probes.public import Look
from bluegreen.proxy.session import ProxySession


@dataclass(frozen=True, slots=True)
class MoveResult:
    """``outcome``: switched, finished (an interrupted one), planned. ``smoke`` None: the release has none."""

    outcome: str
    kind: str  # rollback, switch, promote
    how: str  # warm, cold, staged, done, canary (the candidate has lost its share)
    release: Release
    slot: Slot
    previous: Release | None
    since: str
    flip_ms: float | None
    url: str | None
    public: Look | None = None  # None: the engine is elsewhere, and the address perhaps out of reach from here
    smoke: tuple[int, int] | None = None  # passed, all
    smoke_failures: tuple[str, ...] = ()
    connections: int = 0  # still open to the slot that was left
    plan: tuple[Mapping[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    share: int = 0  # percent of the visitors that the candidate had before


def rollback(
    site: Site,
    to: str | None = None,
    *,
    reason: str | None = None,
    dry_run: bool = False,
    opening: Opening | None = None,
    losing: int | None = None,
) -> MoveResult:
    """Take traffic back. Never waits for another operation: it takes over. Raises `Refused`, naming what works.

    ``losing`` is the number of the release that it is to be taken from, for who decided that on a look of a moment
    ago: raises `Refused`, code ``rollback.moot``, where it is another one by now.
    """
    with _first_picture(site, opening, dry_run=dry_run) as (session, observed):
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _need_losing(observed, losing)
                return _rollback(site, session, observed, to, reason, dry_run=dry_run)
            except Overtaken as error:
                if not isinstance(error, Stale) or attempt == ATTEMPTS:
                    raise _and_now(site, session, error) from error
                observed = site.observe(session, networks=False)
    raise AssertionError("the last attempt returns or raises")


def _and_now(site: Site, session: ProxySession, error: Overtaken) -> Overtaken:
    """Overtaken, and by whom, and where is the traffic now? Whoever types `rollback` needs that before all else."""
    try:
        now = site.observe(session, networks=False)
    except BluegreenError:
        return error
    other, live = now.history.unfinished, now.live_release
    under_way = f"{other} by {other.by} is under way" if other else "it has ended"
    candidate = f", {now.share} % of it at {now.tried.release.tag}" if now.share and now.tried else ""
    where = f"{live.tag} has the traffic{candidate}" if live else "nothing is live"
    return type(error)(error.code, f"{error.problem.message}. {under_way}, and {where}", next=error.problem.next)


def switch(site: Site, to: str, *, reason: str | None = None, dry_run: bool = False) -> MoveResult:
    """Go forward to a warm release: the standby, marked bad or not, or a staged candidate."""
    return _go_forward(site, "switch", lambda observed: choose_switch(observed, to), reason, dry_run=dry_run)


def promote(site: Site, *, reason: str | None = None, dry_run: bool = False, release: int | None = None) -> MoveResult:
    """Give the candidate all visitors: a switch, with all that it does. Raises `Refused` where there is none, or it is
    not ``release``."""
    return _go_forward(site, "promote", lambda observed: choose_promotion(observed, release), reason, dry_run=dry_run)


def _go_forward(
    site: Site, kind: str, target_of: Callable[[Observed], Target], reason: str | None, *, dry_run: bool
) -> MoveResult:
    with site.session() as session:
        observed = site.observe(session)
        need_journal(observed)
        if observed.history.unfinished is not None and not dry_run:
            from bluegreen.app.canary import end_abandoned

            observed = end_abandoned(site, session, observed)
        need_ended(observed, but=lambda o: o.kind == kind)
        target = target_of(observed)
        name = operation_id(kind)
        if dry_run:
            return _planned(observed, target, _plan(observed, target, kind, name, reason), kind)
        with lease(site, session, name) as epoch:
            observed = still(site, session, observed)
            return _move(site, session, epoch, observed, target, kind, name, reason)


def _need_losing(observed: Observed, losing: int | None) -> None:
    release = observed.tried.release if observed.share and observed.tried else observed.live_release
    if losing is not None and (release is None or release.number != losing):
        raise Refused(
            "rollback.moot",
            f"release {losing} is not what a rollback would take traffic from now: nothing was changed",
            next=("bg status", "bg history"),
        )


def _rollback(
    site: Site, session: ProxySession, observed: Observed, to: str | None, reason: str | None, *, dry_run: bool
) -> MoveResult:
    target = choose(observed, to)
    if observed.share and target.how != "canary":
        # Its slot is about to be used: first its visitors go back to live, which is an operation of its own.
        if not dry_run:
            _rollback(site, session, observed, None, reason, dry_run=False)
            observed = site.observe(session)
        target = choose(observed, to)
    if target.how in ("cold", "staged"):
        observed = site.observe(session)  # with networks: containers are going to be made
        target = choose(observed, to)
    if observed.proxy.journal != "ok":
        site.notice(
            f"the journal is {observed.proxy.journal} ({observed.proxy.journal_detail}); rolling back all the same"
        )
    if target.note:
        site.notice(target.note)
    unfinished = observed.history.unfinished
    name = unfinished.id if target.how == "done" and unfinished else operation_id("rollback")
    if dry_run:
        return _planned(observed, target, _plan(observed, target, "rollback", name, reason), "rollback")
    _announce(site, observed, target)
    with lease(site, session, name, seize=True) as epoch:
        if target.how in ("cold", "staged"):  # a flip checks for itself what it was planned on
            taken_from = observed.proxy.lease  # the one that holds it now is this very operation
            observed = still(site, session, observed)
            observed = replace(observed, proxy=replace(observed.proxy, lease=taken_from))
        return _move(site, session, epoch, observed, target, "rollback", name, reason)


def _move(
    site: Site,
    session: ProxySession,
    epoch: int,
    observed: Observed,
    target: Target,
    kind: str,
    name: str,
    reason: str | None,
) -> MoveResult:
    live, standby = observed.live_release, observed.standby
    unfinished = observed.history.unfinished
    operation = Operation(
        id=name,
        kind=kind,
        by=site.by,
        tag=target.release.tag,
        release=target.release.number,
        slot=target.slot,
        live=live.number if live else None,
        standby=standby.number if standby else _stood_by(observed, live, target),
        reason=reason,
        cold=target.how == "cold",
        candidate=target.candidate.number if target.candidate else None,
        overtook=unfinished.id if unfinished and unfinished.id != name else None,
    )
    begin(session, epoch, operation)
    executor = site.executor(session, epoch, render=rendering(site))
    try:
        _run(site, session, executor, observed, target, kind, name, reason)
        if unfinished is not None or observed.spare_proxies:
            tidy(site, session, executor)
        answer = end(session, epoch, name, "done")
    except (Overtaken, KeyboardInterrupt):
        raise
    except BluegreenError as error:
        from bluegreen.app.unmoved import failed

        raise failed(site, session, epoch, operation, target, error, executor.moved) from error
    after = site.picture(answer, list(observed.containers))
    return _result(site, session, observed, after, target, kind)


def _stood_by(observed: Observed, live: Release | None, target: Target) -> int | None:
    """The release that stood by before the candidate that this promotes, or the operation that this takes over from:
    what an abort of this brings back."""
    if target.how == "staged":
        record = observed.history.releases.get(target.release.number)
        return record.standby if record else None
    unfinished = observed.history.unfinished
    if unfinished is None or live is None or unfinished.live != live.number:
        return None
    return unfinished.standby


def _run(
    site: Site,
    session: ProxySession,
    executor: Executor,
    observed: Observed,
    target: Target,
    kind: str,
    name: str,
    reason: str | None,
) -> None:
    def plan(observed: Observed) -> Plan:
        live = observed.live_release
        there = live is not None and live.number == target.release.number and target.how != "canary"
        return _plan(observed, replace(target, how="done") if there else target, kind, name, reason)

    run_planned(site, session, executor, observed, plan)


def _plan(observed: Observed, target: Target, kind: str, name: str, reason: str | None) -> Plan:
    deployment = Deployment(
        release=target.release,
        slot=target.slot,
        operation=name,
        create=from_kept(observed, target.release),
        kind=kind,
        reason=reason,
        overtaken=_overtaken(observed, name),
    )
    return plan_rollback(observed, target, deployment, mark=kind == "rollback")


def _overtaken(observed: Observed, name: str) -> str | None:
    """The operation whose process is at it right now, by its lease; not this one, planned again."""
    lease = observed.proxy.lease
    held = str(lease.get("operation")) if lease else None
    return held if held != name else None


def _result(
    site: Site, session: ProxySession, before: Observed, after: Observed, target: Target, kind: str
) -> MoveResult:
    checks = target.release.smoke
    failures: list[str] = []
    if checks and kind == "rollback":
        answers = _smoke(session, target)
        failures = [f"{a.get('name')}: {probe_reason(a)}" for a in answers if not a.get("ok")]
    left = after.stack(target.slot.other)
    open_connections = sum(after.proxy.connections.get(ip, 0) for c in left for ip in c.addresses.values() if ip)
    url = public_url(after.proxy_container, site.engine.public)
    seen = look_in_public(site, session, url, after) if url and site.engine.public == "localhost" else None
    return MoveResult(
        outcome="finished" if target.how == "done" or (target.how == "canary" and not before.share) else "switched",
        kind=kind,
        how=target.how,
        release=target.release,
        slot=target.slot,
        previous=target.candidate or before.live_release,
        since=_since(after, target),
        flip_ms=None,
        url=url,
        public=seen,
        smoke=(len(checks) - len(failures), len(checks)) if checks and kind == "rollback" else None,
        smoke_failures=tuple(failures),
        connections=open_connections,
        share=before.share,
        notes=(target.note,) if target.note else (),
    )


def _since(after: Observed, target: Target) -> str:
    shifts = after.history.shifts_of(target.candidate.number) if target.candidate else ()
    return shifts[-1].at if shifts else after.proxy.routes.since if after.proxy.routes else ""


def _smoke(session: ProxySession, target: Target) -> list[Mapping[str, Any]]:
    """The release's own checks, after the fact: their failure is a warning, not another switch."""
    requests = [smoke_request(c, target.slot, target.release.tag) for c in target.release.smoke]
    try:
        answers: list[Mapping[str, Any]] = session.send([{"op": "probe", "requests": requests}])[0].get("answers", [])
    except ProxyFailed as error:  # traffic has moved and was verified
        return [{"name": r["name"], "ok": False, "why": "unasked", "detail": str(error.problem)} for r in requests]
    return answers


def _planned(observed: Observed, target: Target, plan: Plan, kind: str) -> MoveResult:
    return MoveResult(
        outcome="planned",
        kind=kind,
        how=target.how,
        release=target.release,
        slot=target.slot,
        previous=target.candidate or observed.live_release,
        since="",
        flip_ms=None,
        url=None,
        share=observed.share,
        plan=tuple(describe(plan)),
        notes=(target.note,) if target.note else (),
    )


def _announce(site: Site, observed: Observed, target: Target) -> None:
    live = observed.live_release
    site.emit(
        Event(
            "operation",
            "rollback",
            target.release.tag,
            data={
                "project": site.name,
                "from": (target.candidate or live).tag if live else None,
                "from_slot": observed.idle if target.candidate else observed.live,
                "share": observed.share,
                "to": target.release.tag,
                "slot": target.slot,
                "how": target.how,
            },
        )
    )


@contextmanager
def _first_picture(site: Site, opening: Opening | None, *, dry_run: bool) -> Iterator[tuple[ProxySession, Observed]]:
    """A session, and what there is. A stopped or deleted proxy is brought back first: nothing serves anyway."""
    with opening or Opening(site) as begun:
        try:
            session, answer = begun.read()
        except ProxyFailed as error:
            if error.code != "proxy.not-running" or dry_run:
                raise
            from bluegreen.app.ground import bring_back

            bring_back(site)
        else:
            observed = site.picture(answer, begun.containers)
            if observed.live is None and observed.forgotten and not dry_run:
                observed = _remembered(site, session)
            yield session, observed
            return
    with site.session() as session:
        yield session, site.observe(session, networks=False)


def _remembered(site: Site, session: ProxySession) -> Observed:
    """A proxy that has lost its volume is told again what there is."""
    from bluegreen.app.rebuild import rebuild

    rebuild(site, session)
    return site.observe(session, networks=False)
