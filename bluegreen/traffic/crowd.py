"""Who asks: how many clients there are, and whether they can be told apart at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from bluegreen.traffic.lines import Hit

ENOUGH = 200
"""Requests before anything is said about who sends them."""

NEARLY_ALL = 0.8
"""Of the requests; both are the judge's numbers too."""
MOST = 50_000
"""Clients that are remembered by name; when there are more, the half that asked least is forgotten."""


class Crowd:
    """Counts the clients of the hits it sees, within bounds."""

    def __init__(self) -> None:
        self.requests = 0
        self.distinct = 0
        """Clients seen for the first time. One who was forgotten meanwhile is counted again."""
        self._asked: Counter[str] = Counter()
        self._first = 0.0
        self._last = 0.0
        self._fresh: Counter[int] = Counter()  # minute to clients first seen in it

    def see(self, hits: Iterable[Hit]) -> None:
        asked = self._asked
        for hit in hits:
            client = hit.client
            if client not in asked:
                self.distinct += 1
                self._fresh[int(hit.ended) // 60] += 1
            asked[client] += 1
            self.requests += 1
            if not self._first:
                self._first = hit.ended
            self._last = max(self._last, hit.ended)
        if len(asked) > MOST:
            self._asked = Counter(dict(asked.most_common(MOST // 2)))

    @property
    def top(self) -> tuple[str, float]:
        """The client who asked most, and the share of all requests that were theirs, 0 to 1."""
        if not self.requests:
            return "", 0.0
        client, count = self._asked.most_common(1)[0]
        return client, count / self.requests

    @property
    def one_address(self) -> str | None:
        """The address that nearly all requests come from, where they do."""
        client, share = self.top
        seems_address = "." in client or ":" in client
        return client if self.requests >= ENOUGH and share >= NEARLY_ALL and seems_address else None

    def new_per_second(self) -> float:
        """Clients a second whom nobody had seen before; over the second half of what was seen, since at first all are
        new. 0.0 where that is less than a minute."""
        minutes = range(int(self._first) // 60, int(self._last) // 60 + 1)
        later = minutes[len(minutes) // 2 :]
        span = self._last - max(self._first, later[0] * 60) if later else 0.0
        return sum(self._fresh[minute] for minute in later) / span if span >= 30 else 0.0

    def warning(self) -> str | None:
        """What to say to the operator where clients can't be told apart; None where they can."""
        address = self.one_address
        if address is None:
            return None
        return (
            f"nearly all requests ({self.top[1]:.0%} of {self.requests}) come from one address, {address}: clients "
            "can't be told apart. If that is a proxy in front of this one, name it under "
            "x-bluegreen.proxy.trusted_proxies, and who is behind it is seen"
        )
