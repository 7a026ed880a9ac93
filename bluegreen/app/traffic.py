"""A day of traffic in rows: counted from the access log by whoever watches, kept beside it by the agent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from bluegreen.model.errors import ProxyFailed
from bluegreen.model.value import dataclass
from bluegreen.proxy.session import ProxySession, refusal
from bluegreen.traffic.fold import Fold
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
        op = {"op": "record", "since": since, "until": part.position, "missed": missed,
              "rows": [row.encode() for row in rows]}  # fmt: skip
        result = session.send([op])[0]
        if not result["ok"]:
            if result.get("code") == "stale":
                return done  # another one was quicker, and has counted the same lines
            raise refusal(result, "record")
        requests = done.requests + sum(row.requests for row in rows)
        done = Recorded(done.rows + len(rows), requests, done.missed + missed, fold.unreadable)
        since, missed = part.position, 0
    raise ProxyFailed("proxy.session", "the access log ended")  # it does not: `follow` has no end


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
