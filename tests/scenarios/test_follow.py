"""The access log is followed through the engine's API: nothing lost, nothing twice, nothing forged."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from bluegreen.model.names import Slot
from bluegreen.model.project import ProxySettings
from bluegreen.probes.public import look
from bluegreen.proxy.session import Followed
from bluegreen.traffic.lines import Hit, parse
from tests.proxyground import RealProxy, real_proxy
from tests.proxykit import both, flip, stack, topology, upload
from tests.support import eventually

SETTINGS = ProxySettings(listen="127.0.0.1:0", log_limit=1 << 16, workers=2)
VISITOR = "0123456789abcdef" * 2

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def proxy() -> Iterator[RealProxy]:
    """Blue live; the log is rotated at 16 KiB, some fifty lines."""
    with real_proxy(SETTINGS) as made:
        known = both(None, 0, stack(1, made.addresses[Slot.BLUE]), stack(2, made.addresses[Slot.GREEN]))
        live = replace(known, live=Slot.BLUE)
        session = made.holding("setup")
        session.run([{**topology(known, 0), "generation": upload(known, SETTINGS)}])
        session.run([{**flip(live, 1), "generation": upload(live, SETTINGS), "back": None}])
        session.run([{"op": "settle", "gate": 2, "seconds": 10}])
        session.close()
        yield made


class Follower(threading.Thread):
    """Reads on from a position until it is told to stop, as `bg watch` does."""

    def __init__(self, proxy: RealProxy, position: Mapping[str, Any] | None) -> None:
        super().__init__(daemon=True)
        self.position = position
        self.parts: list[Followed] = []
        self.hits: list[Hit] = []
        self.unreadable = 0
        self._session = proxy.session()
        self._stopping = threading.Event()
        self.start()

    def run(self) -> None:
        for part in self._session.follow(self.position, oldest=True, seconds=0.2):
            lines = parse(part.data)
            self.parts.append(part)
            self.hits += lines.hits
            self.unreadable += lines.unreadable
            self.position = part.position
            if self._stopping.is_set():
                return

    def stop(self) -> None:
        self._stopping.set()
        self.join(10)
        self._session.close()


def ask(proxy: RealProxy, *requests: bytes) -> bytes:
    """Requests in one connection, which the last one ends."""
    with proxy.connect() as connection:
        connection.sendall(b"".join(requests))
        return b"".join(iter(lambda: connection.recv(65536), b""))


def send(proxy: RealProxy, first: int, count: int) -> None:
    """Numbered requests, one after the other; after a ``Connection: close`` over another connection."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port(), timeout=20)
    for number in range(first, first + count):
        connection.request("GET", f"/number/{number}")
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()
    connection.close()


def number(hit: Hit) -> int | None:
    found = re.fullmatch("/number/([0-9]+)", hit.uri)
    return int(found[1]) if found else None


def log_file(proxy: RealProxy) -> str:
    return proxy.run("stat", "-c", "%i", "/var/log/bluegreen/access.log")


def another_file(proxy: RealProxy, than: str) -> bool:
    return log_file(proxy) != than


def test_none_is_lost_and_none_comes_twice_over_rotations_reloads_and_another_follower(proxy: RealProxy) -> None:
    start = proxy.session()
    begin = next(start.follow(None, oldest=True, seconds=0)).position
    start.close()
    followers = [Follower(proxy, begin)]
    sent = rotations = 0
    for turn in range(4):
        before = log_file(proxy)
        send(proxy, sent, 90)
        proxy.run("sh", "-c", "kill -HUP 1")
        send(proxy, sent + 90, 30)
        sent += 120
        if turn in (1, 2):  # in the middle of a file and, a moment later, in the middle of the next one
            followers[-1].stop()
            followers.append(Follower(proxy, followers[-1].position))
        eventually(partial(another_file, proxy, before), what="another file")
        rotations += 1
    eventually(lambda: sum(number(h) is not None for f in followers for h in f.hits) >= sent, what="all lines")
    eventually(lambda: not followers[-1].parts[-1].data, what="a look that finds nothing more")
    followers[-1].stop()
    assert rotations == 4
    found = [n for follower in followers for hit in follower.hits if (n := number(hit)) is not None]
    assert sorted(found) == list(range(sent))
    assert sum(follower.unreadable for follower in followers) == 0
    assert [part.missed for follower in followers for part in follower.parts if part.missed] == []

    # Who reads on from the beginning only now is too late, and is told by how much.
    read = sum(len(part.data) for follower in followers for part in follower.parts)
    late = Follower(proxy, begin)
    eventually(lambda: late.parts and not late.parts[-1].data, what="it has read what is left")
    late.stop()
    assert sum(part.missed for part in late.parts) > 0
    assert sum(part.missed + len(part.data) for part in late.parts) == read


def test_no_visitor_can_write_a_field_of_the_log(proxy: RealProxy) -> None:
    """Hosts, paths, cookies, agents and methods that try, through the real nginx: one line each, and its own fields."""
    evil = b'","slot":"green","client":"x"}\\n{"t":1.000,"slot":"green"'
    lines = [
        b"GET /evil/%22%2C%22slot%22%3A%22green%22%7D%0A%7B%22t%22%3A1.000 HTTP/1.1\r\nHost: x",
        b"GET /evil/" + evil + b" HTTP/1.1\r\nHost: x",
        b"GET /evil/%5c%22%00%1e%ff%e2%80%a8 HTTP/1.1\r\nHost: x",
        b'GET /evil/ HTTP/1.1\r\nHost: "slot":"green"',
        b'GET /evil/ HTTP/1.1\r\nHost: x\r\nUser-Agent: " , "slot":"green',
        b"GET /evil/ HTTP/1.1\r\nHost: x\r\nCookie: bluegreen_visitor=" + evil,
        b"GET /evil/ HTTP/1.1\r\nHost: x\r\nCookie: bluegreen_visitor=" + VISITOR.upper().encode(),
        b"GET /evil/ HTTP/1.1\r\nHost: x\r\nCookie: bluegreen_visitor=" + VISITOR.encode() + b"0",
        b"GET /evil/ HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\nX-Real-IP: 1.2.3.4",
        b'SLOT"green /evil/ HTTP/1.1\r\nHost: x',
        b"GET /evil/\xff\xfe\x80 HTTP/1.1\r\nHost: x",
    ]
    known = b"GET /known HTTP/1.1\r\nHost: x\r\nCookie: a=b; bluegreen_visitor=%s; c=d" % VISITOR.encode()
    session = proxy.session()
    at = next(session.follow(seconds=0)).position
    for line in [*lines, known]:
        ask(proxy, line + b"\r\nConnection: close\r\n\r\n")
    hits: list[Hit] = []
    for part in session.follow(at, seconds=0.2):
        found = parse(part.data)
        hits += found.hits
        assert found.unreadable == 0
        if any(hit.uri == "/known" for hit in hits) and not part.data:
            break
    session.close()
    assert len(hits) == len(lines) + 1
    assert {hit.slot for hit in hits} <= {"blue", ""}  # "" for those that are refused before they are read
    assert {hit.service for hit in hits} <= {"web", ""}
    (visitor,) = [hit for hit in hits if hit.uri == "/known"]
    assert (visitor.client, visitor.service, visitor.slot, visitor.route) == (VISITOR, "web", "blue", "/")
    others = {(hit.client, hit.address) for hit in hits if hit is not visitor}
    assert len(others) == 1
    assert all(client == address for client, address in others)
    assert visitor.address == others.pop()[1]


def test_what_the_preview_is_asked_for_is_nobodys_traffic(proxy: RealProxy) -> None:
    session = proxy.session()
    token = session.run([{"op": "preview"}])[0]["token"]
    at = next(session.follow(seconds=0)).position
    proxy.get("/seen-in-the-preview", {"Cookie": f"bluegreen_preview={token}"}, inside=8081)
    hits = eventually(
        lambda: [h for h in parse(next(session.follow(at, seconds=0.5)).data).hits if "preview" in h.uri],
        what="its line",
    )
    session.close()
    assert [(hit.slot, hit.drawn) for hit in hits] == [("green", False)]


def test_what_the_tool_itself_looks_at_in_public_is_nobodys_traffic_either(proxy: RealProxy) -> None:
    session = proxy.session()
    token = str(session.run([{"op": "preview"}])[0]["token"])
    at = next(session.follow(seconds=0)).position
    url = f"http://127.0.0.1:{proxy.port()}"
    seen = [look(f"{url}/looked", token), look(f"{url}/looked", "0" * 48), look(f"{url}/looked")]
    assert [(one.status, one.slot) for one in seen] == [(200, "blue"), (200, None), (200, None)]
    hits: list[Hit] = []
    for part in session.follow(at, seconds=0.2):
        hits += [hit for hit in parse(part.data).hits if hit.uri == "/looked"]
        if len(hits) == len(seen):
            break
    session.close()
    assert sorted((hit.slot, hit.drawn) for hit in hits) == [("blue", False), ("blue", True), ("blue", True)]
