"""Clients that mean harm get nowhere, and nobody else notices them."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from bluegreen.model.names import Slot
from bluegreen.model.project import ProxySettings
from bluegreen.model.release import Routes
from bluegreen.model.release import Stack as Placed
from tests.proxyground import RealProxy, real_proxy
from tests.proxykit import both, flip, release, stack, topology, upload
from tests.scenarios.stack import Stack, health
from tests.scenarios.test_flip import load
from tests.support import eventually

SETTINGS = ProxySettings(listen="127.0.0.1:0", workers=2)
IDLE = 5000
ROUNDS = 2
SLOW = 300
"""Clients of each kind that trickle: more than the connections of many a server's pool."""

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def proxy() -> Iterator[RealProxy]:
    """Blue live: ``admin`` at /admin/ answers "green", all else "blue", so that every answer tells its route."""
    with real_proxy(SETTINGS) as made:
        known = _routes(made, None)
        session = made.holding("setup")
        session.run([{**topology(known, 0), "generation": upload(known, SETTINGS)}])
        session.run([{"op": "settle", "gate": 2, "seconds": 10}])
        live = replace(known, live=Slot.BLUE)
        session.run([{**flip(live, 1), "generation": upload(live, SETTINGS), "back": None}])
        session.run([{"op": "settle", "gate": 3, "seconds": 15}])
        session.close()
        yield made


def _routes(proxy: RealProxy, live: Slot | None) -> Routes:
    web, admin = proxy.addresses[Slot.BLUE], proxy.addresses[Slot.GREEN]
    made = release(1, web=("/",), admin=("/admin/",), shop=("shop.example/",))
    placed = Placed(made, {"web": (web,), "admin": (admin,), "shop": (admin,)})
    return replace(both(live, 0, placed, stack(2, admin)), project=proxy.project)


def exchange(proxy: RealProxy, request: bytes, inside: int = 8080) -> bytes:
    """Everything that comes back until the connection ends, however it ends, or nothing more comes."""
    got = b""
    with proxy.connect(inside) as connection, contextlib.suppress(TimeoutError, ConnectionError):
        connection.settimeout(2)
        connection.sendall(request)
        while part := connection.recv(65536):
            got += part
    return got


# -- requests that could be read in two ways ----------------------------------------------------------------------

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
NOTHING = b"0\r\n\r\n"


def post(*headers: bytes, body: bytes = NOTHING + SMUGGLED, version: bytes = b"1.1") -> bytes:
    return b"\r\n".join((b"POST / HTTP/" + version, b"Host: x", *headers, b"", body))


def get(*headers: bytes, target: bytes = b"/headers", end: bytes = b"\r\n") -> bytes:
    return end.join((b"GET " + target + b" HTTP/1.1", b"Host: x", *headers, b"Connection: close", b"", b""))


AMBIGUOUS = {
    "two lengths": post(b"Content-Length: 5", b"Content-Length: 0"),
    "one length twice": post(b"Content-Length: 5", b"Content-Length: 5"),
    "two lengths in one": post(b"Content-Length: 5, 5"),
    "a signed length": post(b"Content-Length: +5"),
    "a length in hexadecimal": post(b"Content-Length: 0x5"),
    "a length and chunks": post(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "chunks and a length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5"),
    "chunks twice": post(b"Transfer-Encoding: chunked, chunked"),
    "chunks, then not": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
    "chunks by another name": post(b"Transfer-Encoding: xchunked"),
    "chunks behind a tab": post(b"Transfer-Encoding:\tchunked"),
    "chunks behind a vertical tab": post(b"Transfer-Encoding: \x0bchunked"),
    "chunks behind a space before the colon": post(b"Transfer-Encoding : chunked"),
    "chunks on a folded line": post(b"Transfer-Encoding:", b" chunked"),
    "chunks of HTTP/1.0": post(b"Transfer-Encoding: chunked", version=b"1.0"),
    "chunks with bare line feeds": post(b"Transfer-Encoding: chunked", body=b"0\n\n" + SMUGGLED),
    "a chunk larger than any number": post(b"Transfer-Encoding: chunked", body=b"f" * 17 + b"\r\n" + SMUGGLED),
    "a carriage return in a header": get(b"X: a\rTransfer-Encoding: chunked"),
    "a NUL in a header": get(b"X: a\x00b"),
    "a NUL in the path": get(target=b"/\x00"),
    "a folded header": get(b"X: a", b" b"),
    "a second host": get(b"Host: y"),
    "a host with a path": get(target=b"/").replace(b"Host: x", b"Host: x/../y"),
    "a host with a user": get(target=b"/").replace(b"Host: x", b"Host: a@b"),
    "a tunnel": b"CONNECT 127.0.0.1:8081 HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED,
    "a path above the root": get(target=b"/../admin/"),
    "a header of 200 kB": get(b"X: " + b"y" * 200_000),
    "5,000 headers": get(*(b"X%d: y" % n for n in range(5000))),
    "a path of 100 kB": get(target=b"/" + b"y" * 100_000),
}


@pytest.mark.parametrize("request_", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_could_be_read_in_two_ways_or_is_too_large_is_refused(proxy: RealProxy, request_: bytes) -> None:
    answer = exchange(proxy, request_)
    assert re.match(rb"HTTP/1.1 (400|405|413|414|431|501|505) ", answer), answer[:100]
    assert b"smuggled" not in answer


@pytest.mark.parametrize(
    ("request_", "passed"),
    [
        (get(end=b"\n"), {}),
        (get(b"Transfer_Encoding: chunked", b"X-Real_IP: 1.2.3.4"), {}),
        (get(b"Connection: X-Real-IP, X-Forwarded-For, Host"), {}),
        (get(b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings"), {}),
        (get(b"Upgrade: websocket, h2c", b"Connection: Upgrade"), {}),
        (get(b"X-Bluegreen-Slot: green", b"X-Bluegreen-Address: 127.0.0.1:8081", b"X-Bluegreen-Token: x"), {}),
    ],
)
def test_what_is_meant_for_a_proxy_ends_at_the_proxy(proxy: RealProxy, request_: bytes, passed: dict[str, str]) -> None:
    """The application sees an ordinary request of its slot, and who sent it."""
    answer = exchange(proxy, request_)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"bluegreen" not in head.lower(), "which slot answered is nobody's business"
    seen = json.loads(body)
    told = {name: seen.pop(name) for name in ("host", "x-real-ip", "x-forwarded-for", "x-forwarded-proto")}
    assert told["host"] == seen.pop("x-forwarded-host") == "x"
    assert told["x-real-ip"] == told["x-forwarded-for"] != "1.2.3.4"
    seen.pop("x-forwarded-port", None)
    assert seen == passed


def test_the_host_of_the_request_s_first_line_chooses_the_route_and_is_the_one_passed_on(proxy: RealProxy) -> None:
    answer = exchange(proxy, get(target=b"http://shop.example:81/headers").replace(b"Host: x", b"Host: other"))
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["host"] == "shop.example:81"
    assert b"green /" in exchange(proxy, get(target=b"http://SHOP.example/").replace(b"Host: x", b"Host: other"))
    assert b"blue /" in exchange(proxy, get(target=b"http://other/").replace(b"Host: x", b"Host: shop.example"))


@pytest.mark.parametrize(
    ("path", "colour"),
    [
        (b"/admin/x", b"green"),
        (b"//admin/x", b"green"),
        (b"/./admin/x", b"green"),
        (b"/%61dmin/x", b"green"),
        (b"/admin%2fx", b"green"),
        (b"/web/../admin/x", b"green"),
        (b"/web/%2e%2e/admin/x", b"green"),
        (b"/web/..%2fadmin/x", b"green"),
        (b"/admin/../admin/x", b"green"),
        (b"/admin", b"blue"),
        (b"/adminx", b"blue"),
        (b"/ADMIN/x", b"blue"),
        (b"/admin;/x", b"blue"),
        (b"/admin\\x", b"blue"),
        (b"/admin/../x", b"blue"),
        (b"/admin/%2e%2e/x", b"blue"),
        (b"/admin%2f..%2fx", b"blue"),
        (b"/%2561dmin/x", b"blue"),
        (b"/x?/../admin/", b"blue"),
        (b"/x#/../../admin/", b"blue"),
        (b"/.bluegreen/direct", b"blue"),
        (b"/.bluegreen/enter?token=x", b"blue"),
        (b"/.bluegreen/generation", b"blue"),
        (b"/.bluegreen/status", b"blue"),
    ],
)
def test_a_path_goes_where_its_plain_form_belongs_however_it_is_spelled(
    proxy: RealProxy, path: bytes, colour: bytes
) -> None:
    answer = exchange(proxy, get(target=path))
    assert answer.startswith(b"HTTP/1.1 200"), answer[:100]
    assert answer.partition(b"\r\n\r\n")[2].startswith(colour + b" "), answer[-100:]


# -- many of them ----------------------------------------------------------------------------------------------------


def test_clients_that_trickle_and_clients_that_flood_take_nothing_from_others(proxy: RealProxy) -> None:
    before = memory(proxy)
    with trickling(proxy) as slow, load(proxy.port()) as traffic:
        eventually(lambda: len(slow.open) == 2 * SLOW and slow.rounds >= 3, what="all of them trickle")
        for request in AMBIGUOUS.values():
            exchange(proxy, request)
        sent = slow.rounds
        eventually(lambda: slow.rounds >= sent + 5, what="they go on")
        grown = memory(proxy) - before
        assert len(slow.open) == 2 * SLOW, "they were no load: the proxy has got rid of them"
    assert traffic.lost == []
    assert len(traffic.answered) > 200
    assert grown < 64 << 20, f"{grown >> 20} MB for {2 * SLOW} slow clients"


class Trickle(threading.Thread):
    """Half of the clients never end their headers, half never end their bodies; all send a byte now and then."""

    def __init__(self, proxy: RealProxy) -> None:
        super().__init__(daemon=True)
        self.open: list[socket.socket] = []
        self.rounds = 0
        self._stopping = threading.Event()
        body = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
        for request in (b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", body):
            for _ in range(SLOW):
                self.open.append(proxy.connect())
                self.open[-1].sendall(request)

    def run(self) -> None:
        while not self._stopping.wait(0.1):
            for one in list(self.open):
                try:
                    one.sendall(b"x")
                except OSError:
                    self.open.remove(one)
            self.rounds += 1

    def stop(self) -> None:
        self._stopping.set()
        self.join()
        for one in self.open:
            one.close()


@contextmanager
def trickling(proxy: RealProxy) -> Iterator[Trickle]:
    slow = Trickle(proxy)
    slow.start()
    try:
        yield slow
    finally:
        slow.stop()


def memory(proxy: RealProxy) -> int:
    """Bytes that nginx's processes have, what they share counted for each."""
    return resident(proxy.run("sh", "-c", RESIDENT))


RESIDENT = "grep -l nginx /proc/[0-9]*/comm | while read f; do grep VmRSS: ${f%comm}status; done"


def resident(text: str) -> int:
    return sum(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("VmRSS:"))


# -- thousands that do nothing -------------------------------------------------------------------------------------


def test_five_thousand_idle_connections_slow_no_rollback_down_and_cost_nobody_a_request(stack: Stack) -> None:
    # Any other host is answered by nginx itself, so that the toy need not bear what the proxy must.
    hosts = {"route": ["shop/", "127.0.0.1/"], "port": 8000, "health": health()}
    environment = {"TAG": "${TAG:-none}"}
    stack.write({"web": {"image": stack.image, "environment": environment, "x-bluegreen": hosts}}, drain="5m")
    stack.deploy("v1").succeeded()
    stack.deploy("v2").succeeded()
    quiet, crowded, grown = [], [], []
    with load(stack.port) as traffic, room_for_sockets():
        _rollback(stack)  # the first one reads what the others find in the machine's memory
        stack.bg("switch", "v2").succeeded()
        for _ in range(ROUNDS):
            quiet.append(_rollback(stack))
            stack.bg("switch", "v2").succeeded()
            before = resident(stack.run_in("proxy", "sh", "-c", RESIDENT))
            # A reload's old workers let idle connections go after a while: each round has new ones.
            with idle_connections(stack) as idle:
                crowded.append(_rollback(stack))
                assert sum(map(_still_there, idle)) > 0.9 * IDLE, "they were gone before the rollback was through"
                grown.append(resident(stack.run_in("proxy", "sh", "-c", RESIDENT)) - before)
            stack.bg("switch", "v2").succeeded()
    assert traffic.lost == []
    assert len(traffic.answered) > 200
    times = f"{[round(t * 1000) for t in quiet]} ms alone, {[round(t * 1000) for t in crowded]} ms among {IDLE}"
    assert min(crowded) <= 2 * min(quiet), times  # the least of each: the machine has other things to do
    assert max(grown) < 100 << 20, f"{max(grown) >> 20} MB for {IDLE} idle connections"
    stack.is_clean()


def _rollback(stack: Stack) -> float:
    """Seconds that the command takes from v2 to v1."""
    start = time.monotonic()
    stack.bg("rollback").succeeded()
    took = time.monotonic() - start
    assert stack.serving == "v1"
    return took


@contextmanager
def room_for_sockets() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, IDLE + 1000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def idle_connections(stack: Stack) -> Iterator[list[socket.socket]]:
    """Each has asked once. Straight to the container: the engine's own proxy for loopback is not what is tested."""
    networks = stack.container("proxy")["NetworkSettings"]["Networks"]
    address = (next(n["IPAddress"] for n in networks.values() if n["IPAddress"]), 8080)
    opened: list[socket.socket] = []
    try:
        for _ in range(IDLE):
            opened.append(socket.create_connection(address, 20))
            opened[-1].sendall(b"GET / HTTP/1.1\r\nHost: elsewhere\r\n\r\n")
        for one in opened:
            assert one.recv(4096).startswith(b"HTTP/1.1 404")
            one.setblocking(False)
        yield opened
    finally:
        for one in opened:
            one.close()


def _still_there(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
