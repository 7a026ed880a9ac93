"""The journal as a witness: what was intended, and by whom."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bluegreen.agent.jsonl import loads

FACTS = ("outcome", "lost")
"""Events that are told after the fact, whoever has taken over since."""


class JournalWatch:
    """Follows the file as it grows."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.complaints: list[str] = []
        self.begun: list[dict[str, Any]] = []  # since `forget`
        self._offset = 0
        self._inode = 0
        self._epoch = 0
        self._open: dict[str, int] = {}

    def forget(self) -> None:
        """A new command begins: intents that a killed one has left open count no more."""
        self.read()
        self._open.clear()
        self.begun.clear()

    def renewed(self) -> None:
        """Whatever was read so far, the next look begins at the file's start."""
        self._offset, self._epoch = 0, 0

    def open_intent(self, names: Iterable[str]) -> bool:
        """Whether an intent about one of these is journaled, whose outcome is not."""
        self.read()
        return any(count > 0 and set(subject.split()) & set(names) for subject, count in self._open.items())

    def read(self) -> None:
        try:
            info = self.file.stat()
        except FileNotFoundError:
            self._offset = 0
            return
        if info.st_ino != self._inode or info.st_size < self._offset:
            self._inode, self._offset, self._epoch = info.st_ino, 0, 0
        with self.file.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._offset += end
        for line in data[:end].splitlines():
            try:
                event = loads(line.decode())
            except ValueError:
                continue
            if isinstance(event, dict):
                self._note(event)

    def _note(self, event: dict[str, Any]) -> None:
        kind, epoch = event.get("event"), event.get("epoch")
        subject = str(event.get("subject"))
        if kind == "intent":
            self._open[subject] = self._open.get(subject, 0) + 1
        elif kind == "outcome":
            self._open[subject] = self._open.get(subject, 0) - 1
        elif kind == "begin":
            self.begun.append(event)
        if isinstance(epoch, int) and kind not in FACTS:
            if epoch < self._epoch:
                self.complaints.append(f"{kind} {subject} of epoch {epoch} after one of epoch {self._epoch}")
            self._epoch = max(self._epoch, epoch)
