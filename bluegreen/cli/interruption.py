"""The first Ctrl-C ends in good order what goes on until it is enough; the second is as everywhere."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def first_interruption(stop: Callable[[], None]) -> Iterator[None]:
    """``stop`` does nothing but note it: what it interrupts may hold the lock of whatever it would use."""
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        before.clear()

    def handle(_number: int, _frame: object) -> None:
        restore()
        stop()

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, handle)
    except ValueError:  # not the main thread
        pass
    try:
        yield
    finally:
        restore()
