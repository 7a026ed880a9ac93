"""The proxy's volumes are full: traffic goes on, a rollback finds room, what can't be done says why."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from bluegreen.model.names import log_volume, state_volume
from tests.scenarios.conftest import MakeStack
from tests.scenarios.stack import Stack
from tests.support import eventually

pytestmark = pytest.mark.engine

NUMBERS = itertools.count(1)
USER = 10101


@pytest.fixture(scope="module")
def deployed(make_stack: MakeStack) -> Stack:
    """A project whose proxy has small volumes: in memory, so they are only as old as its container's last start."""
    stack = make_stack()
    for name in (state_volume(stack.name), log_volume(stack.name)):
        options = {"type": "tmpfs", "device": "tmpfs", "o": f"size=6m,uid={USER},gid={USER},mode=0700"}
        stack.engine.volumes.create(name, driver="local", driver_opts=options)
    for _ in range(2):
        stack.deploy(_next()).succeeded()
    return stack


@pytest.fixture
def shop(deployed: Stack) -> Iterator[Stack]:
    with deployed.lent(_next) as stack:
        yield stack


def test_with_the_volume_full_a_rollback_finds_room_all_the_same(shop: Stack) -> None:
    before = shop.status()
    _fill(shop, "/bg/big")
    assert _free(shop, "/bg") == 0
    trouble = shop.status()["troubles"][0]
    assert trouble["code"] == "proxy.disk-full"
    assert "rollback" in trouble["message"]
    shop.bg("rollback").succeeded()
    assert shop.serving == before["standby"]["tag"]
    shop.run_in("proxy", "rm", "/bg/big")
    shop.deploy(_next()).succeeded()


def test_with_nothing_held_back_either_old_generations_make_room_for_a_deploy_and_a_rollback(shop: Stack) -> None:
    live = shop.serving
    shop.run_in("proxy", "rm", "-f", "/bg/reserve")
    _fill(shop, "/bg/big")
    assert _free(shop, "/bg") == 0
    tag = _next()
    shop.deploy(tag).succeeded()
    assert shop.serving == tag
    _fill(shop, "/bg/more")
    shop.bg("rollback").succeeded()
    assert shop.serving == live
    shop.run_in("proxy", "rm", "-f", "/bg/big", "/bg/more")
    shop.bg("prune").succeeded()  # holds some room back again
    assert shop.run_in("proxy", "stat", "-c", "%s", "/bg/reserve").strip() == str(1 << 20)


def test_with_the_log_volume_full_requests_are_answered_as_before(shop: Stack) -> None:
    _fill(shop, "/var/log/bluegreen/big")
    assert _free(shop, "/var/log/bluegreen") == 0
    tag = _next()
    shop.deploy(tag).succeeded()
    assert {shop.serving for _ in range(50)} == {tag}
    shop.bg("rollback").succeeded()
    shop.run_in("proxy", "rm", "/var/log/bluegreen/big")
    shop.get("/seen-again")
    eventually(
        lambda: "/seen-again" in shop.run_in("proxy", "cat", "/var/log/bluegreen/access.log"), what="a line in the log"
    )


def _fill(shop: Stack, path: str) -> None:
    shop.run_in("proxy", "sh", "-c", f"dd if=/dev/zero of={path} bs=4096 2>/dev/null || true")


def _free(shop: Stack, path: str) -> int:
    """Bytes that are left there."""
    return int(shop.run_in("proxy", "stat", "-f", "-c", "%a", path))


def _next() -> str:
    return f"v{next(NUMBERS)}"
