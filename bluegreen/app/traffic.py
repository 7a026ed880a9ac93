"""A day of traffic in rows: counted from the access log by whoever watches, kept beside it by the agent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bluegreen.model.errors import ProxyFailed
from bluegreen.model.value import dataclass
from bluegreen.proxy.session import Followed, ProxySession, refusal
from bluegreen.traffic.fold import Fold
from bluegreen.traffic.lines import Hit
from bluegreen.traffic.rows import Row, decode, merge

MOST_ROWS = 5000
"""Recorded in one message."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one `record_rows` added."""

    rows: int = 0
    requests: int = 0
    missed: int = 0  # bytes of the log that were gone before anybody counted them
    unreadable: int = 0  # lines


def record_rows(session: ProxySession) -> Recorded:
    """Count what came since the last rows and keep it.

    Several may do it at any time, also in a session that follows the log besides: nothing is counted twice. A second
    that has not ended is counted in pieces, which add up.

    Raises `ProxyFailed` when the session ends, or the log's volume is full.
    """
    done = Recorded()
    since = session.run([{"op": "rows"}])[0]["recorded"]
    fold, missed = Fold(), 0
    for part in session.follow(since, oldest=True, seconds=0, reader="rows"):
        fold.add(part.data)
        missed += part.missed
        if part.data and fold.size < MOST_ROWS and part.behind:
            continue
        rows = fold.take()
        if not rows and not missed:
            return done
        result = session.send([_record(since, part.position, missed, rows)])[0]
        if not result["ok"]:
            if result.get("code") == "stale":
                return done  # another one was quicker, and has counted the same lines
            raise refusal(result, "record")
        requests = done.requests + sum(row.requests for row in rows)
        done = Recorded(done.rows + len(rows), requests, done.missed + missed, fold.unreadable)
        since, missed = part.position, 0
    raise ProxyFailed("proxy.session", "the access log ended")  # it does not: `follow` has no end


class RowKeeper:
    """Keeps the rows of a log that is followed for another reason, so that its lines are read once.

    Until what is followed has come to where the last rows ended, and whenever somebody else has recorded some
    meanwhile, it reads the log itself (`record_rows`).
    """

    def __init__(self, session: ProxySession) -> None:
        self._session = session
        self._since: Mapping[str, Any] | None = session.run([{"op": "rows"}])[0]["recorded"]
        self._fold: Fold | None = None  # None: what is followed is not where the last rows ended
        self._until: Mapping[str, Any] | None = None
        self._missed = 0

    @property
    def full(self) -> bool:
        return self._fold is not None and self._fold.size >= MOST_ROWS

    def count(self, hits: Sequence[Hit]) -> None:
        """What is read of the next part, before that has been `read` whole."""
        if self._fold is not None:
            self._fold.count(hits)

    def read(self, part: Followed) -> None:
        """Everything of this part was told."""
        if self._fold is not None:
            self._missed += part.missed
        elif (start := self._ended_within(part)) is not None:
            self._fold, self._missed = Fold(), 0
            self._fold.add(part.data[start:])
        else:
            return
        self._until = part.position

    def keep(self) -> None:
        """Record what was seen. Raises `ProxyFailed` when the session ends, or the log's volume is full."""
        fold, self._fold = self._fold, None
        if fold is None:
            record_rows(self._session)
            self._since = self._session.run([{"op": "rows"}])[0]["recorded"]
            return
        rows = fold.take()
        if rows or self._missed:
            result = self._session.send([_record(self._since, self._until, self._missed, rows)])[0]
            if not result["ok"]:
                if result.get("code") == "stale":
                    self._since = result.get("recorded")
                    return
                raise refusal(result, "record")
            self._since = self._until
        self._fold, self._missed = fold, 0

    def _ended_within(self, part: Followed) -> int | None:
        """After how many bytes of a part the last rows ended; None where that is not in it."""
        since, here = self._since, part.position
        if since is None or (since["file"], since["first"]) != (here["file"], here["first"]):
            return None
        start = int(since["offset"]) - (int(here["offset"]) - len(part.data))
        begins_a_line = start == 0 or part.data[start - 1 : start] == b"\n"  # it doesn't where a line had to be cut
        return start if 0 <= start <= len(part.data) and begins_a_line else None


def _record(
    since: Mapping[str, Any] | None, until: Mapping[str, Any] | None, missed: int, rows: Sequence[Row]
) -> dict[str, Any]:
    return {"op": "record", "since": since, "until": until, "missed": missed, "rows": [row.encode() for row in rows]}


def read_rows(session: ProxySession, since: float = 0.0) -> tuple[list[Row], int]:
    """The rows from ``since`` (seconds since 1970) on, one per service, slot and second, in the order of time; and how
    many bytes of the log were gone before they could be counted."""
    rows: list[Row] = []
    missed = 0
    for entry in _entries(session, int(since) // 3600):
        missed += int(entry.get("missed") or 0)
        for stored in entry.get("rows") or ():
            try:
                row = decode(stored)
            except ValueError:
                continue  # a later version's
            if row.second >= since:
                rows.append(row)
    return merge(rows), missed


def _entries(session: ProxySession, first: int) -> Iterator[dict[str, Any]]:
    for hour in session.run([{"op": "rows"}])[0]["hours"]:
        if hour < first:
            continue
        offset = 0
        while page := session.run([{"op": "rows", "hour": hour, "offset": offset}])[0].get("data"):
            offset += len(page)
            for line in page.splitlines():
                try:
                    yield json.loads(line)
                except ValueError:
                    continue  # torn by a crash
