"""What the in-memory engine keeps: containers, networks, images, and their views as the model's values."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bluegreen.engine import bodies
from bluegreen.engine.behaviour import Behaviour
from bluegreen.model import labels
from bluegreen.model.containers import Attachment, Container, ContainerDetails, Image, NetworkInfo
from bluegreen.model.errors import EngineConflict, EngineFailed
from bluegreen.model.project import File


@dataclass(slots=True)
class MemoryContainer:
    id: str
    name: str
    image: str  # id
    body: Mapping[str, Any]
    labels: dict[str, str]
    restart: str
    behaviour: Behaviour
    networks: dict[str, Attachment] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)  # while it runs
    files: dict[str, File] = field(default_factory=dict)
    anonymous: list[str] = field(default_factory=list)  # names of its own volumes
    ports: tuple[tuple[str, int, int], ...] = ()
    state: str = "created"
    exit_code: int | None = None
    oom: bool = False
    error: str = ""
    restarts: int = 0
    stopped_by_user: bool = False
    started_at: str = "0001-01-01T00:00:00Z"
    logs: list[bytes] = field(default_factory=list)

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def named_volumes(self) -> list[str]:
        """Volumes that exist without it."""
        host = self.body.get("HostConfig") or {}
        mounts = [str(m["Source"]) for m in host.get("Mounts") or [] if m.get("Type") == "volume" and m.get("Source")]
        binds = [str(bind).partition(":")[0] for bind in host.get("Binds") or []]
        return mounts + [name for name in binds if not name.startswith("/")]

    @property
    def anonymous_mounts(self) -> list[str]:
        """Where it wants volumes of its own."""
        host = self.body.get("HostConfig") or {}
        mounts = [m for m in host.get("Mounts") or [] if m.get("Type") == "volume" and not m.get("Source")]
        return [str(m["Target"]) for m in mounts] + list(self.body.get("Volumes") or {})

    def published(self) -> Iterable[tuple[str, int, int]]:
        """(host address, host port, container port) of the file's TCP ports; host port 0: any."""
        bindings = (self.body.get("HostConfig") or {}).get("PortBindings") or {}
        for port, bound in bindings.items():
            number, _, protocol = str(port).partition("/")
            if protocol in ("", "tcp"):
                for one in bound or []:
                    yield one.get("HostIp") or "0.0.0.0", int(one.get("HostPort") or 0), int(number)  # noqa: S104

    def listed(self) -> Container:
        health = self.behaviour.health if self.running else None
        words = {"healthy": " (healthy)", "unhealthy": " (unhealthy)", "starting": " (health: starting)"}
        status = {
            "running": f"Up{words.get(health or '', '')}",
            "exited": f"Exited ({self.exit_code})",
            "restarting": f"Restarting ({self.exit_code})",
        }.get(self.state, self.state.capitalize())
        return Container(
            id=self.id,
            name=self.name,
            image=self.image,
            state=self.state,
            labels=dict(self.labels),
            addresses={name: self.addresses.get(name, "") for name in self.networks},
            health=health,
            exit_code=self.exit_code if self.state in ("exited", "restarting") else None,
            status=status,
            ports=self.ports,
        )

    def details(self) -> ContainerDetails:
        return ContainerDetails(
            container=self.listed(),
            oom_killed=self.oom,
            error=self.error,
            restarts=self.restarts,
            restart_policy=bodies.restart_word(bodies.restart_policy(self.restart)),
            started_at=self.started_at,
            memory_limit=int((self.body.get("HostConfig") or {}).get("Memory") or 0),
            mounts=(*self.named_volumes, *self.anonymous),
        )

    def end(self, code: int, *, oom: bool = False) -> None:
        """Its process is gone; addresses and ports are free again."""
        self.state, self.exit_code, self.oom = "exited", code, oom
        self.addresses, self.ports = {}, ()


@dataclass(slots=True)
class MemoryNetwork:
    id: str
    name: str
    labels: dict[str, str]
    subnet: ipaddress.IPv4Network
    configured: bool  # the subnet was asked for, so addresses may be

    def view(self) -> NetworkInfo:
        return NetworkInfo(self.id, self.name, dict(self.labels), (str(self.subnet),))

    def address(self, wanted: str | None, taken: Mapping[str, str]) -> str:
        """A free address, or the wanted one. ``taken`` maps addresses to the containers that have them."""
        if wanted is None:
            hosts = self.subnet.hosts()
            next(hosts)  # the gateway's
            return next(str(ip) for ip in hosts if str(ip) not in taken)
        if not self.configured:
            raise EngineFailed(
                "engine.failed",
                f"the network {self.name} has no subnet of its own configuration, so "
                f"the address {wanted} can't be asked for",
            )
        if ipaddress.IPv4Address(wanted) not in self.subnet:
            raise EngineFailed("engine.failed", f"the address {wanted} does not belong to the network {self.name}")
        if wanted in taken:
            raise EngineConflict(
                "engine.address-held", f"the address {wanted} in the network {self.name} is held by {taken[wanted]}"
            )
        return wanted


@dataclass(slots=True)
class MemoryImage:
    """``tags`` in the order in which they were given."""

    view: Image

    @property
    def id(self) -> str:
        return self.view.id

    def tagged(self, ref: str) -> None:
        if ref not in self.view.tags:
            self.view = replace(self.view, tags=(*self.view.tags, ref))

    def untagged(self, ref: str) -> None:
        self.view = replace(self.view, tags=tuple(tag for tag in self.view.tags if tag != ref))

    def listed(self) -> Image:
        return replace(self.view, exposed=(), healthcheck=False)


def differing(existing: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """The labels by which an existing container is another one than the wanted."""
    return sorted(key for key, value in wanted.items() if existing.get(key) != value)


def files_label(files: Mapping[str, File]) -> dict[str, str]:
    import json

    return {labels.FILES: json.dumps(sorted(files))} if files else {}
