"""`canary N`: a share of the visitors to the candidate. `shift` and `take_back` are the one way to do it, whoever asks.

A share is one activation: journaled, confirmed by the proxy's own answer, and never a reload.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from bluegreen.app.asking import Unasked, asked_again
from bluegreen.app.site import Site, begin, describe, end, lease, need_ended, need_journal, operation_id, still
from bluegreen.app.tools import public_url, rendering
from bluegreen.execution.executor import Executor
from bluegreen.model.errors import BluegreenError, EngineUnreachable, Exit, Overtaken, Refused, Stale, UsageError
from bluegreen.model.history import Operation
from bluegreen.model.history import Shift as Moved
from bluegreen.model.names import Slot
from bluegreen.model.observed import Observed
from bluegreen.model.release import Release, Stack
from bluegreen.model.value import dataclass
from bluegreen.planning.place import stack_of
from bluegreen.planning.shift import MOST, choose_candidate, plan_shift, plan_take_back
from bluegreen.proxy.session import ProxySession


@dataclass(frozen=True, slots=True)
class Canary:
    """How visitors are shared. ``outcome``: shifted, nothing (it was so already), planned, found (only asked for).

    ``share`` and ``previous`` are percentages, now and before; ``since`` is when the share became that, RFC 3339 by the
    proxy's clock, "" where there never was one.
    """

    outcome: str
    live: Release | None
    candidate: Release | None
    slot: Slot | None = None  # the candidate's
    share: int = 0
    previous: int = 0
    since: str = ""
    mark: str | None = None  # of the candidate
    url: str | None = None
    shifts: tuple[Moved, ...] = ()  # of this candidate
    plan: tuple[Mapping[str, str], ...] = ()
    notes: tuple[str, ...] = field(default=())
    operation: Operation | None = None  # unfinished
    held: bool = False  # whether its process is at it
    safe: int = 0  # the percentage at which a canary that is such an operation would be ended


def canary(site: Site, share: int, *, reason: str | None = None, dry_run: bool = False) -> Canary:
    """Shift ``share`` percent of visitors to the candidate. Raises `Refused` without one, naming what would work."""
    check_share(share)
    with site.session() as session:
        observed = site.observe(session)
        need_journal(observed)
        before = observed.share
        observed = observed if dry_run else end_abandoned(site, session, observed, wanted=share)
        need_ended(observed, but=lambda o: o.kind == "shift" or (dry_run and abandoned(observed)))
        stack = _stack(observed, share)
        plan = plan_shift(observed, share, stack, reason)
        if dry_run:
            return replace(_found(site, observed, "planned"), plan=tuple(describe(plan)))
        if not plan.steps and observed.history.unfinished is None:
            return replace(
                _found(site, observed, "nothing" if observed.share == before else "shifted"), previous=before
            )
        operation = about_candidate(site, observed, stack.release, "shift", share=share, reason=reason)
        with lease(site, session, operation.id) as epoch:
            observed = still(site, session, observed)
            begin(session, epoch, operation)
            if share and (why := _bad(observed, stack.release)) is not None:
                site.notice(f"{stack.release.tag} was marked bad{why}; it gets visitors again, so the mark goes")
            observed = finish(site, session, epoch, observed, operation)
        return replace(_found(site, observed, "shifted"), previous=before)


def standing(site: Site) -> Canary:
    """How visitors are shared now. Changes nothing."""
    with site.session() as session:
        return _found(site, site.observe(session, networks=False), "found")


def shift(
    site: Site, session: ProxySession, epoch: int, observed: Observed, share: int, *, reason: str | None = None
) -> Observed:
    """Give the candidate a share, as a part of the operation that holds the lease; answers the picture afterwards.

    ``observed`` has its networks. Does the rest where an interrupted run did a part. Raises `Refused` where there is
    no candidate to give it to, `Unhealthy` where that does not answer, `Stale` where somebody else moved traffic.
    """
    plan = plan_shift(observed, share, _stack(observed, share), reason)
    site.executor(session, epoch, render=rendering(site)).run(plan)
    return site.observe(session)


def take_back(
    site: Site,
    session: ProxySession,
    epoch: int,
    observed: Observed,
    *,
    reason: str | None = None,
    mark: bool = False,
    executor: Executor | None = None,
) -> None:
    """Take the candidate's share from it at once, as a part of the operation that holds the lease; ``mark`` it bad.

    Its containers are not touched. Nothing where it has no share; what an interrupted run left undone is done.
    """
    executor = executor or site.executor(session, epoch, render=rendering(site))
    executor.run(plan_take_back(observed, reason, mark=mark))


def finish(site: Site, session: ProxySession, epoch: int, observed: Observed, operation: Operation) -> Observed:
    """Carry a shift out, or what is left of it; and end it."""
    share = operation.share or 0
    if operation.kind == "canary":  # back to what had passed, and never on
        share = min(share, observed.share)
        if share == observed.share:
            end(session, epoch, operation.id, "stopped")
            return observed
        operation = replace(operation, share=share)
    stack = _stack(observed, share)
    if stack.release.number != operation.release:
        raise Refused(
            "resume.gone", f"the candidate {operation.tag} is gone", next=("bg abort    ends the shift", "bg status")
        )
    executor = site.executor(session, epoch, render=rendering(site))
    try:
        executor.run(plan_shift(observed, share, stack, operation.reason))
        end(session, epoch, operation.id, "done")
    except (Overtaken, KeyboardInterrupt) as error:
        if isinstance(error, Stale):
            end(session, epoch, operation.id, "stale")
        raise
    except BluegreenError as error:
        raise _failed(site, session, epoch, operation, error, executor.moved) from error
    return site.observe(session, networks=False)


def abandoned(observed: Observed) -> bool:
    """Whether a process that took a candidate from share to share is gone without having ended that."""
    operation = observed.history.unfinished
    return operation is not None and operation.kind == "canary" and observed.proxy.lease is None


def end_abandoned(site: Site, session: ProxySession, observed: Observed, *, wanted: int = 0) -> Observed:
    """End a canary whose process is gone at its last safe state: the last share that a verdict has passed, 0 where
    none had. Says so; answers the picture afterwards. Nothing where there is none, or somebody is at it.

    ``wanted`` is the percentage that is going to be shifted to next: where that is more, and the candidate is whole,
    visitors who would come again at once don't leave."""
    operation, tried = observed.history.unfinished, observed.tried
    if operation is None or not abandoned(observed):
        return observed
    safe, why = _safe(observed, operation), "its last safe state"
    if wanted > safe and tried is not None and observed.runs_whole(tried.release, observed.idle):
        safe, why = min(wanted, observed.share), f"since {wanted} % is asked for"
    moved = f"back from {observed.share} % to {safe} %" if safe != observed.share else f"it stays at {safe} %"
    site.notice(f"the canary of {operation.tag} was left by its process ({operation.by}): {moved}, {why}")
    with lease(site, session, operation.id) as epoch:
        finish(site, session, epoch, still(site, session, observed), replace(operation, share=safe))
    return site.observe(session)


def _safe(observed: Observed, operation: Operation) -> int:
    return min(operation.share or 0, observed.share)


def refuse_while_shared(observed: Observed, doing: str) -> None:
    """Raises `Refused` while a candidate has a share: what stands in its slot has visitors."""
    tried = observed.tried
    if observed.share and tried is not None:
        raise Refused(
            "canary.has-traffic",
            f"{observed.share} % of visitors are on the candidate {tried.release.tag}: {doing}",
            next=(
                "bg promote    gives it all of them",
                "bg abort    takes them back and removes it",
                "bg rollback    takes them back, and marks it bad",
            ),
        )


def check_share(share: int) -> None:
    """Raises `UsageError` unless it is a percentage that a candidate can be given."""
    if share == MOST + 1:
        raise UsageError(
            "canary.all",
            "100 % of visitors is a promotion: it moves the workers too, and keeps what was live warm to go back to",
            where="N",
            next=("bg promote",),
        )
    if not 0 <= share <= MOST:
        raise UsageError(
            "canary.share", f"{share} is no percentage from 0 to {MOST}", where="N", next=("bg canary 10",)
        )


def _stack(observed: Observed, share: int) -> Stack:
    """The candidate to shift to. To take some of its visitors away it needs not be whole."""
    tried = observed.tried
    if tried is not None and (share < observed.share or (share == observed.share and share)):
        return tried
    release = choose_candidate(observed)
    return tried if tried is not None and tried.release == release else stack_of(observed, release, observed.idle)


def canary_operation(site: Site, observed: Observed, candidate: Release) -> Operation:
    """The operation of a process that takes a candidate from share to share. Its own ``share`` is the last safe one."""
    return about_candidate(site, observed, candidate, "canary", share=0)


def about_candidate(
    site: Site,
    observed: Observed,
    candidate: Release,
    kind: str,
    *,
    share: int | None = None,
    reason: str | None = None,
) -> Operation:
    """An operation on the candidate. It knows what stood by before that, which an abort brings back."""
    live, record = observed.live_release, observed.history.releases.get(candidate.number)
    return Operation(
        id=operation_id(kind),
        kind=kind,
        by=site.by,
        tag=candidate.tag,
        release=candidate.number,
        slot=observed.idle,
        live=live.number if live else None,
        standby=record.standby if record else None,
        reason=reason,
        share=share,
    )


def _failed(
    site: Site,
    session: ProxySession,
    epoch: int,
    operation: Operation,
    error: BluegreenError,
    moved: bool | None,
) -> BluegreenError:
    """What a failed shift leaves, by what the proxy says. Nothing is undone by itself, and nothing needs to be."""
    share, tag = operation.share or 0, operation.tag
    try:
        with asked_again(site, session, epoch, operation.id) as (session, epoch, observed):
            if observed.share == share and moved is not False:
                return BluegreenError(
                    "canary.incomplete",
                    f"{share} % of visitors are on {tag}, and a step after that failed: {error.problem}",
                    next=("bg resume    goes on with it", "bg status"),
                    exit=Exit.INCOMPLETE,
                )
            end(session, epoch, operation.id, "failed")
            return _said(observed, operation, error)
    except Unasked as unasked:
        return _lost(operation, unasked.why, moved)


def _said(observed: Observed, operation: Operation, error: BluegreenError) -> BluegreenError:
    tag, keeps = operation.tag, f"it keeps its {observed.share} %" if observed.share else "it has none of the visitors"
    back = ("bg rollback    takes its visitors back",) if observed.share else ("bg abort    removes it",)
    failed = BluegreenError(
        "canary.failed",
        f"{tag} did not get {operation.share} % of visitors: {error.problem.message}; no traffic was moved, {keeps}",
        where=error.problem.where,
        next=(f"bg logs {tag}", *back, "bg status"),
    )
    failed.quoted = error.quoted
    return failed


def _lost(operation: Operation, why: BluegreenError, moved: bool | None) -> BluegreenError:
    """The engine or the proxy was lost on the way, and can't be asked what became of it."""
    steps = ("bg status    says what serves, as soon as the engine answers", "bg rollback    works in either case")
    if moved is False:
        return BluegreenError(
            "canary.cut-off",
            f"the shift to {operation.share} % was cut off: {why.problem}. No traffic was moved",
            next=(*steps[:1], "bg resume    goes on with it"),
            exit=Exit.UNREACHABLE if isinstance(why, EngineUnreachable) else Exit.FAILED,
        )
    return BluegreenError(
        "canary.unknown",
        f"the answer got lost while {operation.share} % of visitors were given to {operation.tag}, and asking again "
        f"failed: {why.problem}. Whether they are on it is not known",
        next=steps,
        exit=Exit.UNKNOWN,
    )


def _bad(observed: Observed, release: Release) -> str | None:
    record = observed.history.releases.get(release.number)
    if record is None or record.mark != "bad":
        return None
    return f" ({record.reason})" if record.reason else ""


def _found(site: Site, observed: Observed, outcome: str) -> Canary:
    tried = observed.tried
    candidate = tried.release if observed.share and tried is not None else observed.candidate
    number = candidate.number if candidate else 0
    record, shifts = observed.history.releases.get(number), observed.history.shifts_of(number)
    operation, lease = observed.history.unfinished, observed.proxy.lease
    return Canary(
        outcome=outcome,
        live=observed.live_release,
        candidate=candidate,
        slot=observed.idle if candidate else None,
        share=observed.share,
        previous=observed.share,
        since=shifts[-1].at if shifts else "",
        mark=record.mark if record else None,
        url=public_url(observed.proxy_container, site.engine.public),
        shifts=shifts,
        operation=operation,
        held=lease is not None,
        safe=_safe(observed, operation) if operation else 0,
    )


__all__ = [
    "Canary",
    "abandoned",
    "canary",
    "canary_operation",
    "check_share",
    "end_abandoned",
    "finish",
    "refuse_while_shared",
    "shift",
    "standing",
    "take_back",
]
