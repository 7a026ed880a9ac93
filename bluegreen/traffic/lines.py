"""The proxy's access log, and nginx's combined format, as hits: whole buffers at once, one expression for each.

A line's first fields are the proxy's own and hold nothing that a visitor wrote, so they end at the first quote. What
visitors choose comes last, as JSON escapes it: no line feed and no bare quote can come out of it. So no request can
write a field of its line, nor another line (`tests/unit/traffic/test_lines.py` plays the attempts).
"""

from __future__ import annotations

import calendar
import json
import re
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache, partial
from typing import NamedTuple

_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"

NOT_DRAWN = frozenset(("preview", "forced"))
"""Buckets of requests whose slot was chosen by somebody: the preview's, and those of testers."""

PIECE = 1 << 15

PLACES = {str(place): place for place in range(100)}
"""Visitors' buckets, as a line has them."""

UPGRADED = "101"
"""The status of a WebSocket: how long such a connection lasts says nothing."""

# Before versions wrote the release into a line there were lines without it, and logs outlive an upgrade.
_OWN = re.compile(
    r'\{"t":([0-9]+\.[0-9]{3}),"slot":"([a-z]*)",(?:"release":"([0-9]*)",)?"bucket":"([a-z0-9]*)",'
    r'"service":"([A-Za-z0-9._-]*)","status":"([0-9]*)","time":([0-9]+\.[0-9]{3}),'
    r'"upstream_status":"([^"\\\n]*)",("upstream_time":"[^"\\\n]*","method":"[^"\\\n]*","route":"[^"\\\n]*",'
    r'"fallback":"[a-z]*","bytes":[0-9]+,"upstream":"[^"\\\n]*"),"client":"([0-9A-Za-z.:]*)","address":"([0-9A-Za-z.:]*)",("host":"[^\n]*")\}\n'
)

# The request is in the first pair of quotes: nginx writes those of the user's name before it as \x22.
_COMBINED = re.compile(
    r'([0-9A-Za-z.:]+) [^"\n]*\[([0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4})\] '
    r'"([^"\n]*)" ([0-9]{3}) [0-9]+[^\n]*\n'
)


class Format(StrEnum):
    BLUEGREEN = "bluegreen"
    COMBINED = "combined"


class Hit(NamedTuple):
    """One request that has ended, as it was written: a character for each byte. Values are read when asked for."""

    written: str  # when it ended: seconds since 1970, three digits after the point
    slot: str  # "" where no slot answered
    release: str  # its number, "" where the proxy could not be sure
    bucket: str
    service: str
    status_text: str  # three digits; 000 where no answer was begun
    took: str  # seconds, three digits after the point
    upstream_status: str  # of each try, "502, 200"
    seldom: str  # the fields from "upstream_time" to "upstream" as JSON: taken apart when asked for
    client: str
    address: str
    chosen: str  # what the visitor wrote: "host" and "uri", as JSON

    @property
    def ended(self) -> float:
        """Seconds since 1970, by the proxy container's clock."""
        return float(self.written)

    @property
    def at(self) -> float:
        """When it began."""
        return float(self.written) - float(self.took)

    @property
    def seconds(self) -> float:
        return float(self.took)

    @property
    def status(self) -> int:
        return int(self.status_text or "0")

    @property
    def error(self) -> bool:
        """Answered with 500 or above. A visitor who went away (499) is none."""
        return self.status_text >= "500"

    @property
    def method(self) -> str:
        return self._seldom("method")

    @property
    def route(self) -> str:
        return self._seldom("route")

    @property
    def drawn(self) -> bool:
        """Whether chance chose the slot, or what is live did; and not a tester, nor the preview."""
        return self.bucket not in NOT_DRAWN

    @property
    def uri(self) -> str:
        """The path without its query, as the visitor wrote it."""
        return self._chosen("uri")

    @property
    def host(self) -> str:
        return self._chosen("host")

    def _seldom(self, name: str) -> str:
        return _utf8(self.seldom.partition(f'"{name}":"')[2].partition('"')[0])

    def _chosen(self, name: str) -> str:
        text = _utf8(self.chosen)
        if "\\" not in text and text.count('"') == 8:  # nothing is escaped: two names, two values
            parts = text.split('"')
            return parts[7] if name == "uri" else parts[3]
        try:
            return str(json.loads(f"{{{text}}}")[name])
        except (ValueError, KeyError):
            return ""


_hit = partial(tuple.__new__, Hit)


class Lines(NamedTuple):
    """What a buffer holds. ``unreadable``: lines that are no log line, as a full volume or a hand may leave them."""

    hits: list[Hit]
    unreadable: int


def pieces(chunk: bytes) -> Iterator[bytes]:
    """A buffer of whole lines in pieces of whole lines, each of which fits a processor's cache with all that is made of
    it: read one after the other they take half the time."""
    start, size = 0, len(chunk)
    while size - start > PIECE:
        end = chunk.rfind(b"\n", start, start + PIECE) + 1 or chunk.find(b"\n", start + PIECE) + 1 or size
        yield chunk[start:end]
        start = end
    if start < size:
        yield chunk[start:]


def parse(chunk: bytes, form: Format = Format.BLUEGREEN) -> Lines:
    """All lines of a buffer, which ends with the end of a line."""
    hits = list(_combined(chunk)) if form is Format.COMBINED else list(map(_hit, fields(chunk)))
    return Lines(hits, chunk.count(b"\n") - len(hits))


def fields(chunk: bytes) -> list[tuple[str, ...]]:
    """The same as plain tuples in `Hit`'s order, for who counts only."""
    return _OWN.findall(_bytewise(chunk))


def recognise(sample: bytes) -> Format | None:
    """Which format a log's first bytes are in; None where they are in neither."""
    whole = sample[: sample.rfind(b"\n") + 1] or sample + b"\n"
    counts = {form: len(parse(whole, form).hits) for form in Format}
    best = max(counts, key=lambda form: counts[form])
    return best if counts[best] else None


def _combined(chunk: bytes) -> Iterator[Hit]:
    """No slot, release, service or duration is in these lines: they stay empty, and 0."""
    for address, at, request, status in _COMBINED.findall(_bytewise(chunk)):
        method, _, rest = request.partition(" ")
        path = rest.rpartition(" ")[0] or rest
        uri = json.dumps(_utf8(path.partition("?")[0]))
        yield Hit(
            _seconds(at), "", "", "", "", status, "0.000", "", f'"method":{json.dumps(_utf8(method))}',
            address, address, f'"host":"","uri":{uri}',
        )  # fmt: skip


def _bytewise(chunk: bytes) -> str:
    """A character for each byte: nothing can be wrong with it, and no byte that a visitor wrote becomes a quote."""
    return chunk.decode("latin-1")


def _utf8(text: str) -> str:
    """What the bytes behind `_bytewise` text say."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "replace")


@lru_cache(4096)
def _seconds(text: str) -> str:
    """``22/Nov/2026:23:59:59 +0100`` as seconds since 1970."""
    date, clock, zone = text[:11], text[12:20], text[21:]
    day, month, year = date.split("/")
    number = _MONTHS.index(month) // 3 + 1 if month in _MONTHS else 1
    east = (int(zone[1:3]) * 60 + int(zone[3:5])) * (-60 if zone[:1] == "-" else 60)
    hour, minute, second = map(int, clock.split(":"))
    return f"{calendar.timegm((int(year), number, int(day), hour, minute, second)) - east}.000"
