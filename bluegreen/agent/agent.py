"""The operations of `PROTOCOL.md`, for one session."""

from __future__ import annotations

import os

from . import PROTOCOL, SEPARATOR, activate, shelf
from .clock import parse_rfc3339, rfc3339
from .errors import EndOfSession, Refusal
from .files import NO_SPACE, RESERVE
from .journal import SCHEMA, Journal
from .jsonl import dumps
from .lease import Leases
from .probe import probe
from .store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .clock import Clock
    from .files import Files
    from .follow import Log
    from .nginx import Nginx

LOGS = "/var/log/bluegreen"
"""The other volume: the access log, and what is kept of it."""

GENERATIONS_KEPT = 20
"""After each operation: those who only ever switch back and forth would fill the volume otherwise."""

GENERATIONS_WHEN_FULL = 3
EFFECTS = ("activate", "drop_back", "prune")
"""Operations whose intent must outlast a loss of power before they begin."""


class Agent:
    """One session: what it holds, and what it does when asked.

    ``wait`` pauses an operation and raises `EndOfSession` when the other side is gone. ``alive`` says whether the
    agent of another session still runs. ``called`` says whether the next request is there already: whoever sent it
    does not wait for this one's answer any more. ``on`` is told of each operation, before and after it.
    """

    def __init__(
        self,
        files: Files,
        nginx: Nginx,
        clock: Clock,
        *,
        session: str,
        wait: Callable[[float], None] | None = None,
        alive: Callable[[str], bool] = lambda _session: True,
        called: Callable[[], bool] = lambda: False,
        version: str = "",
        on: Callable[[str], None] | None = None,
        logs: str = LOGS,
    ) -> None:
        self.logs = logs
        self.files = files
        self.nginx = nginx
        self.clock = clock
        self.store = Store(files)
        self.journal = Journal(files)
        self.leases = Leases(files, clock, nginx.start(), alive)
        self.operation = ""
        self.epoch: int | None = None
        self.session = session
        self.version = version
        self.urgent = False  # a rollback, which goes on where others stop
        self.called = called
        self._wait = wait or clock.pause
        self._on = on
        self._renew_at = 0.0
        self._unrecorded = ""
        self._to_sync = False
        self._readers: dict[str, Log] = {}

    def log(self, reader: str) -> Log:
        """The access log as one of this session's readers has it open."""
        if reader not in self._readers:
            from .follow import Log  # a rollback never comes here

            self._readers[reader] = Log(self.logs, self.nginx)
        return self._readers[reader]

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run a request's operations up to the first that fails."""
        results = []
        for op in request.get("do") or []:
            result = self._run(op)
            results.append(result)
            if not result["ok"]:
                break
        try:
            self._sync_journal()
        except OSError as error:
            note = f"the journal could not be made durable: {error}"
            results[-1].update({"journal": note} if self.urgent else {"ok": False, "code": "journal", "message": note})
        return {"id": request.get("id"), "results": results}

    def close(self) -> None:
        """The session has ended. What it still holds was held by someone who is gone."""
        with self.files.lock():
            lease = self.leases.held_by(self.session)
            if lease is None:
                return
            self.leases.release(lease["operation"])
        try:
            self.record([{"event": "lost", "op": lease["operation"]}])
            self._sync_journal()
        except (Refusal, OSError):
            return  # the journal is gone or full; the lease is free, which is what others wait for

    def check_epoch(self, op: dict[str, Any]) -> None:
        if op.get("epoch") is not None:
            self.leases.check(int(op["epoch"]))

    def hold(self, op: dict[str, Any]) -> dict[str, Any]:
        """Take the lease, which is free or about to be overtaken. Wants the lock held."""
        self.operation = str(op["operation"])
        seconds = float(op.get("seconds") or 30.0)
        self.epoch = self.leases.take(self.operation, str(op.get("holder") or ""), seconds, self.session)
        self._renew_at = self.clock.monotonic() + seconds / 4
        return {"epoch": self.epoch}

    def wait(self, seconds: float) -> None:
        """Pause within an operation; a lease of this session stays alive meanwhile."""
        self._wait(seconds)
        if self.operation and self.clock.monotonic() > self._renew_at:
            with self.files.lock():
                lease = self.leases.held_by(self.session)
                if lease is not None:
                    self.leases.renew(lease["operation"], self.session)
                self._renew_at = self.clock.monotonic() + (float(lease["seconds"]) / 4 if lease else 3600.0)

    # -- one operation -------------------------------------------------------------------------------------
    def _run(self, op: dict[str, Any]) -> dict[str, Any]:
        start = self.clock.monotonic()
        name = str(op.get("op"))
        if self._on is not None:
            self._on(f"before {name}")
        try:
            result = {"ok": True, **self._guarded(op)}
        except Refusal as refusal:
            result = {"ok": False, "code": refusal.code, "message": refusal.message, **refusal.more}
        except EndOfSession:
            raise
        except OSError as error:
            code = "disk-full" if error.errno in NO_SPACE else "failed"
            result = {"ok": False, "code": code, "message": f"{name}: {error}"}
        except Exception as error:  # one bad request must not end the session
            result = {"ok": False, "code": "failed", "message": f"{name}: {type(error).__name__}: {error}"}
        if self._unrecorded:
            result["journal"], self._unrecorded = self._unrecorded, ""
        result["took"] = round((self.clock.monotonic() - start) * 1000, 2)
        if self._on is not None:
            self._on(f"after {name}")
        return result

    def _guarded(self, op: dict[str, Any]) -> dict[str, Any]:
        """The operation, with room made for it once where the volume is full."""
        perform = OPS.get(str(op.get("op")))
        if perform is None:
            raise Refusal("unknown", f"this agent has no operation {op.get('op')!r}", protocol=PROTOCOL)
        try:
            return self._journaled(perform, op)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
        self._make_room(reserve=self.urgent or op["op"] not in ("activate", "put"))
        return self._journaled(perform, op)

    def _journaled(
        self, perform: Callable[[Agent, dict[str, Any]], dict[str, Any]], op: dict[str, Any]
    ) -> dict[str, Any]:
        self.check_epoch(op)
        event = op.get("journal")
        if event is None:
            return perform(self, op)
        self.record([{**event, "event": "intent"}], op)
        if op["op"] in EFFECTS:
            self._sync_journal()
        start = self.clock.monotonic()
        outcome: dict[str, Any] = {**event, "event": "outcome", "ok": True, "ms": 0.0}
        try:
            result = perform(self, op)
        except Refusal as refusal:
            ms = round((self.clock.monotonic() - start) * 1000, 1)
            self.record([{**outcome, "ok": False, "ms": ms, "code": refusal.code, "message": refusal.message}], op)
            raise
        self.record([{**outcome, "ms": round((self.clock.monotonic() - start) * 1000, 1)}], op)
        return result

    def record(self, events: list[dict[str, Any]], op: dict[str, Any] | None = None) -> None:
        """Append events, with what they lack of schema, time, operation and epoch.

        They are durable before the next effect, and before the other side is told. Raises the refusal
        ``journal-missing`` where there is no journal. A rollback starts a new one instead, and goes on even where
        nothing can be written.
        """
        epoch = op["epoch"] if op is not None and op.get("epoch") is not None else self.epoch
        base = {"v": SCHEMA, "t": rfc3339(self.clock.now()), "op": self.operation, "epoch": epoch}
        stamped = [{**base, **event} for event in events]
        if not self.journal.exists():
            if not self.urgent:
                raise Refusal("journal-missing", "the journal is gone from the proxy's volume")
            stamped.insert(0, {**base, "event": "journal-lost"})
        try:
            self.journal.append(stamped, durable=False)
        except OSError as error:
            if not self.urgent:
                raise
            try:
                self._make_room(reserve=True)
                self.journal.append(stamped, durable=False)
            except OSError:
                self._unrecorded = f"the journal could not be written: {error}"
                return
        self._to_sync = True

    def _sync_journal(self) -> None:
        if self._to_sync:
            self._to_sync = False
            self.journal.sync()

    def _make_room(self, *, reserve: bool) -> None:
        self.store.prune(GENERATIONS_WHEN_FULL)
        if reserve:
            self.files.unlink(RESERVE)


def _hello(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    del op
    now = rfc3339(agent.clock.now())
    return {"protocol": PROTOCOL, "version": agent.version, "now": now, "pid": os.getpid()}


def _read(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    epoch, lease = agent.leases.read()
    state, detail, events = agent.journal.read(history=bool(op.get("history")), steps=bool(op.get("steps", True)))
    served = agent.nginx.served()
    workers = agent.nginx.workers()
    disk = os.statvfs(agent.files.root)
    return {
        "routes": agent.store.routes("current"),
        "generation": agent.store.current(),
        "back": agent.store.routes(activate.BACK),
        "compiled": served["compiled"] if served else None,
        "rendered": agent.store.digest("current"),
        "epoch": epoch,
        "lease": lease,
        "journal": state,
        "journal_detail": detail,
        "events": events,
        "clock": rfc3339(agent.clock.now()),
        "connections": agent.nginx.connections(),
        "workers": {"active": workers.active, "old": workers.old, "draining": workers.draining},
        "disk": {"free": disk.f_bavail * disk.f_frsize, "size": disk.f_blocks * disk.f_frsize},
    }


def _acquire(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    until = agent.clock.monotonic() + float(op.get("wait") or 0)
    while True:
        with agent.files.lock():
            lease = agent.leases.read()[1]
            if lease is None:
                return agent.hold(op)
        if agent.clock.monotonic() >= until:
            raise Refusal("held", f"{lease['operation']} by {lease['holder']} is under way", lease=lease)
        agent.wait(0.05)


def _seize(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    agent.urgent = True
    with agent.files.lock():
        lease = agent.leases.read()[1]
        return {**agent.hold(op), "lease": lease}


def _renew(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    with agent.files.lock():
        return {"lease": agent.leases.renew(str(op["operation"]), agent.session)}


def _release(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    with agent.files.lock():
        agent.leases.release(str(op["operation"]))
        agent.store.forget(GENERATIONS_KEPT)
    return {}


def _append(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    agent.record(list(op["events"]), op)
    return {}


def _begin_journal(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    return {"kept": agent.journal.begin_anew(rfc3339(agent.clock.now())), **_append(agent, op)}


def _drop_back(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    with agent.files.lock():
        agent.check_epoch(op)
        agent.store.drop_back()
        # Its slot is about to be filled anew: no compiled configuration may still take that for what is live.
        activate.reload_where_due(agent, now=True)
    return {}


def _probe(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    answers = probe(agent.nginx, list(op["requests"]), diagnose=bool(op.get("diagnose")))
    bad = [str(answer["name"]) for answer in answers if not answer["ok"]]
    if bad:
        raise Refusal("unhealthy", f"not answered as expected: {', '.join(bad)}", answers=answers)
    return {"answers": answers}


def _reload(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    with agent.files.lock():
        agent.check_epoch(op)
        return {"reloaded": activate.reload_where_due(agent)}


def _settle(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    gate = int(op["gate"])
    start = agent.clock.monotonic()
    while not activate.settled(agent, gate):
        waited = agent.clock.monotonic() - start
        if waited >= float(op.get("seconds") or 0):
            raise Refusal("timeout", f"gate {gate} did not open within {waited:.1f} s", served=agent.nginx.served())
        agent.wait(0.01)
    return {"waited": round(agent.clock.monotonic() - start, 3)}


def _drain(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    addresses = {str(address).partition(":")[0] for address in op["addresses"]}
    with agent.files.lock():
        agent.store.end_skew()
    start = agent.clock.monotonic()
    seconds = float(op.get("seconds") or 0)
    if op.get("until"):
        seconds = min(seconds, parse_rfc3339(str(op["until"])) - agent.clock.now())
    empty = 0
    while True:
        left = sum(count for ip, count in agent.nginx.connections().items() if ip in addresses)
        empty = 0 if left else empty + 1
        waited = agent.clock.monotonic() - start
        if empty == 2 or (left and waited >= seconds):
            return {"left": left, "waited": round(waited, 3)}
        if agent.called():
            raise Refusal("interrupted", "nobody waits for this any more", left=left)
        agent.wait(0.05)


def _put(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    shelf.put(agent.files, str(op["path"]), str(op["text"]), append=bool(op.get("append")))
    return {}


def _get(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    return shelf.get(agent.files, str(op["path"]))


def _preview(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    if op.get("renew"):
        with agent.files.lock():
            agent.check_epoch(op)
            agent.nginx.new_token()
            agent.nginx.reload()
    token = agent.files.read("preview.token")
    if token is None:
        raise Refusal("missing", "the proxy has no preview token; it is made when the proxy starts")
    return {"token": token.strip()}


def _usage(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    del op
    workers = agent.nginx.workers()
    return {
        "memory": agent.nginx.memory(),
        "workers": {"active": workers.active, "old": workers.old, "draining": workers.draining},
        "clock": agent.clock.monotonic(),
    }


def _prune(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    with agent.files.lock():
        agent.check_epoch(op)
        removed = agent.store.prune(max(1, int(op["keep"])))
    agent.files.keep_reserve()
    return {"removed": removed}


def _follow(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    from .follow import follow

    return follow(agent, op)


def _record(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    from .rows import record

    return record(agent, op)


def _rows(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    from .rows import rows

    return rows(agent, op)


def written(answer: dict[str, Any]) -> bytes:
    """An answer as it travels, without the line's end: JSON, and after `SEPARATOR` the raw ``data`` of its last result,
    whose own line ends become that, too. In a log that nginx wrote as JSON no such byte can stand."""
    results = answer["results"]
    data = results[-1].pop("data", None) if results else None
    if data is None:
        return dumps(answer).encode()
    return dumps(answer).encode() + SEPARATOR + bytes(data).replace(b"\n", SEPARATOR)


OPS = {
    "hello": _hello,
    "read": _read,
    "acquire": _acquire,
    "seize": _seize,
    "renew": _renew,
    "release": _release,
    "append": _append,
    "begin_journal": _begin_journal,
    "activate": activate.activate,
    "drop_back": _drop_back,
    "probe": _probe,
    "reload": _reload,
    "settle": _settle,
    "drain": _drain,
    "put": _put,
    "get": _get,
    "preview": _preview,
    "usage": _usage,
    "prune": _prune,
    "follow": _follow,
    "record": _record,
    "rows": _rows,
}
