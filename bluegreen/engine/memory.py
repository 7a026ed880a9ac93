"""An engine in memory, for tests: deterministic, no clock, no sleep, and strict.

It behaves as `bluegreen.engine.protocol` demands, proven by the contract suite that the real one passes
too. What containers do is set by `behaviours`; what runs inside by `on_exec`; crashes by the hooks.
A call that a test did not prepare (an exec nobody answers) fails that test.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from bluegreen.engine.behaviour import Answer, Behaviour, Refused
from bluegreen.engine.memory_state import (
    MemoryNetwork,
    files_label,
)
from bluegreen.engine.memory_world import World, digest, revives
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

    public = "localhost"

    def __init__(self) -> None:
        self._world = World()
        self.behaviours = self._world.behaviours
        """By container name, image tag or image id, in this order; read when a container is started."""
        self.builds: dict[Path, str | BuildFailed] = {}
        """By context: the id of the image that a build makes, or how it fails. Else an id made of the
        request's first tag and arguments, see `built_id`."""
        self.registry: dict[str, Image] = {}
        """What `pull` finds, by reference."""
        self.processes = self._world.processes
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
        )
        self._handlers: list[tuple[Match, Handler]] = []
        self._lock = threading.RLock()

    # -- for tests -----------------------------------------------------------------------------------------
    def add_image(self, ref: str, behaviour: Behaviour | None = None, **fields: Any) -> str:
        """Put an image on the engine; ``fields`` as in `Image`. Answers its id, which follows from ``ref``."""
        identity = fields.pop("id", None) or digest("image", ref)
        self._world.store(Image(identity, **fields), ref)
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
            for container in self._world.containers.values():
                if container.running and ip in container.addresses.values():
                    answer: Answer = container.behaviour.reply(port, path)
                    return answer.status, answer.headers, answer.body
        raise Refused(f"no container has the address {ip}")

    def data(self, volume: str) -> dict[str, Any]:
        """A volume's content, for whoever plays the processes in containers; gone with the volume."""
        return self._world.volumes[volume]

    def files(self, container: str) -> Mapping[str, File]:
        return dict(self._world.find(container).files)

    def body(self, container: str) -> Mapping[str, Any]:
        return self._world.find(container).body

    def kill(self, container: str, code: int = 137, *, oom: bool = False) -> None:
        """Its process ends by itself; the restart policy is obeyed."""
        with self._lock:
            found = self._world.find(container)
            self._world.end_streams(found.name)
            found.end(code, oom=oom)
            if revives(found, code):
                found.restarts += 1
                self._world.run(found)

    def restart_engine(self) -> None:
        """Every process ends; what its restart policy revives runs again."""
        with self._lock:
            ran = [c for c in self._world.containers.values() if c.state in ("running", "restarting")]
            for container in ran:
                self._world.end_streams(container.name)
                container.end(0)
            for container in sorted(self._world.containers.values(), key=lambda c: c.name):
                word = container.restart.partition(":")[0]
                if word == "always" or (word == "unless-stopped" and container in ran):
                    self._world.run(container)

    def state(self) -> dict[str, Any]:
        """Everything there is, comparable: for "nothing is left behind" and "nothing has changed"."""
        with self._lock:
            containers = self._world.containers.values()
            return {
                "containers": {c.name: (c.id, c.state, c.restart, dict(c.addresses)) for c in containers},
                "networks": sorted(self._world.networks),
                "volumes": sorted(self._world.volumes),
                "images": {image.id: image.view.tags for image in self._world.images.values()},
            }

    # -- observing -----------------------------------------------------------------------------------------
    def info(self) -> EngineInfo:
        return self.information

    def containers(self, project: str | None = None) -> list[Container]:
        with self._lock:
            return [c for c in self._world.listed() if names.PROJECT in c.labels and project in (None, c.project)]

    def foreign_containers(self, compose_project: str) -> list[Container]:
        with self._lock:
            theirs = [c for c in self._world.listed() if c.labels.get(names.COMPOSE_PROJECT) == compose_project]
            return [c for c in theirs if names.PROJECT not in c.labels]

    def container(self, name: str) -> ContainerDetails:
        with self._lock:
            found = self._world.find(name)
            if found.state == "restarting":
                found.restarts += 1  # a look takes time, in which the engine has tried once more
            return found.details()

    def memory(self, name: str) -> int | None:
        with self._lock:
            found = self._world.find(name)
            return found.behaviour.memory if found.state == "running" else None

    def image(self, ref: str) -> Image | None:
        with self._lock:
            found = self._world.image(ref)
            return found.view if found else None

    def images(self, prefix: str) -> list[Image]:
        with self._lock:
            found = [i.listed() for i in self._world.images.values() if any(t.startswith(prefix) for t in i.view.tags)]
            return sorted(found, key=lambda i: i.tags)

    def networks(self) -> list[NetworkInfo]:
        with self._lock:
            return [network.view() for network in self._world.networks.values()]

    def volumes(self, project: str | None = None) -> list[str]:
        with self._lock:
            found = self._world.volumes
            return sorted(
                v for v in found if project is None or names.made_for(project, self._world.volume_labels.get(v, {}))
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
            found = self._world.find(name)
            lines = found.logs[-tail:] if tail else ([] if tail == 0 else list(found.logs))
            stamp = f"{found.started_at} ".encode() if timestamps else b""
        return iter([stamp + line for line in lines])

    def port_holder(self, port: int) -> Container | None:
        with self._lock:
            return self._world.holder(port)

    # -- containers ----------------------------------------------------------------------------------------
    @effect
    def create(self, spec: ContainerSpec) -> str:
        own = {**(spec.body.get("Labels") or {}), **spec.labels, **files_label(spec.files)}
        return self._world.make(spec, spec.image, dict(spec.body), own, spec.files)

    @effect
    def clone(self, spec: CloneSpec) -> str:
        source = self._world.find(spec.source)
        return self._world.make(spec, source.image, source.body, {**source.labels, **spec.labels}, source.files)

    @effect
    def start(self, name: str) -> None:
        found = self._world.find(name)
        if not found.running:
            found.stopped_by_user = False
            self._world.run(found)

    @effect
    def stop(self, name: str, grace: float) -> None:
        del grace
        found = self._world.find(name)
        found.stopped_by_user = True
        if found.state in ("running", "restarting", "paused"):  # the engine resumes what is paused to end it
            self._world.end_streams(found.name)
            found.end(0)

    @effect
    def set_restart(self, name: str, policy: str) -> None:
        self._world.find(name).restart = policy

    @effect
    def rename(self, name: str, new: str) -> None:
        found = self._world.find(name)
        if new in self._world.containers:
            raise EngineConflict("engine.conflict", f"renaming {name} to {new}: the name is already in use")
        del self._world.containers[found.name]
        self._world.containers[new] = found
        found.name = new

    @effect
    def remove(self, name: str) -> None:
        try:
            found = self._world.find(name)
        except NotFound:
            return
        self._world.end_streams(found.name)
        del self._world.containers[found.name]
        for volume in found.anonymous:
            self._world.volumes.pop(volume, None)

    def wait(self, name: str, timeout: float) -> int:
        with self._lock:
            found = self._world.find(name)
            if found.state in ("running", "restarting"):
                raise EngineFailed("engine.timeout", f"{name} has not ended within {timeout:g} s")
            return found.exit_code or 0

    def exec_stream(self, name: str, argv: Sequence[str]) -> Stream:
        with self._lock:
            found = self._world.find(name)
            if not found.running:
                raise EngineConflict("engine.conflict", f"running {argv[0]} in {name}: the container is not running")
            view = found.listed()
            handler = next((handler for match, handler in self._handlers if match(view, argv)), None)
        if handler is None:
            raise AssertionError(f"nobody answers the exec of {list(argv)} in {name}")
        stream = handler(view)
        with self._lock:
            self._world.streams.append((view.name, stream))
        return stream

    # -- networks, volumes, images -------------------------------------------------------------------------
    @effect
    def ensure_network(self, network: Network, labels: Mapping[str, str]) -> None:
        if network.name in self._world.networks:
            return
        if network.external:
            raise NotFound("engine.not-found", f"looking for the external network {network.name}: it does not exist")
        pools = (network.ipam or {}).get("Config") or []
        taken = [other.subnet for other in self._world.networks.values()]
        if pools:
            subnet = ipaddress.IPv4Network(pools[0]["Subnet"])
            if any(subnet.overlaps(other) for other in taken):
                raise EngineConflict("engine.subnet-held", f"creating the network {network.name}: pool overlaps")
        else:
            candidates = (ipaddress.IPv4Network(f"172.{n}.0.0/16") for n in range(18, 32))
            subnet = next(c for c in candidates if not any(c.overlaps(other) for other in taken))
        self._world.networks[network.name] = MemoryNetwork(
            self._world.identity("network"), network.name, {**network.labels, **labels}, subnet, bool(pools)
        )

    @effect
    def connect(self, network: str, container: str, ip: str | None = None, aliases: Sequence[str] = ()) -> None:
        self._world.attach(self._world.find(container), Attachment(network, ip, tuple(aliases)))

    @effect
    def remove_network(self, name: str) -> None:
        holders = [c.name for c in self._world.containers.values() if name in c.addresses]
        if holders:
            raise EngineConflict("engine.in-use", f"the network {name} still has containers: {', '.join(holders)}")
        self._world.networks.pop(name, None)

    @effect
    def ensure_volume(self, volume: Volume, labels: Mapping[str, str]) -> None:
        if volume.external and volume.name not in self._world.volumes:
            raise NotFound("engine.not-found", f"looking for the external volume {volume.name}: it does not exist")
        self._world.volumes.setdefault(volume.name, {})
        self._world.volume_labels.setdefault(volume.name, {**volume.labels, **labels})

    @effect
    def remove_volume(self, name: str) -> None:
        holders = [c.name for c in self._world.containers.values() if name in (*c.named_volumes, *c.anonymous)]
        if holders:
            raise EngineConflict("engine.in-use", f"the volume {name} is in use by: {', '.join(holders)}")
        self._world.volumes.pop(name, None)

    @effect
    def build(self, request: BuildRequest, progress: Progress) -> str:
        made = self.builds.get(request.context) or self.built_id(request)
        if isinstance(made, BuildFailed):
            raise made
        progress(f"building {request.tags[0]}")
        labels = {**dict(request.build.labels), **request.labels}
        for tag in request.tags:
            self._world.store(Image(made, labels=labels), tag)
        return made

    @staticmethod
    def built_id(request: BuildRequest) -> str:
        """The id of an image that isn't in `builds`: the same content gives the same."""
        return digest("build", request.tags[0], str(request.build.args), request.labels.get(names.SOURCE, ""))

    @effect
    def pull(self, ref: str, progress: Progress) -> str:
        if ref not in self.registry:
            raise NotFound("engine.no-image", f"pulling {ref}: there is no such image")
        progress(f"pulling {ref}")
        self._world.store(self.registry[ref], ref)
        return self.registry[ref].id

    @effect
    def tag(self, image: str, ref: str) -> None:
        found = self._world.image(image)
        if found is None:
            raise NotFound("engine.no-image", f"tagging {image}: it is not on the engine")
        self._world.store(found.view, ref)

    @effect
    def remove_image(self, ref: str) -> bool:
        found = self._world.image(ref)
        if found is None:
            return False
        by_id = ref == found.id
        if len(found.view.tags) > 1:
            if not by_id:
                found.untagged(full_ref(ref))
            return not by_id
        if any(c.image == found.id for c in self._world.containers.values()):
            return False
        del self._world.images[found.id]
        return True

    def close(self) -> None:
        """Nothing to close."""
