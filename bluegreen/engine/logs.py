"""Lines of a container's log from the engine's frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bluegreen.engine.stream import Demux

if TYPE_CHECKING:
    from bluegreen.engine.wire import Answer


def lines(answer: Answer, tty: bool) -> Iterator[bytes]:
    """Whole lines without their newlines, in the order in which they were completed.

    Each stream is put together for itself: the engine cuts long lines into frames.
    """
    frames = Demux()
    partial: dict[int, bytes] = {}
    try:
        # One byte at least: the read returns with what is there, so a followed log isn't held back.
        while data := answer.read():
            for stream, payload in [(1, data)] if tty else frames.feed(data):
                *whole, partial[stream] = (partial.get(stream, b"") + payload).split(b"\n")
                yield from (line.rstrip(b"\r") if tty else line for line in whole)
        yield from (rest for rest in partial.values() if rest)
    finally:
        answer.close()


def unix_time(moment: str) -> str:
    """An RFC 3339 time as the engine wants it, nanoseconds kept. Raises ValueError for anything else."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", moment)
    if match is None:
        raise ValueError(f"{moment!r} is no RFC 3339 time")
    seconds = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00")).astimezone(UTC)
    return f"{int(seconds.timestamp())}.{(match[2] or '').ljust(9, '0')}"
