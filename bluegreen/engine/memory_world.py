"""The in-memory engine's inside: what there is, and what happens when something is made or started.

No lock and no hooks: `bluegreen.engine.memory` has both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bluegreen.engine.behaviour import Behaviour
from bluegreen.engine.memory_state import MemoryContainer, MemoryImage, MemoryNetwork, differing
from bluegreen.engine.protocol import Stream
from bluegreen.engine.refs import full_ref
from bluegreen.model.containers import Attachment, CloneSpec, Container, ContainerSpec, Image
from bluegreen.model.errors import EngineConflict, EngineFailed, NotFound
from bluegreen.model.project import File


class World:
    def __init__(self) -> None:
        self.containers: dict[str, MemoryContainer] = {}
        self.networks: dict[str, MemoryNetwork] = {}
        self.volumes: dict[str, dict[str, Any]] = {}
        self.volume_labels: dict[str, Mapping[str, str]] = {}
        self.images: dict[str, MemoryImage] = {}
        self.behaviours: dict[str, Behaviour] = {}
        self.processes: dict[int, str] = {}
        self.streams: list[tuple[str, Stream]] = []
        self.count = 0

    def holder(self, port: int) -> Container | None:
        """The running container that publishes a port."""
        return next((c for c in self.listed() if c.running and any(p == port for _, p, _ in c.ports)), None)

    def listed(self) -> list[Container]:
        return sorted((c.listed() for c in self.containers.values()), key=lambda c: c.name)

    def find(self, name: str) -> MemoryContainer:
        found = self.containers.get(name) or next((c for c in self.containers.values() if c.id == name), None)
        if found is None:
            raise NotFound("engine.not-found", f"there is no container {name}")
        return found

    def image(self, ref: str) -> MemoryImage | None:
        return self.images.get(ref) or next((i for i in self.images.values() if full_ref(ref) in i.view.tags), None)

    def store(self, image: Image, ref: str) -> None:
        for other in self.images.values():
            other.untagged(full_ref(ref))
        stored = self.images.setdefault(image.id, MemoryImage(replace(image, tags=())))
        stored.tagged(full_ref(ref))

    def identity(self, kind: str) -> str:
        self.count += 1
        return digest(kind, str(self.count)).removeprefix("sha256:")

    def make(
        self,
        spec: ContainerSpec | CloneSpec,
        image: str,
        body: Mapping[str, Any],
        labels: dict[str, str],
        files: Mapping[str, File],
    ) -> str:
        found = self.containers.get(spec.name)
        if found is None:
            on_engine = self.image(image)
            if on_engine is None:
                raise NotFound("engine.no-image", f"creating {spec.name}: the image {image} is not on the engine")
            found = MemoryContainer(
                self.identity("container"),
                spec.name,
                on_engine.id,
                body,
                {**on_engine.view.labels, **labels},
                spec.restart,
                Behaviour(),
            )
            self.containers[spec.name] = found
            for volume in found.named_volumes:
                self.volumes.setdefault(volume, {})
            found.anonymous = [self.identity("volume") for _ in found.anonymous_mounts]
            self.volumes.update({volume: {} for volume in found.anonymous})
        elif different := differing(found.labels, spec.labels):
            raise EngineConflict(
                "engine.name-held",
                f"creating {spec.name}: a container of this name exists and is "
                f"another one (it differs in {', '.join(different)})",
            )
        for attachment in spec.networks:
            self.attach(found, attachment)
        found.files.update(files)
        return found.id

    def attach(self, container: MemoryContainer, wanted: Attachment) -> None:
        network = self.networks.get(wanted.network)
        if network is None:
            raise NotFound("engine.not-found", f"connecting {container.name}: there is no network {wanted.network}")
        present = container.networks.get(wanted.network)
        if present is not None and wanted.ip in (None, present.ip, container.addresses.get(wanted.network)):
            return
        if container.running:
            container.addresses[wanted.network] = network.address(wanted.ip, self._taken(wanted.network, container))
        container.networks[wanted.network] = wanted

    def _taken(self, network: str, but: MemoryContainer) -> dict[str, str]:
        return {
            c.addresses[network]: c.name for c in self.containers.values() if network in c.addresses and c is not but
        }

    def run(self, container: MemoryContainer) -> None:
        """Start the process and let it do what its behaviour says it does at once."""
        ports, addresses = [], {}
        for network, wanted in container.networks.items():
            if network not in self.networks:
                raise NotFound("engine.not-found", f"starting {container.name}: there is no network {network}")
            addresses[network] = self.networks[network].address(wanted.ip, self._taken(network, container))
        for host, port, inside in container.published():
            ports.append((host, port or self._free_port(), inside))
            self._check_port(container, port)
        image = self.images[container.image]
        keys = (container.name, *image.view.tags, image.id)
        behaviour = next((self.behaviours[key] for key in keys if key in self.behaviours), Behaviour())
        if behaviour.cannot_start is not None:
            container.error = behaviour.cannot_start
            raise EngineFailed("engine.cannot-start", f"starting {container.name}: {behaviour.cannot_start}")
        self.count += 1
        container.behaviour = behaviour
        container.state, container.exit_code, container.oom, container.error = "running", None, False, ""
        container.addresses, container.ports = addresses, tuple(sorted(ports))
        container.started_at = f"2026-01-01T00:00:00.{self.count:09d}Z"
        container.logs += [line.encode() for line in behaviour.logs]
        if behaviour.exits is not None or behaviour.oom:
            code = 137 if behaviour.oom else behaviour.exits or 0
            container.end(code, oom=behaviour.oom)
            if revives(container, code):
                container.state, container.restarts = "restarting", container.restarts + 1

    def _check_port(self, container: MemoryContainer, port: int) -> None:
        holder = self.holder(port) if port else None
        who = f"the container {holder.name}" if holder else None
        if port in self.processes:
            who = f"the process {self.processes[port]}"
        if who:
            raise EngineFailed("engine.port-held", f"starting {container.name}: port {port} is held by {who}")

    def _free_port(self) -> int:
        self.count += 1
        return 49152 + self.count % 16384

    def end_streams(self, container: str) -> None:
        for name, stream in self.streams:
            end = getattr(stream, "end", None)
            if name == container and end is not None:
                end()
        self.streams = [(name, stream) for name, stream in self.streams if name != container]


def revives(container: MemoryContainer, code: int) -> bool:
    """Whether its policy restarts it after it has ended by itself with this code."""
    word = container.restart.partition(":")[0]
    if container.stopped_by_user:
        return False
    return word in ("always", "unless-stopped") or (word == "on-failure" and code != 0)


def digest(*parts: str) -> str:
    """An id that follows from what it is made of."""
    return "sha256:" + hashlib.sha256("\0".join(parts).encode()).hexdigest()
