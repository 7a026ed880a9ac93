"""The proxy's container is replaced: how long that keeps visitors out, and what is left when it breaks off."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

from bluegreen.model.errors import Exit
from tests.scenarios.conftest import MakeStack
from tests.scenarios.stack import Stack, web

pytestmark = pytest.mark.engine

EVERY = 0.01
"""Seconds between visitors."""

AT_ONCE = 0.4
"""Seconds in which whoever finds the door open is served, on a busy machine too. Who came while it was shut may be
served later, once their system asks again."""

SLACK = 0.1


class Visits:
    """When those came who were answered at once, by `time.monotonic`."""

    def __init__(self) -> None:
        self.served: list[float] = []
        self.failures = 0

    @property
    def gap(self) -> float:
        """The longest time, in seconds, in which nobody could come and be served."""
        return max(later - earlier for earlier, later in pairwise(sorted(self.served)))


@contextmanager
def visited(port: int) -> Iterator[Visits]:
    """Visitors who come one after the other, whatever becomes of those before, each with one short request."""
    visits, over = Visits(), threading.Event()

    def visit() -> None:
        began = time.monotonic()
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.settimeout(5)
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                answered = connection.recv(12) == b"HTTP/1.1 200"
        except OSError:
            answered = False
        if not answered:
            visits.failures += 1
        elif time.monotonic() - began < AT_ONCE:
            visits.served.append(began)

    def come() -> None:
        coming = []
        while not over.wait(EVERY):
            coming.append(threading.Thread(target=visit, daemon=True))
            coming[-1].start()
        for visitor in coming:
            visitor.join()

    door = threading.Thread(target=come, daemon=True)
    door.start()
    try:
        yield visits
    finally:
        over.set()
        door.join()


@pytest.fixture(scope="module")
def deployed(make_stack: MakeStack) -> Stack:
    stack = make_stack()
    stack.write({"web": web(stack.image)})
    for tag in ("v1", "v2"):
        stack.deploy(tag).succeeded()
    return stack


@pytest.fixture
def shop(deployed: Stack) -> Iterator[Stack]:
    """A live release, another one warm; a test must leave it clean, with one proxy."""
    yield deployed
    deployed.end_commands()
    deployed.is_clean()
    assert {n for n in deployed.containers() if "proxy" in n} == {"proxy"}


def test_replacing_the_proxy_keeps_visitors_out_for_a_moment_and_says_for_how_long(shop: Stack) -> None:
    before, serving = shop.container("proxy")["Id"], shop.serving
    with visited(shop.port) as visits:
        answer = shop.bg("proxy", "upgrade").succeeded()
    assert shop.container("proxy")["Id"] != before
    assert shop.serving == serving
    assert visits.failures, "nobody was refused: has it been replaced?"
    assert visits.gap <= answer.data["gap_ms"] / 1000 + SLACK, "it was longer than was said"
    assert "refused for about a second" in answer.notices


@pytest.mark.parametrize("way", ["resume", "abort", "again", "rollback"])
def test_killed_in_the_gap_the_next_command_has_the_proxy_serve_again(shop: Stack, way: str) -> None:
    before = shop.status()
    killed = shop.halting(signal.SIGKILL, "before rename", "proxy", "upgrade").end()
    assert killed.code == -signal.SIGKILL, killed
    assert "proxy" in shop.text("status").out
    words = ("proxy", "upgrade") if way == "again" else (way,)
    shop.bg(*words).succeeded()
    assert shop.serving == before["standby" if way == "rollback" else "live"]["tag"]
    if way == "rollback":
        shop.bg("switch", before["live"]["tag"]).succeeded()


def test_ctrl_c_in_the_gap_does_not_leave_the_proxy_down(shop: Stack) -> None:
    serving = shop.serving
    shop.halting(signal.SIGINT, "before rename", "proxy", "upgrade").end().failed(Exit.INTERRUPTED, "interrupted")
    assert shop.serving == serving
    shop.bg("resume").succeeded()


def test_where_the_new_one_cannot_start_the_old_one_serves_again(shop: Stack) -> None:
    before = shop.container("proxy")["Id"]
    with socket.create_server(("127.0.0.1", 0)) as held:
        ports = {"listen": f"127.0.0.1:{shop.port}", "preview": f"127.0.0.1:{held.getsockname()[1]}"}
        shop.write({"web": web(shop.image)}, proxy=ports)
        shop.deploy("v3").succeeded()
        shop.bg("proxy", "upgrade").failed(Exit.FAILED, "engine.port-held", ports["preview"].rpartition(":")[2])
    assert shop.container("proxy")["Id"] == before
    assert shop.serving == "v3"
