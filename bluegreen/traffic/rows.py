"""One row per service, slot and second: what is kept of a day of traffic, and added up again.

Rows are differences: those of two parts of a log add up to those of the whole. So a second may be written in
pieces, by whoever read them.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

BOUNDS = tuple(round(0.001 * 2 ** (step / 2), 6) for step in range(34))
"""Upper bounds of the histogram's buckets in seconds: 1 ms to 93 s, each half a power of two wider; then the rest."""

MOST_CLIENTS = 10_000
"""Told apart within one row. Beyond, its number of clients is a lower bound."""


@dataclass(slots=True)
class Row:
    """Requests of one service, in one slot, that ended within one second."""

    service: str
    slot: str
    second: int  # since 1970, by the proxy container's clock
    requests: int = 0
    errors: int = 0  # answered with 500 or above
    upstream_errors: int = 0  # tries that a container answered so, or not at all; a later try may have gone well
    seconds: float = 0.0  # all requests' together
    clients: int = 0  # at least so many
    histogram: dict[int, int] = field(default_factory=dict)  # place in BOUNDS to requests

    @property
    def key(self) -> tuple[str, str, int]:
        return self.service, self.slot, self.second

    def add(self, other: Row) -> None:
        """Of the same service and slot. Clients of two rows may be the same ones: the larger number is certain."""
        self.requests += other.requests
        self.errors += other.errors
        self.upstream_errors += other.upstream_errors
        self.seconds = round(self.seconds + other.seconds, 3)
        self.clients = max(self.clients, other.clients)
        for place, count in other.histogram.items():
            self.histogram[place] = self.histogram.get(place, 0) + count

    def took(self, times: Mapping[str, int]) -> None:
        """Requests by their seconds as the log writes them: each distinct text is turned into a number once."""
        for text, count in times.items():
            seconds = float(text)
            self.requests += count
            self.seconds += seconds * count
            where = place(seconds)
            self.histogram[where] = self.histogram.get(where, 0) + count
        self.seconds = round(self.seconds, 3)

    def quantile(self, q: float) -> float | None:
        """Upper bound in seconds of the bucket that the q-quantile (0 to 1) of the times is in. None: no request, or
        longer than the last bound."""
        left = q * self.requests
        for place, count in sorted(self.histogram.items()):
            left -= count
            if left <= 0 and count:
                return BOUNDS[place] if place < len(BOUNDS) else None
        return None

    def encode(self) -> list[Any]:
        """As it is stored: `decode` is its other side, and the order is for good."""
        numbers = [self.second, self.slot, self.service, self.requests, self.errors, self.upstream_errors]
        flat = [number for pair in sorted(self.histogram.items()) for number in pair]
        return [*numbers, round(self.seconds, 3), self.clients, flat]


def decode(stored: Any) -> Row:
    """Raises ValueError for what is no row."""
    try:
        second, slot, service, requests, errors, upstream_errors, seconds, clients, flat, *_later = stored
        histogram = dict(zip(map(int, flat[::2]), map(int, flat[1::2]), strict=True))
        numbers = (int(requests), int(errors), int(upstream_errors), float(seconds), int(clients))
        return Row(str(service), str(slot), int(second), *numbers, histogram)
    except (TypeError, ValueError) as error:
        raise ValueError(f"no row: {stored!r}") from error


def place(seconds: float) -> int:
    """The histogram's bucket for a time."""
    return bisect.bisect_left(BOUNDS, seconds)


def merge(rows: Iterable[Row]) -> list[Row]:
    """One row per key, in the order of time. Takes over the rows that it is given."""
    found: dict[tuple[str, str, int], Row] = {}
    for row in rows:
        known = found.setdefault(row.key, row)
        if known is not row:
            known.add(row)
    return sorted(found.values(), key=lambda row: (row.second, row.service, row.slot))


def wider(rows: Iterable[Row], seconds: int) -> Iterator[Row]:
    """Rows of so many seconds each, their `second` being the first."""
    together: dict[tuple[str, str, int], Row] = {}
    for row in rows:
        start = row.second - row.second % seconds
        known = together.setdefault((row.service, row.slot, start), Row(row.service, row.slot, start))
        known.add(row)
    yield from sorted(together.values(), key=lambda row: (row.second, row.service, row.slot))
