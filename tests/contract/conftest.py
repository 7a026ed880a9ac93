"""An engine under test, and how a test prepares what differs between the two."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from bluegreen.engine.behaviour import Behaviour, MemoryStream
from bluegreen.engine.connect import connect
from bluegreen.engine.docker import DockerEngine
from bluegreen.engine.memory import MemoryEngine
from bluegreen.engine.protocol import BuildRequest, Engine
from bluegreen.model import labels
from bluegreen.model.containers import Attachment, ContainerSpec
from bluegreen.model.errors import EngineConflict
from bluegreen.model.project import Build, File, Network
from tests.support import base_image, unique

DOCKERFILE = """\
ARG BASE
FROM ${BASE}
EXPOSE 8080
LABEL colour=blue
ENTRYPOINT []
CMD ["sleep", "1000"]
"""


@dataclass
class Ground:
    """One engine, a project of this test's own, and an image that has a shell."""

    engine: Engine
    project: str
    image: str

    @property
    def real(self) -> bool:
        return isinstance(self.engine, DockerEngine)

    @property
    def memory(self) -> MemoryEngine:
        return cast("MemoryEngine", self.engine)

    def name(self, word: str) -> str:
        return f"{self.project}-{word}"

    def spec(
        self,
        word: str = "one",
        script: str = "exec sleep 1000",
        behaviour: Behaviour | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        host: Mapping[str, Any] | None = None,
        release: int = 1,
        networks: Sequence[Attachment] = (),
        restart: str = "no",
        files: Mapping[str, File] | None = None,
    ) -> ContainerSpec:
        """A container whose ``script`` does on the real engine what ``behaviour`` does in memory."""
        if not self.real:
            self.memory.behaviours[self.name(word)] = behaviour or Behaviour()
        return ContainerSpec(
            self.name(word),
            self.image,
            {"Cmd": ["sh", "-c", script], **(body or {}), "HostConfig": {**(host or {})}},
            {labels.PROJECT: self.project, labels.ROLE: "slot", labels.RELEASE: str(release)},
            tuple(networks),
            restart,
            dict(files or {}),
        )

    def run(self, word: str = "one", script: str = "exec sleep 1000", *args: Any, **fields: Any) -> str:
        """Create and start such a container; answers its name."""
        self.engine.create(self.spec(word, script, *args, **fields))
        self.engine.start(self.name(word))
        return self.name(word)

    def network(self, word: str = "net") -> tuple[Network, Callable[[int], str]]:
        """Create a network with a subnet of its own; answers it and its addresses by number, from 2."""
        for _ in range(20):
            base = f"10.{random.randint(200, 249)}.{random.randint(0, 255)}"  # noqa: S311 - no secret
            network = Network(self.name(word), ipam={"Config": [{"Subnet": f"{base}.0/28"}]})
            try:
                self.engine.ensure_network(network, {labels.PROJECT: self.project})
            except EngineConflict:
                continue
            return network, lambda number, base=base: f"{base}.{number}"
        raise AssertionError("no free subnet in 20 tries")

    def echo(self) -> list[str]:
        """A command that answers each line with "got " before it, until its standard input ends."""
        if not self.real:
            self.memory.on_exec("got", lambda _: MemoryStream(lambda line: [b"got " + line.rstrip(b"\n")]))
        return ["sh", "-c", 'while read -r line; do echo "got $line"; done']

    def configuration(self, container: str) -> dict[str, Any]:
        """All that was configured, for comparing."""
        if not self.real:
            return dict(self.memory.body(container))
        found = cast("DockerEngine", self.engine)._inspect(container)
        return {"Config": found["Config"], "HostConfig": found["HostConfig"], "Image": found["Image"]}

    def file(self, container: str, path: str) -> tuple[bytes, int, int, int]:
        """Content, mode, user and group of a file in a running container."""
        if not self.real:
            file = self.memory.files(container)[path]
            return file.content, file.mode, file.uid, file.gid
        stream = self.engine.exec_stream(container, ["sh", "-c", f"stat -c '%a %u %g' {path}; cat {path}"])
        first = stream.receive(10).split()
        content = b"".join(iter(lambda: stream.receive(10), b""))
        assert stream.errors() == ""
        stream.close()
        return content, int(first[0], 8), int(first[1]), int(first[2])


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    engine = connect(None, os.environ)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def toy_image(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A small image of this run's own."""
    ref = f"{unique('bgt-toy')}:1"
    context = tmp_path_factory.mktemp("toy")
    build = Build(context, dockerfile_inline=DOCKERFILE, args=(("BASE", base_image("NGINX_IMAGE")),))
    docker_engine.build(BuildRequest(context, build, (ref,)), lambda _: None)
    yield ref
    docker_engine.remove_image(ref)


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.engine)])
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    project = unique()
    if request.param == "memory":
        engine = MemoryEngine()
        engine.add_image("toy:1", exposed=(8080,), labels={"colour": "blue"})
        yield Ground(engine, project, "toy:1")
        return
    real: DockerEngine = request.getfixturevalue("docker_engine")
    try:
        yield Ground(real, project, request.getfixturevalue("toy_image"))
    finally:
        clean(real, project)


def clean(engine: Engine, project: str) -> None:
    """Remove everything whose name starts with the project's."""
    for container in engine.containers(project) + engine.foreign_containers(project):
        engine.remove(container.name)
    for network in engine.networks():
        if network.name.startswith(project):
            engine.remove_network(network.name)
    for volume in engine.volumes():
        if volume.startswith(project):
            engine.remove_volume(volume)
    for image in engine.images(project):
        for tag in image.tags:
            if tag.startswith(project):
                engine.remove_image(tag)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A directory to build from."""
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "page").write_text("hello\n")
    return directory
