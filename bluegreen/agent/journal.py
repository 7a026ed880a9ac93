"""The journal: one JSON object a line, appended and synced, never rewritten."""

from __future__ import annotations

import os

from .jsonl import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .files import Files

SCHEMA = 1
NAME = "journal.jsonl"
BLOCK = 1 << 16
PART = 1 << 20
STEPS = ("intent", "outcome")


class Journal:
    def __init__(self, files: Files) -> None:
        self._files = files

    def exists(self) -> bool:
        return self._files.exists(NAME)

    def append(self, events: list[dict[str, Any]], *, durable: bool = True) -> None:
        """All of them or none. Not ``durable``: `sync` comes before anyone is told."""
        self._files.append(NAME, "".join(dumps(event) + "\n" for event in events), durable=durable)

    def sync(self) -> None:
        self._files.sync(NAME)

    def begin_anew(self, now: str) -> str | None:
        """Put a journal aside that can't be read any more, under the name answered, and start an empty one."""
        kept = f"journal.until-{now.replace(':', '')}.jsonl" if self.exists() else None
        if kept is not None:
            self._files.rename(NAME, kept)
        self._files.append(NAME, "")
        self._files.sync("")
        return kept

    def read(self, *, history: bool, steps: bool = True) -> tuple[str, str, list[dict[str, Any]]]:
        """State, detail and events: all, or those from the last ``end`` event on. Of all, without ``steps``, those
        that a history is made of: neither the steps of operations that have ended nor more than the first snapshot,
        which are nearly all of a journal's size.

        An ``end`` whose snapshot is null was written while the journal was broken, and is passed over: what it could
        not tell stands further back, behind the break. The state is ``ok``, ``missing``, ``corrupt`` (the detail names
        the line) or ``schema``. A torn last line is no event. Without ``history`` the file is read from its end, and
        only as far as needed.
        """
        try:
            handle = os.open(self._files.path(NAME), os.O_RDONLY)
        except FileNotFoundError:
            return "missing", "", []
        try:
            return _read_all(handle, _Whole() if steps else _Told()) if history else _read_tail(handle)
        finally:
            os.close(handle)


class _Whole:
    """Every event."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def add(self, event: dict[str, Any]) -> None:
        self.events.append(event)


class _Told(_Whole):
    """What a history is made of."""

    def __init__(self) -> None:
        super().__init__()
        self._ended = 0  # so many events are of operations that have ended
        self._founded = False

    def add(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        if event.get("event") != "end":
            return
        self.events[self._ended :] = [e for e in self.events[self._ended :] if e.get("event") not in STEPS]
        self._ended = len(self.events)
        if self._founded:
            event.pop("snapshot", None)
        else:
            snapshot = event.get("snapshot")
            self._founded = isinstance(snapshot, dict) and bool(snapshot.get("releases"))


def _read_all(handle: int, found: _Whole) -> tuple[str, str, list[dict[str, Any]]]:
    for number, line in enumerate(_lines(handle), 1):
        event, state, detail = _parse(line)
        if event is None:
            return state, f"line {number}: {detail}", found.events
        found.add(event)
    return "ok", "", found.events


def _lines(handle: int) -> Iterator[bytes]:
    """The lines that are whole: what follows the last newline is torn, or nothing. A part of the file at a time, since
    it may be larger than the container's memory."""
    rest = b""
    start, size = 0, os.lseek(handle, 0, os.SEEK_END)
    while start < size:
        end = min(size, start + PART)
        *lines, rest = (rest + _pread(handle, start, end)).split(b"\n")
        yield from lines
        start = end


def _read_tail(handle: int) -> tuple[str, str, list[dict[str, Any]]]:
    start = os.lseek(handle, 0, os.SEEK_END)
    rest = b""
    torn = True
    events: list[dict[str, Any]] = []  # newest first
    while start or rest:
        step = min(BLOCK, start)
        start -= step
        lines = (_pread(handle, start, start + step) + rest).split(b"\n")
        rest = lines.pop(0) if start else b""  # its beginning is in the block before
        if torn and lines:
            lines.pop()
            torn = False
        for index in range(len(lines) - 1, -1, -1):
            event, state, detail = _parse(lines[index])
            if event is None:
                newlines_before = _count_newlines(handle, start) + (1 if start else 0) + index
                return state, f"line {newlines_before + 1}: {detail}", events[::-1]
            events.append(event)
            if event.get("event") == "end" and event.get("snapshot", {}) is not None:
                return "ok", "", events[::-1]
        if not start:
            break
    return "ok", "", events[::-1]


def _parse(line: bytes) -> tuple[dict[str, Any] | None, str, str]:
    try:
        event = loads(line.decode())
    except ValueError as error:
        return None, "corrupt", f"{error} in {line[:60]!r}"
    if not isinstance(event, dict) or not isinstance(event.get("v"), int):
        return None, "corrupt", f"no event: {line[:60]!r}"
    if event["v"] != SCHEMA:
        return None, "schema", f"schema {event['v']}, where this agent knows {SCHEMA}"
    return event, "", ""


def _pread(handle: int, start: int, end: int) -> bytes:
    parts = []
    while start < end:
        part = os.pread(handle, min(end - start, 1 << 24), start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def _count_newlines(handle: int, end: int) -> int:
    return sum(_pread(handle, at, min(at + (1 << 20), end)).count(b"\n") for at in range(0, end, 1 << 20))
