"""The engine, the toy's image, and stacks that leave nothing behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import docker
import pytest

from bluegreen.engine.connect import resolve
from tests.scenarios.stack import Stack
from tests.support import base_image, unique

# Containers that a test itself needs are removed by it; a second container to watch over that needs more rights.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")

TOY = Path(__file__).parent / "toy"
KEEP = os.environ.get("BG_KEEP") == "1"

MakeStack = Callable[[], Stack]


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=resolve(None, os.environ).url, timeout=60)
    client.ping()
    yield client
    client.close()


@pytest.fixture(scope="session")
def toy(engine: docker.DockerClient) -> Iterator[str]:
    """The toy's image, of this run's own."""
    ref = f"{unique('bgt-toy')}:1"
    arguments = {"PYTHON_IMAGE": base_image("PYTHON_IMAGE")}
    engine.images.build(path=str(TOY), tag=ref, buildargs=arguments, rm=True, forcerm=True)
    yield ref
    if not KEEP:
        engine.api.remove_image(ref, force=True)


@pytest.fixture(scope="module")
def make_stack(engine: docker.DockerClient, toy: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeStack]:
    """Makes projects that are removed when the module's tests are through."""
    made: list[Stack] = []

    def make() -> Stack:
        made.append(Stack(engine, toy, tmp_path_factory.mktemp("project")).write())
        return made[-1]

    yield make
    for stack in made if not KEEP else ():
        stack.clean()


@pytest.fixture
def stack(engine: docker.DockerClient, toy: str, tmp_path: Path) -> Iterator[Stack]:
    """A project of this test's own: a Compose file with the toy at /, nothing deployed yet."""
    made = Stack(engine, toy, tmp_path).write()
    yield made
    if not KEEP:
        made.clean()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The last output of a failed test's containers goes with its report."""
    report = yield
    if report.when == "call" and report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Stack):
                report.sections.append((f"containers of {name}", value.report()))
    return report
