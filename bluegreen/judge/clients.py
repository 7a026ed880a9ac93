"""Who counts, and by which share: what makes the draws that are compared independent of each other."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

MARGIN = 1.0
"""Seconds around a shift within which the larger of both shares counts: clocks are read in two places."""

POOL_REQUESTS = 200
POOL_PART = 0.8
"""Nearly all requests are of one client where it has this part of so many."""

BUCKETS = 100


class Shares:
    """The candidate's share over time."""

    __slots__ = ("_moments", "_shares")

    def __init__(self) -> None:
        self._moments: list[float] = []
        self._shares: list[int] = []

    def shift(self, at: float, share: int) -> None:
        if self._moments and at < self._moments[-1]:
            at = self._moments[-1]  # the clock was set back: the order is what is known
        self._moments.append(at)
        self._shares.append(share)

    def set_back(self, seconds: float) -> None:
        """The clock was, by so much."""
        self._moments = [moment - seconds for moment in self._moments]

    @property
    def now(self) -> int:
        return self._shares[-1] if self._shares else 0

    @property
    def since(self) -> float | None:
        """When there was a share for the first time."""
        return next((at for at, share in zip(self._moments, self._shares, strict=True) if share > 0), None)

    def at(self, moment: float) -> int:
        """The largest share within the margin around this moment; 0 before the first."""
        moments = self._moments
        if not moments:
            return 0
        if moment - MARGIN >= moments[-1]:
            return self._shares[-1]
        first = max(bisect_left(moments, moment - MARGIN) - 1, 0)
        last = bisect_left(moments, moment + MARGIN)
        known = self._shares[first:last]
        return max(known) if known else 0


class Draws:
    """Which places have been counted in one comparison.

    Visitors without a cookie get their place by address and user agent, so that several visitors behind one address
    may share one draw; and one visitor may be seen by address first and by cookie later. So each place (bucket) of an
    address counts once. The draws that are left then are those into its other places, and w is the part of *these*
    that the candidate has: exact, whoever is behind the address.
    """

    __slots__ = ("_places", "_sticky")

    def __init__(self, sticky: bool) -> None:
        self._sticky = sticky  # False: each request is drawn anew
        self._places: dict[str, int] = {}  # a bit for each bucket that was counted

    def take(self, address: str, bucket: int | None, share: int) -> float | None:
        """The w by which a client that wasn't counted before counts, above 0 and below 1. None: it doesn't."""
        candidates, places = share, BUCKETS
        if self._sticky and address and bucket is not None:
            taken = self._places.get(address, 0)
            place = 1 << bucket
            if taken & place:
                return None
            self._places[address] = taken | place
            candidates -= (taken & ((1 << share) - 1)).bit_count()
            places -= taken.bit_count()
        return candidates / places if 0 < candidates < places else None


class Pool:
    """Notices where nearly all requests are of one client: then clients can't be told apart.

    It looks at requests alone and never at who answered, so that what it changes does not depend on the draws.
    """

    __slots__ = ("client", "part")

    def __init__(self) -> None:
        self.client: str | None = None
        self.part = 0.0  # of the requests that showed it

    def see(self, clients: Sequence[str]) -> None:
        """Whose the last `POOL_REQUESTS` requests were."""
        ((most, requests),) = Counter(clients).most_common(1)
        if self.client is None and most and requests >= POOL_REQUESTS * POOL_PART:
            self.client, self.part = most, requests / POOL_REQUESTS
