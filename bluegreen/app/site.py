"""A site: one project on one engine, and the conversation with its proxy."""

from __future__ import annotations

import getpass
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bluegreen.engine.api import patience
from bluegreen.engine.protocol import Engine
from bluegreen.model.codec import decode
from bluegreen.model.containers import Container
from bluegreen.model.errors import EngineConflict, Held, JournalLost, ProxyFailed, Refused, Stale
from bluegreen.model.events import Event, Sink, nowhere
from bluegreen.model.history import History, Operation, fold
from bluegreen.model.names import kept_image, kept_images, proxy_container
from bluegreen.model.observed import Observed, ProxyState
from bluegreen.model.release import Routes
from bluegreen.probes.public import Look, look
from bluegreen.proxy.session import AGENT, ANSWER_SECONDS, ProxySession

if TYPE_CHECKING:
    from bluegreen.execution.executor import Checkpoint, Executor
    from bluegreen.planning.steps import Plan

LEASE_SECONDS = 30.0
ACQUIRE_WAIT = 2.0
"""Seconds to wait for a lease: long enough for the agent to notice that a killed holder is gone (0.1 s)."""


@dataclass(slots=True)
class Site:
    """What every command works with. ``by`` is who runs it, for the journal."""

    name: str
    engine: Engine
    emit: Sink = nowhere
    by: str = field(default_factory=lambda: who())
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    checkpoint: Checkpoint | None = None
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    look: Callable[[str, str | None], Look] = look
    holding: set[str] = field(default_factory=set)  # operations that this process has the lease of

    def notice(self, message: str, subject: str = "") -> None:
        self.emit(Event("notice", "notice", subject, message))

    @contextmanager
    def session(self) -> Iterator[ProxySession]:
        """A conversation with the agent. Raises `ProxyFailed` when the proxy isn't running."""
        try:
            stream = self.engine.exec_stream(proxy_container(self.name), AGENT)
        except EngineConflict as error:
            raise ProxyFailed(
                "proxy.not-running",
                f"the proxy container {proxy_container(self.name)} is not running",
                next=("bg proxy start", "bg doctor"),
            ) from error
        session = ProxySession(stream, min(ANSWER_SECONDS, patience(self.env)))
        try:
            yield session
        finally:
            session.close()

    def observe(self, session: ProxySession, *, networks: bool = True, history: bool = False) -> Observed:
        """The picture of the moment. ``history`` is made from the whole journal instead of its tail."""
        answer = session.run([{"op": "read", "history": history, "steps": not history}])[0]
        return self.picture(answer, self.engine.containers(self.name), networks=networks, images=networks)

    def picture(
        self, answer: Mapping[str, Any], containers: list[Container], *, networks: bool = False, images: bool = False
    ) -> Observed:
        """What the agent and the engine answered, as one value; with ``images``, what of these there is too."""
        state = _proxy_state(answer)
        events = answer.get("events") or []
        try:
            past = fold(events)
        except (ValueError, KeyError, TypeError) as error:
            past = History()
            state = _with_journal(state, "corrupt", f"an event does not fit: {error}")
        tags = self._kept_tags() if images else ()
        return Observed(
            project=self.name,
            containers=tuple(containers),
            proxy=state,
            history=past,
            networks=tuple(self.engine.networks()) if networks else (),
            kept_tags=tags,
            imageless=self._imageless(containers, tags) if images else frozenset(),
        )

    def _kept_tags(self) -> tuple[str, ...]:
        prefix = kept_images(self.name)
        return tuple(tag for image in self.engine.images(prefix) for tag in image.tags if tag.startswith(prefix))

    def _imageless(self, containers: list[Container], tags: tuple[str, ...]) -> frozenset[int]:
        """What has lost its tag is looked for by its id: somebody else's tag may hold it."""
        untagged = [c for c in containers if c.kept and kept_image(self.name, c.service, c.release) not in tags]
        return frozenset(c.release for c in untagged if self.engine.image(c.image) is None)

    def executor(self, session: ProxySession | None, epoch: int | None, **tools: Any) -> Executor:
        from bluegreen.execution.executor import Executor  # a command asks its first questions before this

        if self.checkpoint is not None:
            tools["checkpoint"] = self.checkpoint
        return Executor(self.engine, session, epoch=epoch, emit=self.emit, pause=self.pause, clock=self.clock, **tools)


def who() -> str:
    """``user@host``, for the journal."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # no such user in a container's passwd
        user = str(os.getuid())
    return f"{user}@{platform.node()}"


def operation_id(kind: str) -> str:
    return f"{kind}-{os.urandom(4).hex()}"


@contextmanager
def lease(
    site: Site, session: ProxySession, operation: str, *, seize: bool = False, epoch: int | None = None
) -> Iterator[int]:
    """Hold the lease, renewed while working; answers the epoch. Raises `Held` when someone else has it.

    ``seize`` takes it from whoever has it: their next step is refused. With ``epoch``, only while that is the
    current one: raises `Overtaken` otherwise.
    """
    request: dict[str, Any] = {"operation": operation, "holder": site.by, "seconds": LEASE_SECONDS}
    if epoch is not None:
        request["epoch"] = epoch
    if seize:
        answer = session.run([{"op": "seize", **request}])[0]
        before = answer.get("lease") or {}
        if before and before.get("operation") not in {operation, *site.holding}:
            site.notice(f"took over from {before.get('operation')} by {before.get('holder')}")
    else:
        answer = session.run([{"op": "acquire", "wait": ACQUIRE_WAIT, **request}])[0]
    session.start_renewing(operation, LEASE_SECONDS)
    site.holding.add(operation)
    try:
        yield int(answer["epoch"])
    finally:
        site.holding.discard(operation)
        session.stop_renewing()
        with suppress(ProxyFailed):  # the agent releases it with the session's end, and why it ended is told already
            session.send([{"op": "release", "operation": operation}])


def begin(session: ProxySession, epoch: int, operation: Operation, *more: Mapping[str, Any]) -> None:
    """Journal that an operation begins: its intent, whole."""
    event = {
        "event": "begin",
        "op": operation.id,
        "kind": operation.kind,
        "by": operation.by,
        "tag": operation.tag,
        "release": operation.release,
        "slot": operation.slot,
        "live": operation.live,
        "standby": operation.standby,
        "stage": operation.stage,
        "reason": operation.reason,
        "cold": operation.cold,
        "overtook": operation.overtook,
        "keep": operation.keep,
        "share": operation.share,
        "candidate": operation.candidate,
    }
    session.run([{"op": "append", "epoch": epoch, "events": [event, *more]}])


def end(session: ProxySession, epoch: int, operation: str, outcome: str) -> Mapping[str, Any]:
    """Journal that it is over, with a snapshot that later commands start from; answers what was read for that."""
    answer = session.run([{"op": "read", "history": False}])[0]
    snapshot = None
    if answer.get("journal", "ok") == "ok":  # of a broken one only what follows the break is known; others stop at it
        try:
            snapshot = fold(answer.get("events") or []).snapshot()
        except (ValueError, KeyError, TypeError):
            snapshot = None  # the journal is broken; the next command says so
    event = {"event": "end", "op": operation, "outcome": outcome, "snapshot": snapshot}
    session.run([{"op": "append", "epoch": epoch, "events": [event]}])
    return answer


def not_here(site: Site) -> Refused:
    """What to raise where the engine has nothing of the project."""
    return Refused(
        "project.not-here",
        f"nothing of a project {site.name} is on this engine",
        next=("bg deploy TAG", "bg status -p NAME    if it has another name"),
    )


def need_journal(observed: Observed) -> None:
    """Raises `JournalLost` unless the journal can be trusted. A rollback doesn't ask."""
    state = observed.proxy
    if state.journal != "ok":
        raise JournalLost(
            f"journal.{state.journal}",
            f"the journal in the proxy's volume is {state.journal}: {state.journal_detail or 'it cannot be read'}. "
            f"Traffic is not affected, and rollback still works; everything else stops here",
            next=("bg status", "bg rollback", "bg proxy repair    starts a new journal from what the engine knows"),
        )


def need_ended(observed: Observed, *, but: Callable[[Operation], bool] | None = None) -> None:
    """Raises `Refused` while an operation is unfinished, unless ``but`` says it is the one to go on with.

    Raises `Held` where somebody is still at it.
    """
    unfinished, lease = observed.history.unfinished, observed.proxy.lease
    if unfinished is None or (but is not None and but(unfinished)):
        return
    if lease is not None and lease.get("operation") == unfinished.id:
        raise Held(
            "operation.held",
            f"another operation is under way: {unfinished} by {lease.get('holder')} (begun {unfinished.at}, "
            f"now at: {unfinished.last_step or 'its beginning'})",
            next=("bg status", "bg rollback    never waits"),
        )
    raise Refused(
        "operation.unfinished",
        f"an operation was interrupted: {unfinished} (begun {unfinished.at} by {unfinished.by}, "
        f"last step: {unfinished.last_step or 'none'})",
        next=("bg resume    goes on with it", "bg abort    puts things back", "bg rollback    works all the same"),
    )


def still(site: Site, session: ProxySession, before: Observed) -> Observed:
    """The picture again, once the lease is held: what there is changes while one waits for it.

    Raises `Stale` where traffic was moved, or an operation begun or ended, since ``before`` was seen: what was
    decided on it may now be about the slot that is live.
    """
    now = site.observe(session)
    if _moment(now) != _moment(before):
        raise Stale(
            "operation.overtaken",
            "another operation has changed things since this one looked; nothing was changed by this one",
            next=("bg status", "then the same command again, if it still makes sense"),
        )
    return now


def _moment(observed: Observed) -> tuple[int | None, str | None]:
    routes, unfinished = observed.proxy.routes, observed.history.unfinished
    return routes.generation if routes else None, unfinished.id if unfinished else None


def describe(plan: Plan) -> list[dict[str, str]]:
    """A plan for ``--dry-run --json``."""
    return [{"step": s.verb, "subject": s.subject, "cause": s.cause, "phase": s.phase} for s in plan.flat()]


def _proxy_state(answer: Mapping[str, Any]) -> ProxyState:
    return ProxyState(
        routes=decode(Routes, answer["routes"]) if answer.get("routes") else None,
        back=decode(Routes, answer["back"]) if answer.get("back") else None,
        compiled=answer.get("compiled"),
        rendered=answer.get("rendered"),
        epoch=int(answer.get("epoch") or 0),
        lease=answer.get("lease"),
        journal=str(answer.get("journal", "ok")),
        journal_detail=str(answer.get("journal_detail") or ""),
        clock=str(answer.get("clock") or ""),
        connections=answer.get("connections") or {},
        draining_workers=int((answer.get("workers") or {}).get("draining", 0)),
        disk_free=(answer.get("disk") or {}).get("free"),
    )


def _with_journal(state: ProxyState, journal: str, detail: str) -> ProxyState:
    from dataclasses import replace

    return replace(state, journal=journal, journal_detail=detail)
