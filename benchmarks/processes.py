"""Whole processes by the clock on the wall: from before they are started until they have ended."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.errors import BenchmarkFailed

TIMEOUT = 180.0
BREATH = 0.15
"""Seconds between two runs, for what the one before left to be done (an exec ending, a reload)."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds. ``until``: when the line that was waited for was read."""

    began: float  # the monotonic clock's seconds
    total: float
    until: float | None
    output: str


def timed(command: Sequence[str], env: Mapping[str, str], *, until: bytes | None = None) -> Timing:
    """Run a command to its end. Raises `BenchmarkFailed`, with its output, where it fails or never says ``until``."""
    seen = None
    output = b""
    began = time.monotonic()
    with subprocess.Popen(
        command, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        poll = select.poll()
        poll.register(process.stdout, select.POLLIN)
        while poll.poll(TIMEOUT * 1000):
            part = os.read(process.stdout.fileno(), 1 << 16)
            now = time.monotonic()
            if not part:
                break
            output += part
            if seen is None and until is not None and until in output:
                seen = (now - began) * 1000
        else:
            process.kill()
            output += f"killed: it said nothing for {TIMEOUT:g} s".encode()
        code = process.wait()
        total = (time.monotonic() - began) * 1000
    text = output.decode(errors="replace")
    if code != 0:
        raise BenchmarkFailed(f"{' '.join(command)}: exit code {code}\n{text}")
    if until is not None and seen is None:
        raise BenchmarkFailed(f"{' '.join(command)} never said {until.decode()!r}\n{text}")
    return Timing(began, total, seen, text)


def taking_turns(runs: int, *measurements: Callable[[], None]) -> None:
    """Run each so many times, one after the other and each time another one first.

    A machine that is busy for a while is so for all of them.
    """
    for turn in range(runs):
        first = turn % len(measurements)
        for measure in (*measurements[first:], *measurements[:first]):
            time.sleep(BREATH)
            measure()
