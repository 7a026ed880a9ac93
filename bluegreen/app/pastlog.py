"""A past log at a first look: which releases answered when, and which was tried beside which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field
from pathlib import Path

from bluegreen.model.errors import Refused, UsageError
from bluegreen.model.value import dataclass
from bluegreen.traffic.lines import PIECE, Format, Hit, Lines, parse, recognise

LEAST_SECONDS = 1.0
"""Two releases that answered side by side for less were no canary: requests are counted by when they began, and the
proxy's clock is not read for each."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A release in a slot, as far as lines name it. Moments are those at which requests began."""

    release: int
    slot: str
    first: float  # seconds since 1970
    last: float

    def __str__(self) -> str:
        return f"release {self.release}"


@dataclass(frozen=True, slots=True)
class Part:
    """What of a log is judged: one release's requests up to a moment, and of the other slot those of what it is
    compared with. A line that names no release goes by its slot."""

    candidate: Stay
    live: Stay | None  # beside it; None: whatever was there before
    until: float  # seconds since 1970

    @property
    def since(self) -> float:
        return max(self.candidate.first, self.live.first) if self.live else self.candidate.first

    def has(self, hit: Hit) -> bool:
        if hit.at > self.until:
            return False
        if hit.slot == self.candidate.slot:
            return hit.release in ("", str(self.candidate.release))
        return self.live is None or hit.release in ("", str(self.live.release))


@dataclass(frozen=True, slots=True)
class Seen:
    """A first look at a log: what is needed to know who is to be judged."""

    form: Format
    first: float
    last: float
    requests: int = 0
    unreadable: int = 0
    slots: Counter[str] = field(default_factory=Counter)  # requests by slot, without testers' and the preview's
    highest: dict[str, int] = field(default_factory=dict)  # place of a visitor that a slot answered, 0 to 99
    stays: tuple[Stay, ...] = ()  # in the order of their beginnings


def look(files: Sequence[Path], counts: Callable[[Hit], bool] = lambda _: True) -> Seen:
    """``counts``: whether a request is one of those that are counted by slot.

    Raises `UsageError` where a file can't be read, and `Refused` where its lines are of no format that is known.
    """
    form, first, last = _form(files), float("inf"), 0.0
    requests = unreadable = 0
    slots: Counter[str] = Counter()
    highest: dict[str, int] = {}
    spans: dict[tuple[str, str], tuple[float, float]] = {}
    for lines in parts(files, form):
        requests += len(lines.hits)
        unreadable += lines.unreadable
        for hit in lines.hits:
            at = hit.at
            first, last = min(first, at), max(last, hit.ended)
            if not hit.drawn or not hit.slot:
                continue
            if hit.release:
                known = spans.get((hit.release, hit.slot), (at, at))
                spans[hit.release, hit.slot] = min(known[0], at), max(known[1], at)
            if counts(hit):
                slots[hit.slot] += 1
                if hit.bucket.isdigit():
                    highest[hit.slot] = max(highest.get(hit.slot, 0), int(hit.bucket))
    stays = [Stay(int(release), slot, *span) for (release, slot), span in spans.items()]
    ordered = tuple(sorted(stays, key=lambda stay: stay.first))
    return Seen(form, first, last, requests, unreadable, slots, highest, ordered)


def canaries(stays: Iterable[Stay]) -> list[Part]:
    """Each candidate with what was live beside it, in their order. A candidate is newer than what is live."""
    stays, found = list(stays), []
    for one in stays:
        beside = [
            other
            for other in stays
            if other.slot != one.slot
            and other.release < one.release
            and min(one.last, other.last) - max(one.first, other.first) >= LEAST_SECONDS
        ]
        if beside:
            live = max(beside, key=lambda stay: stay.release)
            found.append(Part(one, live, min(one.last, live.last)))
    return sorted(found, key=lambda part: part.since)


def parts(files: Sequence[Path], form: Format) -> Iterator[Lines]:
    """Whole lines, files in the order that they are given."""
    for file in files:
        rest = b""
        with file.open("rb") as stream:
            while data := stream.read(PIECE):
                whole, found, rest = (rest + data).rpartition(b"\n")
                if found:
                    yield parse(whole + found, form)
        if rest:
            yield parse(rest + b"\n", form)


def _form(files: Sequence[Path]) -> Format:
    for file in files:
        sample = _open(file, 1 << 16)
        if sample and (form := recognise(sample)) is not None:
            return form
        if sample:
            raise Refused(
                "replay.format",
                "its lines are neither the proxy's own nor nginx's combined format",
                where=str(file),
                next=(),
            )
    return Format.BLUEGREEN


def _open(file: Path, most: int) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(most)
    except OSError as error:
        raise UsageError("replay.file", f"it can't be read: {error.strerror}", where=str(file)) from error
