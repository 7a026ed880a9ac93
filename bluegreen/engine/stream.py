"""The standard streams of one exec over the connection that the engine hands over."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bluegreen.engine.errors import reason
from bluegreen.model.errors import EngineFailed

if TYPE_CHECKING:
    from requests import Response

    from bluegreen.engine.wire import Answer

_HEADER = struct.Struct(">BxxxL")
_STDERR = (2, 3)  # 3 is the engine's own error about the stream
_CHUNK = 65536
_START_FAILED = (b"OCI runtime exec failed:", b"failed to start exec")


class ExecStream:
    """A `bluegreen.engine.protocol.Stream`. For one thread at a time."""

    def __init__(self, answer: Answer, what: str) -> None:
        """Takes over the connection of an exec's start; ``what`` names the exec in errors."""
        self._what = what
        self._pipe = _Pipe(answer)
        self._frames = Demux()
        self._pending: list[bytes] = []  # of standard output, without a newline yet; a long line comes in many parts
        self._lines: list[bytes] = []
        self._errors = b""
        self._ended = False
        self._begun = False
        self._closed = False

    def send(self, line: bytes) -> None:
        if self._closed:
            raise EngineFailed("engine.stream", f"{self._what}: the stream was closed")
        try:
            self._pipe.write(line)
        except (OSError, ValueError) as error:
            raise EngineFailed(
                "engine.stream", f"{self._what}: it has ended: {self._last_words(reason(error))}"
            ) from error

    def receive(self, timeout: float | None = None) -> bytes:
        while not self._lines:
            if self._ended:
                rest, self._pending = self._pending, []
                return b"".join(rest)
            self._fill(timeout)
        return self._lines.pop(0)

    def errors(self) -> str:
        return self._errors.decode(errors="replace")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._pipe.close()

    def _fill(self, timeout: float | None) -> None:
        try:
            data = self._pipe.read(timeout)
        except TimeoutError as error:
            raise EngineFailed(
                "engine.timeout",
                f"{self._what}: no answer within {timeout:g} s" if timeout is not None else f"{self._what}: no answer",
            ) from error
        except (OSError, ValueError) as error:
            # A connection that breaks is an end too; what it was in the middle of shows at the caller's.
            self._errors += f"connection lost: {reason(error)}".encode()
            data = b""
        if not data:
            self._ended = True
        for kind, payload in self._frames.feed(data):
            if kind in _STDERR:
                self._errors += payload
                continue
            if not self._begun:
                self._begun = True
                if payload.startswith(_START_FAILED):
                    raise cannot_start(payload.decode(errors="replace"), self._what)
            *whole, rest = payload.split(b"\n")
            if whole:
                whole[0] = b"".join((*self._pending, whole[0]))
                self._lines += whole
                self._pending = []
            if rest:
                self._pending.append(rest)

    def _last_words(self, otherwise: str) -> str:
        lines = self.errors().strip().splitlines()
        return lines[-1] if lines else otherwise


class Demux:
    """Splits the engine's multiplexed output into (stream, bytes); 1 is standard output, 2 standard error."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Frames that are complete with this data."""
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            payload, self._buffer = self._buffer[_HEADER.size : end], self._buffer[end:]
            yield kind, payload


def cannot_start(message: str, what: str) -> EngineFailed:
    """The runtime's long chain of causes, in words: which command, and what is wrong with it."""
    import re

    text = message.strip()
    command = re.search(r'exec: "((?:[^"\\]|\\.)*)"', text)
    named = f"the command {command[1]!r}" if command else "its command"
    if "executable file not found" in text:
        why = f"{named} was not found in the image"
    elif "no such file or directory" in text and command:
        why = f"{named} does not exist in the image, or the interpreter in its first line does not"
    elif "permission denied" in text:
        why = f"{named} may not be executed (permission denied)"
    elif "exec format error" in text:
        why = f"{named} is no program for this engine's processor, or a script without a #! line"
    elif "is a directory" in text:
        why = f"{named} is a directory"
    else:
        why = text.rpartition("unable to start container process: ")[2].removesuffix(": unknown")
    return EngineFailed("engine.cannot-start", f"{what}: {why}")


def cut(responses: Iterable[Response]) -> None:
    """End these connections of the SDK's under their readers, from any thread."""
    import socket

    for response in responses:
        with suppress(Exception):  # one that has ended has nothing left to cut
            raw: Any = response.raw  # there is no public way to its connection
            raw._fp.fp.raw._sock.shutdown(socket.SHUT_RDWR)


class _Pipe:
    """The connection of an upgraded answer: unix, TCP or TLS."""

    def __init__(self, answer: Answer) -> None:
        # The first output may have come with the headers.
        self._sock, self._early = answer.take()

    def read(self, timeout: float | None) -> bytes:
        if self._early:
            early, self._early = self._early, b""
            return early
        self._sock.settimeout(timeout)
        return self._sock.recv(_CHUNK)

    def write(self, data: bytes) -> None:
        self._sock.settimeout(None)
        self._sock.sendall(data)

    def close(self) -> None:
        import socket

        # Half a close first: the engine passes it on as the end of standard input. It fails where the other
        # side was first.
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        self._sock.close()
