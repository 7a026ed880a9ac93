"""The judge beside the two usual ones, on the same traces: who takes good releases back, who finds bad ones and when.

    python -m benchmarks.judge [--runs N] [--seed N] [--json FILE]

All traces are fifteen minutes of a canary at 10 %. The others are played in their generous form: they look every
minute, and windows without requests are not held against anybody.

- Argo Rollouts: fails for good at the fourth window with less than 95 % success (the documented example, failureLimit
  3), of one minute instead of five.
- Flagger: fails at the fifth window with less than 99 % success (its documented defaults for 1m, threshold 5).
- Kayenta: a Mann-Whitney U test of the error rates per minute of both sides so far, at 98 % confidence, from the fifth
  minute on; fails when the candidate's are higher.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import NamedTuple

import click

from bluegreen.judge import Judge
from bluegreen.model.judging import JudgeSettings

SECONDS = 900.0
WINDOW = 60.0
SHARE = 10


class Answer(NamedTuple):
    at: float
    candidate: bool
    client: int
    error: bool


@dataclass(frozen=True)
class Kind:
    """What is drawn. Rates are of requests; ``live`` and ``candidate`` at a moment of 0 to 1."""

    name: str
    live: Callable[[float], float]
    candidate: Callable[[float], float]
    per_second: float = 5.0
    clients: int = 2000
    flaky: int = 0  # clients half of whose requests fail, wherever they are
    retries: int = 0  # of a request that failed, of which 8 in 10 fail again

    @property
    def good(self) -> bool:
        return self.live is self.candidate


def _always(rate: float) -> Callable[[float], float]:
    return lambda _: rate


def _kinds() -> tuple[Kind, ...]:
    rare, some, many = _always(0.001), _always(0.01), _always(0.1)

    def day(at: float) -> float:
        return 0.001 + 0.05 * (0.5 + 0.5 * math.sin(4 * math.pi * at))

    def outage(at: float) -> float:
        return 0.9 if 0.5 < at < 0.7 else 0.001

    return (
        Kind("equal, 0.1 % errors", rare, rare),
        Kind("equal, 1 %", some, some),
        Kind("equal, 10 %", many, many),
        Kind("equal, 1 %, a request in 2 s", some, some, per_second=0.5),
        Kind("equal, retries in bursts", some, some, retries=15),
        Kind("equal, 3 of 2,000 clients fail half", rare, rare, flaky=3, per_second=20),
        Kind("equal, 10 of 2,000 clients fail half", rare, rare, flaky=10, per_second=20),
        Kind("equal, rates change as over a day", day, day),
        Kind("equal, an outage on both sides", outage, outage),
        Kind("0.1 to 100 %", rare, _always(1.0)),
        Kind("0.1 to 20 %", rare, _always(0.2)),
        Kind("0.1 to 5 %", rare, _always(0.05)),
        Kind("1 to 4 %", some, _always(0.04)),
        Kind("0.1 to 20 %, a request in 2 s", rare, _always(0.2), per_second=0.5),
    )


KINDS = _kinds()


def trace(kind: Kind, random: Random) -> list[Answer]:
    """One canary's answers, in order."""
    buckets = [random.randrange(100) for _ in range(kind.clients)]
    found: list[Answer] = []
    at = random.expovariate(kind.per_second)
    while at < SECONDS:
        client = random.randrange(kind.clients)
        candidate = buckets[client] < SHARE
        # Each has its visits: a flaky client is as rare a guest as the others.
        rate = 0.5 if client < kind.flaky else (kind.candidate if candidate else kind.live)(at / SECONDS)
        error = random.random() < rate
        found.append(Answer(at, candidate, client, error))
        if error and kind.retries:
            found += _retried(found[-1], kind.retries, random)
        at += random.expovariate(kind.per_second)
    return sorted(found) if kind.retries else found


def _retried(first: Answer, most: int, random: Random) -> list[Answer]:
    times = random.randrange(most + 1)
    return [first._replace(at=first.at + n + 1, error=random.random() < 0.8) for n in range(times)]


# ---- judges: when is it taken back? None: never ----


def bluegreen(answers: Sequence[Answer]) -> float | None:
    judge = Judge(JudgeSettings(latency=False), "live", "candidate")
    judge.shift(0.0, SHARE)
    for at, candidate, client, error in answers:
        if judge.see(at, candidate, str(client), error):
            return at
    return None


def windows(answers: Sequence[Answer]) -> list[tuple[list[int], list[int]]]:
    """For each minute: errors on live and the candidate, requests on live and the candidate."""
    found: list[tuple[list[int], list[int]]] = [([0, 0], [0, 0]) for _ in range(int(SECONDS / WINDOW))]
    for at, candidate, _, error in answers:
        if at < SECONDS:
            errors, requests = found[int(at / WINDOW)]
            errors[candidate] += error
            requests[candidate] += 1
    return found


def threshold(least: float, times: int) -> Callable[[Sequence[Answer]], float | None]:
    """Taken back at so many windows in which less than ``least`` of the candidate's requests succeeded."""

    def judge(answers: Sequence[Answer]) -> float | None:
        failed = 0
        for number, (errors, requests) in enumerate(windows(answers)):
            failed += requests[1] > 0 and 1 - errors[1] / requests[1] < least
            if failed == times:
                return (number + 1) * WINDOW
        return None

    return judge


def mann_whitney(answers: Sequence[Answer]) -> float | None:
    live: list[float] = []
    candidate: list[float] = []
    for number, (errors, requests) in enumerate(windows(answers)):
        if requests[0] and requests[1]:
            live.append(errors[0] / requests[0])
            candidate.append(errors[1] / requests[1])
        if number >= 4 and higher(candidate, live) > 2.326:  # 2 % on both sides, 1 % on this one
            return (number + 1) * WINDOW
    return None


def higher(one: Sequence[float], other: Sequence[float]) -> float:
    """By how many standard deviations Mann and Whitney's U says that one is higher; ties are corrected for."""
    n, m = len(one), len(other)
    if not n or not m:
        return 0.0
    u = sum((a > b) + 0.5 * (a == b) for a in one for b in other)
    everything = [*one, *other]
    ties = sum(count**3 - count for count in (everything.count(value) for value in set(everything)))
    variance = n * m / 12 * ((n + m + 1) - ties / ((n + m) * (n + m - 1)))
    return (u - n * m / 2) / math.sqrt(variance) if variance > 0 else 0.0


JUDGES: dict[str, Callable[[Sequence[Answer]], float | None]] = {
    "bluegreen": bluegreen,
    "Argo": threshold(0.95, 4),
    "Flagger": threshold(0.99, 5),
    "Mann-Whitney": mann_whitney,
}


# ---- what came of it ----


@dataclass(frozen=True)
class Result:
    """Of one judge on one kind of trace. ``delay``: seconds, the median of those taken back; ``hurt``: the median
    number of clients who had seen an error of the candidate's by then, or by the end."""

    kind: str
    judge: str
    good: bool
    runs: int
    taken_back: int
    delay: float | None
    hurt: float


def measure(kind: Kind, runs: int, seed: int) -> list[Result]:
    random = Random(f"{seed} {kind.name}")  # noqa: S311 - a simulation
    moments: dict[str, list[float | None]] = {name: [] for name in JUDGES}
    hurt: dict[str, list[int]] = {name: [] for name in JUDGES}
    for _ in range(runs):
        answers = trace(kind, random)
        for name, judge in JUDGES.items():
            at = judge(answers)
            moments[name].append(at)
            end = SECONDS if at is None else at
            hurt[name].append(len({a.client for a in answers if a.candidate and a.error and a.at <= end}))
    return [_result(kind, name, moments[name], hurt[name]) for name in JUDGES]


def _result(kind: Kind, judge: str, moments: list[float | None], hurt: list[int]) -> Result:
    taken = [at for at in moments if at is not None]
    delay = median(taken) if taken else None
    return Result(kind.name, judge, kind.good, len(moments), len(taken), delay, median(hurt))


def table(results: Sequence[Result]) -> list[str]:
    """For people: first the good releases, then the bad ones."""
    names = list(JUDGES)
    width = max(len(result.kind) for result in results) + 2
    lines = []
    for good, title in ((True, "good releases taken back"), (False, "bad ones: taken back, after, clients hurt")):
        some = [result for result in results if result.good == good]
        if not some:
            continue
        column = 14 if good else 26
        lines.append(f"{title:<{width + 8}}" + "".join(f"{name:>{column}}" for name in names))
        for kind in dict.fromkeys(result.kind for result in some):
            cells = [_cell(next(r for r in some if (r.kind, r.judge) == (kind, name))) for name in names]
            lines.append(f"{kind:<{width + 8}}" + "".join(f"{cell:>{column}}" for cell in cells))
        lines.append("")
    return lines


def _cell(result: Result) -> str:
    part = f"{result.taken_back / result.runs:.1%}"
    if result.good:
        return part
    return f"{part}, {'never' if result.delay is None else f'{result.delay:.0f} s'}, {result.hurt:g}"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runs", type=click.IntRange(1, 100_000), default=300, show_default=True, help="Traces of each kind.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path), default=Path(".state/bench-judge.json"))
def main(runs: int, seed: int, file: Path) -> None:
    """Play simulated canaries to bluegreen's judge and to the usual ones."""
    results = []
    for kind in KINDS:
        results += measure(kind, runs, seed)
        click.echo(f"  {kind.name}", err=True)
    click.echo("\n".join(table(results)), nl=False)
    click.echo(f"{runs} canaries of 15 minutes at {SHARE} % in each line; bluegreen's bound is 1 %; seed {seed}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"schema": 1, "seed": seed, "results": [asdict(r) for r in results]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
