"""A proxy in memory, for tests: nginx played, the agent real, its volume a directory.

`MemoryNginx` does what the contract suite says nginx does: it compiles what `current` says when it is (re)loaded,
looks markers up for each request, and is asked through the agent's own operations. Nothing sleeps: time is a
`MemoryClock`, which waiting moves on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bluegreen.agent.agent import Agent, written
from bluegreen.agent.clock import Clock
from bluegreen.agent.files import Files
from bluegreen.agent.jsonl import loads
from bluegreen.agent.nginx import STATE, Nginx, Workers
from bluegreen.agent.wire import Answer
from bluegreen.model.codec import decode
from bluegreen.model.errors import EngineFailed
from bluegreen.model.names import Slot
from bluegreen.model.release import Routes
from bluegreen.proxy.locations import match

Fetch = Callable[[str, int, str, str, Mapping[str, str]], tuple[int, Mapping[str, str], bytes]]
"""(ip, port, method, path, headers) to (status, headers, body), as `MemoryEngine.fetch`: raises
ConnectionRefusedError where nothing listens, TimeoutError where nothing answers."""

TOKEN = "memory-token"  # noqa: S105 - guards nothing
BOOTSTRAP = {"generation": "0\n", "digest": "bootstrap-none\n", "nginx.conf": "", "upstreams.conf": "", "slot.conf": ""}


class MemoryClock(Clock):
    """Stands still unless someone waits. `set_wall` moves the wall clock alone, as people do."""

    def __init__(self, wall: float = 1_767_225_600.0) -> None:
        self._wall = wall
        self._passed = 1000.0

    def now(self) -> float:
        return self._wall + self._passed

    def monotonic(self) -> float:
        return self._passed

    def pause(self, seconds: float) -> None:
        self._passed += max(0.0, seconds)

    def set_wall(self, seconds: float) -> None:
        """Put the wall clock forward or back by so much."""
        self._wall += seconds


class MemoryNginx(Nginx):
    """One proxy container's nginx over its volume ``root``, which is made ready as the image's entrypoint does."""

    def __init__(self, root: Path, fetch: Fetch, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or MemoryClock()
        self.running = True
        self.test_fails: str | None = None
        """What ``nginx -t`` complains about."""
        self.ignores_reload = False
        """A reload is asked for, and the old configuration goes on serving."""
        self.holds_workers = False
        """Long-lived connections keep the workers of each reload until `finish_drain`."""
        self.held: dict[str, int] = {}
        """Connections that the proxy holds, by address."""
        self.writing: set[tuple[int, int]] = set()
        """Files, by device and inode, that a worker has open still after they were renamed."""
        self.reloads = 0
        self.sessions = 0
        self.dead: set[str] = set()
        """Sessions whose agent was killed."""
        self.root = root
        self.logs = root.with_name(f"{root.name}-log")
        """The access log's volume, which `log` fills."""
        self._fetch = fetch
        self._starts = 0
        self._draining = 0
        self._reloaded_at: float | None = None
        self._compiled: tuple[str | None, Routes | None] = (None, None)
        self.restart()

    # -- for tests -----------------------------------------------------------------------------------------
    def restart(self) -> None:
        """The container is (re)started: what the volume says is compiled, everything in memory is gone."""
        _make_ready(self.root)
        self.running = True
        self._starts += 1
        self._draining = 0
        self._reloaded_at = None
        self.held.clear()
        self._load()

    def stop(self) -> None:
        self.running = False

    def finish_drain(self) -> None:
        """The last long-lived connection of replaced workers has ended."""
        self._draining = 0

    def serve(self, path: str = "/", host: str = "localhost", bucket: int = 0) -> tuple[Slot | None, int, bytes]:
        """A request to the public listener from a visitor of this bucket: (slot, status, body)."""
        if not self.running:
            raise ConnectionRefusedError("the proxy is not running")
        slot = self._slot_of(bucket)
        if slot is None:
            return None, 503, b"No release of this project is live yet.\n"
        answer = self._to_slot(slot, "GET", path, {"Host": host})
        return slot, answer.status, answer.body

    def log(self, lines: bytes) -> None:
        """Append to the access log what nginx would have written."""
        self.logs.mkdir(exist_ok=True)
        with (self.logs / "access.log").open("ab") as file:
            file.write(lines)

    def preview(self, path: str = "/", host: str = "localhost", token: str = TOKEN) -> tuple[Slot | None, int, bytes]:
        """The same to the preview listener."""
        if token != (self.root / "preview.token").read_text().strip():
            return None, 403, b""
        slot = self._marked("idle/{}")
        if slot is None:
            return None, 503, b""
        answer = self._to_slot(slot, "GET", path, {"Host": host})
        return slot, answer.status, answer.body

    # -- what the agent asks -------------------------------------------------------------------------------
    def test(self, conf: str) -> str | None:
        return self.test_fails if Path(conf).is_file() else f"open() {conf!r} failed"

    def reload(self) -> None:
        self.reloads += 1
        self._reloaded_at = self.clock.monotonic()
        if not self.ignores_reload:
            self._load()
            if self.holds_workers:
                self._draining += 2

    def workers(self) -> Workers:
        since = None if self._reloaded_at is None else self.clock.monotonic() - self._reloaded_at
        return Workers(2 if self.running else 0, 0, self._draining, since)

    def fetch(self, requests: list[dict[str, Any]]) -> list[Answer]:
        return [self._control(request) if self.running else Answer(error="refused") for request in requests]

    def connections(self) -> dict[str, int]:
        return dict(self.held)

    def connect(self, ip: str, port: int, timeout: float) -> str | None:
        try:
            self._fetch(ip, port, "GET", "/", {})
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            self.clock.pause(timeout)
        return None

    def writes(self, device: int, inode: int) -> bool:
        return (device, inode) in self.writing

    def memory(self) -> int:
        return 1 << 20

    def new_token(self) -> None:
        (self.root / "preview.token").write_text(f"{TOKEN}-{self.reloads}\n")

    def start(self) -> str:
        return f"memory:{self._starts}"

    # -- inside --------------------------------------------------------------------------------------------
    def _load(self) -> None:
        current = self.root / "current"
        digest, routes = current / "digest", current / "routes.json"
        self._compiled = (
            digest.read_text().strip() if digest.is_file() else None,
            decode(Routes, loads(routes.read_text())) if routes.is_file() else None,
        )

    def _slot_of(self, bucket: int) -> Slot | None:
        """As the compiled configuration looks: for the other slot's marker, or for both before anything was live."""
        routes = self._compiled[1]
        default = routes.live if routes else None
        if default is None:
            return self._marked(f"split/{{}}/{bucket}")
        return default.other if (self.root / f"current/split/{default.other}/{bucket}").is_file() else default

    def _marked(self, marker: str) -> Slot | None:
        """Green first, then blue, and the last that has a marker counts."""
        found = None
        for slot in (Slot.GREEN, Slot.BLUE):
            if (self.root / "current" / marker.format(slot)).is_file():
                found = slot
        return found

    def _control(self, request: dict[str, Any]) -> Answer:
        if request["path"] == STATE:
            number = self.root / "current" / "generation"
            if not number.is_file():
                return Answer(404)
            compiled = {"x-bluegreen-compiled": self._compiled[0]} if self._compiled[0] else {}
            return Answer(200, compiled, number.read_bytes())
        headers = dict(request.get("headers") or {})
        address, slot = headers.pop("X-Bluegreen-Address", None), headers.pop("X-Bluegreen-Slot", None)
        method, timeout = str(request.get("method") or "GET"), float(request.get("timeout") or 5.0)
        if address is not None:
            return self._ask(address, method, request["path"], headers, timeout)
        return self._to_slot(Slot(slot), method, request["path"], headers, timeout)

    def _to_slot(self, slot: Slot, method: str, path: str, headers: dict[str, str], timeout: float = 5.0) -> Answer:
        routes = self._compiled[1]
        service = match(routes, slot, headers.get("Host", ""), path.partition("?")[0]) if routes else None
        if routes is None or service is None:
            return Answer(404)
        answer = Answer(502)
        for address in routes.stacks[slot].upstreams[service]:  # the next one where one refuses, as nginx does
            answer = self._ask(address, method, path, headers, timeout)
            if answer.status != 502:
                break
        return answer

    def _ask(self, address: str, method: str, path: str, headers: dict[str, str], timeout: float) -> Answer:
        ip, _, port = address.rpartition(":")
        try:
            status, back, body = self._fetch(ip, int(port), method, path, headers)
        except ConnectionRefusedError:
            return Answer(502, {"x-bluegreen-upstream": f"{address}|-|-"})
        except TimeoutError:
            self.clock.pause(timeout)
            return Answer(error="timeout", ms=timeout * 1000)
        found = {name.lower(): value for name, value in back.items()}
        return Answer(status, {**found, "x-bluegreen-upstream": f"{address}|0.000|0.001"}, body, ms=1.0)


class AgentStream:
    """A `bluegreen.engine.protocol.Stream` with the real agent at its other end, in this process.

    ``on`` is called around each operation and each effect on a file ("before rename current", ...). A BaseException
    that it raises goes through to the caller, and the agent is as dead as after a SIGKILL: its lease is not
    released, its operation stays half done. `close` is what an agent sees when ``bg`` is killed instead.
    """

    def __init__(self, root: Path, nginx: MemoryNginx, on: Callable[[str], None] | None = None) -> None:
        nginx.sessions += 1
        self._name = f"memory-{nginx.sessions}"
        self._nginx = nginx
        self._ended = False
        self._closed = False
        self._lines: list[bytes] = []
        self._lock = threading.Lock()
        self._agent = Agent(
            Files(str(root), sync=False, on=on),
            nginx,
            nginx.clock,
            session=self._name,
            alive=lambda session: session not in nginx.dead,
            version="memory",
            on=on,
            logs=str(nginx.logs),
        )

    def send(self, line: bytes) -> None:
        with self._lock:
            if self._closed or self._ended:
                raise EngineFailed("engine.stream", "the stream was closed")
            try:
                answer = self._agent.handle(loads(line.decode()))
            except BaseException:
                self.end()
                raise
            self._lines.append(written(answer))

    def receive(self, timeout: float | None = None) -> bytes:
        if self._lines:
            return self._lines.pop(0)
        if self._closed or self._ended:
            return b""
        raise EngineFailed("engine.timeout", f"no answer within {timeout} s")

    def errors(self) -> str:
        return ""

    def end(self) -> None:
        """The agent is killed, or its container stopped."""
        self._ended = True
        self._nginx.dead.add(self._name)

    def close(self) -> None:
        with self._lock:
            if not self._closed and not self._ended:
                self._agent.close()
            self._closed = True


def agent_stream(root: Path, nginx: MemoryNginx, on: Callable[[str], None] | None = None) -> AgentStream:
    """What an exec of the agent in the proxy's container gives."""
    return AgentStream(root, nginx, on)


def _make_ready(root: Path) -> None:
    """As the entrypoint does with an empty volume."""
    current = root / "current"
    if not current.is_symlink():
        first = root / "generations" / "000000"
        first.mkdir(parents=True, exist_ok=True)
        for name, text in BOOTSTRAP.items():
            (first / name).write_text(text)
        (root / "journal.jsonl").touch()
        current.symlink_to("generations/000000")
    (root / "preview.token").write_text(TOKEN + "\n")
