"""What a failure leaves, asked of the proxy itself: also where the conversation with it broke off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bluegreen.app.site import Site, lease
from bluegreen.model.errors import BluegreenError, EngineUnreachable, Exit, Overtaken, ProxyFailed
from bluegreen.model.history import Operation
from bluegreen.model.observed import Observed
from bluegreen.model.release import Release
from bluegreen.proxy.session import ProxySession

VERIFIED_SECONDS = 2.0


class Unasked(Exception):
    """Nobody answers any more; ``why`` is what asking again met."""

    def __init__(self, why: BluegreenError) -> None:
        super().__init__(str(why))
        self.why = why


@contextmanager
def asked_again(
    site: Site, session: ProxySession, epoch: int, operation: str
) -> Iterator[tuple[ProxySession, int, Observed]]:
    """How things stand after a failure, with the session and the epoch to go on with.

    Where the session broke off it is a new one, which takes the lease over from the old. That raises the epoch: what
    of the old session is still on its way is refused from then on, so what is observed here stays true. Raises
    `Overtaken` where somebody else took over meanwhile, and `Unasked` where no answer is to be had.
    """
    with ExitStack() as held:
        try:
            try:
                observed = site.observe(session)
            except ProxyFailed as error:
                if error.code != "proxy.session":
                    raise
                session = held.enter_context(site.session())
                epoch = held.enter_context(lease(site, session, operation, seize=True, epoch=epoch))
                session.run([{"op": "settle", "gate": 1, "seconds": VERIFIED_SECONDS}])
                observed = site.observe(session)
        except Overtaken:
            raise
        except BluegreenError as error:
            raise Unasked(error) from error
        yield session, epoch, observed


def account(
    site: Site,
    session: ProxySession,
    epoch: int,
    operation: Operation,
    release: Release,
    error: BluegreenError,
    moved: bool | None,
) -> BluegreenError:
    """The error that a failed move to ``release`` ends with: where the traffic is, by what answers. Nothing is undone.

    ``moved`` is what is known without asking, as `Executor.moved` has it.
    """
    try:
        with asked_again(site, session, epoch, operation.id) as (_, _, observed):
            live = observed.live_release
            there = live is not None and live.number == release.number
            taken = operation.candidate is None or not observed.share
            return incomplete(operation, live, error) if live is not None and there and taken else error
    except Unasked as unasked:
        return lost(operation, release, unasked.why, moved)


def incomplete(operation: Operation, live: Release, error: BaseException) -> BluegreenError:
    """Traffic has moved, and then something failed."""
    return BluegreenError(
        f"{operation.kind}.incomplete",
        f"{live.tag} has the traffic, and a step after the switch failed: {_reason(error)}",
        where=error.problem.where if isinstance(error, BluegreenError) else None,
        next=("bg resume    goes on with it", "bg status"),
        exit=Exit.INCOMPLETE,
    )


def lost(operation: Operation, release: Release, why: BluegreenError, moved: bool | None) -> BluegreenError:
    """The error where the engine or the proxy was lost on the way, and can't be asked what became of it."""
    if moved:
        return incomplete(operation, release, why)
    steps = ("bg status    says what serves, as soon as the engine answers", "bg rollback    works in either case")
    if moved is None:
        return BluegreenError(
            f"{operation.kind}.unknown",
            f"the answer got lost while all traffic was being moved to {release.tag}, and asking again failed: "
            f"{why.problem}. One whole release serves; which one is not known",
            next=steps,
            exit=Exit.UNKNOWN,
        )
    return BluegreenError(
        f"{operation.kind}.cut-off",
        f"the {operation} was cut off: {why.problem}. No traffic was moved; what was begun is left as it is",
        next=(*steps[:1], "bg resume    goes on with it", "bg abort    puts things back"),
        exit=Exit.UNREACHABLE if isinstance(why, EngineUnreachable) else Exit.FAILED,
    )


def _reason(error: BaseException) -> str:
    return str(error.problem) if isinstance(error, BluegreenError) else "interrupted"
