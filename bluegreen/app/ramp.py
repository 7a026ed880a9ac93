"""`deploy TAG --canary 5,25,50`: a candidate's steps, each ended by a verdict, and then all visitors.

The canary is a lease of the process that runs it. It is journaled as one operation, which remembers the last share that
a verdict has passed: when the process dies, whoever comes next ends it there (`bluegreen.app.canary.end_abandoned`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from bluegreen.app.acting import BY_THE_GUARD, Action
from bluegreen.app.canary import canary_operation, end_abandoned, shift
from bluegreen.app.rollback import MoveResult, promote, rollback
from bluegreen.app.site import Site, begin, end, lease, need_ended, need_journal, still
from bluegreen.app.watch import Glance, watch
from bluegreen.judge.wording import Clock, utc
from bluegreen.model.errors import BluegreenError, Overtaken, ProxyFailed, Refused, Unhealthy
from bluegreen.model.events import Event
from bluegreen.model.guard import GuardCheck
from bluegreen.model.history import Operation
from bluegreen.model.judging import Outcome, Verdict
from bluegreen.model.observed import Observed
from bluegreen.model.release import Release
from bluegreen.model.value import dataclass
from bluegreen.planning.shift import choose_candidate
from bluegreen.proxy.session import ProxySession

HOLD = 600.0
"""Seconds that a step waits for its verdict where nothing else is said."""

Ended = Literal["promoted", "taken-back", "held", "stopped"]


@dataclass(frozen=True, slots=True)
class Step:
    """How a step ended. ``verdict`` None: there was no traffic to say anything about."""

    share: int
    outcome: Outcome
    seconds: float
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Ramp:
    """``outcome``: promoted; taken-back (by a verdict, or because there was none and the file says so); held (no
    verdict, and the share stays); stopped (interrupted: back at the last share that had passed).

    ``share`` is what the candidate has now, in percent.
    """

    outcome: Ended
    release: Release
    live: Release
    share: int
    steps: tuple[Step, ...]
    action: Action | None = None  # what was done about a verdict against it
    moved: MoveResult | None = None
    by_another: str = ""  # why another guard has taken it back, which was quicker by the same lines

    @property
    def inconclusive(self) -> bool:
        """Whether it ended for want of a verdict."""
        return self.outcome in ("held", "taken-back") and self.action is None and not self.by_another


def ramp(
    site: Site,
    release: Release,
    shares: Sequence[int],
    *,
    hold: float = HOLD,
    checks: Sequence[GuardCheck] = (),
    clock: Clock = utc,
    stopped: Callable[[], bool] = lambda: False,
) -> Ramp:
    """Run the steps of a candidate that has been staged, then promote it. ``hold``: seconds that a step waits for its
    verdict, at most; a pass ends it earlier, a fail takes the candidate back.

    Raises `Refused` where ``release`` is not the candidate (any more), `Overtaken` where somebody else moved traffic.
    """
    with site.session() as session:
        observed = site.observe(session)
        need_journal(observed)
        observed = end_abandoned(site, session, observed)
        need_ended(observed)
        live = observed.live_release
        done = None
        if live is not None:
            how = (shares, hold, checks, clock, stopped)
            done = _in_steps(site, session, observed, release, live, *how)
    if done is None:
        site.notice(f"nothing was live, so there is nothing to compare {release.tag} with: all visitors at once")
        return Ramp("promoted", release, release, 100, (), moved=promote(site, release=release.number))
    if done.outcome == "promoted":
        moved = promote(site, reason=f"passed at {', '.join(f'{s} %' for s in shares)}", release=release.number)
        return replace(done, share=100, moved=moved)
    if done.outcome == "taken-back" and done.action is None and not done.by_another:
        moved = rollback(site, reason="no verdict in time", losing=release.number)
        return replace(done, share=0, moved=moved)
    return done


def _in_steps(
    site: Site,
    session: ProxySession,
    observed: Observed,
    release: Release,
    live: Release,
    shares: Sequence[int],
    hold: float,
    checks: Sequence[GuardCheck],
    clock: Clock,
    stopped: Callable[[], bool],
) -> Ramp:
    _need_candidate(observed, release)
    operation = canary_operation(site, observed, release)
    with lease(site, session, operation.id) as epoch:
        still(site, session, observed)
        begin(session, epoch, operation)
        steps = _Steps(site, session, epoch, operation, release, tuple(shares), hold, stopped)
        action = None
        if steps.begins():
            watched = watch(site, steps.enough, checks=checks, clock=clock, stopped=steps.over)
            action = next((a for a in watched.actions if a.did == "taken-back"), None)
        outcome = steps.conclude(taken_back=action is not None)
    moved = action.moved if action else None
    return Ramp(outcome, release, live, steps.share, tuple(steps.ended), action, moved, by_another=steps.by_another)


class _Steps:
    """Where a ramp is. `enough` is told how things stand several times a second, and goes on to the next step."""

    def __init__(
        self,
        site: Site,
        session: ProxySession,
        epoch: int,
        operation: Operation,
        release: Release,
        shares: tuple[int, ...],
        hold: float,
        stopped: Callable[[], bool],
    ) -> None:
        self.ended: list[Step] = []
        self.share = 0
        self.by_another = ""  # why it was taken back, and not by this process
        self._site = site
        self._session = session
        self._epoch = epoch
        self._operation = operation
        self._release = release
        self._waiting = list(shares)
        self._hold = hold
        self._stopped = stopped
        self._since = 0.0
        self._verdict: Verdict | None = None  # the last one of this step
        self._safe = 0
        self._outcome: Ended | None = None
        self._error: BluegreenError | None = None

    def begins(self) -> bool:
        """The first step. Whether the candidate got its share; `conclude` raises why not."""
        try:
            self._begin()
        except BluegreenError as error:
            self._error = error
        return self._error is None

    def _begin(self) -> None:
        share = self._waiting.pop(0)
        observed = self._site.observe(self._session)
        try:
            shift(self._site, self._session, self._epoch, observed, share)
        except Unhealthy as error:
            raise BluegreenError(
                "canary.failed",
                f"{self._release.tag} did not get {share} % of visitors: {error.problem.message}; it stays at "
                f"{self._safe} %, which had passed",
                where=error.problem.where,
                next=(f"bg logs {self._release.tag}", "bg abort    removes it", "bg status"),
            ) from error
        self.share, self._since, self._verdict = share, self._site.clock(), None
        text = f"{share} % of visitors to {self._release.tag}; a verdict within {self._hold:g} s"
        self._site.emit(Event("guard", "step", self._release.tag, text, data={"share": share}))

    def over(self) -> bool:
        """Whether nothing is waited for any more, should the proxy be lost."""
        return self._stopped() or self._outcome is not None

    def enough(self, glance: Glance) -> bool:
        try:
            return self._enough(glance)
        except BluegreenError as error:
            self._error = error
            return True

    def conclude(self, *, taken_back: bool) -> Ended:
        """End the operation in the journal, by what became of it. Raises what went wrong on the way."""
        if taken_back:
            self.share = 0
            return "taken-back"  # by a rollback, which has taken over and ended it
        if isinstance(self._error, Overtaken) and (reason := self._guarded_by_another()):
            self.share, self.by_another = 0, reason
            return "taken-back"
        if self._error is not None:
            self._give_up(self._error)
        if self._outcome is None:
            self._ends(Outcome.INCONCLUSIVE, "stopped")
            self._back_to_safe()
            self._outcome = "stopped"
        end(self._session, self._epoch, self._operation.id, "done" if self._outcome == "promoted" else self._outcome)
        return self._outcome

    def _enough(self, glance: Glance) -> bool:
        if any(action.did == "taken-back" for action in glance.actions):
            return True
        self._need_mine(glance.observed)
        verdict = glance.verdict
        mine = glance.subject is not None and glance.subject.release.number == self._release.number
        if mine and verdict is not None and verdict.share == self.share:
            self._verdict = verdict
        if self._stopped():
            return True
        if glance.caught_up and self._verdict is not None and self._verdict.outcome is Outcome.PASS:
            self._ends(Outcome.PASS, "passed")
            self._safe = self.share
            return self._next()
        if self._site.clock() - self._since >= self._hold and glance.caught_up:
            return self._without_verdict()
        return False

    def _without_verdict(self) -> bool:
        then = self._release.guard.judge.inconclusive
        self._ends(Outcome.INCONCLUSIVE, then)
        if then == "promote":
            return self._next()
        self._outcome = "taken-back" if then == "rollback" else "held"
        return True

    def _next(self) -> bool:
        if self._waiting:
            self._begin()
            return False
        self._outcome = "promoted"
        return True

    def _ends(self, outcome: Outcome, did: str) -> None:
        """Tell it, and write it into the journal: `why` and `history` show it later. Only a pass has to be there before
        anything follows: it is what the next one may go back to."""
        verdict = self._verdict
        reason = verdict.reason if verdict else "there was no traffic"
        self.ended.append(Step(self.share, outcome, self._site.clock() - self._since, verdict))
        said = f"{self.share} %: {outcome}"
        said = said if outcome is Outcome.PASS else f"{said}: {reason}"  # a pass was told when it came
        self._site.emit(Event("guard", "step-over", self._release.tag, said, data={"share": self.share}))
        event = {
            "event": "passed" if outcome is Outcome.PASS else "verdict",
            "release": self._release.number,
            "outcome": str(outcome),
            "reason": reason,
            "did": did,
            "share": self.share,
            "alpha_sum": verdict.alpha_sum if verdict else None,
            "by": self._site.by,
        }
        append = {"op": "append", "epoch": self._epoch, "events": [event]}
        if outcome is Outcome.PASS:
            self._session.run([append])
        elif not self._session.send([append])[0].get("ok"):
            self._site.notice("the verdict could not be written into the journal (bg doctor says more)")

    def _need_mine(self, observed: Observed) -> None:
        """Somebody else may have taken over, or the proxy may have been away and the lease with it."""
        lease = observed.proxy.lease
        unfinished = observed.history.unfinished
        if unfinished is not None and unfinished.id == self._operation.id:
            if lease is not None and lease.get("operation") == self._operation.id:
                return
            raise ProxyFailed(
                "proxy.session",
                "the canary's lease is lost: the proxy was away, or this process",
                next=("bg canary", "bg status"),
            )
        raise Overtaken(
            "operation.overtaken",
            f"somebody else took over; the canary of {self._release.tag} stops here",
            next=("bg canary    how visitors are shared now", "bg history"),
        )

    def _guarded_by_another(self) -> str:
        """Why a guard elsewhere, such as the one in its container, has taken it back; "" where none has."""
        observed = self._site.observe(self._session)
        record = observed.history.releases.get(self._release.number)
        reason = (record.reason or "") if record else ""
        return reason if not observed.share and reason.startswith(BY_THE_GUARD) else ""

    def _back_to_safe(self) -> None:
        observed = self._site.observe(self._session)
        if observed.share > self._safe:
            shift(self._site, self._session, self._epoch, observed, self._safe, reason="stopped")
        self.share = self._safe

    def _give_up(self, error: BluegreenError) -> None:
        """Leave the candidate at its last safe share, over another session where this one is gone; then raise."""
        if isinstance(error, Overtaken):
            raise error
        try:
            if error.code == "proxy.session":
                with self._site.session() as session:
                    end_abandoned(self._site, session, self._site.observe(session))
            else:
                self._back_to_safe()
                end(self._session, self._epoch, self._operation.id, "failed")
        except BluegreenError as second:
            self._site.notice(f"the canary could not be ended: {second.problem}; bg resume ends it")
        raise error


def _need_candidate(observed: Observed, release: Release) -> None:
    if choose_candidate(observed).number != release.number:
        raise Refused(
            "canary.another-candidate",
            f"{release.tag} is not the candidate any more",
            next=("bg canary", "bg status"),
        )
