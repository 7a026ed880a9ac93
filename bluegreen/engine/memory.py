"""An engine in memory, for tests: deterministic, no clock, no sleep, and strict.

It behaves as `bluegreen.engine.protocol` demands, proven by the contract suite that the real one passes
too. What containers do is set by `behaviours`; what runs inside by `on_exec`; crashes by the hooks.
A call that a test did not prepare (an exec nobody answers) fails that test.
"""

from __future__ import annotations

import hashlib
import ipaddress
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from bluegreen.engine.behaviour import Answer, Behaviour, Refused
from bluegreen.engine.memory_state import (
    MemoryContainer,
    MemoryImage,
    MemoryNetwork,
    differing,
    files_label,
)
from bluegreen.engine.protocol import BuildRequest, Progress, Stream
from bluegreen.engine.refs import full_ref
from bluegreen.model import labels as names
from bluegreen.model.containers import (
    Attachment,
    CloneSpec,
    Container,
    ContainerDetails,
    ContainerSpec,
    EngineInfo,
    Image,
    NetworkInfo,
)
from bluegreen.model.errors import BuildFailed, EngineConflict, EngineFailed, NotFound
from bluegreen.model.project import File, Network, Volume

P = ParamSpec("P")
R = TypeVar("R")
Hook = Callable[[str, tuple[Any, ...]], None]
"""Gets the method's name and its arguments. What it raises, the caller gets: the way to play a crash."""

Handler = Callable[[Container], Stream]
Match = Callable[[Container, Sequence[str]], bool]


def effect(method: Callable[Concatenate[MemoryEngine, P], R]) -> Callable[Concatenate[MemoryEngine, P], R]:
    """A call that changes something: one at a time, between the hooks."""

    @wraps(method)
    def call(self: MemoryEngine, /, *args: P.args, **kwargs: P.kwargs) -> R:
        given = (*args, *kwargs.values())
        self.before_call(method.__name__, given)
        with self._lock:
            result = method(self, *args, **kwargs)
        self.after_call(method.__name__, given)
        return result

    return call


class MemoryEngine:
    """A `bluegreen.engine.protocol.Engine`. Threads may share it."""

    def __init__(self) -> None:
        self.behaviours: dict[str, Behaviour] = {}
        """By container name, image tag or image id, in this order; read when a container is started."""
        self.builds: dict[Path, str | BuildFailed] = {}
        """By context: the id of the image that a build makes, or how it fails. Else an id made of the
        request's first tag and arguments, see `built_id`."""
        self.registry: dict[str, Image] = {}
        """What `pull` finds, by reference."""
        self.processes: dict[int, str] = {}
        """Host ports that processes outside of the engine hold, with their names."""
        self.before_call: Hook = lambda _method, _args: None
        self.after_call: Hook = lambda _method, _args: None
        self.information = EngineInfo(
            "28.5.0",
            "1.41",
            "memory",
            2,
            8 << 30,
            "/var/lib/docker",
            "overlay2",
            True,
            "unix:///var/run/docker.sock",
            "localhost",
        )
        self._containers: dict[str, MemoryContainer] = {}
        self._networks: dict[str, MemoryNetwork] = {}
        self._volumes: dict[str, dict[str, Any]] = {}
        self._volume_labels: dict[str, Mapping[str, str]] = {}
        self._images: dict[str, MemoryImage] = {}
        self._handlers: list[tuple[Match, Handler]] = []
        self._streams: list[tuple[str, Stream]] = []
        self._count = 0
        self._lock = threading.RLock()

    # -- for tests -----------------------------------------------------------------------------------------
    def add_image(self, ref: str, behaviour: Behaviour | None = None, **fields: Any) -> str:
        """Put an image on the engine; ``fields`` as in `Image`. Answers its id, which follows from ``ref``."""
        identity = fields.pop("id", None) or _digest("image", ref)
        self._store(Image(identity, **fields), ref)
        if behaviour is not None:
            self.behaviours[identity] = behaviour
        return str(identity)

    def on_exec(self, match: Match | str, handler: Handler) -> None:
        """Answer execs that ``match`` (a predicate, or what the joined command contains) by ``handler``'s stream.
        The latest that matches wins."""
        text = match
        chosen: Match = (lambda _c, argv: text in " ".join(argv)) if isinstance(text, str) else text
        self._handlers.insert(0, (chosen, handler))

    def fetch(
        self, ip: str, port: int, method: str = "GET", path: str = "/", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """What a container on the same network gets from this address. Raises `Refused`, or TimeoutError
        where it hangs."""
        del method, headers
        with self._lock:
            for container in self._containers.values():
                if container.running and ip in container.addresses.values():
                    answer: Answer = container.behaviour.reply(port, path)
                    return answer.status, answer.headers, answer.body
        raise Refused(f"no container has the address {ip}")

    def data(self, volume: str) -> dict[str, Any]:
        """A volume's content, for whoever plays the processes in containers; gone with the volume."""
        return self._volumes[volume]

    def files(self, container: str) -> Mapping[str, File]:
        return dict(self._find(container).files)

    def body(self, container: str) -> Mapping[str, Any]:
        return self._find(container).body

    def kill(self, container: str, code: int = 137, *, oom: bool = False) -> None:
        """Its process ends by itself; the restart policy is obeyed."""
        with self._lock:
            found = self._find(container)
            self._end_streams(found.name)
            found.end(code, oom=oom)
            if _revives(found, code):
                found.restarts += 1
                self._run(found)

    def restart_engine(self) -> None:
        """Every process ends; what its restart policy revives runs again."""
        with self._lock:
            ran = [c for c in self._containers.values() if c.state in ("running", "restarting")]
            for container in ran:
                self._end_streams(container.name)
                container.end(0)
            for container in sorted(self._containers.values(), key=lambda c: c.name):
                word = container.restart.partition(":")[0]
                if word == "always" or (word == "unless-stopped" and container in ran):
                    self._run(container)

    def state(self) -> dict[str, Any]:
        """Everything there is, comparable: for "nothing is left behind" and "nothing has changed"."""
        with self._lock:
            containers = self._containers.values()
            return {
                "containers": {c.name: (c.id, c.state, c.restart, dict(c.addresses)) for c in containers},
                "networks": sorted(self._networks),
                "volumes": sorted(self._volumes),
                "images": {image.id: image.view.tags for image in self._images.values()},
            }

    # -- observing -----------------------------------------------------------------------------------------
    def info(self) -> EngineInfo:
        return self.information

    def containers(self, project: str | None = None) -> list[Container]:
        return [c for c in self._listed() if names.PROJECT in c.labels and project in (None, c.project)]

    def foreign_containers(self, compose_project: str) -> list[Container]:
        return [
            c
            for c in self._listed()
            if c.labels.get(names.COMPOSE_PROJECT) == compose_project and names.PROJECT not in c.labels
        ]

    def container(self, name: str) -> ContainerDetails:
        with self._lock:
            found = self._find(name)
            if found.state == "restarting":
                found.restarts += 1  # a look takes time, in which the engine has tried once more
            return found.details()

    def image(self, ref: str) -> Image | None:
        with self._lock:
            found = self._image(ref)
            return found.view if found else None

    def images(self, prefix: str) -> list[Image]:
        with self._lock:
            found = [i.listed() for i in self._images.values() if any(t.startswith(prefix) for t in i.view.tags)]
            return sorted(found, key=lambda i: i.tags)

    def networks(self) -> list[NetworkInfo]:
        with self._lock:
            return [network.view() for network in self._networks.values()]

    def volumes(self, project: str | None = None) -> list[str]:
        with self._lock:
            found = self._volumes
            return sorted(
                v for v in found if project is None or names.made_for(project, self._volume_labels.get(v, {}))
            )

    def logs(
        self,
        name: str,
        *,
        tail: int | None = None,
        since: str | None = None,
        follow: bool = False,
        timestamps: bool = False,
    ) -> Iterator[bytes]:
        del since, follow  # no clock here, and nothing more will come
        with self._lock:
            found = self._find(name)
            lines = found.logs[-tail:] if tail else ([] if tail == 0 else list(found.logs))
            stamp = f"{found.started_at} ".encode() if timestamps else b""
        return iter([stamp + line for line in lines])

    def port_holder(self, port: int) -> Container | None:
        return next((c for c in self._listed() if c.running and any(p == port for _, p, _ in c.ports)), None)

    # -- containers ----------------------------------------------------------------------------------------
    @effect
    def create(self, spec: ContainerSpec) -> str:
        own = {**(spec.body.get("Labels") or {}), **spec.labels, **files_label(spec.files)}
        return self._make(spec, spec.image, dict(spec.body), own, spec.files)

    @effect
    def clone(self, spec: CloneSpec) -> str:
        source = self._find(spec.source)
        return self._make(spec, source.image, source.body, {**source.labels, **spec.labels}, source.files)

    @effect
    def start(self, name: str) -> None:
        found = self._find(name)
        if not found.running:
            found.stopped_by_user = False
            self._run(found)

    @effect
    def stop(self, name: str, grace: float) -> None:
        del grace
        found = self._find(name)
        found.stopped_by_user = True
        if found.state in ("running", "restarting"):
            self._end_streams(found.name)
            found.end(0)

    @effect
    def set_restart(self, name: str, policy: str) -> None:
        self._find(name).restart = policy

    @effect
    def rename(self, name: str, new: str) -> None:
        found = self._find(name)
        if new in self._containers:
            raise EngineConflict("engine.conflict", f"renaming {name} to {new}: the name is already in use")
        del self._containers[found.name]
        self._containers[new] = found
        found.name = new

    @effect
    def remove(self, name: str) -> None:
        try:
            found = self._find(name)
        except NotFound:
            return
        self._end_streams(found.name)
        del self._containers[found.name]
        for volume in found.anonymous:
            self._volumes.pop(volume, None)

    def wait(self, name: str, timeout: float) -> int:
        with self._lock:
            found = self._find(name)
            if found.state in ("running", "restarting"):
                raise EngineFailed("engine.timeout", f"{name} has not ended within {timeout:g} s")
            return found.exit_code or 0

    def exec_stream(self, name: str, argv: Sequence[str]) -> Stream:
        with self._lock:
            found = self._find(name)
            if not found.running:
                raise EngineConflict("engine.conflict", f"running {argv[0]} in {name}: the container is not running")
            view = found.listed()
            handler = next((handler for match, handler in self._handlers if match(view, argv)), None)
        if handler is None:
            raise AssertionError(f"nobody answers the exec of {list(argv)} in {name}")
        stream = handler(view)
        self._streams.append((view.name, stream))
        return stream

    # -- networks, volumes, images -------------------------------------------------------------------------
    @effect
    def ensure_network(self, network: Network, labels: Mapping[str, str]) -> None:
        if network.name in self._networks:
            return
        if network.external:
            raise NotFound("engine.not-found", f"looking for the external network {network.name}: it does not exist")
        pools = (network.ipam or {}).get("Config") or []
        taken = [other.subnet for other in self._networks.values()]
        if pools:
            subnet = ipaddress.IPv4Network(pools[0]["Subnet"])
            if any(subnet.overlaps(other) for other in taken):
                raise EngineConflict("engine.subnet-held", f"creating the network {network.name}: pool overlaps")
        else:
            candidates = (ipaddress.IPv4Network(f"172.{n}.0.0/16") for n in range(18, 32))
            subnet = next(c for c in candidates if not any(c.overlaps(other) for other in taken))
        self._networks[network.name] = MemoryNetwork(
            self._identity("network"), network.name, {**network.labels, **labels}, subnet, bool(pools)
        )

    @effect
    def connect(self, network: str, container: str, ip: str | None = None, aliases: Sequence[str] = ()) -> None:
        self._attach(self._find(container), Attachment(network, ip, tuple(aliases)))

    @effect
    def remove_network(self, name: str) -> None:
        holders = [c.name for c in self._containers.values() if name in c.addresses]
        if holders:
            raise EngineConflict("engine.in-use", f"the network {name} still has containers: {', '.join(holders)}")
        self._networks.pop(name, None)

    @effect
    def ensure_volume(self, volume: Volume, labels: Mapping[str, str]) -> None:
        if volume.external and volume.name not in self._volumes:
            raise NotFound("engine.not-found", f"looking for the external volume {volume.name}: it does not exist")
        self._volumes.setdefault(volume.name, {})
        self._volume_labels.setdefault(volume.name, {**volume.labels, **labels})

    @effect
    def remove_volume(self, name: str) -> None:
        holders = [c.name for c in self._containers.values() if name in (*c.named_volumes, *c.anonymous)]
        if holders:
            raise EngineConflict("engine.in-use", f"the volume {name} is in use by: {', '.join(holders)}")
        self._volumes.pop(name, None)

    @effect
    def build(self, request: BuildRequest, progress: Progress) -> str:
        made = self.builds.get(request.context) or self.built_id(request)
        if isinstance(made, BuildFailed):
            raise made
        progress(f"building {request.tags[0]}")
        labels = {**dict(request.build.labels), **request.labels}
        for tag in request.tags:
            self._store(Image(made, labels=labels), tag)
        return made

    @staticmethod
    def built_id(request: BuildRequest) -> str:
        """The id of an image that isn't in `builds`: the same content gives the same."""
        return _digest("build", request.tags[0], str(request.build.args), request.labels.get(names.SOURCE, ""))

    @effect
    def pull(self, ref: str, progress: Progress) -> str:
        if ref not in self.registry:
            raise NotFound("engine.no-image", f"pulling {ref}: there is no such image")
        progress(f"pulling {ref}")
        self._store(self.registry[ref], ref)
        return self.registry[ref].id

    @effect
    def tag(self, image: str, ref: str) -> None:
        found = self._image(image)
        if found is None:
            raise NotFound("engine.no-image", f"tagging {image}: it is not on the engine")
        self._store(found.view, ref)

    @effect
    def remove_image(self, ref: str) -> bool:
        found = self._image(ref)
        if found is None:
            return False
        by_id = ref == found.id
        if len(found.view.tags) > 1:
            if not by_id:
                found.untagged(full_ref(ref))
            return not by_id
        if any(c.image == found.id for c in self._containers.values()):
            return False
        del self._images[found.id]
        return True

    def close(self) -> None:
        """Nothing to close."""

    # -- helpers -------------------------------------------------------------------------------------------
    def _listed(self) -> list[Container]:
        with self._lock:
            return sorted((c.listed() for c in self._containers.values()), key=lambda c: c.name)

    def _find(self, name: str) -> MemoryContainer:
        found = self._containers.get(name) or next((c for c in self._containers.values() if c.id == name), None)
        if found is None:
            raise NotFound("engine.not-found", f"there is no container {name}")
        return found

    def _image(self, ref: str) -> MemoryImage | None:
        return self._images.get(ref) or next((i for i in self._images.values() if full_ref(ref) in i.view.tags), None)

    def _store(self, image: Image, ref: str) -> None:
        for other in self._images.values():
            other.untagged(full_ref(ref))
        stored = self._images.setdefault(image.id, MemoryImage(replace(image, tags=())))
        stored.tagged(full_ref(ref))

    def _identity(self, kind: str) -> str:
        self._count += 1
        return _digest(kind, str(self._count)).removeprefix("sha256:")

    def _make(
        self,
        spec: ContainerSpec | CloneSpec,
        image: str,
        body: Mapping[str, Any],
        labels: dict[str, str],
        files: Mapping[str, File],
    ) -> str:
        found = self._containers.get(spec.name)
        if found is None:
            on_engine = self._image(image)
            if on_engine is None:
                raise NotFound("engine.no-image", f"creating {spec.name}: the image {image} is not on the engine")
            found = MemoryContainer(
                self._identity("container"),
                spec.name,
                on_engine.id,
                body,
                {**on_engine.view.labels, **labels},
                spec.restart,
                Behaviour(),
            )
            self._containers[spec.name] = found
            for volume in found.named_volumes:
                self._volumes.setdefault(volume, {})
            found.anonymous = [self._identity("volume") for _ in found.anonymous_mounts]
            self._volumes.update({volume: {} for volume in found.anonymous})
        elif different := differing(found.labels, spec.labels):
            raise EngineConflict(
                "engine.name-held",
                f"creating {spec.name}: a container of this name exists and is "
                f"another one (it differs in {', '.join(different)})",
            )
        for attachment in spec.networks:
            self._attach(found, attachment)
        found.files.update(files)
        return found.id

    def _attach(self, container: MemoryContainer, wanted: Attachment) -> None:
        network = self._networks.get(wanted.network)
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
            c.addresses[network]: c.name for c in self._containers.values() if network in c.addresses and c is not but
        }

    def _run(self, container: MemoryContainer) -> None:
        """Start the process and let it do what its behaviour says it does at once."""
        ports, addresses = [], {}
        for network, wanted in container.networks.items():
            if network not in self._networks:
                raise NotFound("engine.not-found", f"starting {container.name}: there is no network {network}")
            addresses[network] = self._networks[network].address(wanted.ip, self._taken(network, container))
        for host, port, inside in container.published():
            ports.append((host, port or self._free_port(), inside))
            self._check_port(container, port)
        image = self._images[container.image]
        keys = (container.name, *image.view.tags, image.id)
        behaviour = next((self.behaviours[key] for key in keys if key in self.behaviours), Behaviour())
        if behaviour.cannot_start is not None:
            container.error = behaviour.cannot_start
            raise EngineFailed("engine.cannot-start", f"starting {container.name}: {behaviour.cannot_start}")
        self._count += 1
        container.behaviour = behaviour
        container.state, container.exit_code, container.oom, container.error = "running", None, False, ""
        container.addresses, container.ports = addresses, tuple(sorted(ports))
        container.started_at = f"2026-01-01T00:00:00.{self._count:09d}Z"
        container.logs += [line.encode() for line in behaviour.logs]
        if behaviour.exits is not None or behaviour.oom:
            code = 137 if behaviour.oom else behaviour.exits or 0
            container.end(code, oom=behaviour.oom)
            if _revives(container, code):
                container.state, container.restarts = "restarting", container.restarts + 1

    def _check_port(self, container: MemoryContainer, port: int) -> None:
        holder = self.port_holder(port) if port else None
        who = f"the container {holder.name}" if holder else None
        if port in self.processes:
            who = f"the process {self.processes[port]}"
        if who:
            raise EngineFailed("engine.port-held", f"starting {container.name}: port {port} is held by {who}")

    def _free_port(self) -> int:
        self._count += 1
        return 49152 + self._count % 16384

    def _end_streams(self, container: str) -> None:
        for name, stream in self._streams:
            end = getattr(stream, "end", None)
            if name == container and end is not None:
                end()
        self._streams = [(name, stream) for name, stream in self._streams if name != container]


def _revives(container: MemoryContainer, code: int) -> bool:
    word = container.restart.partition(":")[0]
    if container.stopped_by_user:
        return False
    return word in ("always", "unless-stopped") or (word == "on-failure" and code != 0)


def _digest(*parts: str) -> str:
    return "sha256:" + hashlib.sha256("\0".join(parts).encode()).hexdigest()
