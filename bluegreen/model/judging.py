"""What a release is judged by, and what came of it: settings, facts and verdicts as values.

Moments are seconds since the epoch, durations seconds, shares percent (0 to 100), rates and probabilities 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Literal

from bluegreen.model.value import dataclass

Then = Literal["hold", "promote", "rollback"]


class Outcome(StrEnum):
    PASS = "pass"  # noqa: S105 - an outcome, and no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """How much error a verdict may have, and what is looked at besides."""

    tolerated: float = 1.0  # 1 to 1000: how many times as often as live's the candidate's clients may see errors
    alpha: float = 0.01  # of ever taking back, for its errors, a release that is within that
    latency: bool = True  # whether slowness takes a release back
    latency_alpha: float = 0.005
    split_alpha: float = 0.01  # of ever warning of a sound split
    p_max: float = 0.02  # a pass says: fewer of the candidate's clients than this see errors
    beta: float = 0.05  # of passing, in one step, a release of which that isn't true
    inconclusive: Then = "hold"  # what to do where there is neither
    bake_alpha: float = 0.01  # of an alarm within the horizon, and again of a history that looked too good
    bake_horizon: int = 1_000_000  # requests
    max_error_rate: float | None = None  # of the candidate's requests in this step, from min_requests on
    min_requests: int = 100
    max_restarts: int | None = None  # of one service's containers
    max_memory_growth: float | None = None  # times what the service had at the start


def problems(settings: JudgeSettings) -> tuple[str, ...]:
    """What can't be judged by, each as ``field: reason``."""
    found = []
    for name in ("alpha", "latency_alpha", "split_alpha", "beta", "bake_alpha"):
        value = getattr(settings, name)
        if not 1e-9 <= value <= 0.5:
            found.append(f"{name}: {value:g} is not between 0.000000001 and 0.5")
    if not 1 <= settings.tolerated <= 1000:
        # Below 1 the bound would not hold: live's clients would be used up first (docs/judge.md).
        found.append(f"tolerated: {settings.tolerated:g} is not between 1 and 1000")
    for name in ("p_max", "max_error_rate"):
        value = getattr(settings, name)
        if value is not None and not 0 < value < 1:
            found.append(f"{name}: {value:g} is not between 0 and 1")
    for name, least in (("bake_horizon", 1000), ("min_requests", 1), ("max_restarts", 0)):
        value = getattr(settings, name)
        if value is not None and value < least:
            found.append(f"{name}: {value} is less than {least}")
    growth = settings.max_memory_growth
    if growth is not None and not (math.isfinite(growth) and growth > 1):
        found.append(f"max_memory_growth: {growth:g} is not above 1")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Check:
    """What a command or a query of the project's own said of the candidate."""

    name: str
    ok: bool
    said: str = ""  # one line


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen of the candidate's containers, by service, at one moment. Empty: it was not looked at."""

    healthy: Mapping[str, int] = field(default_factory=dict)  # containers
    restarts: Mapping[str, int] = field(default_factory=dict)  # since it got traffic
    memory: Mapping[str, float] = field(default_factory=dict)  # times what it was when it got traffic
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Count:
    """``hit`` of ``of`` clients: those who saw it, and all."""

    hit: int = 0
    of: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    at: float
    what: str  # GET /api/v1/simulate 500
    service: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was looked at. ``alpha`` 0: it stands outside the bound, and ``said`` tells it."""

    name: str  # errors, latency, split, pass, bake; healthy, error_rate, restarts, memory; or a check's name
    holds: bool  # what it looks for is so
    alpha: float = 0.0
    e: float | None = None
    threshold: float | None = None
    candidate: Count = Count()
    live: Count = Count()
    services: tuple[str, ...] = ()  # with the most first
    first: Sample | None = None  # of the candidate
    at: float | None = None  # when the threshold was reached
    said: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reason`` is one line with the numbers; ``alpha_sum`` the probability of taking back a good release that all
    comparisons together may have. What stands outside of that bound is said so in the reason."""

    outcome: Outcome
    reason: str
    live: str
    candidate: str
    share: int
    at: float
    since: float | None  # when the candidate got its first share
    evidence: tuple[Evidence, ...]
    alpha_sum: float
    bounded: bool = True  # False: a fail by something outside the bound
    then: Then = "hold"  # what to do when it is inconclusive
    warnings: tuple[str, ...] = ()
