"""What the clients saw, held against the switches: what was lost, and when each colour answered first and last.

Pure. Moments are seconds of CLOCK_MONOTONIC, which all processes and containers of a machine share; durations in the
receipt are milliseconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

from bluegreen.model.value import dataclass
from bluegreen.prove.histogram import Histogram, of_sorted
from bluegreen.prove.kinds import KINDS, SHORT
from bluegreen.prove.records import Record

NEAR = 0.25
"""Seconds after a switch that count as during it."""
SOON = 0.005
"""Seconds after a switch within which the former release may have been sent its last request."""
DEADLINE_SLACK = 0.2
"""Seconds by which a stream may end before its drain deadline: that is counted by the proxy's wall clock."""
MOST_FAILURES = 50


@dataclass(frozen=True, slots=True)
class Movement:
    """One switch. ``renamed`` is None where the proxy does not tell it; ``confirmed`` is when the operation had the
    proxy's own answer that it had happened."""

    verb: str  # rollback, switch, deploy
    tag: str
    slot: str  # that got the traffic
    asked: float
    renamed: float | None
    confirmed: float
    drain: float = 300.0  # seconds that the slot which lost it may go on

    @property
    def moment(self) -> float:
        return self.confirmed if self.renamed is None else self.renamed


@dataclass(frozen=True, slots=True)
class Failure:
    """One request, or one stream, that was lost. ``begun`` is milliseconds after ``switch``, the last one before it."""

    kind: str
    problem: str
    seen: str
    method: str = "GET"
    path: str = ""
    id: str = ""
    connection: int | None = None  # the client's number
    number: int | None = None  # of the request on its connection
    switch: int | None = None  # 1..; None: before the first
    begun_ms: float | None = None
    ms: float | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    clients: int
    requests: int
    failed: int
    why_not: str | None = None  # it did not run


@dataclass(frozen=True, slots=True)
class Processed:
    """What the upstream says it has processed of what was sent with an id. None: it was not asked."""

    acknowledged: int
    processed: int | None = None  # ids
    times: int | None = None  # requests

    @property
    def duplicates(self) -> int:
        return 0 if self.processed is None or self.times is None else self.times - self.processed

    @property
    def missing(self) -> int:
        return 0 if self.processed is None else max(0, self.acknowledged - self.processed)


@dataclass(frozen=True, slots=True)
class Receipt:
    project: str
    seconds: float
    switches: int
    requests: int
    connections: int
    kinds: tuple[Kind, ...]
    failed: int
    problems: Mapping[str, int]
    failures: tuple[Failure, ...]
    truncated: int
    late: int | None  # begun after a switch had been confirmed, answered by the old release; None: nobody knows
    resent: int
    assets: int = 0  # by hash, answered by the release that has them, since the one that was asked has not
    posts: Processed | None = None
    uploads: Processed | None = None
    streams: Mapping[str, int] = field(default_factory=dict)  # opened, over_a_switch, ended_at_deadline, cut
    latency: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # before, during, after
    cutover: Mapping[str, float] | None = None  # last request sent that the old colour answered
    last_old: Mapping[str, float] | None = None
    first_new: Mapping[str, float] | None = None
    seen_switches: int = 0  # switches with answers of the new colour after them
    sent_soon: int = 0  # requests sent within SOON after a switch: what the cut-over was seen with
    moves: tuple[Mapping[str, Any], ...] = ()
    proxy: Mapping[str, Any] = field(default_factory=dict)  # the most that was seen of it
    notes: tuple[str, ...] = ()

    @property
    def duplicates(self) -> int:
        return sum(p.duplicates for p in (self.posts, self.uploads) if p is not None)

    @property
    def missing(self) -> int:
        return sum(p.missing for p in (self.posts, self.uploads) if p is not None)

    @property
    def lost(self) -> int:
        """Everything that must be 0."""
        return self.failed + self.duplicates + self.missing


def failed_stream(stream: Mapping[str, Any], movements: Sequence[Movement]) -> str | None:
    """Why a stream's end is a failure; None where it isn't: its client left it, or its slot had been retired and the
    drain deadline was over."""
    if stream["how"] == "client":
        return None
    for movement in movements:
        retires = stream["slot"] not in (None, movement.slot) and movement.moment <= stream["ended"]
        back = any(m.slot == stream["slot"] and movement.moment < m.moment <= stream["ended"] for m in movements)
        if retires and not back and stream["begun"] <= movement.confirmed:
            early = movement.moment + movement.drain - stream["ended"]
            if early <= DEADLINE_SLACK:
                return None
            return f"{stream['seen']}, {early:.1f}s before its drain deadline"
    return f"{stream['seen']}, and its release was live"


class Fold:
    """Records in, figures out. Memory does not grow with the number of records."""

    def __init__(self, movements: Sequence[Movement], first_slot: str | None) -> None:
        self.movements = movements
        self._moments = [m.moment for m in movements]
        self._slots = [first_slot or "", *(m.slot for m in movements)]
        self._cutover = [0.0] * len(movements)
        self._last_old: list[float | None] = [None] * len(movements)
        self._first_new: list[float | None] = [None] * len(movements)
        self.latency = {"before": Histogram(), "during": Histogram(), "after": Histogram()}
        self.requests: Counter[str] = Counter()
        self.known = 0
        self.sent_soon = 0
        self.late: list[Failure] = []
        self.late_count = 0

    def take(self, records: Iterable[Record]) -> Fold:
        for record in records:
            self._take(record)
        return self

    def _take(self, record: Record) -> None:
        begun, ended, kind, slot = record
        self.requests[kind] += 1
        after = bisect_right(self._moments, begun) - 1  # the switch that it was begun after; -1: none
        until = bisect_right(self._moments, ended) - 1  # the one that it ended after
        if kind in SHORT:
            self.latency[self._when(begun, after, until)].add((ended - begun) * 1000)
        if not slot:
            return
        self.known += 1
        if after >= 0 and begun - self._moments[after] < SOON:
            self.sent_soon += 1
        if after >= 0 and slot != self._slots[after + 1]:
            self._old_answer(record, after, until)
        if kind in SHORT and until >= 0:
            took = (ended - self._moments[until]) * 1000
            if slot == self._slots[until + 1]:
                first = self._first_new[until]
                self._first_new[until] = took if first is None else min(first, took)
            else:
                self._last_old[until] = max(self._last_old[until] or 0.0, took)

    def _when(self, begun: float, after: int, until: int) -> str:
        if after != until or (after >= 0 and begun - self._moments[after] < NEAR):
            return "during"
        return "before" if after < 0 else "after"

    def _old_answer(self, record: Record, after: int, until: int) -> None:
        if any(self._slots[number + 1] == record.slot for number in range(after + 1, until + 1)):
            return  # a later switch came while it was under way, perhaps before the proxy had read it
        movement = self.movements[after]
        self._cutover[after] = max(self._cutover[after], (record.begun - movement.moment) * 1000)
        if record.begun > movement.confirmed:
            self.late_count += 1
            if len(self.late) < MOST_FAILURES:
                begun = (record.begun - movement.moment) * 1000
                seen = f"answered by {record.slot}, {begun:.1f}ms after the switch to {movement.slot}"
                self.late.append(
                    Failure(
                        record.kind,
                        "late",
                        seen,
                        switch=after + 1,
                        begun_ms=round(begun, 3),
                        ms=round((record.ended - record.begun) * 1000, 3),
                    )
                )

    def cutover(self) -> dict[str, float] | None:
        told = [ms for ms, m in zip(self._cutover, self.movements, strict=True) if m.renamed is not None]
        return of_sorted(sorted(told)) if self.known and told else None

    def last_old(self) -> dict[str, float] | None:
        found = sorted(ms for ms in self._last_old if ms is not None)
        return of_sorted(found) if found else None

    def first_new(self) -> dict[str, float] | None:
        found = sorted(ms for ms in self._first_new if ms is not None)
        return of_sorted(found) if found else None

    def seen(self) -> int:
        return sum(ms is not None for ms in self._first_new)

    def moves(self) -> tuple[dict[str, Any], ...]:
        start = self.movements[0].asked if self.movements else 0.0
        return tuple(
            {
                "number": number + 1,
                "verb": m.verb,
                "tag": m.tag,
                "slot": m.slot,
                "asked_s": round(m.asked - start, 3),
                "renamed_s": None if m.renamed is None else round(m.renamed - start, 6),
                "confirmed_s": round(m.confirmed - start, 3),
                "cutover_ms": round(self._cutover[number], 3) if self.known and m.renamed is not None else None,
                "last_old_ms": _rounded(self._last_old[number]),
                "first_new_ms": _rounded(self._first_new[number]),
            }
            for number, m in enumerate(self.movements)
        )


def failures_of(seen: Iterable[Mapping[str, Any]], movements: Sequence[Movement]) -> list[Failure]:
    """What the clients told one by one, placed among the switches."""
    moments = [m.moment for m in movements]
    found = []
    for one in seen:
        number = bisect_right(moments, one["begun"])
        found.append(
            Failure(
                one["kind"],
                one["problem"],
                one["seen"],
                method=one["method"],
                path=one["path"],
                id=one["id"],
                connection=one["client"],
                number=one["number"],
                switch=number or None,
                begun_ms=round((one["begun"] - moments[number - 1]) * 1000, 3) if number else None,
                ms=round((one["ended"] - one["begun"]) * 1000, 3),
            )
        )
    return found


def cut_streams(streams: Iterable[Mapping[str, Any]], movements: Sequence[Movement]) -> list[Failure]:
    found = []
    moments = [m.moment for m in movements]
    for stream in streams:
        why = failed_stream(stream, movements)
        if why is not None:
            number = bisect_right(moments, stream["ended"])
            found.append(
                Failure(
                    stream["kind"],
                    "cut",
                    f"after {stream['ended'] - stream['begun']:.1f}s on {stream['slot'] or 'an unknown slot'}: {why}",
                    path=stream["path"],
                    id=stream["id"],
                    connection=stream["client"],
                    switch=number or None,
                    begun_ms=round((stream["begun"] - moments[number - 1]) * 1000, 3) if number else None,
                    ms=round((stream["ended"] - stream["begun"]) * 1000, 3),
                )
            )
    return found


def count_streams(streams: Sequence[Mapping[str, Any]], movements: Sequence[Movement], cut: int) -> dict[str, int]:
    """``over_a_switch`` counts those that a switch left with the other release, and that went on."""
    moments = [m.moment for m in movements]
    ended = sum(s["how"] != "client" for s in streams)
    return {
        "opened": len(streams),
        "over_a_switch": sum(bisect_right(moments, s["ended"]) > bisect_right(moments, s["begun"]) for s in streams),
        "ended_at_deadline": ended - cut,
        "cut": cut,
    }


def kinds_of(
    clients: Mapping[str, int], requests: Mapping[str, int], failed: Mapping[str, int], why_not: Mapping[str, str]
) -> tuple[Kind, ...]:
    return tuple(
        Kind(name, clients.get(name, 0), requests.get(name, 0), failed.get(name, 0), why_not.get(name))
        for name in KINDS
    )


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 3)
