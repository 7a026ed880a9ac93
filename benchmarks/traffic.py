"""How fast one core reads an access log and judges it, against the same lines through `json.loads` in the same run."""

from __future__ import annotations

import gc
import json
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

from benchmarks.figures import Bar, Figure, Section
from benchmarks.processes import taking_turns
from benchmarks.project import Bench
from bluegreen.model.history import History, Shift
from bluegreen.model.names import Slot
from bluegreen.model.observed import Observed, ProxyState
from bluegreen.model.release import Release, Routes, Stack

LINES = 60_000
BUFFER = 1 << 18
START = 1763850000
RATE = 6000  # requests a second
COLLECTING = (50_000, 20, 100)
"""What the command sets its garbage collection to, in `bluegreen.cli`."""

LEAST = 150_000.0
"""Lines a second on one core: read, judged and folded into rows, as `bg watch` does it all."""

LEAST_TIMES = 1.3
"""Of what `json.loads` alone does: on a slow or busy machine the number above says little."""


def traffic(_bench: Bench, runs: int) -> Section:
    buffers = _buffers()
    works = {"judged": _judged, "fold": _folded, "hits": _seen, "loads": _loaded}
    rates: dict[str, list[float]] = {name: [] for name in works}

    def timed(name: str, work: Callable[[list[bytes]], None]) -> Callable[[], None]:
        def once() -> None:
            start = time.process_time()  # of this core alone, whoever else works on the machine
            work(buffers)
            rates[name].append(LINES / (time.process_time() - start))

        return once

    thresholds = gc.get_threshold()
    gc.set_threshold(*COLLECTING)
    try:
        taking_turns(runs, *(timed(name, work) for name, work in works.items()))
    finally:
        gc.set_threshold(*thresholds)
    whole = Figure("read, judged beside a candidate, and folded into rows", tuple(rates["judged"]), "lines/s")
    folded = Figure("read and folded into rows", tuple(rates["fold"]), "lines/s")
    seen = Figure("read as hits, their clients counted", tuple(rates["hits"]), "lines/s")
    floor = Figure("json.loads alone", tuple(rates["loads"]), "lines/s")
    asked = Figure("asked for", (LEAST,), "lines/s")
    bars = (
        Bar("judged and folded, times 150,000 lines a second", whole, asked, 1.0, at_least=True),
        Bar("rows, times json.loads alone", folded, floor, LEAST_TIMES, at_least=True),
    )
    return Section("traffic", "the access log, one core", (whole, folded, seen, floor), bars)


def _judged(buffers: list[bytes]) -> None:
    from bluegreen.app.guarding import Guard
    from bluegreen.model.judging import Outcome
    from bluegreen.traffic.fold import Fold
    from bluegreen.traffic.lines import parse, pieces

    guard, rows = Guard(), Fold()
    guard.look(_a_candidate())
    for buffer in buffers:
        for piece in pieces(buffer):
            found = parse(piece).hits
            guard.read(found)
            rows.count(found)
    verdict = guard.verdict(START + LINES / RATE)
    if verdict is None or verdict.outcome is Outcome.FAIL or rows.lines != LINES:
        raise AssertionError(f"both sides are alike, and every line counts: {verdict}")


def _folded(buffers: list[bytes]) -> None:
    from bluegreen.traffic.fold import Fold

    rows = Fold()
    for buffer in buffers:
        rows.add(buffer)
    if sum(row.requests for row in rows.take()) != LINES:
        raise AssertionError("lines were lost")


def _seen(buffers: list[bytes]) -> None:
    from bluegreen.traffic.crowd import Crowd
    from bluegreen.traffic.lines import parse, pieces

    crowd = Crowd()
    for buffer in buffers:
        for piece in pieces(buffer):
            crowd.see(parse(piece).hits)


def _loaded(buffers: list[bytes]) -> None:
    for buffer in buffers:
        for line in buffer.splitlines():
            json.loads(line)


def _a_candidate() -> Observed:
    """Release 2 in green, with a tenth of the visitors since two minutes before the first line."""
    stacks = {slot: Stack(Release(n, f"v{n}", "", {}), {}) for n, slot in enumerate((Slot.BLUE, Slot.GREEN), 1)}
    at = datetime.fromtimestamp(START - 120, UTC).isoformat()
    shift = Shift(at, 2, 10, 0, "canary")
    state = ProxyState(routes=Routes(1, live=Slot.BLUE, share=10, stacks=stacks, trial=True), clock=at)
    return Observed("shop", proxy=state, history=History(shifts=(shift,)))


def _buffers() -> list[bytes]:
    """A sixth of a minute at 6,000 requests a second: 3,000 visitors, four services, one slot in ten the candidate."""
    chance = random.Random(7)  # noqa: S311 - no secret
    lines = []
    for number in range(LINES):
        took = chance.choice((0.001, 0.002, 0.013, 0.1)) + chance.randrange(30) / 1000
        status = "500" if chance.random() < 0.002 else "200"
        client = f"{chance.randrange(3000):032x}"
        lines.append(
            f'{{"t":{START + number / RATE:.3f},"slot":"{"green" if chance.random() < 0.1 else "blue"}",'
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
