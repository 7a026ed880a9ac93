"""What a project's size costs: more and more services, and more and more replicas of one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.containers import docker
from benchmarks.figures import Bar, Figure, Section
from benchmarks.processes import taking_turns
from benchmarks.project import Bench, Project, project
from bluegreen.app.site import Site
from bluegreen.engine.connect import connect

SIZES = (1, 10, 50)
STATUS_BAR = 1.35
ROLLBACK_BAR = 1.3
FLIPPED = b"ROLLED BACK"
TESTS = 10
"""Times that nginx checks its configuration in one exec, so that the exec itself counts little."""

CHECKS = f"""
a=$(date +%s%N)
for i in $(seq {TESTS}); do nginx -t -q -e stderr -c /bg/current/nginx.conf; done
echo $(($(date +%s%N) - a))
"""

HEAD = """\
x-bluegreen:
  proxy: {listen: "127.0.0.1:${BENCH_PORT}"}
  source: tree
  keep: 1
services:
"""
SERVICE = """\
  %(name)s:
    image: ${BENCH_IMAGE}
    environment: {TAG: "${TAG:-none}"}
    deploy: {replicas: %(replicas)d}
    x-bluegreen: {route: /%(name)s/, port: 8000, health: {path: /, rise: 1}}
"""


@dataclass(slots=True)
class Sized:
    """What was measured of one size."""

    size: int
    deploy: list[float] = field(default_factory=list)
    plan: list[float] = field(default_factory=list)
    status: list[float] = field(default_factory=list)
    listing: list[float] = field(default_factory=list)
    rollback: list[float] = field(default_factory=list)
    exec: list[float] = field(default_factory=list)
    flip: list[float] = field(default_factory=list)
    check: list[float] = field(default_factory=list)

    def figures(self) -> tuple[Figure, ...]:
        return tuple(Figure(f"{self.size}: {name}", tuple(getattr(self, key))) for key, name in NAMES.items())

    def bars(self) -> tuple[Bar, ...]:
        by = dict(zip(NAMES, self.figures(), strict=True))
        return (
            Bar(f"{self.size}: bg status, times its floor", by["status"], by["listing"], STATUS_BAR),
            Bar(f"{self.size}: to the verified flip, times its floor", by["rollback"], by["exec"], ROLLBACK_BAR),
        )


NAMES = {
    "deploy": "bg deploy",
    "plan": "bg deploy --dry-run",
    "status": "bg status",
    "listing": "its floor: import, list",
    "rollback": "bg rollback, to the verified flip",
    "exec": "its floor: import, list, exec",
    "flip": "... of it the flip itself",
    "check": "nginx -t",
}


def services(bench: Bench, runs: int) -> Section:
    return _grown("services", "so many services", bench, runs, lambda size: (size, 1))


def replicas(bench: Bench, runs: int) -> Section:
    return _grown("replicas", "so many replicas of one service", bench, runs, lambda size: (1, size))


def _grown(name: str, title: str, bench: Bench, runs: int, shape: Callable[[int], tuple[int, int]]) -> Section:
    """Two real slots of each size: twice as many containers."""
    all_ = [_measured(bench, runs, size, *shape(size)) for size in SIZES]
    figures = tuple(figure for one in all_ for figure in one.figures())
    return Section(name, title, figures, tuple(bar for one in all_ for bar in one.bars()))


def _measured(bench: Bench, runs: int, size: int, services: int, replicas: int) -> Sized:
    found = Sized(size)
    with compose_file(services, replicas) as file, project(file, bench.image, releases=0) as here:
        for _ in range(2):
            found.deploy.append(here.bg("deploy", here.next_tag()).total)
        bad = here.last_tag
        here.bg("rollback")  # once, not counted
        here.bg("switch", bad)

        def rollback() -> None:
            found.rollback.append(here.bg("rollback", until=FLIPPED).until or 0.0)
            here.bg("switch", bad)

        taking_turns(
            runs,
            lambda: found.listing.append(here.floor("listing.py", bench.address).total),
            lambda: found.status.append(here.bg("status").total),
            lambda: found.exec.append(here.floor("listing_and_exec.py", bench.address).total),
            rollback,
        )
        for _ in range(max(1, runs // 2)):
            found.plan.append(here.bg("deploy", "--dry-run", "planned").total)
            found.check.append(_check(here))
        found.flip += _flips(here)[-runs:]
    return found


def _check(here: Project) -> float:
    """Milliseconds that nginx takes to read and check the configuration."""
    said = docker("exec", f"{here.name}-proxy", "sh", "-c", CHECKS)
    return int(said) / TESTS / 1e6


def _flips(here: Project) -> list[float]:
    """What the journal says of each rollback's flip: from its intent to its outcome, the proxy's answer included."""
    engine = connect(None, os.environ)
    try:
        with Site(here.name, engine).session() as session:
            events = session.run([{"op": "read", "history": True}])[0]["events"]
    finally:
        engine.close()
    flips = [e for e in events if e["event"] == "outcome" and e["step"] == "switch" and e["op"].startswith("rollback")]
    return [float(event["ms"]) for event in flips]


@contextlib.contextmanager
def compose_file(services: int, replicas: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bgbench-") as directory:
        file = Path(directory) / "compose.yaml"
        made = (SERVICE % {"name": f"s{number}", "replicas": replicas} for number in range(services))
        file.write_text(HEAD + "".join(made))
        yield file
