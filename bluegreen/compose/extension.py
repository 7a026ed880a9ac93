"""``x-bluegreen`` of a service: its one kind and, of a routed one, where it is reached and how it is proven."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bluegreen.compose import values
from bluegreen.compose.tree import Node, Scalar, Table
from bluegreen.model import names
from bluegreen.model.names import Kind
from bluegreen.model.project import HealthCheck, Route

KINDS = "route: /PATH, internal: true, worker: true, job: true or shared: true"
_FLAGS = {"internal": Kind.INTERNAL, "worker": Kind.WORKER, "job": Kind.JOB, "shared": Kind.SHARED}
_KEYS = ("route", "host", "port", "health", *_FLAGS, "shared_volume")
_HEALTH = ("path", "expect", "host", "rise", "interval", "timeout", "start_period", "deadline")
_EXPECT = ("status", "body")
_BODY = re.compile(r"[^\x00-\x1f\x7f]{1,1000}")
HOUR = 3600.0


@dataclass(slots=True)
class Extension:
    """What a service's block says. ``kind`` is None where it says none; ``wrong`` where it says several."""

    node: Table
    kind: Kind | None = None
    wrong: bool = False
    routes: list[tuple[Route, Node]] = field(default_factory=list)
    port: int | None = None
    health: HealthCheck = field(default_factory=HealthCheck)
    shared_volume: bool = False


def read_extension(node: Node) -> Extension:
    fields = values.fields(node, _KEYS)
    entry = fields.get
    found = Extension(fields, wrong=not isinstance(node, Table))
    kinds = [kind for key, kind in _FLAGS.items() if (n := entry(key)) is not None and values.boolean(n)]
    if "route" in fields.entries:
        kinds.insert(0, Kind.ROUTED)
        host = _host(n) if (n := entry("host")) else None
        route = fields.entries["route"]
        found.routes = _routes(fields.at("route") if route.null else route, host)
    if len(kinds) > 1:
        given = ", ".join("route" if kind is Kind.ROUTED else kind.value for kind in kinds)
        fields.error("kind-twice", f"a service is of one kind, and this one says {given}")
        found.wrong = True
    elif kinds:
        found.kind = kinds[0]
    if found.kind not in (None, Kind.ROUTED):
        for key in ("host", "port", "health"):
            if entry(key) is not None:
                fields.at(key).error(
                    "kind-form",
                    f"only a routed service has a {key}; this one is {found.kind.value if found.kind else ''}",
                )
        return _volume_flag(found)
    if (n := entry("port")) is not None:
        found.port = values.integer(n, 1, 65535)
    if (n := entry("health")) is not None:
        found.health = _health(n)
    return _volume_flag(found)


def _volume_flag(found: Extension) -> Extension:
    if (n := found.node.get("shared_volume")) is not None:
        found.shared_volume = values.boolean(n) is True
    return found


def _routes(node: Node, host: str | None) -> list[tuple[Route, Node]]:
    if isinstance(node, Scalar | Table):
        route = _route(node, host)
        return [(route, node)] if route else []
    if not isinstance(node, Scalar | Table) and not values.items(node):
        node.error("route-form", "needs a path such as /api/, or a list of them")
    return [(route, item) for item in values.items(node) if (route := _route(item, host))]


def _route(node: Node, host: str | None) -> Route | None:
    if isinstance(node, Table):
        fields = values.fields(node, ("path", "host"))
        path_node = fields.get("path")
        if path_node is None:
            node.error("value-missing", "needs 'path'")
            return None
        if (n := fields.get("host")) is not None:
            host = _host(n)
        path = written = values.text(path_node)
    else:
        path_node = node
        written = values.text(node)
        before, slash, after = (written or "").partition("/")
        path = slash + after
        if before:
            if not names.HOST.fullmatch(before):
                node.error("route-form", f"{values.shown(before + path)} is no path such as /api/")
                return None
            host = before
    if path is None or written is None:
        return None
    # nginx compares with the decoded, tidied path: what is encoded or has dot segments would never match.
    if not names.PREFIX.fullmatch(path) or "%" in path or {".", ".."}.intersection(path.split("/")):
        path_node.error("route-form", f"{values.shown(written)} is no path such as /api/")
        return None
    return Route(path, host.lower() if host else None)


def _host(node: Node) -> str | None:
    return values.matching(node, names.HOST, "host name")


def _health(node: Node) -> HealthCheck:
    default = HealthCheck()
    if isinstance(node, Scalar):
        return HealthCheck(path=values.matching(node, names.PATH, "path such as /health") or "/")
    fields = values.fields(node, _HEALTH, hints=dict.fromkeys(_EXPECT, "it belongs under expect"))
    entry = fields.get
    status, body = read_expectation(values.fields(n, _EXPECT) if (n := entry("expect")) else None)
    host = values.matching(n, names.HOST, "host name") if (n := entry("host")) else None
    if host is not None and host.startswith("*"):
        fields.at("host").error("value-form", "a request goes to one host; write it without *")
    check = HealthCheck(
        path=(values.matching(n, names.PATH, "path such as /health") if (n := entry("path")) else None) or "/",
        status=status,
        body=body,
        host=host,
        rise=(values.integer(n, 1, 100) if (n := entry("rise")) else None) or default.rise,
        interval=_seconds(entry("interval"), 0.01, HOUR, default.interval),
        timeout=_seconds(entry("timeout"), 0.01, HOUR, default.timeout),
        start_period=_seconds(entry("start_period"), 0, HOUR, default.start_period),
        deadline=_seconds(entry("deadline"), 0.1, 24 * HOUR, default.deadline),
    )
    least = (check.rise - 1) * check.interval
    if least >= check.deadline:
        fields.error(
            "health-form",
            f"{check.rise} successes {check.interval:g}s apart take {least:g}s, "
            f"and the deadline is {check.deadline:g}s",
        )
    if check.start_period >= check.deadline:
        fields.error(
            "health-form",
            f"the start period of {check.start_period:g}s does not end before the deadline of {check.deadline:g}s",
        )
    return check


def read_expectation(fields: Table | None) -> tuple[tuple[int, ...], str | None]:
    """``status`` and ``body`` of a health or smoke request; 200 where nothing is said."""
    status: list[int] = []
    if fields is None:
        return (200,), None
    if (n := fields.get("status")) is not None:
        status = [code for item in values.items_or_one(n) if (code := values.integer(item, 100, 599)) is not None]
    body = values.matching(n, _BODY, "single line of text") if (n := fields.get("body")) else None
    return tuple(dict.fromkeys(status)) or (200,), body


def _seconds(node: Node | None, low: float, high: float, default: float) -> float:
    value = values.seconds(node, low, high) if node is not None else None
    return default if value is None else value
