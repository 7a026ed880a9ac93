"""What a project's age and size cost: a long journal, many generations, many services and replicas."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.containers import docker
from benchmarks.errors import BenchmarkFailed
from benchmarks.figures import Bar, Figure, Section
from benchmarks.past import past
from benchmarks.processes import taking_turns
from benchmarks.project import Bench, Project, project
from bluegreen.app.site import Site
from bluegreen.engine.connect import connect
from bluegreen.model.history import fold
from bluegreen.proxy.session import ProxySession

AGE_BAR = 1.2
EVENTS = 100_000
BATCH = 2_000
"""Events in one message to the agent."""

MOVES = 1_000
GENERATIONS_KEPT = 20


@dataclass(slots=True)
class Commands:
    """How long the commands that people wait for take, of one project."""

    here: Project
    name: str
    status: list[float] = field(default_factory=list)
    rollback: list[float] = field(default_factory=list)
    history: list[float] = field(default_factory=list)

    def run(self) -> None:
        self.status.append(self.here.bg("status").total)
        self.rollback.append(self.here.bg("rollback").total)
        self.here.bg("switch", self.here.last_tag)
        self.history.append(self.here.bg("history").total)

    def figure(self, command: str) -> Figure:
        return Figure(f"bg {command}, {self.name}", tuple(getattr(self, command)))


def journal(bench: Bench, runs: int) -> Section:
    """The commands of a project with a long journal, against those of one with a short one."""
    with project("proxied", bench.image) as young, project("proxied", bench.image, releases=1) as old:
        size = _age(old)
        for _ in range(2):
            old.bg("deploy", old.next_tag())
        both = Commands(young, "a journal of two deploys"), Commands(old, f"one of {EVENTS:,} events")
        for one in both:  # once each, not counted
            one.here.bg("rollback")
            one.here.bg("switch", one.here.last_tag)
        taking_turns(runs, *(one.run for one in both))
    short, long = both
    bars = tuple(
        Bar(f"bg {command}, times with a short journal", long.figure(command), short.figure(command), AGE_BAR)
        for command in ("status", "rollback")
    )
    figures = tuple(one.figure(command) for command in ("status", "rollback", "history") for one in both)
    return Section("journal", "a long journal", figures, bars, (f"its size is {size / 1e6:.0f} MB",))


def generations(bench: Bench, runs: int) -> Section:
    """A thousand activations through the agent, as fast as it takes them. Only so many generations may stay."""
    del runs
    took: list[float] = []
    with project("proxied", bench.image) as here:
        with _session(here) as session:
            for number in range(MOVES):
                took.append(_move(session, f"bench-{number}"))
        held = len(docker("exec", f"{here.name}-proxy", "ls", "/bg/generations").split())
    if held > GENERATIONS_KEPT + 1:
        raise BenchmarkFailed(f"after {MOVES} activations {held} generations are there")
    tenth = MOVES // 10
    first = Figure(f"an activation, of the first {tenth}", tuple(took[:tenth]))
    last = Figure(f"... of the last {tenth}", tuple(took[-tenth:]))
    bar = Bar("an activation, times the first ones'", last, first, AGE_BAR)
    note = f"{held} generations are left of {MOVES}"
    return Section("generations", "a thousand generations", (last, first), (bar,), (note,))


def _age(old: Project) -> int:
    """Give a project a long past; answers the journal's size in bytes."""
    with _session(old) as session:
        so_far = fold(session.run([{"op": "read", "history": True}])[0]["events"])
        batch: list[dict[str, object]] = []
        for events in past(so_far, EVENTS):
            batch += events
            if len(batch) >= BATCH:
                session.run([{"op": "append", "events": batch}])
                batch = []
        session.run([{"op": "append", "events": batch}])
    return int(docker("exec", f"{old.name}-proxy", "stat", "-c", "%s", "/bg/journal.jsonl"))


def _move(session: ProxySession, operation: str) -> float:
    """To the other slot, as a rollback does it; answers the milliseconds that the agent took for it."""
    session.run([{"op": "seize", "operation": operation, "holder": "bench", "seconds": 30}])
    current = session.run([{"op": "read", "history": False}])[0]["generation"]
    answer = session.run([{"op": "activate", "generation": "back", "parent": current, "settle": "verified"}])[0]
    session.run([{"op": "release", "operation": operation}])
    return float(answer["took"])


@contextlib.contextmanager
def _session(here: Project) -> Iterator[ProxySession]:
    engine = connect(None, os.environ)
    try:
        with Site(here.name, engine).session() as session:
            yield session
    finally:
        engine.close()
