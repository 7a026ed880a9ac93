"""A verdict in words: always with its numbers, and a sample of what was seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from bluegreen.model.judging import Count, Evidence

Clock = Callable[[float], str]

MOST_SHOWN = 160
"""Characters of a request that are kept."""


class Between(Protocol):
    """Whom a piece of evidence compares: a verdict, or what becomes one."""

    @property
    def live(self) -> str: ...
    @property
    def candidate(self) -> str: ...


def utc(moment: float) -> str:
    return time.strftime("%H:%M:%SZ", time.gmtime(moment))


def line(evidence: Evidence, between: Between, clock: Clock = utc) -> str:
    """One line of evidence. ``clock`` writes a moment in the reader's own time."""
    name = evidence.name
    if name in ("errors", "latency"):
        saw = "saw errors" if name == "errors" else "met slow answers"
        text = (
            f"{_who(evidence.services)}{between.candidate}: {_of(evidence.candidate)} {saw} against "
            f"{evidence.live.hit} of {evidence.live.of} on {between.live}: {_number(evidence)}"
        )
        if evidence.first is not None:
            text += f"; first: {evidence.first.what} at {clock(evidence.first.at)}"
        return text
    if name == "split":
        seen = evidence.candidate
        return f"{_of(seen)} went to {between.candidate}, {evidence.said}: {_number(evidence)}"
    if name == "pass":
        return (
            f"{between.candidate}: {_of(evidence.candidate)} saw errors in this step, {evidence.said}: "
            f"{_number(evidence)}"
        )
    if name == "bake":
        text = f"{_who(evidence.services)}{between.candidate}: {evidence.said}: {_number(evidence, 'R')}"
        if evidence.holds and evidence.first is not None:
            text += f"; first: {evidence.first.what} at {clock(evidence.first.at)}"
        return text
    return evidence.said


def bound(alpha_sum: float, horizon: int | None = None) -> str:
    """What is guaranteed, by the kind of the evidence. ``alpha_sum``: a verdict's; ``horizon``: the answers over which
    it holds, of a release that has nothing beside it to be compared with."""
    if horizon is None:
        return (
            "a release no worse than live is ever taken back by comparison with a probability of at most "
            f"{percent(alpha_sum)}"
        )
    return (
        f"while errors are as they were before, a release is taken back within {horizon:,} answers with a probability "
        f"of at most {percent(alpha_sum)}"
    )


def shown(text: str) -> str:
    """What a visitor wrote, safe for terminals and one line: nothing that isn't printable, and not too long. How it
    ended, the last word, is kept."""
    if len(text) > MOST_SHOWN:
        text = f"{text[: MOST_SHOWN - 12]}... {text[-8:].rpartition(' ')[2]}"
    return "".join(c if c.isprintable() else "?" for c in text)


def percent(rate: float) -> str:
    return f"{rate * 100:.3g} %"


def _who(services: tuple[str, ...]) -> str:
    return f"{', '.join(services)} " if services else ""


def _of(count: Count) -> str:
    return f"{count.hit} of {count.of} client{'' if count.of == 1 else 's'}"


def _number(evidence: Evidence, letter: str = "E") -> str:
    assert evidence.e is not None  # noqa: S101 - all that is compared has one
    assert evidence.threshold is not None  # noqa: S101
    return f"{letter} = {short(evidence.e)} {'>=' if evidence.holds else '<'} {short(evidence.threshold)}"


def short(value: float) -> str:
    """Three digits that tell, and never one that reaches what it doesn't: cut, not rounded."""
    if value >= 1e6:
        return f"{value:.1e}".replace("e+0", "e").replace("e+", "e")
    if value >= 100:
        return str(int(value))
    places = 10 if value >= 10 else 100
    return f"{int(value * places) / places:g}"
