"""Is the candidate good enough? The other question, with an error of its own: few enough of its clients see errors."""

from __future__ import annotations

from math import exp, log

from bluegreen.judge.comparison import log_mean

FRACTIONS = (1 / 20, 1 / 5, 1 / 2)
"""The rates, as parts of p_max, against which p_max is held."""


class Passing:
    """The mean over q of the product of (q/p_max)^y ((1-q)/(1-p_max))^(1-y), one factor for each client.

    A client counts as clean (y = 0) from its first answer, and is changed to y = 1 when it sees an error later. That
    can only lower the number, since q < p_max, so that the bound for first answers holds all the more.
    """

    __slots__ = ("_clean", "_erred", "_limit", "clients", "erring", "threshold")

    def __init__(self, p_max: float, beta: float) -> None:
        self._erred = [log(fraction) for fraction in FRACTIONS]
        self._clean = [log(1 - fraction * p_max) - log(1 - p_max) for fraction in FRACTIONS]
        self.threshold = 1 / beta
        self._limit = log(self.threshold)
        self.clients = 0
        self.erring = 0

    @property
    def log_e(self) -> float:
        clean, erring = self.clients - self.erring, self.erring
        return log_mean([clean * c + erring * e for c, e in zip(self._clean, self._erred, strict=True)])

    @property
    def e(self) -> float:
        return exp(min(self.log_e, 690.0))

    @property
    def reached(self) -> bool:
        return self.log_e >= self._limit


def clean_needed(p_max: float, beta: float) -> int:
    """How many clients without any error make a pass."""
    passing = Passing(p_max, beta)
    few, many = 0, 1
    while True:
        passing.clients = many
        if passing.reached:
            break
        few, many = many, many * 2
    while many - few > 1:
        passing.clients = middle = (few + many) // 2
        few, many = (few, middle) if passing.reached else (middle, many)
    return many
