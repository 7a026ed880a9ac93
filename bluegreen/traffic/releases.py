"""Which release a slot held, by time: the journal knows, and no line of the log has to."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any


class Holders:
    """From the journal's events, oldest first.

    A slot is a release's from the beginning of the operation that brings it there: whoever asks with the time at which
    a request began is told right, since a slot that is filled anew gets no new requests until it is switched to.
    """

    def __init__(self, events: Iterable[Mapping[str, Any]]) -> None:
        self._times: dict[str, list[float]] = {}
        self._numbers: dict[str, list[int]] = {}
        for event in events:
            self._see(event)

    def release(self, slot: str, at: float) -> int | None:
        """The number of the release in a slot at a time (seconds since 1970). None: nobody knows."""
        place = bisect.bisect_right(self._times.get(slot, []), at)
        return self._numbers[slot][place - 1] if place else None

    def _see(self, event: Mapping[str, Any]) -> None:
        if event.get("event") != "begin" or event.get("release") is None or not event.get("slot"):
            return
        at = _seconds(str(event.get("t", "")))
        slot, number = str(event["slot"]), int(event["release"])
        times, numbers = self._times.setdefault(slot, []), self._numbers.setdefault(slot, [])
        if at is None or (numbers and numbers[-1] == number):
            return
        times.append(max(at, times[-1]) if times else at)  # of a clock that was set back the journal's order counts
        numbers.append(number)


def _seconds(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
