"""Deploys of two equal (or unequal) releases, drawn from a seed, at the level of clients' first errors.

What comes after a client's first error changes nothing, and neither does any answer without one
(`test_judge.py` holds the judge to that), so that first errors are all that has to be drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from bluegreen.judge.comparison import ERROR_RATIOS, Comparison

ALPHA = 0.01
SURPRISE = 1e-4
"""The probability with which a test here may fail by chance with another seed."""

Met = Iterator[tuple[bool, float]]  # whether the candidate served it, and w


def most_by_chance(runs: int, probability: float) -> int:
    """The number that a binomial count exceeds with a probability below SURPRISE."""
    term = math.exp(runs * math.log1p(-probability))
    total, count = term, 0
    while total < 1 - SURPRISE:
        term *= (runs - count) / (count + 1) * probability / (1 - probability)
        count += 1
        total += term
    return count


def taken_back(runs: int, seed: int, draw: Callable[[Random], Met], alpha: float = ALPHA) -> int:
    """In how many of so many deploys the threshold is ever reached."""
    random = Random(seed)  # noqa: S311 - a simulation
    count = 0
    for _ in range(runs):
        comparison = Comparison(ERROR_RATIOS, alpha)
        count += any(comparison.see(x, w) for x, w in draw(random))
    return count


def plain(random: Random, clients: int, rate: float, w: float) -> Met:
    """New clients, each with one request, which fails at this rate on both sides."""
    at = 0
    while True:
        at += 1 + int(math.log(1 - random.random()) / math.log1p(-rate))  # the next who sees an error
        if at > clients:
            return
        yield random.random() < w, w


@dataclass(frozen=True)
class Ramp:
    """Shares in percent and when each begins; the last lasts to the end."""

    steps: tuple[tuple[float, int], ...] = ((0.0, 5), (0.25, 10), (0.5, 25), (0.75, 50))

    def share(self, at: float) -> int:
        return next(share for begin, share in reversed(self.steps) if begin <= at)


def first_errors(errors: Sequence[tuple[float, int]], ramp: Ramp) -> Met:
    """Clients given by the moment (0 to 1) of their first error and their bucket."""
    for at, bucket in sorted(errors):
        share = ramp.share(at)
        yield bucket < share, share / 100


def returning(random: Random, clients: int, hazard: Callable[[Random], float], ramp: Ramp) -> Met:
    """A fixed set of visitors, each with a bucket and a hazard of its own; their first errors over a time of 1."""
    errors = []
    for _ in range(clients):
        at = random.expovariate(hazard(random))
        if at < 1:
            errors.append((at, random.randrange(100)))
    return first_errors(errors, ramp)
