"""How much of a token will circulate: a seeded Monte Carlo simulation. Standard library only.

Tokens are unlocked on a fixed schedule (emissions that halve, grants that vest) and burned with
demand, which returns to its mean but is shaken every month and shocked now and then. Each future
has a generator of its own, seeded by its number: asking for more months or more futures adds to
what was there before and changes none of it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

CAP = 1_000_000_000.0
PERCENTILES = (5, 25, 50, 75, 95)
MAX_BURN = 0.2  # of the supply in one month, whatever the demand


@dataclass(frozen=True)
class Grant:
    """Vests in equal parts over `duration` months; what accrued before the cliff vests at the cliff."""

    holder: str
    tokens: float
    cliff: int
    duration: int

    def vested(self, month: int) -> float:
        return 0.0 if month < self.cliff else self.tokens * min(1.0, month / self.duration)


@dataclass(frozen=True)
class Economy:
    """Tokens and monthly rates. Demand is an index around 1; `burn` is the share burned at 1."""

    genesis: float = 120e6
    emission: float = 450e6
    half_life: int = 18
    grants: tuple[Grant, ...] = (
        Grant("team", 180e6, cliff=12, duration=48),
        Grant("investors", 170e6, cliff=6, duration=30),
        Grant("treasury", 80e6, cliff=0, duration=60),
    )
    burn: float = 0.008
    reversion: float = 0.12
    volatility: float = 0.22
    shock_chance: float = 0.05
    shock: float = 0.7

    def schedule(self, months: int) -> tuple[float, ...]:
        """What is unlocked by each month from 0 to `months`, if nothing is ever burned."""
        return tuple(self._unlocked(month) for month in range(months + 1))

    def _unlocked(self, month: int) -> float:
        minted: float = self.emission * (1 - 0.5 ** (month / self.half_life))
        return self.genesis + minted + sum(grant.vested(month) for grant in self.grants)


DEFAULT = Economy()


class Month(NamedTuple):
    number: int
    demand: float
    burned: float  # by now, in total
    supply: float


@dataclass(frozen=True)
class Outlook:
    """Whole tokens, one value for each month from 0; `burned` and `shrinking` are about the last month."""

    seed: int
    runs: int
    months: int
    unlocked: tuple[int, ...]
    supply: dict[str, tuple[int, ...]]
    burned: int  # the median
    shrinking: float  # share of futures with less supply than a year before


def simulate(seed: int, runs: int, months: int, economy: Economy = DEFAULT) -> Outlook:
    """Raises ValueError for fewer than two runs or less than one month."""
    if runs < 2 or months < 1:
        raise ValueError(f"at least 2 runs and 1 month are needed, not {runs} and {months}")
    schedule = economy.schedule(months)
    futures = [list(future(seed, number, schedule, economy)) for number in range(runs)]
    columns = [sorted(month.supply for month in column) for column in zip(*futures, strict=True)]
    year_before = max(0, months - 12)
    return Outlook(
        seed=seed,
        runs=runs,
        months=months,
        unlocked=tuple(round(tokens) for tokens in schedule),
        supply={f"p{p}": tuple(round(percentile(column, p)) for column in columns) for p in PERCENTILES},
        burned=round(percentile(sorted(path[-1].burned for path in futures), 50)),
        shrinking=sum(path[-1].supply < path[year_before].supply for path in futures) / runs,
    )


def future(seed: int, number: int, schedule: Sequence[float], economy: Economy = DEFAULT) -> Iterator[Month]:
    """One possible future, month by month, as long as the schedule."""
    random = Random(f"{seed}:{number}")  # noqa: S311  # a simulation has to be repeatable, not secret
    supply, burned, mood = schedule[0], 0.0, 0.0
    yield Month(0, 1.0, burned, supply)
    for month in range(1, len(schedule)):
        mood += random.gauss(0.0, economy.volatility) - economy.reversion * mood
        if random.random() < economy.shock_chance:
            mood += economy.shock if random.random() < 0.5 else -economy.shock
        demand = math.exp(mood)
        supply += schedule[month] - schedule[month - 1]
        burning = supply * min(MAX_BURN, economy.burn * demand)
        supply -= burning
        burned += burning
        yield Month(month, demand, burned, supply)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Interpolates between the two nearest values; `ordered` is sorted and not empty."""
    position = (len(ordered) - 1) * percent / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
