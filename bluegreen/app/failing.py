"""What becomes of a deploy that failed or was interrupted."""

from __future__ import annotations

from bluegreen.app.asking import Unasked, asked_again, incomplete, lost
from bluegreen.app.recover import restore, save_failure
from bluegreen.app.site import Site, end
from bluegreen.execution.executor import Executor
from bluegreen.model.errors import BluegreenError, Exit, Overtaken
from bluegreen.model.history import Operation
from bluegreen.model.observed import Observed
from bluegreen.model.release import Release
from bluegreen.planning.deploy import Deployment
from bluegreen.planning.place import only_existing
from bluegreen.planning.rollback import Target, plan_rollback
from bluegreen.proxy.session import ProxySession


def fail(
    site: Site,
    session: ProxySession,
    epoch: int,
    operation: Operation,
    deployment: Deployment,
    error: BaseException,
    executor: Executor,
) -> None:
    """Before the flip the former standby comes back; after it, traffic does if that is sound.

    Raises where the failure that is to be told is another one than ``error``.
    """
    try:
        with asked_again(site, session, epoch, operation.id) as (session, epoch, observed):
            _put_back(site, session, epoch, observed, operation, deployment, error, executor)
    except Unasked as unasked:
        raise lost(operation, deployment.release, unasked.why, executor.moved) from error


def _put_back(
    site: Site,
    session: ProxySession,
    epoch: int,
    observed: Observed,
    operation: Operation,
    deployment: Deployment,
    error: BaseException,
    executor: Executor,
) -> None:
    live = observed.live_release
    if live is None or live.number != deployment.release.number:
        try:
            restore(site, session, epoch, observed, operation, error)
        except Overtaken:
            raise
        except BluegreenError as second:  # it must not hide why the deploy failed
            site.notice(f"the former state could not be put back whole: {second.problem}; bg abort tries again")
        return
    if isinstance(error, KeyboardInterrupt):
        raise BluegreenError(
            "deploy.interrupted",
            f"interrupted after the switch: {live.tag} has the traffic, workers and clean-up are not done",
            next=("bg resume", "bg rollback"),
            exit=Exit.INCOMPLETE,
        ) from error
    assert isinstance(error, BluegreenError)  # noqa: S101 - the caller catches nothing else
    standby = observed.standby
    # Where the conversation broke off, the proxy has confirmed the switch over the new one.
    proven = error.code == "proxy.session" or (
        executor.served is not None and error.code.startswith(("workers", "engine", "job"))
    )
    if proven or standby is None:
        raise incomplete(operation, live, error) from error
    _take_back(site, session, epoch, observed, operation, live, standby, error)


def _take_back(
    site: Site,
    session: ProxySession,
    epoch: int,
    observed: Observed,
    operation: Operation,
    live: Release,
    standby: Release,
    error: BluegreenError,
) -> None:
    """The switched-to release does not answer through the proxy: back to the parent, if that still does."""
    reason = f"did not answer after the switch: {error.own_words}"
    target = Target(standby, observed.idle, "warm")
    back = Deployment(
        release=standby,
        slot=target.slot,
        operation=operation.id,
        create=only_existing(standby),
        kind="undo",
        reason=reason,
    )
    site.executor(session, epoch).run(plan_rollback(observed, target, back))
    save_failure(site, session, epoch, operation, error)
    end(session, epoch, operation.id, "failed")
    raise BluegreenError(
        "deploy.rolled-back",
        f"{live.tag} {reason}; {standby.tag} has the traffic again",
        next=(f"bg why {live.tag}", f"bg logs {live.tag}"),
        exit=Exit.ROLLED_BACK,
    ) from error
