"""A day of rows, beside the access log: a file for each hour in which some were recorded.

The log is read by whoever watches, and several may. Rows are taken only from who read on from where the last ones
ended: so each byte of the log is counted once, and two watchers need not know of each other.
"""

from __future__ import annotations

import os

from .errors import Refusal
from .files import NO_SPACE, Files, Lock
from .jsonl import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .agent import Agent

FOLDER = "rows"
HOURS = 25
"""Files that are kept: a whole day and the hour that has begun."""

MOST_BYTES = 64 << 20
"""Of all of them together. With more, the oldest hours go early."""

PAGE = 1 << 20


def record(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    """Keep ``rows``, which were counted from ``since`` (the place at which the last ones ended) to ``until``."""
    files = Files(agent.logs)
    entry = {"until": op["until"], "missed": int(op.get("missed") or 0), "rows": list(op["rows"])}
    try:
        files.mkdir(FOLDER)
        with Lock(files.path(f"{FOLDER}/lock"), 5.0):
            known = _recorded(files)
            if op.get("since") != known:
                raise Refusal("stale", "other rows were recorded meanwhile", recorded=known)
            hour = f"{int(agent.clock.now()) // 3600:08d}"
            newest = max([*_names(files), hour])  # a clock that was set back makes no older file the last one
            files.append(f"{FOLDER}/{newest}", dumps(entry) + "\n", durable=False)
            _trim(files)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        # Not the other volume's business: nothing there makes room here.
        raise Refusal("disk-full", f"the volume of the access log is full: {error}") from error
    return {"recorded": op["until"]}


def rows(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    """What is kept, a page at a time: as many whole entries of an ``hour`` from ``offset`` on as fit."""
    files = Files(agent.logs)
    names = _names(files)
    answer: dict[str, Any] = {"hours": [int(name) for name in names], "recorded": _recorded(files)}
    if op.get("hour") is None:
        return answer
    data = b""
    try:
        with open(files.path(f"{FOLDER}/{int(op['hour']):08d}"), "rb") as file:
            file.seek(int(op.get("offset") or 0))
            data = file.read(PAGE)
            if b"\n" not in data and len(data) == PAGE:
                data += file.readline()
    except FileNotFoundError:
        pass
    return {**answer, "data": data[: data.rfind(b"\n") + 1]}


def _names(files: Files) -> list[str]:
    return [name for name in files.names(FOLDER) if name.isdigit()]


def _recorded(files: Files) -> Any:
    """Where the last rows ended; None where there are none, or nobody can tell."""
    for name in reversed(_names(files)):
        last = _last_line(files.path(f"{FOLDER}/{name}"))
        if not last:
            continue
        try:
            return loads(last)["until"]
        except (ValueError, KeyError, TypeError):
            return None
    return None


def _last_line(path: str) -> str:
    """The last whole line; a torn one behind it was never acknowledged."""
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        data = b""
        while end and data.count(b"\n") < 2:
            start = max(0, end - PAGE)
            file.seek(start)
            data = file.read(end - start) + data
            end = start
    whole = data[: data.rfind(b"\n")] if b"\n" in data else b""
    return whole[whole.rfind(b"\n") + 1 :].decode("utf-8", "replace")


def _trim(files: Files) -> None:
    names = _names(files)
    sizes = [os.stat(files.path(f"{FOLDER}/{name}")).st_size for name in names]
    newest = int(names[-1])
    total = sum(sizes)
    for name, size in zip(names[:-1], sizes, strict=False):
        if int(name) > newest - HOURS and total <= MOST_BYTES:
            return
        files.unlink(f"{FOLDER}/{name}")
        total -= size
