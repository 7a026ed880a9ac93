"""The engine ends and starts again: what served serves again, and whoever was in the middle of something is told.

On an engine of the tests' own; the one that everybody uses is never touched.
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator

import docker
import httpx
import pytest

from bluegreen.model.errors import Exit
from bluegreen.proxy.assets import image_tag
from tests.scenarios.ownengine import OwnEngine
from tests.scenarios.stack import Stack, web, worker
from tests.support import OFFICIAL, base_image, eventually

pytestmark = pytest.mark.engine

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def machine(engine: docker.DockerClient, toy: str) -> Iterator[OwnEngine]:
    """An engine with the toy, the base images, and the proxy's image where that is built already."""
    refs = [toy, *map(base_image, OFFICIAL)]
    if engine.images.list(image_tag()):
        refs.append(image_tag())
    with OwnEngine() as own:
        own.load(refs)
        yield own


@pytest.fixture(scope="module")
def deployed(machine: OwnEngine, toy: str, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    stack = Stack(machine.client, toy, tmp_path_factory.mktemp("project"))
    stack.env["DOCKER_HOST"] = machine.address
    stack.write({"web": web(stack.image), "worker": worker(stack.image)})
    machine.open_door(stack.port)
    for _ in range(2):
        stack.deploy(_next()).succeeded()
    return stack


@pytest.fixture
def shop(deployed: Stack) -> Iterator[Stack]:
    """A project with a live release, a good standby and a kept one; a test must leave it clean."""
    with deployed.lent(_next, fresh=True) as stack:
        yield stack


def test_after_a_reboot_what_was_live_serves_again_and_nothing_more_runs_than_before(
    machine: OwnEngine, shop: Stack
) -> None:
    before, running = shop.status(), shop.running()
    assert before["kept"]
    machine.restart()
    _serves_again(shop, before["live"]["tag"])
    eventually(lambda: shop.running() == running, 30, "the same containers running as before")
    after = shop.is_clean()
    assert after["standby"]["release"] == before["standby"]["release"]
    assert shop.container("proxy")["State"]["Running"]
    shop.bg("rollback").succeeded()
    assert shop.serving == before["standby"]["tag"]


def test_an_engine_that_is_restarted_in_the_middle_of_a_deploy_leaves_what_was_live_and_the_deploy_is_put_back(
    machine: OwnEngine, shop: Stack
) -> None:
    before = shop.status()
    deploying = shop.halting(signal.SIGSTOP, "before probe", "deploy", _next())
    deploying.until_stopped()
    machine.restart()
    _serves_again(shop, before["live"]["tag"])
    deploying.send(signal.SIGCONT)
    deploying.end().failed(Exit.FAILED, "proxy.session", "broke off")
    assert shop.serving == before["live"]["tag"]
    after = shop.is_clean()
    assert after["standby"]["release"] == before["standby"]["release"]


@pytest.mark.parametrize("way", ["again", "rollback"])
def test_an_engine_that_ends_in_the_middle_of_a_deploy_is_said_and_every_way_on_works_once_it_is_back(
    machine: OwnEngine, shop: Stack, way: str
) -> None:
    tag, live = _next(), shop.serving
    deploying = shop.halting(signal.SIGSTOP, "before start", "deploy", tag)
    deploying.until_stopped()
    machine.stop()
    deploying.send(signal.SIGCONT)
    answer = deploying.end()
    answer.failed(Exit.UNREACHABLE, "deploy.cut-off", machine.address, "No traffic was moved", "resume", "abort")
    shop.bg("rollback").failed(Exit.UNREACHABLE, "engine.unreachable", machine.address)
    machine.start()
    _serves_again(shop, live)
    assert "operation.unfinished" in {t["code"] for t in shop.status()["troubles"]}
    words = ("deploy", tag) if way == "again" else (way,)
    shop.bg(*words).succeeded()
    if shop.status()["operation"] is not None:
        shop.bg("abort").succeeded()
    assert (shop.serving == tag) is (way == "again")


def test_a_proxy_that_is_deleted_with_its_image_is_built_again_by_a_rollback(shop: Stack) -> None:
    former, image = shop.status()["standby"]["tag"], shop.container("proxy")["Image"]
    shop.engine.api.remove_container(f"{shop.name}-proxy", force=True)
    shop.engine.api.remove_image(image, force=True)
    shop.bg("rollback").succeeded()
    assert shop.serving == former


def _next() -> str:
    return f"v{next(NUMBERS)}"


def _serves_again(shop: Stack, tag: str) -> None:
    def serves() -> bool:
        try:
            return shop.serving == tag
        except (httpx.HTTPError, AssertionError):
            return False

    eventually(serves, 40, f"{tag} serving again")
