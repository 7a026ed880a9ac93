"""The engine's answers as the model's values. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from bluegreen.engine.bodies import restart_word
from bluegreen.model.containers import Container, ContainerDetails, Image, NetworkInfo

_HEALTH = re.compile(r"\((healthy|unhealthy|health: starting)\)")
_EXIT = re.compile(r"(?:Exited|Restarting) \((-?\d+)\)")
_ENDED = ("exited", "restarting")


def listed(item: Mapping[str, Any]) -> Container:
    """A container of GET /containers/json."""
    status = str(item.get("Status") or "")
    health = _HEALTH.search(status)
    exited = _EXIT.match(status)
    networks = (item.get("NetworkSettings") or {}).get("Networks") or {}
    return Container(
        id=item["Id"],
        name=_name(item.get("Names") or []),
        image=item.get("ImageID") or "",
        state=item.get("State") or "",
        labels=item.get("Labels") or {},
        addresses={name: (end or {}).get("IPAddress") or "" for name, end in networks.items()},
        health=health[1].removeprefix("health: ") if health else None,
        exit_code=int(exited[1]) if exited else None,
        status=status,
        created=int(item.get("Created") or 0),
        ports=tuple(
            sorted(
                {
                    (port.get("IP") or "", port["PublicPort"], port["PrivatePort"])
                    for port in item.get("Ports") or []
                    if port.get("PublicPort") and port.get("Type", "tcp") == "tcp"
                }
            )
        ),
    )


def inspected(item: Mapping[str, Any]) -> ContainerDetails:
    """A container of GET /containers/NAME/json."""
    state, host = item["State"], item["HostConfig"]
    health = state.get("Health") or {}
    settings = item.get("NetworkSettings") or {}
    status = state.get("Status") or ""
    container = Container(
        id=item["Id"],
        name=item["Name"].removeprefix("/"),
        image=item["Image"],
        state=status,
        labels=item["Config"].get("Labels") or {},
        addresses={n: (end or {}).get("IPAddress") or "" for n, end in (settings.get("Networks") or {}).items()},
        health=health.get("Status") if health.get("Status") not in (None, "", "none") else None,
        exit_code=state.get("ExitCode") if status in _ENDED else None,
        status=f"Exited ({state.get('ExitCode')})" if status == "exited" else status.capitalize(),
        ports=tuple(sorted(_bindings(settings.get("Ports") or {}))),
    )
    return ContainerDetails(
        container=container,
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error") or "",
        restarts=item.get("RestartCount") or 0,
        restart_policy=restart_word(host.get("RestartPolicy") or {}),
        started_at=state.get("StartedAt") or "",
        memory_limit=host.get("Memory") or 0,
        health_log=tuple(str(entry.get("Output") or "") for entry in health.get("Log") or []),
        mounts=tuple(m["Name"] for m in item.get("Mounts") or [] if m.get("Type") == "volume"),
    )


def image_of(item: Mapping[str, Any]) -> Image:
    """An image of GET /images/NAME/json."""
    config = item.get("Config") or {}
    test = (config.get("Healthcheck") or {}).get("Test") or []
    return Image(
        id=item["Id"],
        tags=tuple(item.get("RepoTags") or ()),
        labels=config.get("Labels") or {},
        created=item.get("Created") or "",
        size=item.get("Size") or 0,
        exposed=tuple(
            sorted(
                int(port.partition("/")[0]) for port in config.get("ExposedPorts") or {} if not port.endswith("/udp")
            )
        ),
        healthcheck=bool(test) and test != ["NONE"],
    )


def image_listed(item: Mapping[str, Any]) -> Image:
    """An image of GET /images/json, which doesn't tell ports and health check."""
    created = datetime.fromtimestamp(item.get("Created") or 0, UTC)
    return Image(
        id=item["Id"],
        tags=tuple(tag for tag in item.get("RepoTags") or () if tag != "<none>:<none>"),
        labels=item.get("Labels") or {},
        created=created.isoformat().replace("+00:00", "Z"),
        size=item.get("Size") or 0,
    )


def network_of(item: Mapping[str, Any]) -> NetworkInfo:
    pools = (item.get("IPAM") or {}).get("Config") or []
    return NetworkInfo(
        id=item["Id"],
        name=item["Name"],
        labels=item.get("Labels") or {},
        subnets=tuple(pool["Subnet"] for pool in pools if pool.get("Subnet")),
    )


def _name(names: Iterable[str]) -> str:
    # A legacy link adds /OTHER/ALIAS to the names of its target.
    own = [name[1:] for name in names if name.count("/") == 1]
    return own[0] if own else ""


def _bindings(ports: Mapping[str, Any]) -> set[tuple[str, int, int]]:
    return {
        (bound.get("HostIp") or "", int(bound["HostPort"]), int(port.partition("/")[0]))
        for port, bindings in ports.items()
        if not port.endswith(("/udp", "/sctp"))
        for bound in bindings or []
        if bound.get("HostPort")
    }


def memory_of(answer: Mapping[str, Any]) -> int | None:
    """Of the engine's statistics, which have none of a container that doesn't run. As `docker stats` counts."""
    memory = answer.get("memory_stats") or {}
    if not memory.get("usage"):
        return None
    details = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))  # cgroup 1, cgroup 2
    return int(memory["usage"]) - int(cache) if cache < memory["usage"] else int(memory["usage"])
