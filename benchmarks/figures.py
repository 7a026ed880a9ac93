"""Figures of several runs, and the bars that they are held against. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SCHEMA = 1
"""Version of the JSON."""

NAME_WIDTH = 46


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, once a run."""

    name: str
    values: tuple[float, ...]
    unit: str = "ms"

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"{self.name}: nothing was measured")

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        return min(self.values)

    @property
    def most(self) -> float:
        return max(self.values)


@dataclass(frozen=True, slots=True)
class Bar:
    """How many times a floor something may take, or has to reach where it is ``at_least``: their medians' ratio,
    from runs that took turns."""

    name: str
    measured: Figure
    floor: Figure
    limit: float
    at_least: bool = False

    @property
    def ratio(self) -> float:
        return self.measured.median / self.floor.median

    @property
    def met(self) -> bool:
        return self.ratio >= self.limit if self.at_least else self.ratio <= self.limit


@dataclass(frozen=True, slots=True)
class Section:
    """One benchmark: its figures, and the bars that some of them are held against."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    bars: tuple[Bar, ...] = ()
    notes: tuple[str, ...] = ()


def missed(sections: Sequence[Section]) -> list[Bar]:
    return [bar for section in sections for bar in section.bars if not bar.met]


def table(section: Section) -> list[str]:
    """A section as lines of text."""
    lines = [f"{section.title:<{NAME_WIDTH}}  median     min     max    n"]
    lines += [f"  {f.name:<{NAME_WIDTH - 2}}{_figure(f)}" for f in section.figures]
    for bar in section.bars:
        verdict = "pass" if bar.met else "MISS"
        limit = f"{'at least ' if bar.at_least else ''}{bar.limit:.2f}"
        lines.append(f"  {bar.name:<{NAME_WIDTH - 2}}{bar.ratio:7.2f} times; bar {limit}: {verdict}")
    lines += [f"  {note}" for note in section.notes]
    return lines


def document(sections: Sequence[Section], machine: dict[str, Any]) -> dict[str, Any]:
    """Everything as JSON data."""
    return {
        "schema": SCHEMA,
        "outcome": "missed" if missed(sections) else "met",
        "machine": machine,
        "benchmarks": {
            section.name: {
                "title": section.title,
                "figures": {f.name: _data(f) for f in section.figures},
                "bars": [
                    {
                        "name": bar.name,
                        "measured": bar.measured.name,
                        "floor": bar.floor.name,
                        "ratio": round(bar.ratio, 3),
                        "bar": bar.limit,
                        "at_least": bar.at_least,
                        "met": bar.met,
                    }
                    for bar in section.bars
                ],
                "notes": list(section.notes),
            }
            for section in sections
        },
    }


def _figure(figure: Figure) -> str:
    decimals = 0 if figure.median >= 20 else 1 if figure.median >= 2 else 2
    numbers = "".join(f"{value:8.{decimals}f}" for value in (figure.median, figure.least, figure.most))
    return f"{numbers}{len(figure.values):5d}  {figure.unit}"


def _data(figure: Figure) -> dict[str, Any]:
    return {
        "unit": figure.unit,
        "n": len(figure.values),
        "median": round(figure.median, 2),
        "min": round(figure.least, 2),
        "max": round(figure.most, 2),
        "values": [round(value, 2) for value in figure.values],
    }
