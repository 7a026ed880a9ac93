"""Lines to rows, as fast as one core reads them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from bluegreen.traffic.lines import NOT_DRAWN, fields, pieces
from bluegreen.traffic.rows import MOST_CLIENTS, Row

_STATUS = re.compile(r"[0-9]{3}")


class Fold:
    """Adds up buffers of the proxy's own log. What the preview and testers ask for is counted apart."""

    def __init__(self) -> None:
        self.lines = 0
        self.unreadable = 0
        self.not_drawn = 0
        self._tallies: dict[tuple[str, str, str], _Tally] = {}

    @property
    def size(self) -> int:
        """Rows that `take` would answer."""
        return len(self._tallies)

    def add(self, chunk: bytes) -> None:
        """A buffer that ends with the end of a line."""
        for piece in pieces(chunk):
            found = fields(piece)
            self.unreadable += piece.count(b"\n") - len(found)
            self.count(found)

    def count(self, found: Sequence[tuple[str, ...]]) -> None:
        """Lines that are read already, as hits or `fields`."""
        tallies = self._tallies
        self.lines += len(found)
        for t, slot, _, bucket, service, status, took, tries, _, client, _, _ in found:
            if bucket in NOT_DRAWN:
                self.not_drawn += 1
                continue
            key = (t[:-4], slot, service)
            tally = tallies.get(key)
            if tally is None:
                tally = tallies[key] = _Tally()
            tally.took[took] += 1
            if tries != status or status >= "500":
                tally.statuses[status, tries] += 1
            if len(tally.clients) < MOST_CLIENTS:
                tally.clients.add(client)

    def take(self) -> list[Row]:
        """The rows so far, in the order of time; counting begins anew."""
        tallies, self._tallies = self._tallies, {}
        rows = [tally.row(*key) for key, tally in tallies.items()]
        return sorted(rows, key=lambda row: (row.second, row.service, row.slot))


class _Tally:
    """Counts of texts, which become numbers once per distinct one and not once per line."""

    __slots__ = ("clients", "statuses", "took")

    def __init__(self) -> None:
        self.took: Counter[str] = Counter()
        self.statuses: Counter[tuple[str, str]] = Counter()
        self.clients: set[str] = set()

    def row(self, second: str, slot: str, service: str) -> Row:
        row = Row(service, slot, int(second), clients=len(self.clients))
        row.took(self.took)
        for (status, tries), count in self.statuses.items():
            row.errors += count * (status >= "500")
            row.upstream_errors += count * sum(one >= "500" for one in _STATUS.findall(tries))
        return row
