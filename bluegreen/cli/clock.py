"""How long this process has been running, interpreter and imports included."""

from __future__ import annotations

import os
import time

_IMPORTED = time.monotonic()


def milliseconds_since_start() -> float:
    """Since the process was started, where the system tells (Linux, to its clock tick); else since the import."""
    try:
        with open("/proc/self/stat", "rb") as file:  # noqa: PTH123 - pathlib costs a rollback milliseconds
            started = int(file.read().rpartition(b")")[2].split()[19])
        since = time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError, IndexError):
        since = time.monotonic() - _IMPORTED
    return since * 1000
