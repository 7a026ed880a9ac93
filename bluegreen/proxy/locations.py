"""Routes as nginx's servers and locations.

- A route without a host is for every host; one with a ``*.`` host for each below it. The longest prefix wins, and
  of equal ones the more particular host.
- ``/api`` is ``/api`` and all below ``/api/``, not ``/apix``. ``/api/`` is all below, not ``/api`` itself, which goes
  to the next shorter route: nginx's own redirect to the slash would turn a POST into a GET.
- The two slots may have different routes. Each request goes to its slot's own longest match, so that all services of
  a visitor are of one release; a slot without any match answers 404.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from bluegreen.model.errors import ProxyFailed
from bluegreen.model.names import HOST, PREFIX, SERVICE, Kind, Slot
from bluegreen.model.release import Routes

Table = Mapping[str, str]
"""Prefix to service."""


@dataclass(frozen=True, slots=True)
class Location:
    """``service`` where both slots agree, else ``variable``: a map from the slot to its upstream, "" for none.
    Neither: 404."""

    path: str
    label: str
    exact: bool = False
    service: str = ""
    variable: str = ""
    upstreams: tuple[tuple[str, str], ...] = ()
    services: tuple[tuple[str, str], ...] = ()  # slot to service, in step with ``upstreams``

    @property
    def names(self) -> tuple[str, ...]:
        """The services that answer here, each once."""
        return (self.service,) if self.service else tuple(dict.fromkeys(name for _, name in self.services))

    @property
    def target(self) -> str:
        """Names what requests are passed to; "" where they aren't."""
        return self.variable or self.service


@dataclass(frozen=True, slots=True)
class Server:
    name: str  # server_name
    title: str
    default: bool
    locations: tuple[Location, ...]

    @property
    def targets(self) -> tuple[Location, ...]:
        """One location for each target of those by prefix."""
        return tuple({one.target: one for one in self.locations if one.target and not one.exact}.values())


@dataclass(slots=True)
class Servers:
    servers: list[Server] = field(default_factory=list)
    differing: list[Location] = field(default_factory=list)  # one a variable


def servers(routes: Routes) -> Servers:
    """One server a host, and the default one for all others."""
    found = {slot: _routes(routes, slot) for slot in Slot if slot in routes.stacks}
    hosts = sorted({host for table in found.values() for host, _ in table if host})
    out = Servers()
    for host in ("", *hosts):
        tables = {slot: _table(table, host) for slot, table in found.items()}
        locations = tuple(_locations(tables, out))
        out.servers.append(Server(host or "_", host or "any other host", not host, locations))
    return out


def match(routes: Routes, slot: Slot, host: str, path: str) -> str | None:
    """The service that gets a request in a slot; None where that slot has no route for it."""
    if slot not in routes.stacks:
        return None
    table = _table(_routes(routes, slot), host.partition(":")[0].lower())
    return table[found] if (found := _longest(table, path)) is not None else None


def upstream_name(service: str, slot: Slot) -> str:
    return f"{service}_{slot}"


def _routes(routes: Routes, slot: Slot) -> dict[tuple[str, str], str]:
    """(host, prefix) to service; the host is "" for any."""
    out: dict[tuple[str, str], str] = {}
    stack = routes.stacks[slot]
    for name, service in sorted(stack.release.services.items()):
        if service.kind is not Kind.ROUTED:
            continue
        if SERVICE.fullmatch(name) is None:
            raise _bad("service", name)
        if not stack.upstreams.get(name):
            raise ProxyFailed("proxy.value", f"{name} has a route and no address in {slot}")
        for route in service.routes:
            if PREFIX.fullmatch(route.prefix) is None or ({".", ".."} & set(route.prefix.split("/"))):
                raise _bad("route", route.prefix)
            host = (route.host or "").lower()
            if host and HOST.fullmatch(host) is None:
                raise _bad("host", host)
            other = out.setdefault((host, route.prefix), name)
            if other != name:
                raise ProxyFailed("proxy.value", f"{other} and {name} have the same route {route}")
    return out


def _table(routes: Mapping[tuple[str, str], str], host: str) -> dict[str, str]:
    """The prefixes that count for requests to this host."""
    out: dict[str, str] = {}
    for pattern, prefix in sorted(routes, key=lambda key: len(key[0]), reverse=True):  # the more particular first
        if _covers(pattern, host):
            out.setdefault(prefix, routes[pattern, prefix])
    return out


def _covers(pattern: str, host: str) -> bool:
    return pattern in ("", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]) and host != pattern[2:])


def _locations(tables: Mapping[Slot, Table], out: Servers) -> list[Location]:
    folders = sorted({_folder(prefix) for table in tables.values() for prefix in table} | {"/"})
    locations = []
    for folder in folders:
        locations.append(_location(folder, tables, out, exact=False))
        if folder != "/":
            locations.append(_location(folder[:-1], tables, out, exact=True))
    return locations


def _location(path: str, tables: Mapping[Slot, Table], out: Servers, *, exact: bool) -> Location:
    chosen = {slot: match for slot, table in tables.items() if (match := _longest(table, path)) is not None}
    plain, label = _decoded(path), path
    if not chosen:
        return Location(plain, label, exact)
    services = {table[match] for (slot, match) in chosen.items() for table in [tables[slot]]}
    if len(chosen) == len(Slot) and len(services) == 1:
        return Location(plain, label, exact, service=services.pop())
    upstreams = tuple((str(slot), upstream_name(tables[slot][match], slot)) for slot, match in chosen.items())
    known = next((other for other in out.differing if other.upstreams == upstreams), None)
    variable = known.variable if known else f"bg_upstream_{len(out.differing)}"
    called = tuple((str(slot), tables[slot][match]) for slot, match in chosen.items())
    location = Location(plain, label, exact, variable=variable, upstreams=upstreams, services=called)
    if known is None:
        out.differing.append(location)
    return location


def _longest(table: Table, path: str) -> str | None:
    """The longest prefix that matches every path nginx gives to this location."""
    matches = [prefix for prefix in table if path.startswith(_folder(prefix)) or prefix == path]
    return max(matches, key=lambda prefix: (len(_folder(prefix)), len(prefix)), default=None)


def _folder(prefix: str) -> str:
    return prefix if prefix.endswith("/") else f"{prefix}/"


def _decoded(path: str) -> str:
    """As nginx compares it: with its percent signs decoded. What could end the quoted word is refused."""
    try:
        plain = unquote(path, errors="strict")
    except UnicodeDecodeError as error:
        raise _bad("route", path) from error
    if not plain.isprintable() or set(plain) & set("\"'\\${};#"):
        raise _bad("route", path)
    return plain


def _bad(what: str, value: object) -> ProxyFailed:
    return ProxyFailed("proxy.value", f"{what} {value!r} can't go into the proxy's configuration")
