"""How fast one core reads an access log, against the same lines through `json.loads` in the same run."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable

from benchmarks.figures import Bar, Figure, Section
from benchmarks.processes import taking_turns
from benchmarks.project import Bench

LINES = 60_000
BUFFER = 1 << 18
LEAST = 150_000.0
"""Lines a second, read and folded into rows, on one core."""

LEAST_TIMES = 1.3
"""Of what `json.loads` alone does: on a slow or busy machine the number above says little."""


def traffic(_bench: Bench, runs: int) -> Section:
    from bluegreen.traffic.crowd import Crowd
    from bluegreen.traffic.fold import Fold
    from bluegreen.traffic.lines import parse

    buffers = _buffers()

    def fold() -> None:
        rows = Fold()
        for buffer in buffers:
            rows.add(buffer)
        if sum(row.requests for row in rows.take()) != LINES:
            raise AssertionError("lines were lost")

    def hits() -> None:
        crowd = Crowd()
        for buffer in buffers:
            crowd.see(parse(buffer).hits)

    def loads() -> None:
        for buffer in buffers:
            for line in buffer.splitlines():
                json.loads(line)

    rates: dict[str, list[float]] = {"fold": [], "hits": [], "loads": []}

    def timed(name: str, work: Callable[[], None]) -> Callable[[], None]:
        def once() -> None:
            start = time.process_time()  # of this core alone, whoever else works on the machine
            work()
            rates[name].append(LINES / (time.process_time() - start))

        return once

    turns = [timed("fold", fold), timed("hits", hits), timed("loads", loads)]
    taking_turns(runs, *turns)
    folded = Figure("read and folded into rows", tuple(rates["fold"]), "lines/s")
    seen = Figure("read as hits, their clients counted", tuple(rates["hits"]), "lines/s")
    floor = Figure("json.loads alone", tuple(rates["loads"]), "lines/s")
    asked = Figure("asked for", (LEAST,), "lines/s")
    bars = (
        Bar("rows, times 150,000 lines a second", folded, asked, 1.0, at_least=True),
        Bar("rows, times json.loads alone", folded, floor, LEAST_TIMES, at_least=True),
    )
    return Section("traffic", "the access log, one core", (folded, seen, floor), bars)


def _buffers() -> list[bytes]:
    """A sixth of a minute at 6,000 requests a second: 3,000 visitors, four services, one slot in ten the candidate."""
    chance = random.Random(7)  # noqa: S311 - no secret
    lines = []
    for number in range(LINES):
        took = chance.choice((0.001, 0.002, 0.013, 0.1)) + chance.randrange(30) / 1000
        status = "500" if chance.random() < 0.002 else "200"
        client = f"{chance.randrange(3000):032x}"
        lines.append(
            f'{{"t":{1763850000 + number / 6000:.3f},"slot":"{"green" if chance.random() < 0.1 else "blue"}",'
            f'"bucket":"{chance.randrange(100)}","service":"{chance.choice(("api", "web", "auth", "search"))}",'
            f'"status":"{status}","time":{took:.3f},"upstream_status":"{status}","upstream_time":"{took:.3f}",'
            f'"method":"GET","route":"/api/","fallback":"","bytes":512,"upstream":"172.20.0.2:8000",'
            f'"client":"{client}","address":"203.0.113.9","host":"shop.example.com","uri":"/api/v1/products/{number}"}}\n'
        )
    buffers, part = [], ""
    for line in lines:
        part += line
        if len(part) > BUFFER:
            buffers.append(part.encode())
            part = ""
    return [*buffers, part.encode()]
