"""The program against a world in memory: the same commands, up to the engine's and the proxy's edge."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bluegreen.app.site import Site
from bluegreen.cli.program import run
from bluegreen.cli.run import Run
from bluegreen.engine.protocol import Engine
from bluegreen.model.errors import EngineUnreachable
from bluegreen.probes.public import Look
from tests.world import World

COMPOSE = """\
name: shop
x-bluegreen:
  source: tree
services:
  api:
    image: api:${TAG:-none}
    environment: {TAG: "${TAG:-none}"}
    x-bluegreen: {route: /api/, port: 8000, health: {path: /health, rise: 1, interval: 100ms, deadline: 1s}}
  web:
    image: web:${TAG:-none}
    x-bluegreen: {route: /, port: 80, health: {path: /, rise: 1, interval: 100ms, deadline: 1s}}
  worker:
    image: api:${TAG:-none}
    x-bluegreen: {worker: true}
  store:
    image: store:1
    x-bluegreen: {shared: true}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run left."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        lines = self.out.splitlines()
        assert len(lines) == 1, f"one JSON document was expected: {self.out!r} {self.err!r}"
        found: dict[str, Any] = json.loads(lines[0])
        return found

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["data"]
        return found

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def wide(self) -> list[str]:
        """Lines that don't fit into 80 columns."""
        return [line for line in (self.out + self.err).splitlines() if len(line) > 80]


@dataclass
class Program:
    """The program, run in this process."""

    connect: Callable[[str | None, Mapping[str, str]], Engine]
    env: dict[str, str] = field(default_factory=dict)
    terminal: bool = False
    out: io.StringIO = field(default_factory=io.StringIO)  # of the last run

    def __call__(self, *args: str) -> Answer:
        self.out = out = io.StringIO()
        err = io.StringIO()
        make = partial(Site, look=lambda url, _token: Look(url, 200, 1.0))
        this = Run(self.env, out, err, connect=self.connect, terminal=self.terminal, make_site=make)
        code = run(list(args), this)
        return Answer(code, out.getvalue(), err.getvalue())


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture
def bg(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """The program in a directory without a Compose file, on the world's engine."""
    monkeypatch.chdir(tmp_path)
    return Program(lambda _address, _env: world.engine)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """The program where no engine answers."""
    monkeypatch.chdir(tmp_path)

    def connect(_address: str | None, _env: Mapping[str, str]) -> Engine:
        raise EngineUnreachable("engine.unreachable", "no Docker engine answers", next=("bg doctor",))

    return Program(connect)


@pytest.fixture
def file(tmp_path: Path, world: World) -> Path:
    """The world's project as a Compose file."""
    for tag in ("v1", "v2", "v3", "none"):
        for service in ("api", "web"):
            world.image(tag, service)
    path = tmp_path / "compose.yaml"
    path.write_text(COMPOSE)
    return path
