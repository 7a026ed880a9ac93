"""HTTP as engines speak it: bodies of every form, connections used again, and what is no answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.engine.wire import BadAnswer, Wire
from tests.support import eventually

OK = b"HTTP/1.1 200 OK\r\n"


class Engine:
    """Answers the requests of each connection with prepared bytes, and notes them. An empty one ends the connection."""

    def __init__(self, *answers: bytes, piece: int = 1 << 16) -> None:
        self._answers = list(answers)
        self._piece = piece
        self._ends: list[socket.socket] = []
        self.connections = 0
        self.requests: list[bytes] = []

    def dial(self) -> socket.socket:
        near, far = socket.socketpair()
        self.connections += 1
        self._ends.append(far)
        threading.Thread(target=self._serve, args=(far,), daemon=True).start()
        return near

    def hang_up(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _serve(self, far: socket.socket) -> None:
        with far, suppress(OSError):
            while request := far.recv(1 << 16):
                self.requests.append(request)
                answer = self._answers.pop(0)
                for at in range(0, len(answer), self._piece):
                    far.sendall(answer[at : at + self._piece])
                if not answer or b"Connection: close" in answer or b"until the end" in answer:
                    return


@contextmanager
def wire(engine: Engine) -> Iterator[Wire]:
    found = Wire(engine.dial, "localhost")
    try:
        yield found
    finally:
        found.close()
        engine.hang_up()


def sized(body: bytes) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(*parts: bytes) -> bytes:
    chunks = b"".join(b"%x;ext\r\n%s\r\n" % (len(part), part) for part in parts)
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nTrailer: x\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (sized(b""), b""),
        (sized(b"hello"), b"hello"),
        (chunked(), b""),
        (chunked(b"hel", b"lo\r\n"), b"hello\r\n"),
        (OK + b"\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + sized(b"after"), b"after"),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_bodies_of_every_form_arrive_whole_however_they_are_cut(answer: bytes, body: bytes, piece: int) -> None:
    with wire(Engine(answer, piece=piece)) as found:
        assert found.request("GET", "/x", timeout=5).content == body


@given(parts=st.lists(st.binary(min_size=1, max_size=50), max_size=6), limit=st.integers(1, 60))
def test_a_stream_gives_what_there_is_and_ends(parts: list[bytes], limit: int) -> None:
    with wire(Engine(chunked(*parts), sized(b"next"))) as found:
        answer = found.request("GET", "/x", timeout=5, stream=True)
        read = []
        while data := answer.read(limit):
            assert len(data) <= limit
            read.append(data)
        assert b"".join(read) == b"".join(parts)
        assert found.request("GET", "/y", timeout=5).content == b"next"


def test_a_request_says_what_it_has_to() -> None:
    engine = Engine(sized(b""), sized(b""), sized(b""))
    with wire(engine) as found:
        found.request("GET", "/v1/x?a=1", timeout=5)
        found.request("POST", "/v1/y", headers={"Content-Type": "application/json"}, body=b"{}", timeout=5)
        found.request("DELETE", "/v1/z", timeout=5)
    first, second, third = (request.decode() for request in engine.requests)
    assert first.startswith("GET /v1/x?a=1 HTTP/1.1\r\nHost: localhost\r\n")
    assert "Content-Length" not in first
    assert second.endswith("Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    assert third.endswith("Content-Length: 0\r\n\r\n")


def test_a_value_cannot_end_a_line() -> None:
    with wire(Engine()) as found, pytest.raises(ValueError, match="ends a line"):
        found.request("GET", "/x\r\nEvil: 1", timeout=5)


def test_a_connection_is_used_again() -> None:
    engine = Engine(sized(b"1"), chunked(b"2"), sized(b"3"))
    with wire(engine) as found:
        assert [found.request("GET", "/", timeout=5).content for _ in range(3)] == [b"1", b"2", b"3"]
    assert engine.connections == 1


def test_a_connection_is_not_used_again_where_it_was_said_or_where_the_other_side_has_left() -> None:
    said = sized(b"1").replace(OK, OK + b"Connection: close\r\n")
    engine = Engine(said, sized(b"2"), sized(b"3"))
    with wire(engine) as found:
        found.request("GET", "/", timeout=5)
        found.request("GET", "/", timeout=5)
        assert engine.connections == 2
        engine.hang_up()
        assert found.request("GET", "/", timeout=5).content == b"3"
        assert engine.connections == 3


def test_an_answer_that_nobody_read_to_its_end_does_not_disturb_the_next() -> None:
    engine = Engine(sized(b"x" * 100), sized(b"next"))
    with wire(engine) as found:
        answer = found.request("GET", "/", timeout=5, stream=True)
        assert answer.read(3) == b"xxx"
        answer.close()
        answer.close()
        assert found.request("GET", "/", timeout=5).content == b"next"
    assert engine.connections == 2


def test_requests_side_by_side_have_a_connection_each() -> None:
    engine = Engine(sized(b"1"), sized(b"2"))
    with wire(engine) as found:
        first = found.request("GET", "/", timeout=5, stream=True)
        assert found.request("GET", "/", timeout=5).content == b"2"
        assert first.read() == b"1"
    assert engine.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        sized(b"hello")[:-1],
        OK + b"Transfer-Encoding: chunked\r\n\r\nwhat\r\n",
        chunked(b"hello")[:-9],
    ],
)
def test_what_is_no_whole_answer_is_said(answer: bytes) -> None:
    engine = Engine(answer)

    def cut_off() -> None:
        eventually(lambda: engine.requests)
        engine.hang_up()

    with wire(engine) as found:
        threading.Thread(target=cut_off, daemon=True).start()
        with pytest.raises(OSError) as caught:  # noqa: PT011 - which of them depends on who was first
            found.request("GET", "/", timeout=5)
        assert isinstance(caught.value, (BadAnswer, ConnectionError))


def test_waiting_has_its_deadline() -> None:
    with wire(Engine(OK)) as found, pytest.raises(TimeoutError):
        found.request("GET", "/", timeout=0.05)


def test_what_is_no_json_is_said() -> None:
    with wire(Engine(sized(b"{"), sized(b'{"a": 1}'))) as found:
        with pytest.raises(BadAnswer, match="no JSON"):
            found.request("GET", "/", timeout=5).json()
        assert found.request("GET", "/", timeout=5).json() == {"a": 1}


def test_an_upgraded_connection_is_handed_over_with_what_came_early() -> None:
    engine = Engine(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nearly", b"and late")
    with wire(engine) as found:
        answer = found.request("POST", "/exec", timeout=5, stream=True)
        sock, early = answer.take()
        received = early
        while len(received) < 5:
            received += sock.recv(10)
        assert received == b"early"
        sock.sendall(b"more")
        assert sock.recv(100) == b"and late"
        sock.close()
        with pytest.raises(BadAnswer):
            answer.take()


def test_a_connection_that_is_refused_is_an_error_of_the_system() -> None:
    def refused() -> socket.socket:
        raise ConnectionRefusedError(111, "refused")

    with pytest.raises(ConnectionRefusedError):
        Wire(refused, "localhost").request("GET", "/")
