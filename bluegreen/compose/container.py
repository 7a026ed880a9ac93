"""The keys that map one to one to the Engine API's ContainerCreate: command, health, limits and so on."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Iterable
from typing import Any

from bluegreen.compose import hosts, keys, values
from bluegreen.compose.tree import Listing, Node, Scalar, Table

_SIGNAL = re.compile(r"(?:SIG)?[A-Z][A-Z0-9]*(?:[+-]\d{1,2})?|[1-9]\d?", re.IGNORECASE)
_CAPABILITY = re.compile(r"(?:CAP_)?[A-Z][A-Z_]*", re.IGNORECASE)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.$-]*(?::[A-Za-z0-9_][A-Za-z0-9_.$-]*)?")
_LABEL_PREFIXES = ("com.docker.compose", "io.bluegreen")
_SHELL_OPERATORS = frozenset(("&&", "||", "|", ";", "&", ">", ">>", "<", "<<", "2>", "2>&1"))
_SMALLEST_MEMORY = 6 * 1024 * 1024  # the engine refuses less


def read_container(service: Table) -> dict[str, Any]:
    """The body's fragment from everything that needs nothing but its own key."""
    body = _read(service, _BODY)
    host = {**_read(service, _HOST), **_limits(service)}
    if body.get("Cmd") == [] and not body.get("Entrypoint"):
        service.at("command").notice("without an entrypoint the engine can't have an empty command: the image's runs")
    return {**body, "HostConfig": host} if host else body


def stop_grace(service: Table, body: dict[str, Any]) -> float:
    """Seconds; the engine's own timeout is kept in step, rounded up to whole ones."""
    node = service.get("stop_grace_period")
    grace = values.nanoseconds(node) if node is not None else None
    if grace is None:
        return 10.0
    body["StopTimeout"] = math.ceil(grace / 10**9)
    return grace / 10**9


def _read(service: Table, fields: Iterable[tuple[str, str, Callable[[Node], Any]]]) -> dict[str, Any]:
    found = {}
    for key, field, read in fields:
        node = service.get(key)
        value = read(node) if node is not None else None
        if value is not None:
            found[field] = value
    return found


def _command(node: Node) -> list[str] | None:
    """Words. Unlike a Dockerfile's, a string is not handed to a shell: it is only taken apart as one would."""
    if isinstance(node, Listing):
        return [word for item in node.items if (word := values.text(item, empty=True)) is not None]
    written = values.text(node, empty=True)
    if written is None:
        return None
    try:
        words = shlex.split(written)
        operators = _SHELL_OPERATORS.intersection(shlex.split(written, posix=False))
    except ValueError as error:
        node.error("command-form", f"can't be split into words: {str(error).lower()}")
        return None
    if operators:
        node.error(
            "command-form", f'no shell reads this, so {min(operators)} would be an argument; write ["sh", "-c", "..."]'
        )
    return words


def _healthcheck(node: Node) -> dict[str, Any] | None:
    fields = values.fields(node, keys.HEALTHCHECK)
    entry = fields.get
    health: dict[str, Any] = {}
    if (n := entry("disable")) is not None and values.boolean(n):
        if entry("test") is not None:
            fields.at("test").notice("is not run: the healthcheck is disabled")
        return {"Test": ["NONE"]}
    if (n := entry("start_interval")) is not None:
        n.notice("takes an engine of version 25 or later; an older one checks at the interval from the start")
    if (n := entry("test")) is not None and (test := _test(n)):
        health["Test"] = test
    for key, field in (
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start_period", "StartPeriod"),
        ("start_interval", "StartInterval"),
    ):
        if (n := entry(key)) is not None and (duration := values.nanoseconds(n)) is not None:
            if 0 < duration < 1_000_000:
                n.error("value-range", "must be at least 1ms")
            health[field] = duration
    if (n := entry("retries")) is not None and (retries := values.integer(n, 0, 10_000)) is not None:
        health["Retries"] = retries
    return health or None


def _test(node: Node) -> list[str] | None:
    if isinstance(node, Scalar):
        command = values.text(node)
        if command in ("NONE", "CMD", "CMD-SHELL"):
            node.error("healthcheck-form", f'is a command called {command}; write it as a list: ["{command}", ...]')
        return ["CMD-SHELL", command] if command else None
    words = values.texts(node)
    kind = words[0] if words else None
    counts = {"NONE": len(words) == 1, "CMD": len(words) > 1, "CMD-SHELL": len(words) == 2}
    if kind not in counts:
        node.error("healthcheck-form", "the list must begin with NONE, CMD or CMD-SHELL")
        return None
    if not counts[kind]:
        wanted = {"NONE": "nothing", "CMD": "a command and its arguments", "CMD-SHELL": "one string"}[kind]
        node.error("healthcheck-form", f"{kind} is followed by {wanted}")
        return None
    return words


def _user(node: Node) -> str | None:
    return values.matching(node, _USER, "user")


def _working_dir(node: Node) -> str | None:
    path = values.text(node)
    if path is not None and not path.startswith("/"):
        node.error("value-form", f"{values.shown(path)} is no absolute path")
    return path


def _stop_signal(node: Node) -> str | None:
    return values.matching(node, _SIGNAL, "signal")


def _capabilities(node: Node) -> list[str]:
    names = [values.matching(item, _CAPABILITY, "capability") for item in values.items(node)]
    return sorted({name.upper() for name in names if name})


def _labels(node: Node) -> dict[str, str]:
    labels: dict[str, str] = {}
    for key, value, place in values.pairs(node):
        if not key:
            place.error("label-form", "a label needs a name")
        if key.startswith(_LABEL_PREFIXES):
            place.error("label-reserved", f"labels that begin with {' or '.join(_LABEL_PREFIXES)} are reserved")
        labels[key] = value or ""
    return dict(sorted(labels.items()))


def _logging(node: Node) -> dict[str, Any]:
    fields = values.fields(node, keys.LOGGING)
    driver = values.text(n) if (n := fields.get("driver")) else ""
    options = values.pairs(values.table(n)) if (n := fields.get("options")) else []
    return {"Type": driver or "", "Config": {key: value or "" for key, value, _ in sorted(options, key=_first)}}


def _first(pair: tuple[str, str | None, Node]) -> str:
    return pair[0]


def _limits(service: Table) -> dict[str, int]:
    entry = service.get
    deploy = values.fields(
        entry("deploy") or _nothing(service), keys.DEPLOY, known=keys.DEPLOY_KNOWN, hints=keys.DEPLOY_HINTS
    )
    resources = values.fields(deploy.get("resources") or _nothing(deploy), ("limits", "reservations"))
    limits = values.fields(resources.get("limits") or _nothing(resources), keys.LIMITS)
    reserved = values.fields(
        resources.get("reservations") or _nothing(resources), keys.RESERVATIONS, known=keys.RESERVATIONS_KNOWN
    )
    found: dict[str, int] = {}
    for field, read, places in (
        ("Memory", _memory, (entry("mem_limit"), limits.get("memory"))),
        ("NanoCpus", _cpus, (entry("cpus"), limits.get("cpus"))),
        ("PidsLimit", _pids, (limits.get("pids"),)),
        ("MemoryReservation", _memory, (reserved.get("memory"),)),
    ):
        for node in places:
            value = read(node) if node is not None else None
            if node is None or value is None:
                continue
            if field in found and found[field] != value:
                node.error("limit-twice", "says something else than the service's own mem_limit or cpus")
            found[field] = value
    if (n := reserved.get("cpus")) is not None:
        n.notice("has no effect: an engine reserves processors only in a swarm")
    if found.get("MemoryReservation", 0) > found.get("Memory", 2**63):
        reserved.at("memory").error("limit-form", "reserves more than the limit")
    return found


def _nothing(table: Table) -> Node:
    return Table(table.report, table.path, table.line, {}, {})


def _memory(node: Node) -> int | None:
    size = values.size(node)
    if size is not None and 0 < size < _SMALLEST_MEMORY:
        node.error("value-range", "must be at least 6m, the smallest an engine accepts")
    return size


def _cpus(node: Node) -> int | None:
    cpus = values.decimal(node)
    return None if cpus is None else round(cpus * 10**9)


def _pids(node: Node) -> int | None:
    return values.integer(node, -1, 2**22)


_BODY: tuple[tuple[str, str, Callable[[Node], Any]], ...] = (
    ("command", "Cmd", _command),
    ("entrypoint", "Entrypoint", _command),
    ("healthcheck", "Healthcheck", _healthcheck),
    ("labels", "Labels", _labels),
    ("stop_signal", "StopSignal", _stop_signal),
    ("user", "User", _user),
    ("working_dir", "WorkingDir", _working_dir),
)
_HOST: tuple[tuple[str, str, Callable[[Node], Any]], ...] = (
    ("cap_add", "CapAdd", _capabilities),
    ("cap_drop", "CapDrop", _capabilities),
    ("extra_hosts", "ExtraHosts", lambda node: list(hosts.read_hosts(node))),
    ("init", "Init", values.boolean),
    ("logging", "LogConfig", _logging),
    ("read_only", "ReadonlyRootfs", values.boolean),
)
