"""What is there: the engine's containers and the proxy's state, as one immutable picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cache
from typing import Any

from bluegreen.model import labels
from bluegreen.model.codec import decode
from bluegreen.model.containers import Container, NetworkInfo
from bluegreen.model.history import History
from bluegreen.model.names import Kind, Slot, proxy_container
from bluegreen.model.release import Release, Routes, Stack
from bluegreen.model.value import dataclass


@dataclass(frozen=True, slots=True)
class ProxyState:
    """What the agent's ``read`` answered."""

    routes: Routes | None = None
    back: Routes | None = None
    compiled: str | None = None  # digest of the configuration nginx runs; None: it did not answer
    rendered: str | None = None  # digest of the current generation's
    epoch: int = 0
    lease: Mapping[str, Any] | None = None
    journal: str = "ok"  # ok, missing, corrupt, schema
    journal_detail: str = ""
    clock: str = ""  # now, RFC 3339, by the proxy container's clock
    connections: Mapping[str, int] = field(default_factory=dict)  # address -> established from the proxy
    draining_workers: int = 0
    disk_free: int | None = None  # bytes on the state volume


@dataclass(frozen=True, slots=True)
class Observed:
    project: str
    containers: tuple[Container, ...] = ()
    proxy: ProxyState = field(default_factory=ProxyState)
    history: History = field(default_factory=History)
    networks: tuple[NetworkInfo, ...] = ()
    kept_tags: tuple[str, ...] = ()  # bluegreen's own on the images of releases; with the networks
    imageless: frozenset[int] = frozenset()  # kept releases of which an image is gone; with the networks

    @property
    def proxy_container(self) -> Container | None:
        return self.named(proxy_container(self.project))

    @property
    def spare_proxies(self) -> tuple[Container, ...]:
        """What an interrupted replacement of the proxy has left beside the one that counts."""
        name = proxy_container(self.project)
        return tuple(c for c in self.containers if c.role == "proxy" and c.name != name)

    def named(self, name: str) -> Container | None:
        return next((c for c in self.containers if c.name == name), None)

    @property
    def live(self) -> Slot | None:
        return self.proxy.routes.live if self.proxy.routes else None

    @property
    def idle(self) -> Slot:
        """Where the next release goes. Blue, while nothing is live."""
        return self.live.other if self.live else Slot.BLUE

    @property
    def live_release(self) -> Release | None:
        return self.proxy.routes.live_release if self.proxy.routes else None

    def stack(self, slot: Slot) -> tuple[Container, ...]:
        return tuple(c for c in self.containers if c.slot is slot)

    def kept(self, release: int | None = None) -> tuple[Container, ...]:
        """Containers of releases that have left their slot."""
        return tuple(c for c in self.containers if c.kept and release in (None, c.release))

    @property
    def shared(self) -> tuple[Container, ...]:
        return tuple(c for c in self.containers if c.shared)

    @property
    def standby(self) -> Release | None:
        """The release that a warm rollback or switch would go to: the way back leads to it, and it runs whole."""
        back, live = self.proxy.back, self.live
        if back is None or live is None or back.live is not live.other:
            return None
        release = back.live_release
        return release if release is not None and self.runs_whole(release, live.other) else None

    @property
    def candidate(self) -> Release | None:
        """The release in the idle slot that is not the standby, complete or not."""
        stack = self.stack(self.idle)
        numbers = {c.release for c in stack}
        standby = self.standby
        if standby is not None and numbers == {standby.number}:
            return None
        back = self.proxy.back.live_release if self.proxy.back else None
        fresh = [c for c in stack if back is None or c.release != back.number]
        return next((m for m in map(manifest, fresh) if m is not None), None)

    @property
    def share(self) -> int:
        """The percentage of visitors that the idle slot's release gets: a candidate's, never a standby's."""
        return self.proxy.routes.share if self.proxy.routes and self.live else 0

    @property
    def tried(self) -> Stack | None:
        """The candidate as the proxy knows it, with or without a share of the traffic."""
        routes = self.proxy.routes
        return routes.stacks.get(self.idle) if routes and self.live and (routes.trial or routes.share) else None

    def left_at(self, slot: Slot) -> str:
        """When the slot's release last lost traffic, RFC 3339 by the proxy container's clock; "" where unknown."""
        numbers = {c.release for c in self.stack(slot)}
        moments = [s.at for s in self.history.shifts if s.release in numbers]
        if self.proxy.routes:
            moments.append(self.proxy.routes.since)
        return max(moments, default="")  # all of one form, by one clock

    def runs_whole(self, release: Release, slot: Slot) -> bool:
        """Whether every container that serves this release is running in the slot."""
        running = {(c.service, c.replica) for c in self.stack(slot) if c.running and c.release == release.number}
        return all(
            (name, replica) in running
            for name, service in release.services.items()
            if service.kind in (Kind.ROUTED, Kind.INTERNAL)
            for replica in range(1, service.replicas + 1)
        )

    @property
    def whole(self) -> dict[Slot, Release]:
        """The release in each slot that runs whole there, by what containers say of themselves."""
        found: dict[Slot, Release] = {}
        for slot in Slot:
            release = next((m for c in self.stack(slot) if (m := manifest(c))), None)
            if release is not None and self.runs_whole(release, slot):
                found[slot] = release
        return found

    @property
    def forgotten(self) -> bool:
        """Whether the proxy knows of no live release although one runs whole: its volume has been lost.

        A first deploy that is under way has said so in the journal before it made its first container; a release that
        is only staged stands in the routes, which a repair that was interrupted wrote itself.
        """
        routes, operation = self.proxy.routes, self.history.operation
        if self.live is not None or not (operation is None or operation.kind == "repair"):
            return False
        return (routes is None or routes.operation.startswith("repair")) and bool(self.whole)

    def kept_whole(self, release: Release) -> bool:
        """Whether a cold rollback finds every container it needs to recreate."""
        there = {
            (c.service, c.replica)
            for c in self.containers
            if c.release == release.number and (c.kept or c.slot is self.idle)
        }
        return release.number not in self.imageless and all(
            (name, replica) in there
            for name, service in release.services.items()
            if service.kind is not Kind.JOB
            for replica in range(1, service.replicas + 1)
        )

    def was_live(self, number: int) -> bool:
        """Whether a release has had the traffic: by the journal, or by the way back that leads to it."""
        back = self.proxy.back.live_release if self.proxy.back else None
        return self.history.was_live(number) or (back is not None and back.number == number)

    def release(self, number: int) -> Release | None:
        """A release by its number, from the routes or from the labels of any of its containers."""
        for routes in (self.proxy.routes, self.proxy.back):
            for stack in routes.stacks.values() if routes else ():
                if stack.release.number == number:
                    return stack.release
        return next((m for c in self.containers if c.release == number and (m := manifest(c))), None)

    def subnet(self, network: str) -> str | None:
        """The first IPv4 subnet of a network of this engine."""
        for info in self.networks:
            if info.name == network:
                return next((s for s in info.subnets if ":" not in s), None)
        return None


def manifest(container: Container) -> Release | None:
    """The release in a container's label; None where it is missing or does not decode."""
    text = container.labels.get(labels.MANIFEST)
    if not text:
        return None
    return _decoded(text)


@cache
def _decoded(text: str) -> Release | None:
    """All containers of a release carry the same text, and many questions are asked of each."""
    import json

    try:
        return decode(Release, json.loads(text))
    except ValueError:
        return None
