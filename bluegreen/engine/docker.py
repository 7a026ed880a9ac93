"""The real engine, by its API.

Every call is as few requests as it can be: a command of `bg` is measured by them.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from bluegreen.engine import bodies, observed
from bluegreen.engine.api import Api, path
from bluegreen.engine.errors import edge
from bluegreen.engine.protocol import BuildRequest, Progress
from bluegreen.engine.refs import split_ref
from bluegreen.engine.stream import ExecStream, cannot_start
from bluegreen.model import labels
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
from bluegreen.model.errors import BluegreenError, EngineConflict, EngineFailed, EngineUnreachable, NotFound
from bluegreen.model.project import Network, Volume


class DockerEngine:
    """A `bluegreen.engine.protocol.Engine`. Threads may share it."""

    def __init__(self, api: Api, env: Mapping[str, str]) -> None:
        """``env`` is what builds run with (PATH, proxies, credentials' helpers)."""
        self._api = api
        self._env = env

    @property
    def public(self) -> str:
        address = self._api.address
        return "localhost" if address.local else address.host

    def info(self) -> EngineInfo:
        found = self._api.get("/info", what="asking the engine about itself")
        address = self._api.address
        return EngineInfo(
            version=found.get("ServerVersion") or self._api.engine,
            api=self._api.version,
            name=found.get("Name") or "",
            processors=found.get("NCPU") or 1,
            memory=found.get("MemTotal") or 0,
            root=found.get("DockerRootDir") or "",
            storage=found.get("Driver") or "",
            local=address.local,
            host=str(address),
        )

    # -- observing -----------------------------------------------------------------------------------------
    def containers(self, project: str | None = None) -> list[Container]:
        return self._list({"label": [labels.PROJECT if project is None else f"{labels.PROJECT}={project}"]})

    def foreign_containers(self, compose_project: str) -> list[Container]:
        found = self._list({"label": [f"{labels.COMPOSE_PROJECT}={compose_project}"]})
        return [container for container in found if labels.PROJECT not in container.labels]

    def container(self, name: str) -> ContainerDetails:
        return observed.inspected(self._inspect(name))

    def memory(self, name: str) -> int | None:
        once = {"stream": "false", "one-shot": "true"}
        answer = self._api.get(path("/containers/{}/stats", name), what=f"measuring {name}", **once)
        return observed.memory_of(answer)

    def image(self, ref: str) -> Image | None:
        try:
            found = self._api.get(path("/images/{}/json", ref), what=f"looking for the image {ref}")
        except NotFound:
            return None
        return observed.image_of(found)

    def images(self, prefix: str) -> list[Image]:
        found = map(observed.image_listed, self._api.get("/images/json", what="listing images"))
        return sorted(
            (image for image in found if any(tag.startswith(prefix) for tag in image.tags)), key=lambda i: i.tags
        )

    def networks(self) -> list[NetworkInfo]:
        return [observed.network_of(item) for item in self._api.get("/networks", what="listing networks")]

    def volumes(self, project: str | None = None) -> list[str]:
        found = self._api.get("/volumes", what="listing volumes").get("Volumes") or []
        return sorted(v["Name"] for v in found if project is None or labels.made_for(project, v.get("Labels") or {}))

    def logs(
        self,
        name: str,
        *,
        tail: int | None = None,
        since: str | None = None,
        follow: bool = False,
        timestamps: bool = False,
    ) -> Iterator[bytes]:
        from bluegreen.engine.logs import lines, unix_time

        tty = bool(self._inspect(name)["Config"].get("Tty"))
        what = f"reading the log of {name}"
        answer = self._api.call(
            "GET",
            path("/containers/{}/logs", name),
            what=what,
            endless=follow,
            stream=True,
            params={
                "stdout": 1,
                "stderr": 1,
                "follow": int(follow),
                "timestamps": int(timestamps),
                "tail": "all" if tail is None else tail,
                **({"since": unix_time(since)} if since else {}),
            },
        )

        def read() -> Iterator[bytes]:
            with edge(what, str(self._api.address)):
                yield from lines(answer, tty)

        return read()

    def port_holder(self, port: int) -> Container | None:
        for container in self._list({"status": ["running"]}):
            if any(public == port for _, public, _ in container.ports):
                return container
        return None

    # -- containers ----------------------------------------------------------------------------------------
    def create(self, spec: ContainerSpec) -> str:
        from bluegreen.engine import files

        body = bodies.create_body(spec)
        return self._make(spec.name, body, spec.labels, spec.networks, lambda: files.members(spec.files))

    def clone(self, spec: CloneSpec) -> str:
        from bluegreen.engine import files

        source = self._inspect(spec.source)
        body = bodies.clone_body(spec, source)
        kept = json.loads((source["Config"].get("Labels") or {}).get(labels.FILES) or "[]")

        def members() -> list[files.Member]:
            return [files.copied(file, self._archive(spec.source, file)) for file in kept]

        return self._make(spec.name, body, spec.labels, spec.networks, members)

    def start(self, name: str) -> None:
        try:
            self._api.call("POST", path("/containers/{}/start", name), what=f"starting {name}")
        except NotFound as error:
            # 404 is also what a missing executable answers.
            raise self._start_failed(name, error) from error
        except EngineFailed as error:
            raise self._start_failed(name, error) from error

    def stop(self, name: str, grace: float) -> None:
        seconds = max(0, math.ceil(grace))
        # The engine counts in whole seconds.
        early = threading.Timer(grace, self._kill, (name,)) if 0 < grace < seconds else None
        if early is not None:
            early.start()
        try:
            self._api.call(
                "POST",
                path("/containers/{}/stop", name),
                what=f"stopping {name}",
                params={"t": seconds},
                timeout=seconds + self._api.patience,
            )
        finally:
            if early is not None:
                early.cancel()

    def _kill(self, name: str) -> None:
        with suppress(BluegreenError):  # it has ended by itself
            self._api.call("POST", path("/containers/{}/kill", name), what=f"killing {name}")

    def set_restart(self, name: str, policy: str) -> None:
        self._api.call(
            "POST",
            path("/containers/{}/update", name),
            what=f"changing the restart policy of {name}",
            body={"RestartPolicy": bodies.restart_policy(policy)},
        )

    def rename(self, name: str, new: str) -> None:
        self._api.call(
            "POST", path("/containers/{}/rename", name), what=f"renaming {name} to {new}", params={"name": new}
        )

    def remove(self, name: str) -> None:
        answer = self._api.call(
            "DELETE",
            path("/containers/{}", name),
            what=f"removing {name}",
            params={"force": 1, "v": 1},
            allow=(404, 409),
        )
        if answer.status == 409:
            # Somebody else's removal is under way, or one of ours that a crash interrupted.
            self._api.call(
                "POST",
                path("/containers/{}/wait", name),
                what=f"removing {name}",
                params={"condition": "removed"},
                allow=(404,),
            )

    def wait(self, name: str, timeout: float) -> int:
        try:
            answer = self._api.call(
                "POST", path("/containers/{}/wait", name), what=f"waiting for {name} to end", timeout=timeout
            )
            return int(answer.json()["StatusCode"])
        except EngineUnreachable as error:
            if error.code != "engine.timeout":
                raise
            raise EngineFailed("engine.timeout", f"{name} has not ended within {timeout:g} s") from error

    def exec_stream(self, name: str, argv: Sequence[str]) -> ExecStream:
        what = f"running {argv[0]} in {name}"
        created = self._api.call(
            "POST",
            path("/containers/{}/exec", name),
            what=what,
            body={"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Tty": False, "Cmd": list(argv)},
        )
        answer = self._api.call(
            "POST",
            path("/exec/{}/start", created.json()["Id"]),
            what=what,
            body={"Detach": False, "Tty": False},
            headers={"Connection": "Upgrade", "Upgrade": "tcp"},
            stream=True,
        )
        with edge(what, str(self._api.address)):
            return ExecStream(answer, what)

    # -- networks, volumes, images -------------------------------------------------------------------------
    def ensure_network(self, network: Network, labels: Mapping[str, str]) -> None:
        what = f"creating the network {network.name}"
        if network.external:
            self._api.get(path("/networks/{}", network.name), what=f"looking for the external network {network.name}")
            return
        try:
            self._api.call("POST", "/networks/create", what=what, body=bodies.network_body(network, labels))
        except EngineConflict:
            return  # a network of this name exists
        except EngineFailed as error:
            if "overlap" in error.problem.message:
                raise EngineConflict("engine.subnet-held", error.problem.message) from error
            raise

    def connect(self, network: str, container: str, ip: str | None = None, aliases: Sequence[str] = ()) -> None:
        # Of a container that isn't running, engines answer 200 to anything: to a new address, keeping the old
        # one, and to a network that does not exist. So look first.
        existing = self._inspect(container)
        if not existing["State"].get("Running"):
            self._api.get(path("/networks/{}", network), what=f"connecting {container} to {network}")
        self._attach(existing, (Attachment(network, ip, tuple(aliases)),))

    def remove_network(self, name: str) -> None:
        try:
            self._api.call("DELETE", path("/networks/{}", name), what=f"removing the network {name}", allow=(404,))
        except EngineFailed as error:
            if "active endpoints" not in error.problem.message:
                raise
            holders = ", ".join(sorted(c.name for c in self._list({"network": [name]}))) or "none that is listed"
            raise EngineConflict("engine.in-use", f"the network {name} still has containers: {holders}") from error

    def ensure_volume(self, volume: Volume, labels: Mapping[str, str]) -> None:
        if volume.external:
            self._api.get(path("/volumes/{}", volume.name), what=f"looking for the external volume {volume.name}")
            return
        body: dict[str, Any] = {
            "Name": volume.name,
            "DriverOpts": dict(volume.options),
            "Labels": {**volume.labels, **labels},
        }
        if volume.driver:
            body["Driver"] = volume.driver
        self._api.call("POST", "/volumes/create", what=f"creating the volume {volume.name}", body=body)

    def remove_volume(self, name: str) -> None:
        try:
            self._api.call("DELETE", path("/volumes/{}", name), what=f"removing the volume {name}", allow=(404,))
        except EngineConflict as error:
            holders = ", ".join(sorted(c.name for c in self._list({"volume": [name]}))) or "none that is listed"
            raise EngineConflict("engine.in-use", f"the volume {name} is in use by: {holders}") from error

    def build(self, request: BuildRequest, progress: Progress) -> str:
        from bluegreen.engine.builder import build

        return build(self._api, self._env, request, progress)

    def pull(self, ref: str, progress: Progress) -> str:
        from bluegreen.engine.builder import pull

        return pull(self._api, ref, progress)

    def tag(self, image: str, ref: str) -> None:
        name, tag = split_ref(ref)
        self._api.call(
            "POST", path("/images/{}/tag", image), what=f"tagging {image} as {ref}", params={"repo": name, "tag": tag}
        )

    def remove_image(self, ref: str) -> bool:
        answer = self._api.call("DELETE", path("/images/{}", ref), what=f"removing the image {ref}", allow=(404, 409))
        return answer.status < 400

    def close(self) -> None:
        self._api.close()

    # -- helpers -------------------------------------------------------------------------------------------
    def _list(self, filters: dict[str, list[str]]) -> list[Container]:
        found = self._api.get("/containers/json", what="listing containers", all=1, filters=filters)
        return sorted(map(observed.listed, found), key=lambda c: c.name)

    def _inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._api.get(path("/containers/{}/json", name), what=f"inspecting {name}")
        return found

    def _archive(self, name: str, file: str) -> bytes:
        answer = self._api.call(
            "GET", path("/containers/{}/archive", name), what=f"copying {file} from {name}", params={"path": file}
        )
        return answer.content

    def _make(
        self, name: str, body: dict[str, Any], own: Mapping[str, str], networks: tuple[Attachment, ...], members: Any
    ) -> str:
        """Create and complete. ``members`` is called for the files' archive members."""
        what = f"creating {name}"
        try:
            answer = self._api.call("POST", "/containers/create", what=what, params={"name": name}, body=body)
            identity = str(answer.json()["Id"])
            for attachment in networks[1:]:
                self._connect(attachment, name)
        except EngineConflict as error:
            if isinstance(error, NotFound):
                raise
            existing = self._inspect(name)
            identity = str(existing["Id"])
            has = existing["Config"].get("Labels") or {}
            different = sorted(key for key, value in own.items() if has.get(key) != value)
            if different:
                raise EngineConflict(
                    "engine.name-held",
                    f"{what}: a container of this name exists and is another one (it differs in "
                    f"{', '.join(different)})",
                    next=(f"docker inspect {name}",),
                ) from error
            self._attach(existing, networks)
        self._put_files(name, body, members())
        return identity

    def _put_files(self, name: str, body: Mapping[str, Any], found: list[Any]) -> None:
        if not found:
            return
        from bluegreen.engine import files

        for directory, archive in files.archives(found, bodies.mount_points(body)).items():
            self._api.call(
                "PUT",
                path("/containers/{}/archive", name),
                what=f"putting files into {name}",
                params={"path": directory},
                data=archive,
            )

    def _attach(self, existing: Mapping[str, Any], networks: tuple[Attachment, ...]) -> None:
        """Make an existing container a member of these networks, at these addresses."""
        name = existing["Name"].removeprefix("/")
        present = (existing.get("NetworkSettings") or {}).get("Networks") or {}
        for wanted in networks:
            end = present.get(wanted.network)
            if end is not None:
                fixed = (end.get("IPAMConfig") or {}).get("IPv4Address") or None
                if wanted.ip is None or wanted.ip in (fixed, end.get("IPAddress")):
                    continue
                self._api.call(
                    "POST",
                    path("/networks/{}/disconnect", wanted.network),
                    what=f"disconnecting {name} from {wanted.network}",
                    body={"Container": name},
                )
            self._connect(wanted, name)

    def _connect(self, wanted: Attachment, container: str) -> None:
        try:
            self._api.call(
                "POST",
                path("/networks/{}/connect", wanted.network),
                what=f"connecting {container} to {wanted.network}",
                body={"Container": container, "EndpointConfig": bodies.endpoint(wanted)},
            )
        except EngineFailed as error:
            raise self._address_held(error, wanted.network, wanted.ip) from error

    def _start_failed(self, name: str, error: EngineFailed) -> EngineFailed:
        from bluegreen.engine.ports import held_port

        message = error.problem.message
        if re.search(r"OCI runtime create failed|failed to create task|unable to start container process", message):
            return cannot_start(message, f"starting {name}")
        if (port := held_port(message)) is not None:
            return self._port_held(name, port)
        if "address already in use" in message.lower():
            inspected = self._inspect(name)["NetworkSettings"]["Networks"]
            fixed = {n: (e.get("IPAMConfig") or {}).get("IPv4Address") for n, e in inspected.items()}
            return next(
                (found for n, ip in fixed.items() if ip and (found := self._address_held(error, n, ip)) is not error),
                error,
            )
        return error

    def _port_held(self, name: str, port: int) -> EngineFailed:
        from bluegreen.engine.ports import listener

        holder = self.port_holder(port)
        if holder is not None:
            who, remedy = f"the container {holder.name}", f"docker stop {holder.name}"
        elif self._api.address.local and (process := listener(port)) is not None:
            who, remedy = f"the process {process.name} (pid {process.pid})", f"kill {process.pid}"
        else:
            who, remedy = "another process on the engine's machine", f"ss -ltnp 'sport = :{port}'"
        return EngineFailed("engine.port-held", f"starting {name}: port {port} is held by {who}", next=(remedy,))

    def _address_held(self, error: EngineFailed, network: str, ip: str | None) -> EngineFailed:
        if ip is None or "address already in use" not in error.problem.message.lower():
            return error
        holders = [c.name for c in self._list({"network": [network]}) if c.addresses.get(network) == ip]
        who = ", ".join(holders) or "something else"
        return EngineConflict("engine.address-held", f"the address {ip} in the network {network} is held by {who}")
