"""What is asked of the engine, and what it answers: specifications and observations of containers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from bluegreen.model import labels
from bluegreen.model.names import Slot, kept_container, shared_container, slot_container
from bluegreen.model.project import File
from bluegreen.model.value import dataclass


@dataclass(frozen=True, slots=True)
class Attachment:
    """Membership in a network, with a fixed address where ``ip`` is given."""

    network: str
    ip: str | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container to create. ``body`` is as in `bluegreen.model.project.Service`."""

    name: str
    image: str
    body: Mapping[str, Any] = field(repr=False)
    labels: Mapping[str, str] = field(repr=False)
    networks: tuple[Attachment, ...]  # the first is the one it is created in
    restart: str = "no"
    files: Mapping[str, File] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class CloneSpec:
    """A container to create from another one's configuration, environment and files.

    Its image, body and files are the source's; labels are the source's with ``labels`` laid over them.
    """

    name: str
    source: str
    labels: Mapping[str, str] = field(repr=False)
    networks: tuple[Attachment, ...]
    restart: str = "no"


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the engine lists it."""

    id: str
    name: str
    image: str  # image id
    state: str  # created, running, paused, restarting, exited, dead, removing
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    addresses: Mapping[str, str] = field(default_factory=dict)  # network name -> IPv4 ("" while not running)
    health: str | None = None  # starting, healthy, unhealthy; None: no health check defined
    exit_code: int | None = None  # once exited, and while it waits to be restarted
    status: str = ""  # the engine's words: "Up 3 minutes (healthy)"
    ports: tuple[tuple[str, int, int], ...] = ()  # (host address, host port, container port)
    created: int = 0  # Unix time, by the engine's clock; 0: not told

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def project(self) -> str:
        return self.labels.get(labels.PROJECT, "")

    @property
    def role(self) -> str:
        return self.labels.get(labels.ROLE, "")

    @property
    def service(self) -> str:
        return self.labels.get(labels.SERVICE, "")

    @property
    def replica(self) -> int:
        return _number(self.labels.get(labels.REPLICA, "1"))

    @property
    def release(self) -> int:
        """Release number; 0 where the label is missing or no number."""
        return _number(self.labels.get(labels.RELEASE, "0"))

    @property
    def slot(self) -> Slot | None:
        """The slot whose place it holds, by its name: labels can't change when a container is kept."""
        for slot in Slot:
            if self.name == slot_container(self.project, slot, self.service, self.replica):
                return slot
        return None

    @property
    def kept(self) -> bool:
        return self.name == kept_container(self.project, self.release, self.service, self.replica)

    @property
    def shared(self) -> bool:
        return self.role == "shared" and self.name == shared_container(self.project, self.service)


@dataclass(frozen=True, slots=True)
class ContainerDetails:
    """What only an inspection tells."""

    container: Container
    oom_killed: bool = False
    error: str = ""  # why it could not be started
    restarts: int = 0
    restart_policy: str = "no"
    started_at: str = ""
    memory_limit: int = 0  # bytes, 0: none
    health_log: tuple[str, ...] = ()  # outputs of the last health checks, newest last
    mounts: tuple[str, ...] = ()  # names of volumes


@dataclass(frozen=True, slots=True)
class Image:
    id: str
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    created: str = ""
    size: int = 0  # bytes
    exposed: tuple[int, ...] = ()  # TCP ports
    healthcheck: bool = False


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    id: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    subnets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What `ping` and `info` tell of an engine."""

    version: str
    api: str
    name: str
    processors: int
    memory: int  # bytes
    root: str  # the engine's data directory, on its own host
    storage: str
    local: bool  # whether the engine's loopback is this machine's
    host: str  # the address in use, e.g. unix:///var/run/docker.sock


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
