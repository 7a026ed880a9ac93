"""A proof under way: the clients, what the proxy uses meanwhile, the switches that are made, and the receipt."""

from __future__ import annotations

import http.client
import json
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

from bluegreen.app.site import Site
from bluegreen.app.tools import PUBLIC_PORT, published_port
from bluegreen.model.errors import BluegreenError, ProxyFailed, Refused
from bluegreen.model.events import Event
from bluegreen.model.names import Kind as ServiceKind
from bluegreen.model.names import Slot
from bluegreen.model.observed import Observed
from bluegreen.model.project import HealthCheck
from bluegreen.model.prove import ProveSettings
from bluegreen.model.release import ServiceRelease
from bluegreen.prove.kinds import ALWAYS, KINDS, allocate
from bluegreen.prove.load import Load
from bluegreen.prove.orders import Orders, Target
from bluegreen.prove.receipt import (
    MOST_FAILURES,
    Fold,
    Movement,
    Processed,
    Receipt,
    count_streams,
    cut_streams,
    failures_of,
    kinds_of,
)
from bluegreen.prove.records import read
from bluegreen.proxy.locations import match
from bluegreen.proxy.session import ProxySession

READY = 30.0
CONNECTIONS = 24
SAMPLE = 1.0
CONNECT = 5.0
AFTER = 1.0
"""Seconds that the load goes on after a deploy's last step."""
_MOVED = re.compile(r"all traffic to (\S+) in (blue|green)")


@dataclass
class Proof:
    """What is being gathered. ``sink`` is for events of the operations that move traffic: it hears their renames."""

    site: Site
    orders: Orders
    settings: ProveSettings
    why_not: Mapping[str, str]
    first_slot: Slot | None
    load: Load
    notes: list[str] = field(default_factory=list)
    movements: list[Movement] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    _next: tuple[str, float, float] = ("switch", 0.0, 0.0)

    def asks(self, verb: str, drain: float) -> None:
        """An operation that moves traffic begins now. ``drain`` is the deadline of the release that it leaves."""
        self._next = (verb, time.monotonic(), drain)

    def sink(self, event: Event) -> None:
        """Hears of switches as they are confirmed."""
        result = event.data.get("result")
        found = _MOVED.fullmatch(event.subject)
        if event.kind != "step-done" or event.name != "switch" or found is None or not isinstance(result, Mapping):
            return
        verb, asked, drain = self._next
        now = time.monotonic()
        renamed = result.get("renamed")
        if not isinstance(renamed, float) or not asked <= renamed <= now:
            renamed = None  # an older proxy, or an engine whose machine has another clock than this one
        self.movements.append(Movement(verb, found[1], found[2], asked, renamed, now, drain))

    @property
    def lost(self) -> int:
        return self.load.lost

    def finish(self) -> Receipt:
        """End the load and sum up."""
        seen = self.load.finish()
        took = time.monotonic() - self.started
        fold = Fold(self.movements, self.first_slot).take(read(seen.records))
        failures = [*failures_of(seen.failures, self.movements), *fold.late]
        cut = cut_streams(seen.streams, self.movements)
        failed = dict.fromkeys(KINDS, 0)
        problems: dict[str, int] = {}
        for (kind, problem), count in seen.problems.items():
            failed[kind] += count
            problems[problem] = problems.get(problem, 0) + count
        for one in cut:
            failed[one.kind] += 1
        for kind in seen.counters["late"]:
            failed[kind] += 1
            problems["timeout"] = problems.get("timeout", 0) + 1
        if cut:
            problems["cut"] = problems.get("cut", 0) + len(cut)
        if fold.late_count:
            problems["late"] = fold.late_count
        for crash in seen.counters["crashed"]:
            raise BluegreenError("prove.clients", f"a client has a fault of its own: {crash}", next=("bg status",))
        notes = [*self.notes, *self._notes_on(fold)]
        return Receipt(
            project=self.site.name,
            seconds=round(took, 1),
            switches=len(self.movements),
            requests=sum(fold.requests.values()) + sum(seen.problems.values()),
            connections=int(seen.counters["connections"]),
            kinds=kinds_of(self.orders.clients, fold.requests, failed, self.why_not),
            failed=sum(failed.values()) + fold.late_count,
            problems=problems,
            failures=tuple([*failures, *cut][:MOST_FAILURES]),
            truncated=problems.get("truncated", 0),
            late=fold.late_count if fold.known else None,
            resent=int(seen.counters["resent"]),
            assets=int(seen.counters["assets"]),
            posts=self._processed("post", int(seen.counters["posts"]), notes),
            uploads=self._processed("upload", int(seen.counters["uploads"]), notes),
            streams=count_streams(seen.streams, self.movements, len(cut)),
            latency={name: histogram.figures() for name, histogram in fold.latency.items()},
            cutover=fold.cutover(),
            last_old=fold.last_old(),
            first_new=fold.first_new(),
            seen_switches=fold.seen(),
            sent_soon=fold.sent_soon,
            moves=fold.moves(),
            proxy=self.usage,
            notes=tuple(notes),
        )

    def _notes_on(self, fold: Fold) -> Iterator[str]:
        if not fold.known:
            yield (
                "which release answered is unknown: this proxy does not tell it; bg proxy upgrade makes one that does"
            )
        elif self.movements and fold.seen() < len(self.movements):
            few = len(self.movements) - fold.seen()
            yield f"{few} of {len(self.movements)} switches had no answer of the new release before the next one"
        if fold.known and any(m.renamed is None for m in self.movements):
            yield "the moment of the switch is unknown: the proxy is older, or its engine runs on another machine"

    def _processed(self, kind: str, acknowledged: int, notes: list[str]) -> Processed | None:
        if kind not in self.orders.clients:
            return None
        if self.settings.counted is None:
            return Processed(acknowledged)
        try:
            answer = _ask(self.orders, f"{self.settings.counted}{self.orders.run}-{kind}-")
            found = Processed(acknowledged, int(answer["ids"]), int(answer["posts"]))
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
            notes.append(
                f"what became of each {kind} is unknown: {self.settings.counted} {error or type(error).__name__}"
            )
            return Processed(acknowledged)
        if kind == "upload" and acknowledged and not found.processed:
            notes.append("uploads are not counted by the application")
            return Processed(acknowledged)
        return found


@contextmanager
def proving(
    site: Site,
    session: ProxySession,
    observed: Observed,
    settings: ProveSettings | None,
    *,
    why_no_settings: str = "",
    connections: int = CONNECTIONS,
) -> Iterator[Proof]:
    """Clients at work on what is live, all of them answered, while the block runs.

    Raises `Refused` where there is nothing to ask, and `BluegreenError` where what is live does not answer as it
    should before anything has been moved.
    """
    said = settings or ProveSettings()
    orders, why_not, notes = _orders(site, session, observed, said, why_no_settings, connections)
    with Load(orders) as load:
        proof = Proof(site, orders, said, why_not, observed.live, load, notes)
        proof.notes.extend([] if load.wait_ready(READY) else ["not every client had an answer before the first switch"])
        _need_sound(load)
        with _sampling(site, proof):
            yield proof


def need_sound(proof: Proof) -> None:
    """Raises `BluegreenError` where requests fail although nothing has been moved."""
    _need_sound(proof.load)


def _need_sound(load: Load) -> None:
    if not load.lost:
        return
    first = load.seen.failures[0]
    raise BluegreenError(
        "prove.unsound",
        f"{first['method']} {first['path']} ({first['kind']}) is not answered as it should be, and nothing was "
        f"switched yet: {first['problem']}, {first['seen']}",
        where="x-bluegreen.prove",
        next=("bg status", "bg config --quiet    after a change of x-bluegreen.prove"),
    )


def _orders(
    site: Site, session: ProxySession, observed: Observed, said: ProveSettings, why_none: str, connections: int
) -> tuple[Orders, dict[str, str], list[str]]:
    published = published_port(observed.proxy_container, PUBLIC_PORT)
    if published is None:
        raise ProxyFailed("proxy.not-running", "the public listener is not published", next=("bg proxy start",))
    address, port = published
    name = site.engine.public if address in ("", "0.0.0.0", "::") else address  # noqa: S104 - read, not bound
    host = f"[{name}]" if ":" in name else name
    public = host if port == 80 else f"{host}:{port}"
    notes: list[str] = []
    targets = [Target(path, said.host or public) for path in said.get] or _health(observed, public, notes)
    if not targets:
        raise Refused(
            "prove.nothing-to-ask",
            "no health path can be reached through the public routes, and no other path is named",
            where="x-bluegreen.prove.get",
            next=("bg config",),
        )
    paths = {kind: path for kind in KINDS if kind not in ALWAYS and (path := getattr(said, kind)) is not None}
    kinds = [kind for kind in KINDS if kind in ALWAYS or kind in paths]
    missing = {kind: why_none or f"x-bluegreen.prove names no {kind}" for kind in KINDS if kind not in kinds}
    answer = session.send([{"op": "preview"}])[0]
    orders = Orders(
        address=_reachable(name, port),
        run=f"prove-{secrets.token_hex(3)}",
        token=str(answer["token"]) if answer.get("ok") else "",
        targets=tuple(targets),
        clients=allocate(connections, kinds),
        host=said.host or public,
        records="",
        paths=paths,
        upload_size=said.upload_size,
    )
    return orders, missing, notes


def _health(observed: Observed, public: str, notes: list[str]) -> list[Target]:
    """The health request of each routed service that a visitor can send too."""
    release, routes, live = observed.live_release, observed.proxy.routes, observed.live
    assert release is not None  # noqa: S101 - the callers have something live
    assert routes is not None  # noqa: S101 - likewise
    assert live is not None  # noqa: S101 - likewise
    found = []
    for name, service in release.services.items():
        if service.kind is not ServiceKind.ROUTED or service.health is None:
            continue
        host = _host(service, service.health) or public
        path = service.health.path
        if match(routes, live, host, path.partition("?")[0]) == name:
            found.append(Target(path, host, tuple(service.health.status), service.health.body))
        else:
            notes.append(f"{name} is not asked: its health path {path} is not below its routes")
    return found


def _host(service: ServiceRelease, health: HealthCheck) -> str | None:
    return health.host or next((r.host for r in service.routes if r.host and not r.host.startswith("*")), None)


def _reachable(name: str, port: int) -> tuple[str, int]:
    """The first address of that name that takes a connection: looked up once, not by every request."""
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError as error:
        found, problem = [], error
    else:
        problem = OSError("no address")
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as probe:
            probe.settimeout(CONNECT)
            try:
                probe.connect(address)
            except OSError as error:
                problem = error
            else:
                return str(address[0]), int(address[1])
    raise BluegreenError(
        "prove.unreachable",
        f"the public address {name}:{port} can't be reached from here: {problem}",
        next=("bg status", "bg prove    on the engine's own machine"),
    )


def _ask(orders: Orders, path: str) -> Any:
    connection = http.client.HTTPConnection(*orders.address, timeout=orders.timeout)
    try:
        connection.request("GET", path, headers={"Host": orders.host})
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise ValueError(f"answered {answer.status}")
    return json.loads(text)


@contextmanager
def _sampling(site: Site, proof: Proof) -> Iterator[None]:
    """What the proxy uses, every second, over a session of its own."""
    stop = threading.Event()
    thread = threading.Thread(target=_sample, args=(site, proof, stop), name="bluegreen-usage", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(SAMPLE + 5)


def _sample(site: Site, proof: Proof, stop: threading.Event) -> None:
    seen = proof.usage
    try:
        with site.session() as session:
            while True:
                answer = session.run([{"op": "usage"}])[0]
                workers = answer["workers"]
                seen.setdefault("memory_first", answer["memory"])
                seen.setdefault("workers_first", workers["active"] + workers["draining"])
                seen["memory_last"] = answer["memory"]
                seen["memory_max"] = max(seen.get("memory_max", 0), answer["memory"])
                seen["workers_max"] = max(seen.get("workers_max", 0), workers["active"] + workers["draining"])
                seen["draining_max"] = max(seen.get("draining_max", 0), workers["draining"])
                seen["samples"] = seen.get("samples", 0) + 1
                if stop.wait(SAMPLE):
                    return
    except BluegreenError as error:
        if not seen:
            proof.notes.append(f"what the proxy uses is unknown: {error.problem.message}")


def heard(site: Site, proof: Proof) -> Callable[[Event], None]:
    """A sink for an operation's events that tells the proof of its rename, and passes on what is worth a line."""

    def sink(event: Event) -> None:
        proof.sink(event)
        if event.kind == "notice":
            site.emit(event)

    return sink


class Accompanied:
    """A proof that goes along with a deploy, from before its first effect until its own requests are over."""

    def __init__(self, site: Site, settings: ProveSettings) -> None:
        self.site = replace(site, emit=self._emit)
        self._outer = site
        self._settings = settings
        self._open = ExitStack()
        self._proof: Proof | None = None

    def begin(self, session: ProxySession, observed: Observed) -> None:
        """Put what is live under load. Raises as `proving` does, before anything has been changed."""
        live = observed.live_release
        if live is None:
            self._outer.notice("nothing is live yet, so there is no traffic that this first switch could lose")
            return
        self._proof = self._open.enter_context(proving(self._outer, session, observed, self._settings))
        self._proof.asks("deploy", live.drain)

    def finish(self) -> Receipt | None:
        """After the deploy. None where there was nothing to prove."""
        if self._proof is None:
            return None
        threading.Event().wait(AFTER)
        return self._proof.finish()

    def __enter__(self) -> Accompanied:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, BluegreenError) and self._proof is not None and not self._proof.load.finished:
                receipt = self._proof.finish()
                lost = f"{receipt.lost} of them lost" if receipt.lost else "none of them lost"
                self._outer.notice(f"{receipt.requests:,} requests were made of what was live meanwhile, {lost}")
        except BluegreenError as second:  # it must not hide why the deploy failed
            self._outer.notice(f"what became of the requests meanwhile is unknown: {second.problem.message}")
        finally:
            self._open.close()

    def _emit(self, event: Event) -> None:
        if self._proof is not None:
            self._proof.sink(event)
        self._outer.emit(event)


__all__: Sequence[str] = ("CONNECTIONS", "Accompanied", "Proof", "heard", "need_sound", "proving")
