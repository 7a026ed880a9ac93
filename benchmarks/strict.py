"""Clients that forgive nothing, while something switches: those of the scenarios, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from benchmarks.errors import BenchmarkFailed
from benchmarks.project import quiet_environment

CLIENT = Path(__file__).parent.parent / "tests" / "scenarios" / "strict_client.py"
AFTER = 0.25
"""Seconds between two switches, in which connections are used again."""


@dataclass(frozen=True, slots=True)
class Requests:
    """``moved``: for each switch, milliseconds from its beginning to the last request that began before it was
    answered by the old container, over all clients."""

    answered: int
    lost: int
    losses: tuple[str, ...]
    moved: tuple[float, ...]


class StrictClients:
    """Nine connections at once while its block runs: kept alive with and without pauses, closed, with bodies."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        command = [sys.executable, str(CLIENT), str(address.hostname), str(address.port)]
        self._process = subprocess.Popen(
            command, env=quiet_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._switches: list[tuple[float, str]] = []

    def __enter__(self) -> StrictClients:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        if self._process.stdout.readline() != "ready\n":
            raise BenchmarkFailed("the strict clients could not begin")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def switch(self, switch: Callable[[], str]) -> None:
        """``switch`` answers who answers from then on."""
        began = time.monotonic()
        self._switches.append((began, switch()))
        time.sleep(AFTER)

    def end(self) -> Requests:
        output, _ = self._process.communicate(timeout=60)
        return counted(json.loads(output), self._switches)


def counted(said: dict[str, list[list[object]]], switches: list[tuple[float, str]]) -> Requests:
    """What the clients say, by the switches (when each began, and who answered afterwards)."""
    answered = [(float(str(begin)), str(who)) for begin, _end, _kind, who in said["answered"]]
    ends = [*(began for began, _ in switches[1:]), float("inf")]
    moved = []
    for (began, to), end in zip(switches, ends, strict=True):
        old = [begin for begin, who in answered if began <= begin < end and who != to]
        moved.append((max(old) - began) * 1000 if old else 0.0)
    losses = tuple(f"{kind}: {why}" for _, kind, why in said["lost"])
    return Requests(len(answered), len(losses), losses, tuple(moved))
