"""A project as its Compose file describes it, resolved: what ``compose`` produces and ``planning`` reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from bluegreen.model.guard import GuardCheck, GuardSettings
from bluegreen.model.names import Kind
from bluegreen.model.prove import ProveSettings
from bluegreen.model.value import dataclass

Affinity = Literal["cookie", "address", "none"]


@dataclass(frozen=True, slots=True)
class Route:
    """Where a service is reachable. The longest prefix wins, within the host that matches."""

    prefix: str
    host: str | None = None

    def __str__(self) -> str:
        return f"{self.host or ''}{self.prefix}"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """An HTTP health request, sent through the proxy. Times are seconds."""

    path: str = "/"
    status: tuple[int, ...] = (200,)
    body: str | None = None  # a text the body must contain
    host: str | None = None  # Host header; the route's host, else "localhost"
    rise: int = 2  # successes in a row that make it healthy, 1..100
    interval: float = 0.5
    timeout: float = 5.0
    start_period: float = 0.0  # failures before this don't count as evidence of anything
    deadline: float = 60.0


@dataclass(frozen=True, slots=True)
class SmokeCheck:
    """One HTTP assertion against a slot before it gets traffic, and after a rollback."""

    method: str
    path: str
    status: tuple[int, ...] = (200,)
    body: str | None = None  # a text the body must contain; "{tag}" stands for the release's tag
    host: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 10.0
    once: bool = False  # by deploys only: a header's value comes from a variable or sounds secret, and is kept nowhere


@dataclass(frozen=True, slots=True)
class Script:
    """A smoke check that the operator's shell runs. ``written`` is shown: as the file has it, with its variables."""

    text: str = field(repr=False)
    written: str

    def __str__(self) -> str:
        return self.written


@dataclass(frozen=True, slots=True)
class Build:
    """How an image is built. Two services with equal values share one build."""

    context: Path  # absolute
    dockerfile: str = "Dockerfile"
    dockerfile_inline: str | None = None
    args: tuple[tuple[str, str], ...] = ()
    target: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    network: str | None = None
    extra_hosts: tuple[str, ...] = ()
    shm_size: int | None = None  # bytes
    pull: bool = False
    no_cache: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """A secret or config, put into the container rather than mounted: it belongs to the release."""

    content: bytes = field(repr=False)
    mode: int = 0o444
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Dependency:
    service: str
    condition: Literal["service_started", "service_healthy", "service_completed_successfully"] = "service_started"
    required: bool = True


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """Membership of one of the project's own networks (not of a slot's)."""

    network: str  # the engine's name, e.g. shop_default
    aliases: tuple[str, ...] = ()  # a shared service's; slot services join without


@dataclass(frozen=True, slots=True)
class Service:
    """One service.

    ``body`` is the part of the Engine API's ContainerCreate request that the file decides: top-level
    ``Cmd``, ``Entrypoint``, ``Env``, ``Healthcheck``, ``User``... and ``HostConfig`` with ``Mounts``,
    ``Tmpfs``, ``CapAdd``, ``Memory``... It never holds the image, names, bluegreen's labels, the
    restart policy, networks, or (for slot services) published ports. It is the engine's own vocabulary on
    purpose: what a kept container's inspection answers has the same form (ADR 2).
    """

    name: str
    kind: Kind
    image: str | None  # the name to run, or the name to give to what was built; None: bluegreen names it
    build: Build | None
    body: Mapping[str, Any]
    files: Mapping[str, File] = field(default_factory=dict)  # absolute path in the container
    replicas: int = 1
    depends_on: tuple[Dependency, ...] = ()
    routes: tuple[Route, ...] = ()
    port: int | None = None  # routed services: where it listens
    health: HealthCheck | None = None  # routed services: always set
    restart: str = "unless-stopped"  # as in Compose: no, always, on-failure[:N], unless-stopped
    stop_grace: float = 10.0  # seconds between the stop signal and SIGKILL
    networks: tuple[NetworkUse, ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """A network of the project's own, by Compose's own name."""

    name: str
    external: bool = False
    driver: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    internal: bool = False
    attachable: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    ipam: Mapping[str, Any] | None = None  # the Engine API's IPAM object


@dataclass(frozen=True, slots=True)
class Volume:
    name: str
    external: bool = False
    driver: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The public listener. Times are seconds, sizes bytes."""

    listen: str = "80"  # [ADDRESS:]PORT on the host
    preview: str = "127.0.0.1:0"  # loopback address of the preview listener; port 0: the engine chooses
    body_limit: int = 100 * 1024 * 1024  # 0: none
    connect_timeout: float = 5.0
    read_timeout: float = 300.0  # between two reads; also how long an idle WebSocket lives
    send_timeout: float = 60.0
    gzip: bool = True
    asset_fallback: bool = True  # an asset by content hash that the slot asked has not is answered by the other
    workers: int | None = None  # None: the engine's processors, at most 8
    trusted_proxies: tuple[str, ...] = ()  # CIDRs whose X-Forwarded-* are believed
    log_limit: int = 64 * 1024 * 1024  # bytes of access log, over all rotated files
    affinity: Affinity = "cookie"  # what keeps a visitor's place while a candidate is tried; none: nothing does
    cookie_domain: str = ""  # of that cookie; "": the host that was asked, and no other
    skew: float = 0.0  # seconds after a switch forward that pages of the former release keep their calls there; 0: none


@dataclass(frozen=True, slots=True)
class Force:
    """How a tester chooses a slot while a candidate is tried: ``SECRET:candidate`` or ``SECRET:live`` in a header or
    a cookie. Kept in the proxy's volume alone: no label, journal or screen has the secret."""

    header: str = "X-Release"
    cookie: str = "release"
    secret: str = field(default="", repr=False)  # "": nobody can


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth a line that is no error, with its place in the file."""

    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Project:
    name: str
    file: Path
    directory: Path
    services: Mapping[str, Service]
    networks: Mapping[str, Network] = field(default_factory=dict)  # by the engine's name
    volumes: Mapping[str, Volume] = field(default_factory=dict)  # by the engine's name
    proxy: ProxySettings = field(default_factory=ProxySettings)
    force: Force = field(default_factory=Force)
    keep: int = 5  # releases kept for a cold rollback, 1..100
    source: Literal["auto", "git", "tree"] = "auto"
    drain: float = 300.0  # seconds a retired slot's connections may live before its containers are stopped
    smoke: tuple[SmokeCheck, ...] = ()
    prove: ProveSettings = field(default_factory=ProveSettings)
    guard: GuardSettings = field(default_factory=GuardSettings)
    guard_checks: tuple[GuardCheck, ...] = ()
    smoke_commands: tuple[Script, ...] = ()
    notices: tuple[Notice, ...] = ()

    def of_kind(self, *kinds: Kind) -> tuple[Service, ...]:
        return tuple(s for s in self.services.values() if s.kind in kinds)
