"""The access log from a place on: over its rotations, each line once.

A place is a file and an offset in it. A file is known by its first line, since inodes are given out again; and all
that was ever written is counted (`removed` beside the log has the bytes of the files that are gone), so that who comes
too late is told how much is missing.

nginx goes on writing to a file for a moment after it was renamed: the next one is begun when no process of nginx has
the former open any more.
"""

from __future__ import annotations

import os

from .errors import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .agent import Agent
    from .nginx import Nginx

NAMES = ("access.log", "access.log.1", "access.log.2", "access.log.3")
"""The newest first. A file only ever moves towards the end, so who looks in this order misses none."""

REMOVED = "removed"
LOOKS = 0.05
"""Seconds between two looks at a log that does not grow."""

MOST = 1 << 18
LONGEST = 1 << 22
"""Bytes of a line; a longer one is cut."""


def follow(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    """Answers as soon as there is something, at most so many ``seconds`` later."""
    seconds = float(op.get("seconds") or 0)
    most = min(max(int(op.get("most") or MOST), 1 << 12), LONGEST)
    log = agent.log(str(op.get("reader") or ""))
    start = agent.clock.monotonic()
    missed = log.go_to(op.get("position"), oldest=bool(op.get("oldest")))
    while True:
        data, more = log.read(most)
        missed += more
        if data or missed or agent.clock.monotonic() - start >= seconds or agent.called():
            return {"position": log.position(), "missed": missed, "behind": log.behind(), "data": data}
        agent.wait(LOOKS)


class Log:
    """The log as one session reads it. The file that is being read stays open: it can be read to its end, also after
    it was removed."""

    def __init__(self, folder: str, nginx: Nginx) -> None:
        self._folder = folder
        self._nginx = nginx
        self._handle = -1
        self._file = (0, 0)  # device and inode
        self._first = ""
        self._offset = 0
        self._at = 0  # bytes ever written, up to here

    def position(self) -> dict[str, Any]:
        """For `go_to`, in this session or a later one."""
        return {"file": self._file[1], "first": self._first, "offset": self._offset, "at": self._at}

    def behind(self) -> int:
        """Bytes that are there and not read yet. The beginning of a last line is not there before its end is: on a
        full volume it may never come."""
        if self._handle < 0:
            return 0
        files = self._files()
        left = max(0, self._removed() + sum(size for _, _, size in files) - self._at)
        if files and 0 < left < LONGEST:
            handle, _, size = files[-1]
            begun = os.pread(handle, min(left, size), size - min(left, size))
            left -= len(begun) - begun.rfind(b"\n") - 1
        _close_all(files, but=self._handle)
        return left

    def go_to(self, position: dict[str, Any] | None, *, oldest: bool) -> int:
        """Go on there; with None at the end of what is there, or with its ``oldest`` line. Answers how many bytes are
        gone that should have been read."""
        if position is not None:
            if self._handle >= 0 and position == self.position():
                return 0
            return self._resume(position)
        self._close()
        files = self._files()
        if files and not oldest:
            # Not at the start of a file without a line: nothing would tell it from another later on.
            last = next((at for at in range(len(files) - 1, 0, -1) if _first(files[at][0])), 0)
            self._take(files, last, _last_line_end(files[last][0]))
        elif files:
            self._take(files, 0, 0)
        _close_all(files, but=self._handle)
        return 0

    def read(self, most: int) -> tuple[bytes, int]:
        """Whole lines from here on, at most about so many bytes, b"" where there is nothing new; and how many bytes
        were removed before they could be read."""
        if self._handle < 0:
            self.go_to(None, oldest=True)
        if self._handle < 0:
            return b"", 0  # nginx has not written anything yet
        missed = 0
        while True:
            data = self._lines(most)
            if data or self._is_newest() or self._nginx.writes(*self._file):
                return data, missed
            # Nobody writes to it any more; what came between the last look and that one comes before the next file.
            data = self._lines(most) or self._rest()
            if data:
                return data, missed
            gone = self._next()
            if gone is None:
                return b"", missed
            missed += gone

    # -- inside --------------------------------------------------------------------------------------------
    def _lines(self, most: int) -> bytes:
        size = os.fstat(self._handle).st_size
        if size < self._offset:  # somebody emptied it
            self._offset = 0
        while True:
            data = os.pread(self._handle, most, self._offset)
            end = data.rfind(b"\n") + 1
            if end or len(data) < most:
                break
            if most >= LONGEST:
                return self._advance(data, b"\n")
            most = LONGEST
        return self._advance(data[:end])

    def _rest(self) -> bytes:
        """A last line without its end."""
        data = os.pread(self._handle, LONGEST, self._offset)
        return self._advance(data, b"\n") if data else b""

    def _advance(self, data: bytes, end: bytes = b"") -> bytes:
        if data and not self._first:
            self._first = _first(self._handle)
        self._offset += len(data)
        self._at += len(data)
        return data + end if data else b""

    def _next(self) -> int | None:
        """Begin the file after this one, once it has a line; answers the bytes that went between the two, or None."""
        files = self._files()
        numbers = [file for _, file, _ in files]
        known = self._file in numbers
        place = numbers.index(self._file) + 1 if known else 0
        missed = None
        if place < len(files) and _first(files[place][0]):
            expected = self._at
            self._take(files, place, 0)
            missed = 0 if known else max(0, self._at - expected)
        _close_all(files, but=self._handle)
        return missed

    def _resume(self, position: dict[str, Any]) -> int:
        try:
            number, offset, at = int(position["file"]), int(position["offset"]), int(position["at"])
            first = str(position["first"])
        except (KeyError, TypeError, ValueError):
            raise Refusal("invalid", f"{position!r} is no place in the log") from None
        self._close()
        files = self._files()
        found = [
            place
            for place, (handle, file, size) in enumerate(files)
            if first and file[1] == number and offset <= size and _first(handle) == first
        ]
        missed = 0
        if found:
            self._take(files, found[0], offset)
        elif files:
            self._take(files, 0, 0)
            missed = max(0, self._at - at)
        _close_all(files, but=self._handle)
        return missed

    def _take(self, files: list[tuple[int, tuple[int, int], int]], place: int, offset: int) -> None:
        before = sum(size for _, _, size in files[:place])
        self._close()
        self._handle, self._file, _ = files[place]
        self._first = _first(self._handle)
        self._offset = offset
        self._at = self._removed() + before + offset

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _files(self) -> list[tuple[int, tuple[int, int], int]]:
        """(handle, (device, inode), size) of each that is there, the oldest first."""
        found: list[tuple[int, tuple[int, int], int]] = []
        for name in NAMES:
            try:
                handle = os.open(f"{self._folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            info = os.fstat(handle)
            file = (info.st_dev, info.st_ino)
            if file in [known for _, known, _ in found]:  # renamed while we looked
                os.close(handle)
                continue
            found.append((handle, file, info.st_size))
        return found[::-1]

    def _is_newest(self) -> bool:
        try:
            info = os.stat(f"{self._folder}/{NAMES[0]}")
        except OSError:
            return False  # renamed, and nginx still has it open, or there is none behind it
        return (info.st_dev, info.st_ino) == self._file

    def _removed(self) -> int:
        try:
            with open(f"{self._folder}/{REMOVED}") as file:
                return int(file.read().strip() or 0)
        except (OSError, ValueError):
            return 0


def _first(handle: int) -> str:
    """Names a file by its first line; "" while it has none. Each has the time in milliseconds, and who asked."""
    from binascii import crc32

    data = os.pread(handle, 4096, 0)
    end = data.find(b"\n")
    if end < 0 and len(data) < 4096:
        return ""
    return f"{crc32(data[: end if end >= 0 else None]):08x}"


def _last_line_end(handle: int) -> int:
    end = os.fstat(handle).st_size
    while end:
        start = max(0, end - MOST)
        found = os.pread(handle, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _close_all(files: list[tuple[int, tuple[int, int], int]], *, but: int) -> None:
    for handle, _, _ in files:
        if handle != but:
            os.close(handle)
