"""Who is in the way of a port: in the engine's words, and which process of this machine listens on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    name: str


def held_port(message: str) -> int | None:
    """The host port that an engine says is taken; None where its error is about something else."""
    found = re.search(
        r":(\d+) failed: port is already allocated|"  # by one of its containers
        r":(\d+): bind: address already in use|"  # by a process, up to engine 27
        r":(\d+):[\d.:a-f\[\]]+:\d+/tcp: address already in use",  # by a process, from engine 28 on
        message,
    )
    return int(next(filter(None, found.groups()))) if found else None


def listener(port: int, proc: Path = Path("/proc")) -> Process | None:
    """The process that listens on this TCP port, as far as this user may see it. Linux only: elsewhere None."""
    inodes = set(_listening(port, proc))
    if not inodes:
        return None
    for directory in proc.iterdir():
        if directory.name.isdecimal() and inodes & set(_sockets(directory)):
            try:
                name = (directory / "comm").read_text().strip()
            except OSError:
                continue  # it has ended meanwhile
            return Process(int(directory.name), name)
    return None


def _listening(port: int, proc: Path) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            rows = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _sockets(process: Path) -> Iterator[str]:
    try:
        for link in (process / "fd").iterdir():
            found = re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink()))
            if found:
                yield found[1]
    except OSError:
        return  # another user's, or gone
