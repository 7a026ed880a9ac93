"""Traffic moves as a whole, at once, and nobody notices."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bluegreen.model.errors import BluegreenError
from bluegreen.model.names import Slot
from bluegreen.model.project import ProxySettings
from bluegreen.model.release import Routes
from bluegreen.proxy.session import ProxySession
from tests.proxyground import RealProxy, real_proxy
from tests.proxykit import both, flip, stack, topology, upload, way_back
from tests.support import eventually

CLIENT = Path(__file__).with_name("strict_client.py")
FLIPS = 60
PACE = 25
"""Requests between two flips."""
RELOADS = 3
SETTINGS = ProxySettings(listen="127.0.0.1:0", workers=2)

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def proxy() -> Iterator[RealProxy]:
    with real_proxy(SETTINGS) as made:
        yield made


class Traffic:
    """What became of the requests of `load`, once it is over."""

    def __init__(self) -> None:
        self.answered: list[tuple[float, float, str, str]] = []
        self.lost: list[Any] = []
        self.connections = 0

    def of(self, begun_after: float, ended_before: float) -> Counter[str]:
        """Colours of the requests of this time: those that reach beyond it may meet the next switch."""
        return Counter(c for begin, end, _, c in self.answered if begun_after < begin and end < ended_before)


@contextmanager
def load(port: int) -> Iterator[Traffic]:
    """Requests from strict clients for as long as the block runs."""
    traffic = Traffic()
    client = subprocess.Popen(
        [sys.executable, str(CLIENT), "127.0.0.1", str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        yield traffic
    finally:
        found = json.loads(client.communicate(timeout=60)[0])
    traffic.answered = [tuple(one) for one in found["answered"]]
    traffic.lost, traffic.connections = found["lost"], found["connections"]


def routes(proxy: RealProxy, live: Slot | None) -> Routes:
    return both(live, 0, stack(1, proxy.addresses[Slot.BLUE]), stack(2, proxy.addresses[Slot.GREEN]))


def begin(proxy: RealProxy, operation: str) -> tuple[ProxySession, int]:
    """Blue live and green the way back, whatever was before: the session and the current generation."""
    session = proxy.holding(operation)
    current = session.run([{"op": "read"}])[0]
    live = Slot(current["routes"]["live"]) if current["routes"] else None
    # A flip keeps the topology: first the one that is wanted here, whatever the test before has left, drained or not.
    change = topology(routes(proxy, live), current["generation"])
    number = session.run([change, {"op": "settle", "gate": 2, "seconds": 10}])[0]["generation"]
    number = session.run([flip(routes(proxy, Slot.BLUE), number, back=upload(routes(proxy, Slot.GREEN)))])[0][
        "generation"
    ]
    session.run([{"op": "reload"}, {"op": "settle", "gate": 3, "seconds": 15}])
    return session, number


def test_sixty_switches_lose_no_request_and_none_that_begins_later_meets_the_old_colour(proxy: RealProxy) -> None:
    session, number = begin(proxy, "switches")
    switches: list[tuple[float, float, str]] = []  # asked for, confirmed, colour
    took = []
    with load(proxy.port()) as traffic:
        for n in range(FLIPS):
            asked = time.monotonic()
            answer = session.run([way_back(number, journal={"step": "switch"})])[0]
            confirmed = time.monotonic()
            assert answer["served"]["generation"] == answer["generation"] == number + 1
            number += 1
            took.append(answer["ms"]["verified"])
            colour = "green" if n % 2 == 0 else "blue"
            switches.append((asked, confirmed, colour))
            for _ in range(PACE):  # the clients meet the new colour meanwhile, and so does this one
                assert _answers(proxy, colour.encode())
        end = time.monotonic()
    session.close()

    assert traffic.lost == []
    assert len(traffic.answered) > 20 * FLIPS, "too little traffic to prove anything"
    seen = 0
    for (_, confirmed, colour), (until, _, _) in zip(switches, [*switches[1:], (end, 0.0, "")], strict=True):
        found = traffic.of(confirmed, until)
        assert set(found) <= {colour}, f"after a switch to {colour} was confirmed: {found}"
        seen += bool(found)
    assert seen > 0.9 * FLIPS, "too few switches had traffic after them"
    print(f"{len(traffic.answered)} requests, {traffic.connections} connections, ms per switch: {sorted(took)}")  # noqa: T201 - numbers for whoever looks


def test_reloads_under_load_lose_no_request_either(proxy: RealProxy) -> None:
    session, number = begin(proxy, "reloads")
    with load(proxy.port()) as traffic:
        for n in range(RELOADS):
            settings = replace(SETTINGS, read_timeout=100.0 + n, workers=2 + n % 2)
            for op in (
                topology(routes(proxy, Slot.BLUE), number, generation=upload(routes(proxy, Slot.BLUE), settings))
                | {"back": upload(routes(proxy, Slot.GREEN), settings)},
                {"op": "settle", "gate": 2, "seconds": 10},
            ):
                number = session.run([op])[0].get("generation", number)
            for _ in range(2):
                number = session.run([way_back(number)])[0]["generation"]
    session.close()
    assert traffic.lost == []
    assert set(traffic.of(0, float("inf"))) == {"blue", "green"}


def test_a_killed_proxy_comes_back_with_what_was_live(proxy: RealProxy) -> None:
    session, number = begin(proxy, "killed")
    session.run([way_back(number)])
    session.close()
    proxy.run("sh", "-c", "kill -9 -1")
    eventually(lambda: _answers(proxy, b"green"), what="the proxy serves again")


def test_a_killed_agent_holds_nothing_up(proxy: RealProxy) -> None:
    first = proxy.session()
    first.run([{"op": "seize", "operation": "deploy-1", "holder": "ann", "seconds": 60}])
    pid = first.hello()["pid"]
    proxy.run("sh", "-c", f"kill -9 {pid}")
    second = proxy.session()
    second.run([{"op": "acquire", "operation": "deploy-2", "holder": "bob", "seconds": 60, "wait": 5}])
    with pytest.raises(BluegreenError):
        first.run([{"op": "hello"}])
    first.close()
    second.close()


def test_with_its_link_lost_the_newest_generation_is_served(proxy: RealProxy) -> None:
    session, number = begin(proxy, "link-lost")
    session.run([way_back(number)])
    session.close()
    proxy.run("sh", "-c", "rm /bg/current")
    proxy.engine.stop(proxy.container, 1)
    proxy.engine.start(proxy.container)
    eventually(lambda: _answers(proxy, b"green"), what="the proxy serves again")


def test_a_connection_kept_alive_over_a_new_topology_never_meets_a_slot_it_does_not_know(proxy: RealProxy) -> None:
    session, number = begin(proxy, "kept-alive")
    blue = replace(routes(proxy, Slot.BLUE), stacks={Slot.BLUE: stack(1, proxy.addresses[Slot.BLUE])})
    ask = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    number = session.run([topology(blue, number), {"op": "settle", "gate": 3, "seconds": 15}])[0]["generation"]
    with proxy.connect() as connection:
        connection.sendall(ask)
        assert b"blue" in connection.recv(65536)
        number = session.run([topology(routes(proxy, Slot.BLUE), number)])[0]["generation"]
        # The worker that has this connection knows no green; it is waited for.
        waited = session.run([{"op": "settle", "gate": 2, "seconds": 10}])[0]["waited"]
        assert waited > 3
        session.run([flip(routes(proxy, Slot.GREEN), number, back=None)])
        try:
            connection.sendall(ask)
            answer = connection.recv(65536)
        except OSError:
            answer = b""
        assert answer == b""  # closed, long after its last request, as any server may
    assert _answers(proxy, b"green")
    session.close()


def _answers(proxy: RealProxy, colour: bytes) -> bool:
    try:
        return proxy.get()[2].startswith(colour)
    except (OSError, StopIteration):
        return False


def test_a_configuration_that_passes_the_test_and_is_not_loaded_is_found_out(proxy: RealProxy) -> None:
    session, number = begin(proxy, "not-effective")
    first, second = (topology(routes(proxy, Slot.BLUE), 0, back=upload(routes(proxy, Slot.GREEN))) for _ in range(2))
    _limit(first, "$binary_remote_addr")
    _limit(second, "$http_host")  # `nginx -t` says yes; the reload finds the zone with another key, and fails
    number = session.run([{**first, "parent": number}])[0]["generation"]
    result = session.send([{**second, "parent": number}])[0]
    assert result["code"] == "not-effective"
    read = session.run([{"op": "read"}])[0]
    assert (read["generation"], read["back"]["live"], read["compiled"]) == (number, "green", read["rendered"])
    assert proxy.get()[2].startswith(b"blue")
    session.run([way_back(number)])
    assert proxy.get()[2].startswith(b"green")
    session.close()


def _limit(op: dict[str, Any], key: str) -> None:
    files = op["generation"]["files"]
    files["upstreams.conf"] += f"\nlimit_req_zone {key} zone=limit:1m rate=1000r/s;\n"
    old = files["digest"].strip()
    new = f"{'a' if key == '$http_host' else 'b'}{old[1:]}"
    files["digest"] = new + "\n"
    files["upstreams.conf"] = files["upstreams.conf"].replace(old, new)
