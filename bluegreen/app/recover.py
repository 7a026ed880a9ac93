"""`resume` and `abort`: ordinary planning over an unfinished journal."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from bluegreen.app.asking import account
from bluegreen.app.canary import about_candidate, take_back
from bluegreen.app.canary import finish as finish_shift
from bluegreen.app.ground import session_of_any_proxy
from bluegreen.app.site import Site, begin, end, lease, need_journal, operation_id, still
from bluegreen.app.tools import rendering, run_planned, tidy
from bluegreen.app.upkeep import finish_upkeep
from bluegreen.model.errors import BluegreenError, Overtaken, Refused, Unhealthy
from bluegreen.model.history import Operation
from bluegreen.model.observed import Observed
from bluegreen.model.release import Release
from bluegreen.planning.deploy import Deployment
from bluegreen.planning.place import only_existing
from bluegreen.planning.restore import plan_restore
from bluegreen.planning.retire import spare_proxies
from bluegreen.planning.rollback import FORWARD, Target, plan_rollback
from bluegreen.planning.steps import Plan
from bluegreen.proxy.session import ProxySession

MOVES = ("rollback", *FORWARD)
"""Kinds of operation that move all traffic."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """``outcome``: finished (it went on to its end), aborted, nothing (there was nothing to do).

    ``share`` is the percentage of visitors that was taken back from ``candidate``.
    """

    outcome: str
    operation: str
    live: Release | None
    standby: Release | None
    candidate: Release | None = None
    share: int = 0


def resume(site: Site) -> Recovered:
    """Go on with the interrupted operation. Raises `Refused` when there is none, or when it needs its file."""
    from bluegreen.app.deploy import continue_without_file

    with session_of_any_proxy(site) as session:
        observed = site.observe(session)
        need_journal(observed)
        unfinished = observed.history.unfinished
        if unfinished is None:
            raise Refused("resume.nothing", "no operation is unfinished", next=("bg status",))
        with lease(site, session, unfinished.id) as epoch:
            observed = still(site, session, observed)
            if unfinished.kind == "deploy":
                continue_without_file(site, session, epoch, observed, unfinished)
            elif unfinished.kind in MOVES:
                finish_move(site, session, epoch, observed, unfinished)
            elif unfinished.kind in ("shift", "canary"):
                finish_shift(site, session, epoch, observed, unfinished)
            elif unfinished.kind in ("prune", "drain"):
                finish_upkeep(site, session, epoch, observed, unfinished)
            else:
                put_back(site, session, epoch, observed, unfinished)
        after = site.observe(session)
    return Recovered("finished", str(unfinished), after.live_release, after.standby)


def abort(site: Site) -> Recovered:
    """End an unfinished operation, else the candidate. What has all the traffic keeps it."""
    with session_of_any_proxy(site) as session:
        observed = site.observe(session)
        need_journal(observed)
        unfinished, tried = observed.history.unfinished, observed.tried
        candidate = tried.release if tried is not None and observed.share else observed.candidate
        if unfinished is None and candidate is None:
            raise Refused(
                "abort.nothing",
                "no operation is unfinished and there is no candidate",
                next=("bg status", "bg rollback"),
            )
        of_candidate = unfinished is None or _is_about_candidate(observed, unfinished)
        name = operation_id("abort") if of_candidate or unfinished is None else unfinished.id
        with lease(site, session, name) as epoch:
            observed = still(site, session, observed)
            if unfinished is not None and not of_candidate:
                _abort_operation(site, session, epoch, observed, unfinished)
            elif candidate is not None:
                _abort_candidate(site, session, epoch, observed, candidate, name)
        after = site.observe(session)
    return Recovered(
        "aborted", str(unfinished or "candidate"), after.live_release, after.standby, candidate, observed.share
    )


def restore(
    site: Site, session: ProxySession, epoch: int, observed: Observed, operation: Operation, error: BaseException
) -> None:
    """After a failure before the flip: say why, remove the candidate, bring the former standby back."""
    save_failure(site, session, epoch, operation, error)
    put_back(site, session, epoch, observed, operation, outcome="failed")


def put_back(
    site: Site,
    session: ProxySession,
    epoch: int,
    observed: Observed,
    operation: Operation,
    *,
    outcome: str = "aborted",
) -> None:
    """Bring the idle slot back to what stood there when the operation began.

    A candidate that has visitors loses them first, at once; its containers go when its last connection has ended, or
    its drain deadline has passed.
    """
    slot = operation.slot
    if slot is not None and slot is not observed.live:
        if observed.share:
            take_back(site, session, epoch, observed, reason=operation.reason or operation.kind)
            observed = site.observe(session)
        leaving = operation.release if operation.release != operation.standby else None

        def plan(observed: Observed) -> Plan:
            if slot is observed.live:  # whoever moved traffic there has the lease, and the next step is refused
                return Plan()
            made = plan_restore(observed, slot, leaving, operation.standby, operation.id)
            for line in made.notices:
                site.notice(line)
            return made

        run_planned(site, session, site.executor(session, epoch, render=rendering(site)), observed, plan)
    site.executor(session, epoch).run(Plan(tuple(spare_proxies(observed))))
    end(session, epoch, operation.id, outcome)


def finish_move(site: Site, session: ProxySession, epoch: int, observed: Observed, operation: Operation) -> None:
    """Finish a rollback or switch: its workers when traffic has moved, the whole of it when not."""
    release = observed.release(operation.release or 0)
    if release is None or operation.slot is None:
        raise Refused(
            "resume.gone", f"the release that {operation} was going to is gone", next=("bg abort", "bg history")
        )
    deployment = Deployment(
        release=release,
        slot=operation.slot,
        operation=operation.id,
        create=only_existing(release),
        kind=operation.kind,
        reason=operation.reason,
    )
    target = Target(release, operation.slot, _how(observed, operation, release))
    plan = plan_rollback(observed, target, deployment, mark=operation.kind == "rollback")
    executor = site.executor(session, epoch, render=rendering(site))
    try:
        executor.run(plan)
        tidy(site, session, executor)
        end(session, epoch, operation.id, "done")
    except Overtaken:
        raise
    except BluegreenError as error:
        raise account(site, session, epoch, operation, release, error, executor.moved) from error


def _how(observed: Observed, operation: Operation, release: Release) -> Any:
    live = observed.live_release
    if operation.candidate is not None:
        return "canary"
    if live is not None and live.number == release.number:
        return "done"
    standby = observed.standby
    if standby is not None and standby.number == release.number:
        return "warm"
    return "cold" if operation.kind == "rollback" else "staged"


def _abort_operation(site: Site, session: ProxySession, epoch: int, observed: Observed, operation: Operation) -> None:
    live = observed.live_release
    moved = live is not None and operation.release == live.number
    if moved and operation.kind in MOVES:
        finish_move(site, session, epoch, observed, operation)
    elif moved and operation.kind == "deploy":
        from bluegreen.app.deploy import continue_without_file

        site.notice(f"{live} has all the traffic already: finishing its deploy instead (bg rollback goes back)")
        continue_without_file(site, session, epoch, observed, operation)
    elif operation.kind in ("prune", "drain"):
        finish_upkeep(site, session, epoch, observed, operation, abort=True)
    else:
        put_back(site, session, epoch, observed, operation)


def _is_about_candidate(observed: Observed, operation: Operation) -> bool:
    """Whether it was to give a candidate more traffic, and ends with that. What is begun then is an abort, which goes
    on as one when it is interrupted too."""
    live, candidate = observed.live_release, observed.candidate
    moved = live is not None and operation.release == live.number
    return (
        operation.kind in ("shift", "canary", *FORWARD)
        and not moved
        and candidate is not None
        and (operation.release == candidate.number)
    )


def _abort_candidate(
    site: Site, session: ProxySession, epoch: int, observed: Observed, candidate: Release, name: str
) -> None:
    operation = replace(about_candidate(site, observed, candidate, "abort"), id=name)
    begin(session, epoch, operation)
    put_back(site, session, epoch, observed, operation)


def save_failure(site: Site, session: ProxySession, epoch: int, operation: Operation, error: BaseException) -> None:
    """Journal that a release failed, and keep the whole reason for `why`. The journal gets no output of the
    application: it may hold secrets."""
    if isinstance(error, BluegreenError):
        problem = error.problem
    else:
        problem = BluegreenError("deploy.interrupted", "interrupted by the operator").problem
    said = error.own_words if isinstance(error, BluegreenError) else problem.message
    event = {"event": "failed", "release": operation.release, "code": problem.code, "message": said}
    details = {
        "tag": operation.tag,
        "release": operation.release,
        "at": operation.at,
        "code": problem.code,
        "message": problem.message,
        "where": problem.where,
        "logs": list(error.logs) if isinstance(error, Unhealthy) else [],
    }
    session.run([{"op": "append", "epoch": epoch, "events": [event]}])
    answer = session.send(
        [{"op": "put", "path": f"{operation.id}/why.json", "text": json.dumps(details), "append": False}]
    )
    if not answer or not answer[0].get("ok"):
        site.notice("the details of this failure could not be saved in the proxy's volume (is it full?)")


__all__ = ["Recovered", "abort", "finish_move", "put_back", "restore", "resume", "save_failure"]
