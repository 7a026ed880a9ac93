"""Which kind a service probably is, from what a Compose file says about it anyway."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bluegreen.compose import values
from bluegreen.compose.extension import Extension, read_extension
from bluegreen.compose.mounts import read_mounts
from bluegreen.compose.ports import read_expose, read_ports
from bluegreen.compose.service import read_dependencies
from bluegreen.compose.tree import Node, Table
from bluegreen.model import names
from bluegreen.model.names import Kind


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


_DATA = _listed(
    "postgres postgresql postgis pgvector timescaledb pgbouncer mysql mariadb percona mssql mongo mongodb redis valkey "
    "keydb dragonfly memcached rabbitmq kafka zookeeper nats elasticsearch opensearch meilisearch typesense clickhouse "
    "cassandra scylla influxdb couchdb neo4j minio etcd consul vault mosquitto qdrant weaviate milvus cockroach solr "
    "localstack mailhog mailpit prometheus grafana loki jaeger pgadmin adminer phpmyadmin"
)
_DATA_NAMES = _DATA | _listed("db database sql cache broker mq search storage")
_JOB_NAMES = _listed("migrate migration migrations migrator init seed seeder setup bootstrap fixtures")
_WORKER_NAMES = _listed("worker workers celery sidekiq cron crons scheduler queue beat consumer jobs rq")
_FRONT_NAMES = _listed("frontend front web webapp website ui site www client spa nginx app portal")
_API_NAMES = _listed("backend back api rest graphql server service gateway")
_URL_PATH = re.compile(r"https?://[^/\s\"'$]+(/[^\s\"'|;,)\]]*)")
_PORT_ARGUMENT = re.compile(r"(?:--port[= ]|-p |--bind[= ]\S*:|:)(\d{2,5})\b")
_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")
_LONG_RUNNING = ("always", "unless-stopped")


@dataclass(frozen=True, slots=True)
class Guess:
    kind: Kind
    flow: str  # the value of x-bluegreen, on one line
    why: str


def guess(services: Table) -> dict[str, Guess]:
    """A guess for each service without a block of its own; they fit those that have one, and each other."""
    facts = {name: _Facts.of(name, node, services.at(name)) for name, node in services if isinstance(node, Table)}
    for facts_of in facts.values():
        for dependency, condition in facts_of.dependencies:
            if dependency in facts and condition == "service_completed_successfully":
                facts[dependency].awaited = True
            elif dependency in facts and condition == "service_healthy":
                facts[dependency].healthy = True
    for one in facts.values():
        if one.given is None:
            one.kind, one.why = _kind(one)
    _fit(facts)
    routes = _routes(facts)
    return {
        name: Guess(one.kind, _flow(one, routes.get(name)), one.why + _warning(one))
        for name, one in facts.items()
        if one.given is None
    }


@dataclass(slots=True)
class _Facts:
    name: str
    words: frozenset[str]
    image: frozenset[str]
    built: bool
    ports: list[int]  # of the container, TCP
    published: list[str]  # of the host, TCP
    udp: bool
    writes: bool  # a writable volume or bind
    keeps: bool  # a writable named volume
    dependencies: list[tuple[str, str]]
    restart: str
    replicas: str
    command: str
    health_path: str | None
    given: Extension | None
    kind: Kind = Kind.INTERNAL
    why: str = ""
    awaited: bool = field(default=False)  # someone waits for its completion
    healthy: bool = field(default=False)  # someone waits for its health

    @classmethod
    def of(cls, name: str, service: Table, place: Node) -> _Facts:
        entry = service.get
        ports = read_ports(n) if (n := entry("ports")) else []
        exposed = read_expose(n) if (n := entry("expose")) else []
        mounts = read_mounts(n, Path("/"), "/") if (n := entry("volumes")) else []
        written = [m for m in mounts if not m.read_only and (m.kind == "bind" or (m.kind == "volume" and m.source))]
        deploy = values.table(n) if (n := entry("deploy")) else Table(place.report, place.path, place.line, {}, {})
        image = values.text(n) if (n := entry("image")) else ""
        url = _URL_PATH.search(" ".join(_texts(entry("healthcheck"))))
        block = service.entries.get("x-bluegreen")
        given = read_extension(block) if block is not None else None
        tcp = [p.target for p in ports if p.protocol == "tcp"]
        return cls(
            name=name,
            words=_words(name),
            image=_words(image or ""),
            built=entry("build") is not None,
            ports=list(dict.fromkeys([*tcp, *(int(e.partition("/")[0]) for e in exposed if e.endswith("/tcp"))])),
            published=[p.published or str(p.target) for p in ports if p.protocol == "tcp"],
            udp=any(p.protocol != "tcp" for p in ports),
            writes=bool(written),
            keeps=any(m.kind == "volume" for m in written),
            dependencies=[(d.service, d.condition) for d, _ in read_dependencies(n)]
            if (n := entry("depends_on"))
            else [],
            restart=(values.text(n) if (n := entry("restart")) else None) or "",
            replicas=(values.text(n) if (n := deploy.get("replicas")) else None) or "1",
            command=" ".join(_texts(entry("command"))),
            health_path=url[1] if url and names.PATH.fullmatch(url[1]) else None,
            given=given,
            kind=(given.kind if given else None) or Kind.INTERNAL,
        )


def _kind(one: _Facts) -> tuple[Kind, str]:
    once = one.replicas == "1"
    ends = once and not one.restart.startswith(_LONG_RUNNING) and not one.healthy
    if one.awaited:
        return Kind.JOB, "another service waits for its completion"
    if one.words & _JOB_NAMES and ends and not one.published:
        return Kind.JOB, "its name"
    data = one.image & _DATA if not one.built else frozenset()
    if data and once:
        return Kind.SHARED, f"the image, {min(data)}"
    if one.words & _DATA_NAMES and once and not one.built:
        return Kind.SHARED, "its name"
    if one.udp and once:
        return Kind.SHARED, "a published port that is not TCP"
    if one.words & _WORKER_NAMES and not one.published:
        return Kind.WORKER, "its name"
    if one.published:
        return Kind.ROUTED, f"the published port {one.published[0]}"
    if one.words & (_FRONT_NAMES | _API_NAMES):
        return Kind.ROUTED, "its name"
    if one.keeps and once:
        return Kind.SHARED, "a volume that it writes to"
    return Kind.INTERNAL, "no published port"


def _fit(facts: Mapping[str, _Facts]) -> None:
    """Bends guesses until no rule about dependencies is broken; blocks that are there already stay."""
    changed = True
    while changed:
        changed = False
        for one in facts.values():
            for name, _ in one.dependencies:
                target = facts.get(name)
                if target is None:
                    continue
                if one.kind is Kind.SHARED and target.kind is not Kind.SHARED and one.given is None:
                    one.kind = Kind.ROUTED if one.published else Kind.INTERNAL
                    one.why = "it depends on a service that is not shared"
                    changed = True
                elif target.kind is Kind.WORKER and one.kind is not Kind.WORKER and target.given is None:
                    target.kind, target.why = Kind.INTERNAL, "another service depends on it"
                    changed = True
    if not any(one.kind is Kind.ROUTED for one in facts.values()):
        # Something must be reachable. What waits for nobody is the most likely door.
        order = (Kind.INTERNAL, Kind.WORKER, Kind.SHARED, Kind.JOB)
        free = [one for one in facts.values() if one.given is None and not one.awaited]
        for one in sorted(free, key=lambda one: (order.index(one.kind), not one.ports))[:1]:
            one.kind, one.why = Kind.ROUTED, "something has to be reachable; correct this"
            _fit(facts)


def _routes(facts: Mapping[str, _Facts]) -> dict[str, str]:
    taken = {route.prefix for one in facts.values() if one.given for route, _ in one.given.routes}
    routed = [one for one in facts.values() if one.given is None and one.kind is Kind.ROUTED]
    found: dict[str, str] = {}
    if "/" not in taken and routed:
        root = min(routed, key=_rank)
        found[root.name] = "/"
    for one in routed:
        if one.name in found:
            continue
        wanted = ["/api/"] if one.words & _API_NAMES else []
        wanted += [f"/{one.name.lower()}/", *(f"/{one.name.lower()}-{number}/" for number in range(2, 1000))]
        free = next(path for path in wanted if path not in taken and path not in found.values())
        found[one.name] = free
    return found


def _rank(one: _Facts) -> tuple[bool, bool, bool]:
    """Lowest is the likeliest root: a frontend by name, then anything but an API, then what is published."""
    return (not one.words & _FRONT_NAMES, bool(one.words & _API_NAMES), not one.published)


def _flow(one: _Facts, route: str | None) -> str:
    if one.kind is Kind.ROUTED:
        parts = [f"route: {route}", f"port: {_port(one)}", f"health: {_quoted(one.health_path or '/')}"]
    else:
        parts = [f"{one.kind.value}: true"]
    if _both_write(one):
        parts.append("shared_volume: true")
    return "{" + ", ".join(parts) + "}"


def _warning(one: _Facts) -> str:
    return "; both slots write to its volume" if _both_write(one) else ""


def _both_write(one: _Facts) -> bool:
    return one.writes and one.kind in (Kind.ROUTED, Kind.INTERNAL)


def _port(one: _Facts) -> int:
    if one.ports:
        return one.ports[0]
    match = _PORT_ARGUMENT.search(one.command)
    if match and int(match[1]) < 65536:
        return int(match[1])
    return 8000 if one.words & _API_NAMES else 80


def _quoted(path: str) -> str:
    return path if _PLAIN.fullmatch(path) else f'"{path}"'


def _words(text: str) -> frozenset[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", text)
    return frozenset(re.split(r"[^a-z]+", spaced.lower())) - {""}


def _texts(node: Node | None) -> list[str]:
    """All scalars below a node."""
    if node is None:
        return []
    if isinstance(node, Table):
        return [text for _, value in node for text in _texts(value)]
    return [text for item in values.items_or_one(node) if (text := values.text(item, empty=True)) is not None]
