"""Drafts to services: ports, mounts and networks get their meaning from the kind and the declarations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bluegreen.compose import values
from bluegreen.compose.files import Source
from bluegreen.compose.ports import Port
from bluegreen.compose.service import Draft
from bluegreen.compose.settings import Settings
from bluegreen.compose.toplevel import Declared
from bluegreen.compose.tree import Node
from bluegreen.model.names import Kind
from bluegreen.model.project import Dependency, NetworkUse, ProxySettings, Service

_BOTH_SLOTS = (Kind.ROUTED, Kind.INTERNAL)
"""Kinds that run in two slots at once. A worker runs in one only, a job once."""


def settle(draft: Draft, declared: Declared, drafts: Mapping[str, Draft]) -> Service | None:
    """The finished service; None while its kind is not known. Problems go to the report."""
    body = dict(draft.body)
    if draft.environment:
        body["Env"] = [f"{key}={value}" for key, value in sorted(draft.environment.items())]
    exposed = {port.key for port in draft.ports} | set(draft.exposed)
    if exposed:
        body["ExposedPorts"] = {key: {} for key in sorted(exposed)}
    host: dict[str, Any] = {**body.get("HostConfig", {}), **_mounts(draft, declared)}
    if draft.kind is Kind.SHARED and (bindings := _bindings(draft.ports)):
        host["PortBindings"] = bindings
    if host:
        body["HostConfig"] = dict(sorted(host.items()))
    networks = _networks(draft, declared, drafts)
    if draft.kind is None or draft.extension is None:
        return None
    restart = draft.restart or ("no" if draft.kind is Kind.JOB else "unless-stopped")
    if draft.kind is Kind.JOB and restart in ("always", "unless-stopped"):
        draft.node.at("restart").error(
            "restart-form", f"a job ends, so it can't be restarted {restart}; write no or on-failure"
        )
    return Service(
        name=draft.name,
        kind=draft.kind,
        image=draft.image,
        build=draft.build,
        body=dict(sorted(body.items())),
        files={path: file for path, file, _ in draft.files},
        replicas=draft.replicas,
        depends_on=_dependencies(draft, drafts),
        routes=tuple(dict.fromkeys(route for route, _ in draft.extension.routes)),
        port=_port(draft) if draft.kind is Kind.ROUTED else None,
        health=draft.extension.health if draft.kind is Kind.ROUTED else None,
        restart=restart,
        stop_grace=draft.stop_grace,
        networks=networks,
    )


def public_listener(drafts: Mapping[str, Draft], settings: Settings) -> str | None:
    """Where the services' own ``ports`` put the public listener; says what becomes of each published port.

    Two slots can't both hold a host port. A routed service's is taken over by the proxy: the one of the
    service with the route ``/``, if there are several. A shared service keeps its own.
    """
    offered: list[tuple[bool, bool, Port]] = []
    for draft in drafts.values():
        for port in draft.ports:
            if draft.kind is Kind.ROUTED and port.protocol != "tcp":
                port.node.error(
                    "port-published",
                    f"{port.key} can't go through the proxy, and two slots can't both "
                    f"hold a host port; move what serves it to a shared service",
                )
            elif draft.kind in (None, Kind.SHARED):
                continue
            elif not port.published:
                port.node.notice(f"is not published on the host: {_reached(draft)}")
            elif draft.kind is Kind.ROUTED and draft.extension and port.published.isdigit():
                root = any(route.prefix == "/" for route, _ in draft.extension.routes)
                served = draft.extension.port in (None, port.target)
                offered.append((not root, not served, port))
            elif draft.kind is Kind.ROUTED:
                port.node.notice(f"is not published on the host: {_reached(draft)}")
            else:
                port.node.error(
                    "port-published",
                    f"two slots can't both hold the host port {port.published}; remove it (services reach this one "
                    f"by its name), or make it routed or shared under x-bluegreen",
                )
    chosen = settings.proxy.get("listen")
    if chosen is None and offered:
        chosen = min(offered, key=lambda offer: offer[:2])[2].address
    for _, _, port in offered:
        if port.address == chosen:
            port.node.notice(f"the proxy takes over the host port {port.published}")
        else:
            port.node.notice(f"the host port {port.published} is no longer published; the proxy listens on {chosen}")
    return chosen


def check_host_ports(drafts: Mapping[str, Draft], proxy: ProxySettings, place: Node | None) -> None:
    """Two owners of one host port: shared services, and the proxy, whose settings are at ``place``."""
    taken: list[tuple[str, str]] = []  # address and owner

    def claim(address: str, owner: str, node: Node | None) -> None:
        for other, other_owner in taken:
            if node is not None and _overlap(address, other):
                number = address.rpartition(":")[2]
                node.error("port-twice", f"the host port {number} is taken by {other_owner}")
        taken.append((address, owner))

    claim(proxy.listen, "the proxy's public listener", place)
    if not proxy.preview.endswith(":0"):
        claim(proxy.preview, "the proxy's preview listener", place)
    for draft in drafts.values():
        for port in draft.ports if draft.kind is Kind.SHARED else ():
            if port.protocol == "tcp" and port.published.isdigit():
                claim(port.address, f"the service {draft.name!r}, at {port.node.where}", port.node)


def _overlap(one: str, other: str) -> bool:
    """Whether two ``[ADDRESS:]PORT`` can't both be bound."""
    ip, _, number = one.rpartition(":")
    other_ip, _, other_number = other.rpartition(":")
    everywhere = {"", "0.0.0.0", "[::]"}  # noqa: S104 - compared, not bound
    return number == other_number and (ip == other_ip or bool({ip, other_ip} & everywhere))


def check_used(drafts: Mapping[str, Draft], declared: Declared, sources: list[Mapping[str, Source]]) -> None:
    """A notice for what is declared at the top and used by nobody."""
    declared.notice_unused(
        networks=[key for draft in drafts.values() for key, _, _ in draft.networks or [_default(draft)]],
        volumes=[mount.source for draft in drafts.values() for mount in draft.mounts if mount.kind == "volume"],
    )
    for group in sources:
        for name, source in group.items():
            if not source.used:
                source.node.notice(f"no service uses the {source.what} {name}")


def _reached(draft: Draft) -> str:
    if draft.kind is Kind.ROUTED:
        return "the proxy publishes what routed services serve"
    return "two slots can't both hold a host port; services reach this one by its name"


def _port(draft: Draft) -> int | None:
    if draft.extension is None or draft.extension.port is not None:
        return draft.extension.port if draft.extension else None
    if "port" in draft.extension.node.entries and draft.extension.node.get("port") is not None:
        return None  # given, and wrong
    named = sorted(
        {
            int(key.partition("/")[0])
            for key in (*(port.key for port in draft.ports), *draft.exposed)
            if key.endswith("/tcp")
        }
    )
    if len(named) == 1:
        return named[0]
    listed = ", ".join(str(port) for port in named[:5])
    why = f"the file names several ports: {listed}" if named else "the file names no port"
    draft.extension.node.error("port-missing", f"needs x-bluegreen.port, where the service listens; {why}")
    return None


def _bindings(ports: list[Port]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        bindings.setdefault(port.key, []).append({"HostIp": port.host_ip, "HostPort": port.published})
    return dict(sorted(bindings.items()))


def _mounts(draft: Draft, declared: Declared) -> dict[str, Any]:
    taken: dict[str, Node] = {}
    binds: list[str] = []
    mounts: list[dict[str, Any]] = []
    for mount in draft.mounts:
        _claim(taken, mount.target, mount.node)
        if mount.kind == "volume" and mount.source and mount.source not in declared.volumes:
            meant = values.did_you_mean(mount.source, list(declared.volumes))
            mount.node.error(
                "volume-unknown",
                f"volumes: at the top has no {values.shown(mount.source)}, and a path begins with ./ or /{meant}",
            )
            continue
        shared = (mount.kind == "bind" or mount.source) and mount.kind != "tmpfs" and not mount.read_only
        if shared and draft.kind in _BOTH_SLOTS and draft.extension and not draft.extension.shared_volume:
            what = f"the volume {mount.source!r}" if mount.kind == "volume" else f"{mount.source}"
            mount.node.error(
                "volume-shared",
                f"both slots would write to {what}; if that is meant, say x-bluegreen.shared_volume: true, "
                f"else mount it read-only (:ro) or make the service shared",
            )
        bind, entry = mount.body(lambda key: declared.volumes[key].name)
        if bind is not None:
            binds.append(bind)
        if entry is not None:
            mounts.append(entry)
    for target, _, node in draft.tmpfs:
        _claim(taken, target, node)
    for path, _, node in draft.files:
        hiding = next((target for target in taken if path == target or path.startswith(target + "/")), None)
        if hiding is not None:
            node.error(
                "file-hidden",
                f"{path} would be hidden by what is mounted at {hiding}; give it another "
                f"target, or mount something narrower there",
            )
    _duplicate_files(draft)
    found: dict[str, Any] = {}
    if binds:
        found["Binds"] = sorted(binds)
    if mounts:
        found["Mounts"] = sorted(mounts, key=lambda mount: str(mount["Target"]))
    if draft.tmpfs:
        found["Tmpfs"] = {target: options for target, options, _ in sorted(draft.tmpfs, key=lambda t: t[0])}
    return found


def _claim(taken: dict[str, Node], target: str, node: Node) -> None:
    first = taken.setdefault(target, node)
    if first is not node:
        node.error("volume-twice", f"{target} is a mount already, at {first.where}")


def _duplicate_files(draft: Draft) -> None:
    places: dict[str, Node] = {}
    for path, _, node in draft.files:
        first = places.setdefault(path, node)
        if first is not node:
            node.error("file-twice", f"{path} is there already, from {first.where}")


def _networks(draft: Draft, declared: Declared, drafts: Mapping[str, Draft]) -> tuple[NetworkUse, ...]:
    if not draft.networks and draft.kind is not Kind.SHARED and not _default_wanted(declared, drafts):
        return ()
    own = (draft.name,) if draft.kind is Kind.SHARED else ()
    uses: dict[str, NetworkUse] = {}
    for key, aliases, node in draft.networks or [_default(draft)]:
        if key not in declared.networks:
            meant = values.did_you_mean(key, list(declared.networks))
            node.error("network-unknown", f"networks: at the top has no {values.shown(key)}{meant}")
            continue
        name = declared.networks[key].name
        uses[name] = NetworkUse(name, tuple(dict.fromkeys((*own, *aliases))))
    return tuple(use for _, use in sorted(uses.items()))


def _default_wanted(declared: Declared, drafts: Mapping[str, Draft]) -> bool:
    """Whether the default network leads slot services to anyone whom they don't reach in their slot's own.

    Each network that a container joins costs its start and its stop a tenth of a second.
    """
    return ("networks", "default") in declared.places or any(
        draft.kind is Kind.SHARED and (not draft.networks or any(key == "default" for key, _, _ in draft.networks))
        for draft in drafts.values()
    )


def _default(draft: Draft) -> tuple[str, tuple[str, ...], Node]:
    return "default", (), draft.place


def _dependencies(draft: Draft, drafts: Mapping[str, Draft]) -> tuple[Dependency, ...]:
    known = {d.service: d for d, _ in draft.dependencies if d.service in drafts}
    return tuple(dependency for _, dependency in sorted(known.items()))
