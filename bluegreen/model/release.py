"""Releases, stacks and routes: what runs where, and who gets the traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from bluegreen.model.guard import GuardSettings
from bluegreen.model.names import Kind, Slot
from bluegreen.model.project import Dependency, HealthCheck, ProxySettings, Route, SmokeCheck
from bluegreen.model.value import dataclass

SCHEMA = 1
"""Version of everything stored: routes.json, labels, the journal's events."""


@dataclass(frozen=True, slots=True)
class ServiceRelease:
    """What a release says about one slot service: enough to probe, order and restart it without a file."""

    kind: Kind
    image: str  # image id, sha256:...
    replicas: int = 1
    routes: tuple[Route, ...] = ()
    port: int | None = None
    health: HealthCheck | None = None
    depends_on: tuple[Dependency, ...] = ()
    restart: str = "unless-stopped"
    stop_grace: float = 10.0
    networks: tuple[str, ...] = ()  # of the project's own, joined without an alias
    aliases: tuple[str, ...] = ()  # further names in the slot's network


@dataclass(frozen=True, slots=True)
class Release:
    """What runs. Immutable; stored in a label of each of its containers and in routes.json."""

    number: int
    tag: str
    config: str  # digest of the resolved configuration and environment
    services: Mapping[str, ServiceRelease]
    smoke: tuple[SmokeCheck, ...] = ()
    smoke_of_deploys: int = 0  # further checks, which only the Compose file has: commands, and those with secrets
    revision: str | None = None  # git commit
    subject: str | None = None  # its first line
    dirty: bool = False  # built from a tree with uncommitted changes
    by: str = ""
    at: str = ""  # RFC 3339, UTC
    drain: float = 300.0
    proxy: ProxySettings = field(default_factory=ProxySettings)  # what the proxy is rendered with, and made again with
    keep: int = 5
    guard: GuardSettings = field(default_factory=GuardSettings)
    schema: int = SCHEMA

    def __str__(self) -> str:
        return self.tag

    def of_kind(self, *kinds: Kind) -> tuple[str, ...]:
        return tuple(name for name, s in self.services.items() if s.kind in kinds)

    def same_content(self, other: Release) -> bool:
        """Whether deploying one where the other runs would change nothing."""
        return (self.tag, self.config) == (other.tag, other.config) and {
            n: s.image for n, s in self.services.items()
        } == {n: s.image for n, s in other.services.items()}


@dataclass(frozen=True, slots=True)
class Stack:
    """A release in a slot, as the proxy knows it: ``upstreams`` maps routed services to ``ip:port``."""

    release: Release
    upstreams: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Routes:
    """``routes.json``: one generation's meaning. ``share`` is the candidate's percentage, 0..100.

    ``trial``: the idle slot holds a candidate that may get a share, so visitors keep their places. It changes with the
    topology that brings the candidate in or takes it out, or with the flip that makes it live; never with a share.
    """

    generation: int
    parent: int | None = None
    live: Slot | None = None
    share: int = 0
    stacks: Mapping[Slot, Stack] = field(default_factory=dict)
    since: str = ""  # when `live` became live, RFC 3339 by the proxy container's clock
    operation: str = ""
    project: str = ""
    listen: str = ""
    trial: bool = False
    schema: int = SCHEMA

    @property
    def live_stack(self) -> Stack | None:
        return self.stacks.get(self.live) if self.live else None

    @property
    def live_release(self) -> Release | None:
        return self.live_stack.release if self.live_stack else None

    @property
    def salt(self) -> int:
        """What visitors' places are drawn with: the highest release number, 0 where there is none.

        A candidate brings it, so that other visitors go first each time; nobody moves while its share grows, nor
        when it becomes live.
        """
        return max((stack.release.number for stack in self.stacks.values()), default=0)
