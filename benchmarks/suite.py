"""The benchmarks. Each takes how many runs it is to make, and answers its section."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.cost import cost
from benchmarks.errors import BenchmarkFailed
from benchmarks.figures import Bar, Figure, Section
from benchmarks.growth import generations, journal
from benchmarks.peers import peers
from benchmarks.processes import Timing, taking_turns, timed
from benchmarks.project import BLUEGREEN, Bench, Project, project, quiet_environment
from benchmarks.prove.short import prove
from benchmarks.sizes import replicas, services
from benchmarks.traffic import traffic
from benchmarks.watcher import Watcher

HELP_BAR = 2.0
STATUS_BAR = 1.35
ROLLBACK_BAR = 1.3
DEPLOY_BAR = 1.5

FLIPPED = b"ROLLED BACK"


@dataclass(slots=True)
class _Times:
    """Collects one figure."""

    name: str
    values: list[float] = field(default_factory=list)

    def add(self, value: float | None) -> None:
        if value is None:
            raise BenchmarkFailed(f"{self.name}: there is nothing to add")
        self.values.append(value)

    def figure(self) -> Figure:
        return Figure(self.name, tuple(self.values))


def help_(_bench: Bench, runs: int) -> Section:
    env = quiet_environment()
    shown, floor = _Times("bg --help"), _Times("python -c 'import click'")
    commands = {shown.name: [BLUEGREEN, "--help"], floor.name: [sys.executable, "-c", "import click"]}
    for command in commands.values():
        timed(command, env)
    taking_turns(
        runs,
        lambda: floor.add(timed(commands[floor.name], env).total),
        lambda: shown.add(timed(commands[shown.name], env).total),
    )
    bar = Bar("bg --help, times importing click", shown.figure(), floor.figure(), HELP_BAR)
    return Section("help", "start-up", (bar.measured, bar.floor), (bar,))


def status(bench: Bench, runs: int) -> Section:
    shown, floor = _Times("bg status"), _Times("floor: import click and docker, list")
    with project("full", bench.image) as here:
        _warm(lambda: here.bg("status"), lambda: here.floor("listing.py", bench.address))
        taking_turns(
            runs,
            lambda: floor.add(here.floor("listing.py", bench.address).total),
            lambda: shown.add(here.bg("status").total),
        )
    bar = Bar("bg status, times its floor", shown.figure(), floor.figure(), STATUS_BAR)
    return Section("status", "status", (bar.measured, bar.floor), (bar,))


def rollback(bench: Bench, runs: int) -> Section:
    """Each rollback needs a release to go back from: `switch`, which isn't counted, makes it live again."""
    flip, whole = _Times("bg rollback, to the verified flip"), _Times("bg rollback, to its exit")
    full_floor = _Times("floor: import click and docker, list, exec")
    with project("full", bench.image) as here:
        _roll_back(here, bench, runs, flip, whole, full_floor)

    plain_flip = _Times("the same without worker and smoke: to the flip")
    exit_, plain_floor = _Times("... to its exit"), _Times("... floor")
    with project("plain", bench.image) as here:
        _roll_back(here, bench, runs, plain_flip, exit_, plain_floor)
    bars = (
        Bar("to the verified flip, times its floor", flip.figure(), full_floor.figure(), ROLLBACK_BAR),
        Bar("to the exit where nothing follows", exit_.figure(), plain_floor.figure(), ROLLBACK_BAR),
    )
    times = (flip, whole, full_floor, plain_flip, exit_, plain_floor)
    return Section("rollback", "rollback", tuple(t.figure() for t in times), bars)


def _roll_back(here: Project, bench: Bench, runs: int, flip: _Times, whole: _Times, floor: _Times) -> None:
    bad = _prepare(here)

    def once() -> None:
        took = here.bg("rollback", until=FLIPPED)
        flip.add(took.until)
        whole.add(took.total)
        here.bg("switch", bad)

    taking_turns(runs, lambda: floor.add(_floor(here, bench).total), once)


def first_request(bench: Bench, runs: int) -> Section:
    served, said = _Times("first request served by the target"), _Times("... and said to be so")
    answers = lost = 0
    with project("full", bench.image) as here:
        bad = _prepare(here)
        for _ in range(runs):
            with Watcher(here.port) as watcher:
                took = here.bg("rollback", until=FLIPPED)
            if watcher.changed is None:
                raise BenchmarkFailed("a rollback was reported, and the same container goes on answering")
            served.add((watcher.changed - took.began) * 1000)
            said.add(took.until)
            answers += watcher.answers
            lost += watcher.lost
            here.bg("switch", bad)
    note = f"{answers} requests meanwhile over a kept-alive connection, {lost} of them lost"
    return Section("first-request", "rollback under load", (served.figure(), said.figure()), (), (note,))


def deploy(bench: Bench, runs: int) -> Section:
    """Releases of one image that differ in an environment variable: nothing is built, everything is made anew.

    The ordinary deploy, where a live release and a standby are there and releases beyond those kept go, against
    Compose recreating its containers. And the first one, for which bluegreen makes its proxy, its networks and volumes
    too, against Compose's start from nothing.
    """
    ordinary, recreate = _Times("bg deploy"), _Times("compose up --wait, new tag over the old")
    with project("plain", bench.image, releases=4) as here:
        try:
            here.compose("up", "--detach", "--wait", tag=here.next_tag())
            taking_turns(
                runs,
                lambda: recreate.add(here.compose("up", "--detach", "--wait", tag=here.next_tag()).total),
                lambda: ordinary.add(here.bg("deploy", here.next_tag()).total),
            )
        finally:
            here.compose("down", "--volumes")
    first, fresh = _Times("bg deploy, the very first"), _Times("compose up --wait, from nothing")

    def bg_from_nothing() -> None:
        new = Project("plain", bench.image)
        try:
            first.add(new.bg("deploy", new.next_tag()).total)
        finally:
            new.remove()

    def compose_from_nothing() -> None:
        new = Project("plain", bench.image)
        try:
            fresh.add(new.compose("up", "--detach", "--wait", tag=new.next_tag()).total)
        finally:
            new.compose("down", "--volumes")

    taking_turns(max(1, runs // 2), compose_from_nothing, bg_from_nothing)
    bars = (Bar("an ordinary deploy, times compose", ordinary.figure(), recreate.figure(), DEPLOY_BAR),)
    strict = ordinary.figure().median / fresh.figure().median
    note = f"an ordinary deploy takes {strict:.2f} times compose's start from nothing, where there is nothing to stop"
    times = (ordinary, recreate, first, fresh)
    return Section("deploy", "deploy of built images", tuple(t.figure() for t in times), bars, (note,))


@dataclass(frozen=True, slots=True)
class Benchmark:
    """``runs`` and, for a first impression, ``quick``."""

    measure: Callable[[Bench, int], Section]
    runs: int
    quick: int


BENCHMARKS: Mapping[str, Benchmark] = {
    "help": Benchmark(help_, 15, 5),
    "status": Benchmark(status, 15, 5),
    "rollback": Benchmark(rollback, 12, 4),
    "first-request": Benchmark(first_request, 8, 3),
    "deploy": Benchmark(deploy, 7, 3),
    "cost": Benchmark(cost, 11, 3),
    "prove": Benchmark(prove, 20, 4),
    "traffic": Benchmark(traffic, 7, 3),
}

LONG: Mapping[str, Benchmark] = {
    "peers": Benchmark(peers, 9, 2),
    "journal": Benchmark(journal, 9, 3),
    "generations": Benchmark(generations, 1, 1),
    "services": Benchmark(services, 7, 2),
    "replicas": Benchmark(replicas, 7, 2),
}
"""Made only when named: they take longer, or need what others don't."""


def _prepare(here: Project) -> str:
    """One rollback and the way forward again, not counted; answers the tag that is rolled back from."""
    bad = here.last_tag
    here.bg("rollback")
    here.bg("switch", bad)
    return bad


def _floor(here: Project, bench: Bench) -> Timing:
    return here.floor("listing_and_exec.py", bench.address)


def _warm(*measurements: Callable[[], Timing]) -> None:
    """Once each, not counted: files come into memory, and Python's compiled ones onto the disk."""
    for measure in measurements:
        measure()
