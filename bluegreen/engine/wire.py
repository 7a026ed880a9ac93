"""HTTP/1.1 to one engine: over a unix socket, TCP or TLS.

The SDK's client would do, at the price of its import: more than half of what a rollback or a status takes. It
still builds, pulls and knows logins; see `Api.sdk`.
"""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl

CONNECT_TIMEOUT = 10.0
HEAD_LIMIT = 1 << 20
_CHUNK = 1 << 16

Dial = Callable[[], socket.socket]
"""Makes a connection. Raises OSError."""


class BadAnswer(OSError):
    """What came back is not what HTTP allows, or not all of it."""


class Wire:
    """Connections to one place, used again and again. Safe for threads: each request has one for itself."""

    def __init__(self, dial: Dial, host: str) -> None:
        self._dial = dial
        self._host = host
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,
        stream: bool = False,
    ) -> Answer:
        """One request. ``timeout`` bounds each wait for the next part of the answer; ``stream`` leaves the body to
        be read by the caller. Raises OSError, and TimeoutError of it."""
        connection = self._connection()
        try:
            connection.sock.settimeout(timeout)
            connection.sock.sendall(_head(method, target, self._host, headers or {}, body) + (body or b""))
            answer = Answer(connection, method, self._ended)
            if not stream:
                answer.load()
        except BaseException:
            connection.sock.close()
            raise
        return answer

    def close(self) -> None:
        """Close what is idle. Idempotent."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.sock.close()

    def _connection(self) -> _Connection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return _Connection(self._dial())
            if connection.quiet():
                return connection
            connection.sock.close()

    def _ended(self, connection: _Connection, reusable: bool) -> None:
        if reusable:
            with self._lock:
                self._idle.append(connection)
        else:
            connection.sock.close()


class Answer:
    """``headers`` by their names in lower case."""

    def __init__(self, connection: _Connection, method: str, ended: Callable[[_Connection, bool], None]) -> None:
        """Reads the head."""
        self._connection: _Connection | None = connection
        self._ended = ended
        self._content = b""
        self.status, self.headers, keep = _parsed(connection.head())
        while self.status == 100:
            self.status, self.headers, keep = _parsed(connection.head())
        self._chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        length = self.headers.get("content-length", "")
        # Bytes that are still to come of the body or of its chunk; None is all until the connection's end.
        self._left: int | None = 0 if self._chunked else int(length) if length.isdigit() else None
        self._keep = keep and self.status != 101
        self._first = True
        if method == "HEAD" or self.status in (204, 304):
            self._left, self._chunked = 0, False
        if self._left == 0 and not self._chunked:
            self._end()

    @property
    def content(self) -> bytes:
        return self._content

    @property
    def text(self) -> str:
        return self._content.decode(errors="replace")

    def json(self) -> Any:
        """Raises `BadAnswer` where it is none."""
        try:
            return json.loads(self._content)
        except ValueError as error:
            raise BadAnswer(f"no JSON: {self._content[:60]!r}") from error

    def load(self) -> None:
        """Read the whole body into ``content``."""
        parts = [self._content]
        while part := self.read():
            parts.append(part)
        self._content = b"".join(parts)

    def read(self, limit: int = _CHUNK) -> bytes:
        """What has come of the body, at least a byte and at most ``limit``; nothing at its end."""
        connection = self._connection
        if connection is None:
            return b""
        if self._chunked and self._left == 0 and not self._next_chunk(connection):
            self._end()
            return b""
        data = connection.some(limit if self._left is None else min(limit, self._left))
        if self._left is None:
            if not data:
                self._end()
            return data
        if not data:
            raise BadAnswer("the connection was closed in the middle of an answer")
        self._left -= len(data)
        if self._left == 0 and not self._chunked:
            self._end()
        return data

    def take(self) -> tuple[socket.socket, bytes]:
        """The connection for the caller's own use, as after an upgrade, and what has come over it already."""
        connection, self._connection = self._connection, None
        if connection is None:
            raise BadAnswer("the answer has ended, and its connection with it")
        return connection.sock, connection.rest()

    def close(self) -> None:
        """Let go of the connection, whether or not all was read. Idempotent."""
        self._keep = False
        self._end()

    def _next_chunk(self, connection: _Connection) -> bool:
        """Read a chunk's size line; False where it is the last."""
        if not self._first:
            connection.line()  # what ends the chunk before
        self._first = False
        size = connection.line().partition(b";")[0].strip()
        try:
            self._left = int(size, 16)
        except ValueError as error:
            raise BadAnswer(f"{size[:20]!r} is no chunk's size") from error
        if self._left:
            return True
        while connection.line():
            pass  # trailers
        return False

    def _end(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._ended(connection, self._keep and self._left == 0)


class _Connection:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = b""

    def quiet(self) -> bool:
        """Whether it can take a request: its other side has neither left nor said what nobody asked for."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not self._buffer and not poll.poll(0)

    def head(self) -> bytes:
        return self._until(b"\r\n\r\n")

    def line(self) -> bytes:
        return self._until(b"\r\n")

    def some(self, limit: int) -> bytes:
        if not self._buffer:
            return self.sock.recv(limit)
        data, self._buffer = self._buffer[:limit], self._buffer[limit:]
        return data

    def rest(self) -> bytes:
        data, self._buffer = self._buffer, b""
        return data

    def _until(self, end: bytes) -> bytes:
        while (at := self._buffer.find(end)) < 0:
            part = self.sock.recv(_CHUNK)
            if not part:
                raise BadAnswer("the connection was closed without a whole answer")
            self._buffer += part
            if len(self._buffer) > HEAD_LIMIT:
                raise BadAnswer("no end of the answer's head")
        found, self._buffer = self._buffer[:at], self._buffer[at + len(end) :]
        return found


def unix(path: str) -> Dial:
    def dial() -> socket.socket:
        return _connected(socket.socket(socket.AF_UNIX), path)

    return dial


def tcp(host: str, port: int, context: ssl.SSLContext | None = None) -> Dial:
    """``context`` makes it TLS."""

    def dial() -> socket.socket:
        sock = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            return sock
        try:
            return context.wrap_socket(sock, server_hostname=host)
        except BaseException:
            sock.close()
            raise

    return dial


def tls(material: Mapping[str, str], *, verify: bool) -> ssl.SSLContext:
    """``material``: paths of ``ca``, ``cert`` and ``key``, each where there is one. Raises OSError."""
    import ssl

    context = ssl.create_default_context(cafile=material.get("ca"))
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if "cert" in material and "key" in material:
        context.load_cert_chain(material["cert"], material["key"])
    return context


def _connected(sock: socket.socket, address: str) -> socket.socket:
    try:
        sock.settimeout(CONNECT_TIMEOUT)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _head(method: str, target: str, host: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "User-Agent: bluegreen"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None or method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(body or b'')}")
    for line in lines:
        if not line.isprintable():
            raise ValueError(f"{line!r} has a character that ends a line")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _parsed(head: bytes) -> tuple[int, dict[str, str], bool]:
    """The status, the headers, and whether the connection can be used again."""
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    code = rest[:3]
    if not version.startswith("HTTP/1.") or not (code.isascii() and code.isdigit()) or len(code) != 3:
        raise BadAnswer(f"no HTTP: {first[:60]!r}")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(code), headers, version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
