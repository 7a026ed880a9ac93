"""HTTP/1 over a bare socket, as strict as it can be read: nothing is repaired, retried or assumed.

The clock is read just before the bytes are handed to the kernel, in a process with one thread: a request begins when
it says so.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

RECEIVE = 1 << 16
HEAD_LIMIT = 1 << 16
_STATUS = re.compile(r"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n]*)?")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[^\r\n]*)?")


class Lost(Exception):
    """A request without its whole answer. ``problem`` is one of PROBLEMS, ``seen`` says what came instead."""

    def __init__(self, problem: str, seen: str) -> None:
        super().__init__(f"{problem}: {seen}")
        self.problem = problem
        self.seen = seen


PROBLEMS = ("connect", "closed", "timeout", "truncated", "status", "malformed", "body", "cut", "late")
"""Could not connect; the connection ended before an answer; no answer in time; an answer that ended before its end;
another status than expected; not HTTP; whole, and not what was expected; a stream ended under its reader; answered by
the old release after the new one had been confirmed."""


@dataclass(slots=True)
class Head:
    """A response's head. Names are in lower case; of a field that came twice the values are joined by ", "."""

    status: int
    minor: int
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this response."""
        tokens = {token.strip().lower() for token in self.fields.get("connection", "").split(",")}
        return "close" in tokens or (self.minor == 0 and "keep-alive" not in tokens)

    @property
    def slot(self) -> str | None:
        found = self.fields.get("x-bluegreen-slot")
        return found if found in ("blue", "green") else None

    @property
    def asset(self) -> bool:
        """Whether it is an asset that the release which was asked has not, from the one that has."""
        return self.fields.get("x-bluegreen-fallback") == "asset"


class Connection:
    """One connection, and what has been received on it and not been read yet."""

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._socket = sock
        self._loop = loop
        self._rest = bytearray()

    @classmethod
    async def open(cls, address: tuple[str, int], seconds: float) -> Connection:
        """Raises `Lost`."""
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(seconds):
                await loop.sock_connect(sock, address)
        except (OSError, TimeoutError) as error:
            sock.close()
            raise Lost("connect", _name(error)) from error
        except BaseException:
            sock.close()
            raise
        return cls(sock, loop)

    def close(self) -> None:
        self._socket.close()

    async def send(self, data: bytes | bytearray) -> None:
        """Raises OSError."""
        await self._loop.sock_sendall(self._socket, data)

    async def more(self) -> bool:
        """Receive; False at the end of the connection."""
        try:
            data = await self._loop.sock_recv(self._socket, RECEIVE)
        except OSError as error:
            raise Lost("closed", _name(error)) from error
        self._rest += data
        return bool(data)

    async def head(self) -> Head:
        """The next response's head."""
        while (end := self._rest.find(b"\r\n\r\n")) < 0:
            if len(self._rest) > HEAD_LIMIT:
                raise Lost("malformed", f"a head of more than {HEAD_LIMIT} bytes")
            if not await self.more():
                if not self._rest:
                    raise Lost("closed", "the connection ended before any answer")
                raise Lost("truncated", f"the connection ended in the head, after {_quoted(self._rest)}")
        lines = self._rest[:end].decode("latin-1").split("\r\n")
        del self._rest[: end + 4]
        return _head(lines)

    async def body(self, head: Head) -> AsyncIterator[bytes]:
        """The body's parts as they come, up to its announced end. Raises `Lost` where that is not reached."""
        coding, length = head.fields.get("transfer-encoding"), head.fields.get("content-length")
        if coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise Lost("malformed", f"Transfer-Encoding: {coding}, Content-Length: {length}")
            async for part in self._chunks():
                yield part
        elif length is not None:
            if not re.fullmatch(r"[0-9]{1,15}", length):
                raise Lost("malformed", f"Content-Length: {length}")
            async for part in self._sized(int(length)):
                yield part
        elif head.closes:
            async for part in self._rest_of_it():
                yield part
        elif head.status not in (204, 304):
            raise Lost("malformed", "an answer that doesn't say where it ends")

    def ends_clean(self) -> None:
        """Raises `Lost` where more was received than was announced."""
        if self._rest:
            raise Lost("malformed", f"more than was announced: {_quoted(self._rest)}")

    async def exactly(self, size: int) -> bytes:
        """So many bytes; `Lost` ("cut") where the connection ends before."""
        while len(self._rest) < size:
            if not await self.more():
                raise Lost("cut", "the connection ended")
        data = bytes(self._rest[:size])
        del self._rest[:size]
        return data

    async def _sized(self, length: int) -> AsyncIterator[bytes]:
        left = length
        while left:
            if not self._rest and not await self.more():
                raise Lost("truncated", f"{length - left} of {length} bytes")
            part = bytes(self._rest[:left])
            del self._rest[: len(part)]
            left -= len(part)
            yield part

    async def _chunks(self) -> AsyncIterator[bytes]:
        received = 0
        while True:
            line = await self._line(received)
            match = _CHUNK.fullmatch(line)
            if match is None:
                raise Lost("malformed", f"no size of a chunk: {_quoted(line)}")
            size = int(match[1], 16)
            if size == 0:
                break
            left = size
            while left:
                if not self._rest and not await self.more():
                    raise Lost("truncated", f"ended within a chunk, after {received} bytes")
                part = bytes(self._rest[:left])
                del self._rest[: len(part)]
                left -= len(part)
                received += len(part)
                yield part
            if await self._line(received):
                raise Lost("malformed", "a chunk is longer than its size")
        while await self._line(received):  # trailers
            continue

    async def _line(self, received: int) -> bytes:
        while (end := self._rest.find(b"\r\n")) < 0:
            if len(self._rest) > HEAD_LIMIT:
                raise Lost("malformed", f"no line: {_quoted(self._rest)}")
            if not await self.more():
                raise Lost("truncated", f"the last chunk is missing, after {received} bytes")
        line = bytes(self._rest[:end])
        del self._rest[: end + 2]
        return line

    async def _rest_of_it(self) -> AsyncIterator[bytes]:
        while True:
            if self._rest:
                part = bytes(self._rest)
                self._rest.clear()
                yield part
            if not await self.more():
                return


def _head(lines: list[str]) -> Head:
    status = _STATUS.fullmatch(lines[0])
    if status is None:
        raise Lost("malformed", f"no status line: {lines[0][:80]!r}")
    head = Head(int(status[2]), int(status[1]))
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise Lost("malformed", f"no field: {line[:80]!r}")
        key = name.lower()
        if key in head.fields and key == "content-length":
            raise Lost("malformed", "two Content-Lengths")
        head.fields[key] = f"{head.fields[key]}, {value.strip()}" if key in head.fields else value.strip()
    return head


def _name(error: BaseException) -> str:
    return str(error.strerror if isinstance(error, OSError) and error.strerror else error) or type(error).__name__


def _quoted(data: bytes | bytearray) -> str:
    return repr(bytes(data[:40]))[1:]
