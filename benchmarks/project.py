"""A project to measure with: small servers that are ready at once, on the engine that is there."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.containers import docker
from benchmarks.errors import BenchmarkFailed
from benchmarks.processes import Timing, timed

STACK = Path(__file__).parent / "stack"
FLOORS = Path(__file__).parent / "floors"
BLUEGREEN = str(Path(sys.executable).with_name("bluegreen"))
OFFICIAL = "nginx:1.30-trixie"


@dataclass(frozen=True, slots=True)
class Bench:
    """What all benchmarks share. ``address`` is the engine's."""

    image: str
    address: str


class Project:
    """A project of one of the files in ``stack/``: ``plain`` (two routed services and an internal one), ``full`` (the
    same with a worker and smoke checks) or ``proxied`` (one service, and a proxy with everything on). Or of a file
    elsewhere."""

    def __init__(self, kind: str | Path, image: str) -> None:
        self.name = f"bgbench-{secrets.token_hex(3)}"
        self.port = _free_port()
        self._file = str(kind if isinstance(kind, Path) else STACK / f"{kind}.yaml")
        self._env = {**quiet_environment(), "BENCH_PORT": str(self.port), "BENCH_IMAGE": image}
        self._number = 0

    def bg(self, *arguments: str, until: bytes | None = None) -> Timing:
        return timed([BLUEGREEN, "-f", self._file, "-p", self.name, *arguments], self._env, until=until)

    def compose(self, *arguments: str, tag: str = "none") -> Timing:
        return timed(
            ["docker", "compose", "-f", self._file, "-p", f"{self.name}-c", *arguments], {**self._env, "TAG": tag}
        )

    def floor(self, script: str, address: str) -> Timing:
        return timed([sys.executable, str(FLOORS / script), address, self.name], self._env)

    def next_tag(self) -> str:
        self._number += 1
        return self.last_tag

    @property
    def last_tag(self) -> str:
        return f"v{self._number}"

    @property
    def live(self) -> str:
        """The slot with the traffic."""
        return str(json.loads(self.bg("status", "--json").output)["data"]["live"]["slot"])

    def network(self, slot: str) -> str:
        return f"{self.name}-{slot}"

    def remove(self) -> None:
        self.bg("down", "--yes", "--volumes", "--images")


@contextlib.contextmanager
def project(kind: str | Path, image: str, releases: int = 2) -> Iterator[Project]:
    """A project with so many releases deployed, and nothing left of it afterwards."""
    here = Project(kind, image)
    try:
        for _ in range(releases):
            here.bg("deploy", here.next_tag())
        yield here
    except BaseException:
        with contextlib.suppress(BenchmarkFailed):  # what went wrong first is what counts
            here.remove()
        raise
    here.remove()


@contextlib.contextmanager
def server_image() -> Iterator[str]:
    """The image that all services run, built here and removed afterwards."""
    name = f"bluegreen-bench:{secrets.token_hex(3)}"
    base = os.environ.get("NGINX_IMAGE") or OFFICIAL
    docker("build", "-q", "--build-arg", f"NGINX_IMAGE={base}", "-t", name, str(STACK))
    try:
        yield name
    finally:
        docker("image", "rm", "--force", name)


def quiet_environment() -> dict[str, str]:
    """This environment without what would choose another file or project, change what is printed, or keep Python
    from storing what it compiles (an installed package is compiled)."""
    other = ("BG_", "BLUEGREEN_", "COMPOSE_", "BENCH_", "PYTHON")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(other) and k != "TAG"}
    bases = {k: os.environ[k] for k in ("PYTHON_IMAGE",) if k in os.environ}
    return {**kept, **bases, "NO_COLOR": "1"}


def versions() -> Mapping[str, str]:
    return {
        "engine": docker("version", "--format", "{{.Server.Version}}"),
        "compose": docker("compose", "version", "--short"),
    }


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
