"""Is one side worse? A test martingale over clients, each counted once.

Among those who see their first error, x says whether the candidate served it, and w is the share of clients routed to
it. If its clients see errors R times as often as live's, x is 1 with probability theta(R) = wR / (wR + 1 - w). For
each R the product of likelihood ratios against theta(R0) is a nonnegative martingale of mean 1 where R0 is true, and
so is the mean over several R. By Ville's inequality (1939) such a one *ever* reaches 1/alpha with probability at most
alpha: it may be looked at after each client, and across steps.
"""

from __future__ import annotations

from functools import cache
from math import exp, log
from operator import add

ERROR_RATIOS = (2.0, 4.0, 8.0, 16.0, 64.0, 1024.0)
SLOW_RATIOS = (1.5, 2.0, 3.0, 5.0, 10.0)
# Too many and too few alike.
SPLIT_RATIOS = (1 / 64, 1 / 8, 1 / 4, 1 / 2, 2 / 3, 4 / 5, 5 / 4, 3 / 2, 2.0, 4.0, 8.0, 64.0)

_MOST = 690.0  # exp of more would not be a float


class Comparison:
    """The mean over ``ratios`` (each times ``tolerated``) of the likelihood ratios, in logarithms."""

    __slots__ = ("_limit", "_logs", "_ratios", "_tolerated", "threshold")

    def __init__(self, ratios: tuple[float, ...], alpha: float, tolerated: float = 1.0) -> None:
        self._ratios = ratios
        self._tolerated = tolerated
        self._logs = [0.0] * len(ratios)
        self.threshold = 1 / alpha
        self._limit = log(self.threshold)

    def see(self, candidate: bool, w: float) -> bool:
        """One client more; ``w`` is above 0 and below 1. Returns whether the threshold is reached now."""
        changes = _changes(self._ratios, self._tolerated, w)[candidate]
        logs = self._logs = list(map(add, self._logs, changes))
        # The mean is at most the largest, which spares the exponentials nearly always.
        return max(logs) >= self._limit and self.log_e >= self._limit

    @property
    def log_e(self) -> float:
        return log_mean(self._logs)

    @property
    def e(self) -> float:
        return exp(min(self.log_e, _MOST))


def log_mean(logs: list[float]) -> float:
    """The logarithm of the mean of the numbers with these logarithms."""
    largest = max(logs)
    return largest + log(sum(exp(one - largest) for one in logs) / len(logs))


@cache
def _changes(ratios: tuple[float, ...], tolerated: float, w: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What a client of live's, and one of the candidate's, adds to each logarithm.

    theta(R)/theta(R0) is R/R0 times (1 - theta(R))/(1 - theta(R0)), and that is (w R0 + 1 - w)/(w R + 1 - w). Both fall
    as w grows while R > R0: where the share is in doubt, the larger one is the careful choice.
    """
    if not 0 < w < 1:
        raise ValueError(f"a share of {w:g} has nothing to compare")
    of_live = tuple(log(w * tolerated + 1 - w) - log(w * tolerated * ratio + 1 - w) for ratio in ratios)
    return of_live, tuple(change + log(ratio) for change, ratio in zip(of_live, ratios, strict=True))
