"""Percentiles: of any number of durations within 1 %, and of a few exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BASE = 1.01
_LEAST = 0.001
PERCENTILES = (50.0, 90.0, 99.0, 99.9)


class Histogram:
    """Durations in milliseconds. ``max`` is exact, percentiles are within 1 %."""

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.max = 0.0

    def add(self, ms: float) -> None:
        bucket = math.ceil(math.log(max(ms, _LEAST) / _LEAST, _BASE))
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self.max = max(self.max, ms)

    def percentile(self, percent: float) -> float:
        """The least value that so many per cent don't exceed; 0 of none."""
        wanted = math.ceil(self.count * percent / 100)
        passed = 0
        for bucket in sorted(self._buckets):
            passed += self._buckets[bucket]
            if passed >= wanted:
                return min(self.max, _LEAST * _BASE**bucket)
        return 0.0

    def figures(self) -> dict[str, float]:
        return {
            "requests": self.count,
            **{f"p{percent:g}": round(self.percentile(percent), 3) for percent in PERCENTILES},
            "max": round(self.max, 3),
        }


def of_sorted(values: Sequence[float]) -> dict[str, float]:
    """Exact percentiles of a few values, least first."""

    def at(percent: float) -> float:
        return round(values[max(0, math.ceil(len(values) * percent / 100) - 1)], 3)

    return {"p50": at(50), "p99": at(99), "max": round(values[-1], 3)}
