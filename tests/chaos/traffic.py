"""Constant traffic that forgives nothing and takes little of the machine: a few visitors who think between requests.

Each request must be answered whole, with 200, on the connection it was sent on.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.scenarios.strict_client import Lost, Visitor
from tests.support import eventually

KINDS = ("reuse", "reuse", "reuse", "close", "post")
PAUSE = 0.05
"""Seconds that a visitor thinks between two requests."""


@dataclass(frozen=True)
class Loss:
    begin: float  # time.monotonic()
    end: float
    kind: str
    why: str

    def __str__(self) -> str:
        return f"{self.kind} after {self.end - self.begin:.3f} s: {self.why}"


class Traffic:
    """Visitors of one address, from `start` to `stop`."""

    def __init__(self, port: int) -> None:
        self.answered: Counter[str] = Counter()
        self.lost: list[Loss] = []
        self.first: float | None = None  # when the first answer came after `forget`
        self._stopping = threading.Event()
        self._visitors = [_Paced(("127.0.0.1", port), kind, self._stopping, self) for kind in KINDS]
        for visitor in self._visitors:
            visitor.start()

    def forget(self) -> None:
        """Nothing has been answered yet."""
        self.first = None

    def stop(self) -> None:
        self._stopping.set()
        for visitor in self._visitors:
            visitor.join(30)

    @contextmanager
    def strict(self) -> Iterator[Gaps]:
        """No request that begins in here may be lost, outside of the gaps that are opened."""
        gaps = Gaps()
        begin = time.monotonic()
        yield gaps
        gaps.close()
        end = time.monotonic()
        # What is lost is known once it is over.
        under_way = [visitor.turns for visitor in self._visitors]
        eventually(
            lambda: all(v.turns > turns for v, turns in zip(self._visitors, under_way, strict=True)),
            60,
            "every visitor's answer",
        )
        found = [loss for loss in list(self.lost) if begin <= loss.begin <= end and not gaps.excuse(loss)]
        assert not found, f"{len(found)} requests lost: {'; '.join(map(str, found[:4]))}"


class Gaps:
    """When requests may be lost, because it was said that they would be."""

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []
        self._begin: float | None = None

    def open(self) -> None:
        self._begin = self._begin or time.monotonic()

    def close(self, at: float | None = None) -> None:
        """Idempotent. ``at`` a moment that is past already."""
        if self._begin is not None:
            self._spans.append((self._begin, at or time.monotonic()))
            self._begin = None

    def excuse(self, loss: Loss) -> bool:
        return any(loss.begin <= end and loss.end >= begin for begin, end in self._spans)


class _Paced(Visitor):
    def __init__(self, address: tuple[str, int], kind: str, stop: threading.Event, traffic: Traffic) -> None:
        super().__init__(address, kind, stop)
        self.turns = 0
        self._traffic = traffic
        self._stop_event = stop

    def run(self) -> None:
        while not self._stop_event.wait(PAUSE):
            begin = time.monotonic()
            try:
                if self._socket is None:
                    self._connect()
                _, reusable = self._exchange()
                self._traffic.answered[self.kind] += 1
                self._traffic.first = self._traffic.first or time.monotonic()
            except (OSError, Lost, ValueError, KeyError, IndexError) as error:
                self._traffic.lost.append(Loss(begin, time.monotonic(), self.kind, f"{type(error).__name__}: {error}"))
                reusable = False
            self.turns += 1
            if not reusable:
                self._close()
        self._close()
