"""Load by wrk: as many requests as fit into a time, over connections that are kept open."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkFailed

REPORT = Path(__file__).parent / "load" / "report.lua"
CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Load:
    """``p50`` and ``p99`` are milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def load(url: str, seconds: int, connections: int = CONNECTIONS) -> Load:
    """Raises `BenchmarkFailed` where there is no wrk, or where anything but answers below 400 came back."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise BenchmarkFailed("there is no wrk here; scripts/bench-tools installs it on a Debian-like system, as root")
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(REPORT), url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    if done.returncode != 0:
        raise BenchmarkFailed(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return parsed(done.stdout)


def parsed(output: str) -> Load:
    """wrk's output, whose last line is the report's."""
    counted = json.loads(output.strip().splitlines()[-1])
    if not counted["requests"] or counted["lost"] or counted["refused"]:
        raise BenchmarkFailed(
            f"of {counted['requests']} requests {counted['lost']} were lost and {counted['refused']} answered "
            f"with an error\n{output}"
        )
    return Load(counted["requests"], counted["us"] / 1e6, counted["p50"] / 1000, counted["p99"] / 1000)
