"""What a request costs on its way through the proxy: processor time of nginx, against a proxy written by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.containers import address, container, processor_time
from benchmarks.figures import Bar, Figure, Section
from benchmarks.processes import taking_turns
from benchmarks.project import STACK, Bench, Project, project
from benchmarks.wrk import load

COST_BAR = 1.2
SECONDS = 2
"""Of load in each run: some ten thousand requests."""

BY_HAND = """
umask 0; printf '%s\\n' "$CONF" >/tmp/nginx.conf
exec nginx -e stderr -c /tmp/nginx.conf -g 'daemon off;'
"""


@dataclass(slots=True)
class Spent:
    """Microseconds of processor time per request, and requests per second, of one container under load."""

    name: str
    container: str
    url: str
    microseconds: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def run(self) -> None:
        before = processor_time(self.container)
        done = load(self.url, SECONDS)
        self.microseconds.append((processor_time(self.container) - before) / done.requests * 1e6)
        self.rates.append(done.per_second)

    def figure(self) -> Figure:
        return Figure(self.name, tuple(self.microseconds), "us")

    def rate(self) -> Figure:
        return Figure(f"... requests per second, {self.container.rpartition('-')[2]}", tuple(self.rates), "/s")


def cost(bench: Bench, runs: int) -> Section:
    """The same nginx in containers of the same image, with two workers each, before the same container."""
    with project("proxied", bench.image) as here, by_hand(here, bench.image) as hand:
        ours = Spent("bluegreen's proxy, with everything on", f"{here.name}-proxy", proxy_url(here))
        for one in (hand, ours):  # once each, not counted
            load(one.url, 1)
        taking_turns(runs, hand.run, ours.run)
    bar = Bar("processor time per request, times by hand", ours.figure(), hand.figure(), COST_BAR)
    figures = (bar.measured, bar.floor, ours.rate(), hand.rate())
    return Section("cost", "a request's cost", figures, (bar,))


@contextlib.contextmanager
def by_hand(here: Project, image: str) -> Iterator[Spent]:
    """A proxy written by hand before the live container of a project."""
    name = f"{here.name}-by-hand"
    upstream = f"{live_address(here)}:8000"
    env = {"CONF": (STACK / "minimal.conf").read_text().replace("ADDRESS", upstream)}
    with container(name, image, ("sh", "-c", BY_HAND), (here.network(here.live),), env=env) as ip:
        yield Spent("nginx by hand, with its default access log", name, f"http://{ip}:8080/")


def proxy_url(here: Project) -> str:
    return f"http://{address(f'{here.name}-proxy', here.network(here.live))}:8080/"


def live_address(here: Project) -> str:
    return address(f"{here.name}-{here.live}-web-1", here.network(here.live))
