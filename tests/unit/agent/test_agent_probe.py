"""A probe says what it got, and why that is not what was wanted."""

from __future__ import annotations

import socket
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.agent.probe import address
from bluegreen.agent.sockets import _ask_kernel, held, parse_messages, parse_table
from bluegreen.agent.wire import BODY_LIMIT, head, parse
from bluegreen.model.errors import ProxyFailed
from tests.proxykit import BLUE_ADDRESS, MemoryProxy


def probe(proxy: MemoryProxy, **request: Any) -> dict[str, Any]:
    wanted = {"name": "web", "target": "slot:blue", "path": "/", **request}
    answer = proxy.session().send([{"op": "probe", "requests": [wanted], "diagnose": True}])[0]
    found = answer["answers"][0]
    assert answer["ok"] == found["ok"]
    assert isinstance(found, dict)
    return found


def test_a_slot_and_a_container_are_asked_whether_live_or_not(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    for target, colour in (("slot:blue", "blue"), ("slot:green", "green"), ("10.213.2.16:8000", "green")):
        assert probe(proxy, target=target, expect={"status": [200], "body": colour})["ok"]


def test_all_requests_must_be_answered_well(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    requests = [{"name": n, "target": "slot:blue", "path": "/", "expect": {"body": n}} for n in ("blue", "red")]
    result = proxy.session().send([{"op": "probe", "requests": requests}])[0]
    assert (result["code"], [a["ok"] for a in result["answers"]]) == ("unhealthy", [True, False])


def test_why_a_container_is_not_healthy(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    assert probe(proxy, target="10.213.1.16:9000")["why"] == "refused"
    assert probe(proxy, expect={"body": "pink"})["why"] == "body"
    proxy.answers[BLUE_ADDRESS] = lambda *_: (500, {}, b"Traceback")
    wrong = probe(proxy)
    assert (wrong["why"], wrong["status"], wrong["excerpt"]) == ("status", 500, "Traceback")
    proxy.answers[BLUE_ADDRESS] = lambda *_: (301, {"Location": "/login"}, b"")
    assert (probe(proxy)["why"], probe(proxy)["detail"]) == ("redirect", "/login")
    assert probe(proxy, expect={"status": [301]})["ok"]
    proxy.refusing.add(BLUE_ADDRESS)
    assert (probe(proxy)["why"], probe(proxy)["detail"]) == ("refused", BLUE_ADDRESS)


def test_a_container_that_never_answers_is_too_slow(proxy: MemoryProxy) -> None:
    def hang(*_: object) -> Any:
        raise TimeoutError

    proxy.at_blue()
    proxy.answers[BLUE_ADDRESS] = hang
    assert probe(proxy, timeout=2)["why"] == "timeout"


def test_a_host_that_is_not_accepted_is_told_from_a_bad_request(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    proxy.answers[BLUE_ADDRESS] = lambda _, headers: (200 if headers["Host"] == "localhost" else 400, {}, b"")
    found = probe(proxy, host="shop.example.com")
    assert found["why"] == "host-rejected"
    assert found["detail"] == "answers 200 to Host: localhost, and 400 to Host: shop.example.com"
    proxy.answers[BLUE_ADDRESS] = lambda *_: (400, {}, b"")
    assert probe(proxy, host="shop.example.com")["why"] == "status"


def test_nginx_that_does_not_answer_is_no_verdict_on_a_container(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    proxy.nginx.stop()
    with pytest.raises(ProxyFailed, match="does not answer on its control socket"):
        proxy.session().run([{"op": "probe", "requests": [{"name": "web", "target": "slot:blue", "path": "/"}]}])


@pytest.mark.parametrize(
    "bad",
    [
        {"target": "slot:red"},
        {"target": "10.0.0.1"},
        {"target": "evil.example:80"},
        {"path": "no-slash"},
        {"path": "/a b"},
        {"path": "/\r\nX: y"},
        {"path": "/.bluegreen/generation"},
        {"host": "a\r\nX-Bluegreen-Slot: green"},
        {"headers": {"X\r\nY": "z"}},
        {"method": "GET /x"},
    ],
)
def test_a_request_that_could_be_two_is_refused(proxy: MemoryProxy, bad: dict[str, Any]) -> None:
    request = {"name": "web", "target": "slot:blue", "path": "/", **bad}
    result = proxy.session().send([{"op": "probe", "requests": [request]}])[0]
    assert result["code"] == "invalid"


@given(st.text())
def test_an_address_is_four_numbers_and_a_port(text: str) -> None:
    found = address(text)
    assert found is None or (f"{found[0]}:{int(found[1])}", found[1] > 0) == (
        text.rpartition(":")[0] + f":{found[1]}",
        True,
    )
    assert address("10.0.0.1:8000") == ("10.0.0.1", 8000)


# -- HTTP ---------------------------------------------------------------------------------------------------------

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n4;ext=1\r\nblue\r\nA\r\n0123456789\r\n0\r\n\r\n"
)
LENGTH = b"HTTP/1.1 204 No\r\n\r\n", b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\noops"


@pytest.mark.parametrize("data", [CHUNKED, LENGTH[0], LENGTH[1], b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED])
def test_an_answer_is_complete_at_one_place_however_it_arrives(data: bytes) -> None:
    whole = parse(data, ended=True)
    assert whole is not None
    complete = [parse(data[:n], ended=False) is not None for n in range(len(data) + 1)]
    assert complete == sorted(complete)
    first = parse(data[: complete.index(True)], ended=False)
    assert first is not None
    assert (first.status, first.body, first.headers) == (whole.status, whole.body, whole.headers)


def test_bodies_are_decoded_and_bounded() -> None:
    answer = parse(CHUNKED, ended=True)
    assert answer is not None
    assert (answer.status, answer.body, answer.headers["x"]) == (200, b"blue0123456789", "y")
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (BODY_LIMIT + 5)
    bounded = parse(endless, ended=False)
    assert bounded is not None
    assert len(bounded.body) == BODY_LIMIT


def test_an_answer_that_was_cut_is_none() -> None:
    assert parse(CHUNKED[:-5], ended=True) is None
    assert parse(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nblue", ended=True) is None
    refused = parse(b"SSH-2.0-OpenSSH\r\n\r\n", ended=True)
    assert refused is not None
    assert refused.error == "closed"


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_break_the_parser(data: bytes, ended: bool) -> None:
    parse(data, ended=ended)
    parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data, ended=ended)


def test_a_request_line_break_is_refused() -> None:
    with pytest.raises(ValueError, match="ends a line"):
        head("GET", "/", {"X": "a\r\nb"})


# -- connections --------------------------------------------------------------------------------------------------


LINES = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 10101 0 1
   1: 0200D50A:A1B2 1001D50A:1F40 01 00000000:00000000 00:00000000 00000000 10101 0 1
   2: 0200D50A:A1B3 1001D50A:1F40 08 00000000:00000000 00:00000000 00000000 10101 0 1
   3: 0200D50A:A1B4 1101D50A:1F40 02 00000000:00000000 00:00000000 00000000 10101 0 1
   4: 0200D50A:A1B5 1101D50A:1F40 06 00000000:00000000 00:00000000 00000000 10101 0 1
   5: 0200D50A:1F90 1001D50A:C001 01 00000000:00000000 00:00000000 00000000 10101 0 1
"""


def test_the_kernels_table_is_read_where_it_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_table(LINES) == [
        (0xA1B2, "10.213.1.16"),
        (0xA1B3, "10.213.1.16"),
        (0xA1B4, "10.213.1.17"),
        (8080, "10.213.1.16"),
    ]
    monkeypatch.setattr("bluegreen.agent.sockets._ask_kernel", lambda: parse_table(LINES))
    assert held() == {"10.213.1.16": 2, "10.213.1.17": 1}


def test_a_connection_of_this_process_is_seen_by_both_ways() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        mine = (client.getsockname()[1], "127.0.0.1")
        assert mine in _ask_kernel()
        assert mine in parse_table(Path("/proc/net/tcp").read_text())
        server.accept()[0].close()


def test_a_kernel_that_says_no_is_an_error_and_not_an_empty_table() -> None:
    with pytest.raises(OSError, match="does not tell"):
        parse_messages(pack("=IHHIIi", 20, 2, 0, 1, 0, -2), [])
