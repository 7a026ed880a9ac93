"""A minimal HTTP/1.1 client for the control socket: many requests at once, one a connection.

``http.client`` would do, at the price of importing ``email`` in every rollback.
"""

from __future__ import annotations

import _socket  # `socket` itself imports `selectors` and `enum`
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BODY_LIMIT = 64 * 1024
HEAD_LIMIT = 64 * 1024


class Answer:
    """What came back. ``error`` is None, ``timeout``, ``closed`` (no complete answer) or ``refused``."""

    __slots__ = ("body", "error", "headers", "ms", "status")

    def __init__(
        self,
        status: int = 0,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        error: str | None = None,
        ms: float = 0.0,
    ) -> None:
        self.status = status
        self.headers = headers or {}
        self.body = body
        self.error = error
        self.ms = ms


def fetch(path: str, requests: list[dict[str, Any]]) -> list[Answer]:
    """Send requests (``method``, ``path``, ``headers``, ``timeout`` in seconds) to a unix socket, all at once."""
    exchanges = [_Exchange(path, request) for request in requests]
    poll = select.poll()
    waiting = {}
    for exchange in exchanges:
        if exchange.answer is None:
            waiting[exchange.fileno()] = exchange
            poll.register(exchange.fileno(), select.POLLIN)
    while waiting:
        left = min(exchange.until for exchange in waiting.values()) - time.monotonic()
        for number, _ in poll.poll(max(0, left) * 1000 + 1):
            waiting[number].read()
        now = time.monotonic()
        for number, exchange in list(waiting.items()):
            if exchange.answer is None and now >= exchange.until:
                exchange.end("timeout")
            if exchange.answer is not None:
                poll.unregister(number)
                del waiting[number]
                exchange.close()
    return [exchange.answer or Answer(error="closed") for exchange in exchanges]


class _Exchange:
    def __init__(self, path: str, request: dict[str, Any]) -> None:
        self._start = time.monotonic()
        self.until = self._start + float(request.get("timeout") or 5.0)
        self.answer: Answer | None = None
        self._data = b""
        self._method = str(request.get("method") or "GET")
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            self._socket.settimeout(self.until - self._start)
            self._socket.connect(path)
            self._socket.sendall(head(self._method, str(request["path"]), request.get("headers") or {}))
            self._socket.setblocking(False)
        except TimeoutError:
            self.end("timeout")
        except OSError:
            self.end("refused")

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def read(self) -> None:
        try:
            part = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        self._data += part
        ended = not part
        answer = parse(self._data, ended=ended, head=self._method == "HEAD")
        if answer is not None:
            answer.ms = (time.monotonic() - self._start) * 1000
            self.answer = answer
        elif ended:
            self.end("closed")

    def end(self, error: str) -> None:
        self.answer = Answer(error=error, ms=(time.monotonic() - self._start) * 1000)


def head(method: str, path: str, headers: dict[str, str]) -> bytes:
    """A request without a body. Raises ValueError where a value would end a line."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if not any(name.lower() == "connection" for name in headers):
        lines.append("Connection: close")
    if method in ("POST", "PUT", "PATCH"):
        lines.append("Content-Length: 0")
    for line in lines:
        if not line.isprintable():
            raise ValueError(f"{line!r} has a character that ends a line")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def parse(data: bytes, *, ended: bool, head: bool = False) -> Answer | None:
    """The answer in these bytes once it is complete, or longer than anyone wants to read; else None."""
    start = data.find(b"\r\n\r\n")
    if start < 0:
        return Answer(error="closed") if len(data) > HEAD_LIMIT else None
    lines = data[:start].decode("latin-1").split("\r\n")
    words = lines[0].split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
        return Answer(error="closed")
    status = int(words[1])
    rest = data[start + 4 :]
    if 100 <= status < 200 and status != 101:
        return parse(rest, ended=ended, head=head)
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = _body(status, headers, rest, ended=ended, head=head)
    return None if body is None else Answer(status, headers, body)


def _body(status: int, headers: dict[str, str], rest: bytes, *, ended: bool, head: bool) -> bytes | None:
    if head or status in (101, 204, 304):
        return b""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body, complete = _unchunk(rest)
    elif headers.get("content-length", "").isdigit():
        length = int(headers["content-length"])
        body, complete = rest[:length], len(rest) >= length
    else:
        body, complete = rest, ended
    if complete or len(body) >= BODY_LIMIT:
        return body[:BODY_LIMIT]
    return None


def _unchunk(data: bytes) -> tuple[bytes, bool]:
    body = b""
    while True:
        line, found, rest = data.partition(b"\r\n")
        size = line.partition(b";")[0].strip()
        if not found or not size:
            return body, False
        try:
            length = int(size, 16)
        except ValueError:
            return body, False
        if length == 0:
            return body, True
        body += rest[:length]
        if len(rest) < length + 2:
            return body, False
        data = rest[length + 2 :]
