"""The proxy beside others that people use: how much it carries, what it takes, and what a switch costs and loses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from benchmarks.containers import memory, processor_time
from benchmarks.errors import BenchmarkFailed
from benchmarks.figures import Bar, Figure, Section
from benchmarks.processes import taking_turns
from benchmarks.project import Bench, project
from benchmarks.proxies import Proxy, behind, proxies
from benchmarks.strict import StrictClients
from benchmarks.wrk import load

HAPROXY_BAR = 0.8
OTHERS_BAR = 2.5
SECONDS = 3
SWITCHES, ROUNDS = 20, 2
"""Switches of each, and in how many turns."""


@dataclass(slots=True)
class Measured:
    proxy: Proxy
    rates: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    microseconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    rollbacks: list[float] = field(default_factory=list)
    moved: list[float] = field(default_factory=list)
    answered: int = 0
    losses: Counter[str] = field(default_factory=Counter)

    def load(self) -> None:
        before = processor_time(self.proxy.container)
        done = load(self.proxy.url, SECONDS)
        self.microseconds.append((processor_time(self.proxy.container) - before) / done.requests * 1e6)
        self.rates.append(done.per_second)
        self.p50.append(done.p50)
        self.p99.append(done.p99)
        self.memory.append(memory(self.proxy.container))

    def switches(self, names: Mapping[str, str]) -> None:
        """Forward and back under strict clients. What is timed are the ways back."""
        with StrictClients(self.proxy.url) as clients:
            for _ in range(SWITCHES // ROUNDS // 2):
                clients.switch(lambda: self._back(names))
                clients.switch(lambda: self._forward(names))
            found = clients.end()
        self.moved += found.moved
        self.answered += found.answered
        self.losses.update(found.losses)

    def _back(self, names: Mapping[str, str]) -> str:
        self.rollbacks.append(self.proxy.back().total)
        return names[self.proxy.slot]

    def _forward(self, names: Mapping[str, str]) -> str:
        self.proxy.forward()
        return names[self.proxy.slot]

    def figures(self) -> list[Figure]:
        name = self.proxy.name
        return [
            Figure(f"{name}: requests per second", tuple(self.rates), "/s"),
            Figure(f"{name}: latency, 50 %", tuple(self.p50)),
            Figure(f"{name}: latency, 99 %", tuple(self.p99)),
            Figure(f"{name}: processor time per request", tuple(self.microseconds), "us"),
            Figure(f"{name}: memory under load", tuple(self.memory), "MiB"),
            Figure(f"{name}: a rollback, process start to exit", tuple(self.rollbacks)),
            Figure(f"{name}: last request to the old one", tuple(self.moved)),
        ]


def peers(bench: Bench, runs: int) -> Section:
    from bluegreen import __version__

    with project("proxied", bench.image) as here:
        here.bg("rollback")  # once each way, not counted
        here.bg("switch", here.last_tag)
        servers = behind(here)
        with proxies(servers, bench.image, __version__) as found:
            all_ = [Measured(proxy) for proxy in found]
            for one in all_:
                load(one.proxy.url, 1)
            taking_turns(runs, *(one.load for one in all_))
            taking_turns(ROUNDS, *(partial(one.switches, servers.names) for one in all_))
    ours, haproxy, *others = (one.figures()[0] for one in all_)
    bars = [Bar("requests per second, times HAProxy's", ours, haproxy, HAPROXY_BAR, at_least=True)]
    bars += [
        Bar(f"requests per second, times {one.proxy.name}'s", ours, other, OTHERS_BAR, at_least=True)
        for one, other in zip(all_[2:], others, strict=True)
    ]
    if all_[0].losses:
        raise BenchmarkFailed(f"bluegreen lost requests: {dict(all_[0].losses)}")
    figures = tuple(figure for one in all_ for figure in one.figures())
    return Section("peers", "beside other proxies", figures, tuple(bars), tuple(_notes(all_)))


def _notes(all_: list[Measured]) -> list[str]:
    """The table as it stands in the README, and what was lost."""
    lines = [
        f"| proxy | requests/s | p50 | p99 | cost | memory | lost in {SWITCHES} switches | one rollback |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in all_:
        rate, p50, p99, cost, held, rollback, _ = (figure.median for figure in one.figures())
        lost = f"{sum(one.losses.values())} of {one.answered + sum(one.losses.values())}"
        lines.append(
            f"| {one.proxy.name} {one.proxy.version} | {rate:,.0f} | {p50:.1f} ms | {p99:.1f} ms "
            f"| {cost:.0f} µs | {held:.0f} MiB | {lost} | {rollback:.0f} ms |"
        )
    for one in all_:
        for why, count in one.losses.most_common(5):
            lines.append(f"{one.proxy.name} lost {count}: {why}")
    return lines
