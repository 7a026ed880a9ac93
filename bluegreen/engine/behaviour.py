"""What containers of the in-memory engine do once they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bluegreen.model.errors import EngineFailed


class Refused(ConnectionRefusedError):
    """Nothing listens at this address and port, as far as the caller can reach."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a container answers to an HTTP request."""

    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A container's conduct. By default it runs until it is stopped and answers 200 on every port."""

    exits: int | None = None  # ends at once with this code
    oom: bool = False  # is killed at once for its memory
    cannot_start: str | None = None  # the engine's words why the process could not be started
    health: Literal["starting", "healthy", "unhealthy"] | None = None
    ports: tuple[int, ...] | None = None  # where it listens; None: on all, (): on none
    loopback: bool = False  # listens on its own loopback only
    hangs: bool = False  # accepts connections and never answers
    answer: Answer = field(default_factory=Answer)
    answers: Mapping[str, Answer] = field(default_factory=dict)  # by path, with or without the query
    memory: int = 1 << 20  # bytes that it uses
    logs: tuple[str, ...] = ()  # what it writes when it starts

    def reply(self, port: int, path: str) -> Answer:
        """Raises `Refused` or TimeoutError as a connection from another container would fail."""
        if self.loopback or (self.ports is not None and port not in self.ports):
            raise Refused(f"connection refused on port {port}")
        if self.hangs:
            raise TimeoutError("no answer")
        return self.answers.get(path) or self.answers.get(path.partition("?")[0]) or self.answer


class MemoryStream:
    """A `bluegreen.engine.protocol.Stream` whose other side is a function: a line in, lines out.

    ``ended`` is called once when standard input is closed, as a process would see the end of its input.
    """

    def __init__(self, answer: Callable[[bytes], list[bytes]], ended: Callable[[], None] = lambda: None) -> None:
        self._answer = answer
        self._at_end = ended
        self._lines: list[bytes] = []
        self._errors = ""
        self._closed = False

    def send(self, line: bytes) -> None:
        if self._closed:
            raise EngineFailed("engine.stream", "the stream was closed")
        self._lines += self._answer(line)

    def receive(self, timeout: float | None = None) -> bytes:
        if self._lines:
            return self._lines.pop(0)
        if self._closed:
            return b""
        # Nobody else can write to it, so waiting would be for ever.
        raise EngineFailed("engine.timeout", f"no answer within {timeout} s")

    def errors(self) -> str:
        return self._errors

    def write_error(self, text: str) -> None:
        """The other side writes to standard error."""
        self._errors += text

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._at_end()

    def end(self) -> None:
        """The other side has ended, as when its container is killed: `receive` answers b""."""
        self._closed = True
