"""``x-bluegreen`` at the top: the public listener, what is kept, where images come from, smoke checks."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from bluegreen.compose import values
from bluegreen.compose.canary import KEYS as CANARY
from bluegreen.compose.canary import read_canary
from bluegreen.compose.extension import HOUR, read_expectation
from bluegreen.compose.guard import read_guard
from bluegreen.compose.prove import read_prove
from bluegreen.compose.tree import Node, Scalar, Table
from bluegreen.model import names
from bluegreen.model.guard import GuardCheck, GuardSettings
from bluegreen.model.project import Force, ProxySettings, Script, SmokeCheck
from bluegreen.model.prove import ProveSettings

_KEYS = ("proxy", "keep", "source", "drain", "smoke", "prove", "guard")
_PROXY = (
    "listen",
    "preview",
    "body_limit",
    "connect_timeout",
    "read_timeout",
    "send_timeout",
    "gzip",
    "asset_fallback",
    "workers",
    "trusted_proxies",
    "log_limit",
    "canary",
)
_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
_SMOKE = (*_METHODS, "command", "status", "body", "host", "headers", "timeout")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,1000}")
_SECRET = re.compile(r"auth|cookie|credential|key|pass|secret|session|signature|token", re.IGNORECASE)
_COMMAND = re.compile(r"[^\x00]{1,4000}", re.DOTALL)
_OF_A_SERVICE = ("route", "port", "health", "internal", "worker", "job", "shared", "host", "shared_volume")
_HINTS = dict.fromkeys(_OF_A_SERVICE, "it belongs under a service's x-bluegreen")
_HINTS |= dict.fromkeys(_PROXY, "it belongs under x-bluegreen.proxy")
_HINTS |= dict.fromkeys(CANARY, "it belongs under x-bluegreen.proxy.canary")
_HINTS_OF_PROXY = dict.fromkeys(CANARY, "it belongs under canary")
Source = Literal["auto", "git", "tree"]


@dataclass(slots=True)
class Settings:
    proxy: dict[str, Any] = field(default_factory=dict)  # fields of ProxySettings that the file gives
    proxy_node: Node | None = None
    force: Force = field(default_factory=Force)
    keep: int = 5
    source: Source = "auto"
    drain: float = 300.0
    smoke: list[SmokeCheck] = field(default_factory=list)
    commands: list[Script] = field(default_factory=list)
    prove: ProveSettings = field(default_factory=ProveSettings)
    guard: GuardSettings = field(default_factory=GuardSettings)
    guard_checks: tuple[GuardCheck, ...] = ()

    def proxy_settings(self, listen: str | None) -> ProxySettings:
        """``listen`` is what the services suggest where the file itself says nothing."""
        given = {"listen": listen, **self.proxy} if listen else self.proxy
        return ProxySettings(**given)


def read_settings(node: Node | None) -> Settings:
    found = Settings()
    if node is None:
        return found
    fields = values.fields(node, _KEYS, hints=_HINTS)
    entry = fields.get
    if (n := entry("proxy")) is not None:
        found.proxy_node = fields.at("proxy")
        found.proxy, found.force = _proxy(n)
    if (n := entry("keep")) is not None:
        found.keep = values.integer(n, 1, 100) or found.keep
    if (n := entry("source")) is not None:
        found.source = cast("Source", values.choice(n, ("auto", "git", "tree")) or "auto")
    if (n := entry("drain")) is not None and (drain := values.seconds(n, 0, 24 * HOUR)) is not None:
        found.drain = drain
    for item in values.items(n) if (n := entry("smoke")) is not None else ():
        _smoke(item, found)
    if (n := entry("prove")) is not None:
        found.prove = read_prove(n)
    if (n := entry("guard")) is not None:
        found.guard, found.guard_checks = read_guard(n)
    return found


def _proxy(node: Node) -> tuple[dict[str, Any], Force]:
    fields = values.fields(node, _PROXY, hints=_HINTS_OF_PROXY)
    read: dict[str, Any] = {
        "listen": _listen,
        "preview": _preview,
        "body_limit": values.size,
        "connect_timeout": lambda n: values.seconds(n, 0.1, 75),  # nginx: "cannot usually exceed 75 seconds"
        "read_timeout": lambda n: values.seconds(n, 1, 24 * HOUR),
        "send_timeout": lambda n: values.seconds(n, 1, 24 * HOUR),
        "gzip": values.boolean,
        "asset_fallback": values.boolean,
        "workers": lambda n: values.integer(n, 1, 64),
        "trusted_proxies": _networks,
        "log_limit": _log_limit,
    }
    found = {key: reader(n) for key, reader in read.items() if (n := fields.get(key)) is not None}
    given, force = read_canary(n) if (n := fields.get("canary")) is not None else ({}, Force())
    return {**{key: value for key, value in found.items() if value is not None}, **given}, force


def _listen(node: Node) -> str | None:
    written = values.text(node)
    if written is not None and _split_address(written, 1) is None:
        node.error("listen-form", f"{values.shown(written)} is no [ADDRESS:]PORT of the host")
        return None
    return written


def _preview(node: Node) -> str | None:
    written = values.text(node)
    if written is None:
        return None
    parts = _split_address(written, 0)
    if parts is None:
        node.error("listen-form", f"{values.shown(written)} is no [ADDRESS:]PORT of the host")
        return None
    address, port = parts
    if address is None:
        return f"127.0.0.1:{port}"
    if not address.is_loopback:
        node.error("listen-form", "the preview listens on loopback only, such as 127.0.0.1:8081")
    return written


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _split_address(written: str, lowest: int) -> tuple[_Address | None, int] | None:
    before, _, port = written.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not lowest <= int(port) <= 65535:
        return None
    if not before:
        return (None, int(port)) if ":" not in written else None
    if before.startswith("[") != (":" in before):  # an IPv6 address needs its brackets
        return None
    try:
        return ipaddress.ip_address(before.removeprefix("[").removesuffix("]")), int(port)
    except ValueError:
        return None


def _networks(node: Node) -> tuple[str, ...]:
    found = []
    for item in values.items_or_one(node):
        written = values.text(item)
        if written is None:
            continue
        try:
            found.append(str(ipaddress.ip_network(written)))
        except ValueError:
            item.error("value-form", f"{values.shown(written)} is no network such as 10.0.0.0/8")
    return tuple(found)


def _log_limit(node: Node) -> int | None:
    size = values.size(node)
    if size is not None and size < 1024 * 1024:
        node.error("value-range", "must be at least 1m")
    return size


def _smoke(node: Node, found: Settings) -> None:
    fields = values.fields(node, _SMOKE)
    methods = [method for method in _METHODS if method in fields.entries]
    if (n := fields.get("command")) is not None and not methods:
        for key in fields.entries:
            if key not in ("command",) and key in _SMOKE:
                fields.at(key).error("smoke-form", f"a command's exit code decides; it has no {key}")
        command = values.matching(n, _COMMAND, "command")
        if command is not None:
            found.commands.append(Script(command, _written(n) or command))
        return
    if len(methods) != 1 or "command" in fields.entries:
        if isinstance(node, Table):
            node.error("smoke-form", "a check is one request, such as GET: /path, or one command: ...")
        return
    path = values.matching(fields.entries[methods[0]], names.PATH, "path such as /api/version")
    status, body = read_expectation(fields)
    host = values.matching(n, names.HOST, "host name") if (n := fields.get("host")) else None
    timeout = values.seconds(n, 0.1, HOUR) if (n := fields.get("timeout")) else 10.0
    headers, once = _headers(n) if (n := fields.get("headers")) else ({}, False)
    if path is not None and timeout is not None:
        found.smoke.append(SmokeCheck(methods[0], path, status, body, host, headers, timeout, once))


def _headers(node: Node) -> tuple[dict[str, str], bool]:
    """The headers, and whether one of them may hold a secret, which no release may carry."""
    headers: dict[str, str] = {}
    once = False
    for name, value, place in values.pairs(values.table(node)):
        if not _HEADER.fullmatch(name):
            place.error("smoke-form", f"{values.shown(name)} is no name of a header")
        elif not _HEADER_VALUE.fullmatch(value or ""):
            place.error("smoke-form", "a header's value is one line of plain text")
        elif name.lower() == "host":
            place.error("smoke-form", "write it as 'host'")
        else:
            headers[name] = value or ""
            if _written(place) is not None or _SECRET.search(name):
                once = True
                place.notice(
                    "may be a secret, which is kept nowhere: this check runs with deploys, not after a rollback"
                )
    return headers, once


def _written(node: Node) -> str | None:
    return node.written if isinstance(node, Scalar) else None
