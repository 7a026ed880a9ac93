"""The real proxy between two toy containers, on a real engine."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bluegreen.engine.connect import connect
from bluegreen.engine.docker import DockerEngine
from bluegreen.engine.protocol import BuildRequest
from bluegreen.model import labels
from bluegreen.model.containers import Attachment, ContainerSpec
from bluegreen.model.errors import EngineConflict
from bluegreen.model.names import Slot, log_volume, proxy_container, slot_network, state_volume
from bluegreen.model.project import Build, Network, ProxySettings, Volume
from bluegreen.planning.ground import choose_subnet
from bluegreen.proxy.assets import image_context, image_tag
from bluegreen.proxy.container import proxy_spec
from bluegreen.proxy.session import AGENT, ProxySession
from tests.support import base_image, eventually, unique

TOY = Path(__file__).with_name("toyserver.py")


class RealProxy:
    """One project's slot networks, a toy in each, and the proxy as `bg` makes it."""

    def __init__(self, engine: DockerEngine, project: str, settings: ProxySettings) -> None:
        self.engine = engine
        self.project = project
        self.settings = settings
        self._sessions: list[ProxySession] = []
        self.addresses: dict[Slot, str] = {}
        """Each slot's toy, ``ip:port``."""

    @property
    def container(self) -> str:
        return proxy_container(self.project)

    def session(self) -> ProxySession:
        """A session; `down` closes what a test that failed left open."""
        self._sessions.append(ProxySession(self.engine.exec_stream(self.container, AGENT)))
        return self._sessions[-1]

    def holding(self, operation: str) -> ProxySession:
        session = self.session()
        session.run([{"op": "seize", "operation": operation, "holder": "test", "seconds": 60}])
        return session

    def port(self, inside: int = 8080) -> int:
        """Where the public (or the preview) listener is published on this machine's loopback."""
        found = next(c for c in self.engine.containers(self.project) if c.name == self.container)
        return next(host for _, host, container in found.ports if container == inside)

    def connect(self, inside: int = 8080) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port(inside)), 20)

    def get(
        self, path: str = "/", headers: Mapping[str, str] | None = None, inside: int = 8080
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port(inside), timeout=20)
        try:
            connection.request("GET", path, headers=dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def run(self, *command: str, container: str | None = None) -> str:
        """The standard output of a command in the proxy's container, or another."""
        stream = self.engine.exec_stream(container or self.container, command)
        lines = list(iter(lambda: stream.receive(20), b""))
        stream.close()
        return b"\n".join(lines).decode()

    def toy(self, slot: Slot) -> str:
        return f"{self.project}-{slot}-web-1"

    def up(self) -> None:
        mine = {labels.PROJECT: self.project}
        proxies: dict[Slot, str] = {}
        for slot in Slot:
            base = self._network(slot, mine)
            proxies[slot] = f"{base}.2"
            self.addresses[slot] = f"{base}.16:8000"
            self.engine.create(
                ContainerSpec(
                    self.toy(slot),
                    base_image("PYTHON_IMAGE"),
                    {"Cmd": ["python3", "-c", TOY.read_text(), slot], "HostConfig": {}},
                    {**mine, labels.ROLE: "slot", labels.SLOT: slot},
                    (Attachment(slot_network(self.project, slot), f"{base}.16"),),
                )
            )
            self.engine.start(self.toy(slot))
        for volume in (state_volume(self.project), log_volume(self.project)):
            self.engine.ensure_volume(Volume(volume), mine)
        self.engine.create(proxy_spec(self.project, self.settings, proxy_image(self.engine), proxies))
        self.engine.start(self.container)
        self.await_proxy()

    def await_proxy(self) -> None:
        session = self.session()
        session.run([{"op": "settle", "gate": 1, "seconds": 15}])
        session.close()

    def await_toys(self) -> None:
        """Until both answer; through the agent, which needs no generation for that."""
        session = self.session()
        requests = [{"name": slot, "target": self.addresses[slot], "path": "/"} for slot in Slot]
        eventually(lambda: session.send([{"op": "probe", "requests": requests}])[0]["ok"], what="both toys answer")
        session.close()

    def down(self) -> None:
        for session in self._sessions:
            session.close()
        for container in self.engine.containers(self.project):
            self.engine.remove(container.name)
        for slot in Slot:
            self.engine.remove_network(slot_network(self.project, slot))
        for volume in (state_volume(self.project), log_volume(self.project)):
            self.engine.remove_volume(volume)

    def _network(self, slot: Slot, mine: Mapping[str, str]) -> str:
        """Make a slot's network; answers the first three numbers of its addresses."""
        taken: list[str] = [s for n in self.engine.networks() for s in n.subnets]
        for _ in range(10):
            subnet = choose_subnet(taken)
            network = Network(slot_network(self.project, slot), ipam={"Config": [{"Subnet": subnet}]})
            try:
                self.engine.ensure_network(network, mine)
            except EngineConflict:  # another test was quicker
                taken.append(subnet)
                continue
            return subnet.rpartition(".")[0]
        raise AssertionError("no free subnet in ten tries")


@contextmanager
def real_proxy(settings: ProxySettings | None = None) -> Iterator[RealProxy]:
    engine = connect(None, os.environ)
    proxy = RealProxy(engine, unique("bgt-proxy"), settings or ProxySettings(listen="127.0.0.1:0"))
    try:
        proxy.up()
        proxy.await_toys()
        yield proxy
    finally:
        proxy.down()
        engine.close()


def proxy_image(engine: DockerEngine) -> str:
    """The image's id, built where this content has not been built yet."""
    found = engine.image(image_tag())
    if found is not None:
        return found.id
    args: tuple[tuple[str, Any], ...] = tuple((name, base_image(name)) for name in ("NGINX_IMAGE", "PYTHON_IMAGE"))
    with image_context() as context:
        return engine.build(BuildRequest(context, Build(context, args=args), (image_tag(),)), lambda _: None)
