"""What a rollback, switch or promotion that failed leaves, and what is said of it."""

from __future__ import annotations

from bluegreen.app.asking import Unasked, asked_again, incomplete, lost
from bluegreen.app.recover import put_back
from bluegreen.app.site import Site, end
from bluegreen.model.errors import BluegreenError, Overtaken, Stale
from bluegreen.model.history import Operation
from bluegreen.model.observed import Observed
from bluegreen.planning.rollback import Target
from bluegreen.proxy.session import ProxySession


def failed(
    site: Site,
    session: ProxySession,
    epoch: int,
    operation: Operation,
    target: Target,
    error: BluegreenError,
    moved: bool | None,
) -> BluegreenError:
    """What a failed move leaves: before the flip everything is put back, after it nothing is undone by itself."""
    if isinstance(error, Stale):
        end(session, epoch, operation.id, "stale")
        return error
    try:
        with asked_again(site, session, epoch, operation.id) as (session, epoch, observed):
            return _put_back(site, session, epoch, observed, operation, target, error)
    except Unasked as unasked:
        return lost(operation, target.release, unasked.why, moved)


def _put_back(
    site: Site,
    session: ProxySession,
    epoch: int,
    observed: Observed,
    operation: Operation,
    target: Target,
    error: BluegreenError,
) -> BluegreenError:
    live = observed.live_release
    if live is not None and live.number == target.release.number and not observed.share:
        return incomplete(operation, live, error)
    if target.how in ("canary", "staged"):
        return _left_alone(session, epoch, observed, operation, target, error)
    if target.how == "warm":
        end(session, epoch, operation.id, "failed")
        if error.code == "proxy.session":
            return BluegreenError(
                f"{operation.kind}.failed",
                f"{error.problem}; no traffic was moved",
                next=(f"bg {operation.kind}    tries again", "bg status"),
            )
        return BluegreenError(
            f"{operation.kind}.standby-unhealthy",
            f"{target.release.tag} stands by but did not pass: {error.problem.message}; no traffic was moved",
            where=error.problem.where,
            next=(
                f"bg logs {target.release.tag}",
                "bg rollback --to TAG    recreates an older kept release",
                "bg status",
            ),
        )
    try:
        put_back(site, session, epoch, observed, operation, outcome="failed")
    except Overtaken:
        raise
    except BluegreenError as second:
        return lost(operation, target.release, second, moved=False)
    return error


def _left_alone(
    session: ProxySession, epoch: int, observed: Observed, operation: Operation, target: Target, error: BluegreenError
) -> BluegreenError:
    """A candidate stays as it is, with the visitors that it has: what to do about it is for people to say."""
    end(session, epoch, operation.id, "failed")
    candidate = target.candidate or target.release
    has = f"{candidate.tag} keeps its {observed.share} % of visitors" if observed.share else "no traffic was moved"
    ways = ("bg rollback    takes its visitors back",) if observed.share else ("bg abort    removes the candidate",)
    if target.how == "canary":
        ways = ("bg rollback    tries again",)
    failed = BluegreenError(
        f"{operation.kind}.failed",
        f"{candidate.tag} did not pass: {error.problem.message}; {has}"
        if target.how == "staged"
        else f"{error.problem}; {has}",
        where=error.problem.where,
        next=(*ways, f"bg logs {candidate.tag}", "bg status"),
    )
    failed.quoted = error.quoted
    return failed
