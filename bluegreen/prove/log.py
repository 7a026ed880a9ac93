"""What the clients' process knows and says: records to a file, everything else as JSON lines."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from bluegreen.prove.kinds import NUMBERS
from bluegreen.prove.records import pack
from bluegreen.prove.wire import Head, Lost

FULL = 1 << 16
MOST_SAID = 200
"""Failures that are told one by one; all are counted."""


class Log:
    """``say`` gets what has to be told at once: failures, streams that ended, and that all have begun."""

    def __init__(
        self, file: BinaryIO, say: Callable[[Mapping[str, Any]], None], numbers: Mapping[str, list[int]]
    ) -> None:
        self._file = file
        self._say = say
        self.numbers = numbers
        self._begun: set[str] = set()
        self._buffer = bytearray()
        self.connections = 0
        self.resent = 0
        self.assets = 0
        self.posts = 0
        self.uploads = 0
        self.answers: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    def answer(self, begun: float, kind: str, head: Head) -> None:
        """A whole answer, now. An asset that the other release had to give says nothing about who has the traffic: it
        is counted apart."""
        self.assets += head.asset
        self._buffer += pack(begun, time.monotonic(), NUMBERS[kind], None if head.asset else head.slot)
        self.answers[kind] += 1
        self._begins(kind)
        if len(self._buffer) > FULL:
            self.flush()

    def failure(
        self, kind: str, client: int, number: int, begun: float, method: str, path: str, name: str, why: Lost
    ) -> None:
        self.failures[kind] += 1
        self._begins(kind)
        if sum(self.failures.values()) <= MOST_SAID:
            self._say(
                {
                    "say": "failure",
                    "kind": kind,
                    "client": client,
                    "number": number,
                    "begun": begun,
                    "ended": time.monotonic(),
                    "method": method,
                    "path": path,
                    "id": name,
                    "problem": why.problem,
                    "seen": why.seen,
                }
            )
        else:
            self._say({"say": "failure", "kind": kind, "problem": why.problem})

    def stream(
        self, kind: str, client: int, begun: float, slot: str | None, how: str, seen: str, path: str, name: str
    ) -> None:
        """A stream has ended: by its client, by the server, or cut."""
        self._say(
            {
                "say": "stream",
                "kind": kind,
                "client": client,
                "begun": begun,
                "ended": time.monotonic(),
                "slot": slot,
                "how": how,
                "seen": seen,
                "path": path,
                "id": name,
            }
        )

    def flush(self) -> None:
        self._file.write(self._buffer)
        self._file.flush()
        self._buffer.clear()

    def counters(self) -> dict[str, Any]:
        return {
            "connections": self.connections,
            "resent": self.resent,
            "assets": self.assets,
            "posts": self.posts,
            "uploads": self.uploads,
            "answers": dict(self.answers),
            "failures": dict(self.failures),
        }

    def _begins(self, kind: str) -> None:
        if kind not in self._begun:
            self._begun.add(kind)
            if not self.numbers.keys() - self._begun:
                self._say({"say": "ready"})
