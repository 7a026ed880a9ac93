"""The executor: for every step the intent, the effect, the outcome, and an event for whoever watches.

The intent is appended with this operation's epoch, and the agent refuses it when a rollback has raised the epoch
since: an overtaken deploy stops before its next effect, whatever that is. Consecutive steps on the
proxy's side travel as one message, with their intents and outcomes written by the agent itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from bluegreen.engine.protocol import Engine
from bluegreen.execution import proxyside
from bluegreen.execution.effects import EFFECTS, Workplace
from bluegreen.model.errors import BluegreenError, SmokeFailed, Unhealthy
from bluegreen.model.events import Event, Sink, nowhere
from bluegreen.planning.proxysteps import Activate, Flip, ProxyStep, Shift, Smoke
from bluegreen.planning.steps import Plan, RunJob, SmokeCommand, Step, Together

Checkpoint = Callable[[Literal["before", "after"], Step], None]
"""Called around every effect; tests kill the process there."""

PARALLEL = 8

ENDS_AT_ONCE = (RunJob, SmokeCommand)
"""Steps that may take long and leave nothing half done: Ctrl-C ends the wait for them itself."""

MOVES = (Flip, Shift)
"""Steps that move traffic."""

LAST_EFFECTS_SECONDS = 20.0
"""How long an interruption waits for effects under way: more than a container's usual grace. A second Ctrl-C
does not wait."""


class Session(Protocol):
    """The conversation with the agent, as the executor needs it."""

    def run(self, ops: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Run operations in order and answer their results. Raises the error of the first that failed."""

    def send(self, ops: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The same without raising for results that say ``"ok": false``."""


def _no_checkpoint(when: Literal["before", "after"], step: Step) -> None:
    """Nothing is tested here."""


class Executor:
    """Runs plans of one operation.

    ``session`` None runs steps without a journal: only the ground is laid that way, before there is a proxy.
    """

    def __init__(
        self,
        engine: Engine,
        session: Session | None,
        *,
        epoch: int | None = None,
        render: proxyside.Render | None = None,
        preview: Callable[[], tuple[str, str]] | None = None,
        emit: Sink = nowhere,
        checkpoint: Checkpoint = _no_checkpoint,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = engine
        self.session = session
        self.epoch = epoch
        self.render = render
        self.emit = emit
        self.checkpoint = checkpoint
        self._interrupted = threading.Event()
        self._wait = pause
        self.place = Workplace(engine, session, preview, emit, self._pause, clock)
        self.generation: int | None = None
        self.served: Mapping[str, Any] | None = None
        self.moved: bool | None = False
        """Whether traffic was moved: by the proxy's own answer; None while that is awaited, or where it got lost."""

    def run(self, plan: Plan) -> None:
        """Carry the plan out. Raises the first failure; what was done stays done, and the journal says so."""
        for group in _groups(plan.steps):
            if isinstance(group, Together):
                self._together(group.steps)
            elif isinstance(group[0], ProxyStep):
                self._proxy_batch(group)
            else:
                self._together(group)

    # -- engine and operator steps -------------------------------------------------------------------------

    def _together(self, steps: Sequence[Step]) -> None:
        self._append([_intent(s) for s in steps])
        for step in steps:
            self.emit(Event("step", step.verb, step.subject, step.cause, data={"phase": step.phase}))
        outcomes = self._carry_out(steps)
        # Without the epoch: an outcome is a fact, and whoever took over waits for it.
        self._append([_outcome(s, ms, error) for s, (ms, error) in zip(steps, outcomes, strict=True)], epoch=False)
        for _, error in outcomes:
            if error is not None:
                raise error

    def _carry_out(self, steps: Sequence[Step]) -> list[tuple[float, BluegreenError | None]]:
        """The effects, side by side, and never in the thread that Ctrl-C strikes.

        What has begun on the engine goes on there, whoever waits for it. So an interruption is raised once the
        effects are over: what they made is then there to be seen, and put back.
        """
        if isinstance(steps[0], ENDS_AT_ONCE):
            return [self._effect(step) for step in steps]
        answers: dict[int, tuple[float, BluegreenError | None] | BaseException] = {}
        # Not `Thread.join`: before Python 3.13 a thread is said to be over once the wait for it was interrupted.
        threads: list[threading.Thread] = []
        over: list[threading.Event] = []
        try:
            for start in range(0, len(steps), PARALLEL):
                for number in range(start, min(start + PARALLEL, len(steps))):
                    over.append(threading.Event())
                    # Daemons: an effect that hangs must not keep an interrupted process from ending.
                    arguments = (answers, number, steps[number], over[-1])
                    threads.append(threading.Thread(target=self._answer, args=arguments, daemon=True))
                    threads[-1].start()
                for effect in over[start:]:
                    effect.wait()
        except BaseException:
            self._interrupted.set()
            end = time.monotonic() + LAST_EFFECTS_SECONDS
            for thread, effect in zip(threads, over, strict=False):
                if thread.ident is not None:  # it has begun
                    effect.wait(max(0.0, end - time.monotonic()))
            raise
        out = []
        for number in range(len(steps)):
            answer = answers[number]
            if isinstance(answer, BaseException):
                raise answer
            out.append(answer)
        return out

    def _answer(
        self,
        answers: dict[int, tuple[float, BluegreenError | None] | BaseException],
        number: int,
        step: Step,
        over: threading.Event,
    ) -> None:
        try:
            answers[number] = self._effect(step)
        except BaseException as error:
            answers[number] = error
        finally:
            over.set()

    def _pause(self, seconds: float) -> None:
        """What waits for readiness stops waiting when the operation is interrupted."""
        if self._interrupted.is_set():
            raise KeyboardInterrupt
        self._wait(seconds)

    def _effect(self, step: Step) -> tuple[float, BluegreenError | None]:
        self.checkpoint("before", step)
        start = self.place.clock()
        try:
            EFFECTS[type(step)](self.place, step)
        except BluegreenError as error:
            ms = (self.place.clock() - start) * 1000
            self.emit(Event("step-failed", step.verb, step.subject, str(error.problem), ms, {"phase": step.phase}))
            return ms, error
        ms = (self.place.clock() - start) * 1000
        self.checkpoint("after", step)
        self.emit(Event("step-done", step.verb, step.subject, "", ms, {"phase": step.phase}))
        return ms, None

    def _append(self, events: list[dict[str, Any]], *, epoch: bool = True) -> None:
        if self.session is not None:
            op = {"op": "append", "events": events}
            self.session.run([self._with_epoch(op) if epoch else op])

    # -- steps on the proxy's side -------------------------------------------------------------------------

    def _proxy_batch(self, steps: Sequence[Step]) -> None:
        """Send steps as one message. A test's checkpoint stands before and after the whole of it; inside, the
        agent has its own."""
        assert self.session is not None  # noqa: S101 - a proxy step without a proxy is a planning error
        for part in self._resolvable(steps):
            ops = []
            for step in part:
                self.checkpoint("before", step)
                self.emit(Event("step", step.verb, step.subject, step.cause, data={"phase": step.phase}))
                op = proxyside.op(step, self.render, self.generation)
                if step.verb != "record":
                    op["journal"] = {"step": step.verb, "subject": step.subject, "cause": step.cause}
                ops.append(self._with_epoch(op))
            moved = self.moved
            if any(isinstance(step, MOVES) for step in part):
                self.moved = None
            results = self.session.send(ops)
            self.moved = moved or _moved(part, results)
            for step, result in zip(part, results, strict=False):
                self._proxy_result(step, result)
            if len(results) < len(part) or not results[-1].get("ok"):
                self.session.run([])  # a session that answers too little has ended; it says why
                raise AssertionError("the agent answered fewer results than it was asked for")
            for step in part:
                self.checkpoint("after", step)

    def _resolvable(self, steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
        """Cut a batch where an activation's parent is the generation that the batch itself makes: right after that
        one was made, so that the last proof before a flip travels with the flip."""
        part: list[Step] = []
        for number, step in enumerate(steps):
            part.append(step)
            if isinstance(step, Activate):
                following = next((s for s in steps[number + 1 :] if isinstance(s, Activate)), None)
                if following is not None and following.parent is None:
                    yield part
                    part = []
        if part:
            yield part

    def _proxy_result(self, step: Step, result: Mapping[str, Any]) -> None:
        ms = float(result.get("took", 0.0))
        if result.get("ok"):
            if isinstance(step, Activate):
                self.generation = result["generation"]
                self.served = result.get("served")
            data = {"phase": step.phase, "result": dict(result)}
            self.emit(Event("step-done", step.verb, step.subject, "", ms, data))
            return
        error = proxyside.error(step, result)
        if isinstance(step, Smoke) and isinstance(error, Unhealthy):
            failed = SmokeFailed("smoke.failed", error.problem.message, where=error.service, next=error.problem.next)
            failed.quoted, error = error.quoted, failed
        self.emit(Event("step-failed", step.verb, step.subject, str(error.problem), ms, {"phase": step.phase}))
        raise error

    def _with_epoch(self, op: dict[str, Any]) -> dict[str, Any]:
        return op if self.epoch is None else {**op, "epoch": self.epoch}


def _moved(steps: Sequence[Step], results: Sequence[Mapping[str, Any]]) -> bool | None:
    for step, result in zip(steps, results, strict=False):
        if isinstance(step, MOVES):
            return True if result.get("ok") else None if result.get("code") == "unverified" else False
    return False


def _groups(steps: Sequence[Step | Together]) -> Iterator[Together | list[Step]]:
    """Consecutive proxy steps as one list; every other step on its own."""
    batch: list[Step] = []
    for step in steps:
        if isinstance(step, ProxyStep):
            batch.append(step)
            continue
        if batch:
            yield batch
            batch = []
        yield step if isinstance(step, Together) else [step]
    if batch:
        yield batch


def _intent(step: Step) -> dict[str, Any]:
    return {"event": "intent", "step": step.verb, "subject": step.subject, "cause": step.cause}


def _outcome(step: Step, ms: float, error: BluegreenError | None) -> dict[str, Any]:
    event: dict[str, Any] = {
        "event": "outcome",
        "step": step.verb,
        "subject": step.subject,
        "ok": error is None,
        "ms": round(ms, 1),
    }
    if error is not None:
        event["code"] = error.code
    return event
