"""Where answers go: text, one JSON document, or JSON lines. Losing a stream never raises."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TextIO

SCHEMA = 1
"""Version of everything printed as JSON."""

Form = Literal["text", "json", "events"]

_COLOURS = {
    "LIVE": "32",
    "ROLLED BACK": "32",
    "SWITCHED": "32",
    "PROMOTED": "32",
    "CANARY": "36",
    "STAGED": "36",
    "STANDBY": "36",
    "CANDIDATE": "36",
    "NOTHING TO DO": "36",
    "NOT DEPLOYED": "31",
    "FAILED": "31",
    "ERROR": "31",
    "REFUSED": "31",
    "BUSY": "33",
    "STOPPED": "33",
    "INCOMPLETE": "33",
    "NO ENGINE": "31",
    "BUG": "31",
    "WARNING": "33",
    "TROUBLE": "33",
    "fail": "31",
    "warn": "33",
    "ok": "32",
}


class Output:
    """Standard output carries the answer, standard error progress and, in text, what went wrong."""

    def __init__(self, out: TextIO, err: TextIO, env: Mapping[str, str]) -> None:
        self._streams: dict[str, TextIO | None] = {"out": out, "err": err}
        self._env = env
        self._lock = threading.Lock()
        self.form: Form = "text"
        self.no_color = False

    @property
    def gone(self) -> bool:
        """Whether nobody reads standard output any more."""
        return self._streams["out"] is None

    def is_terminal(self, stream: Literal["out", "err"]) -> bool:
        target = self._streams[stream]
        try:
            return target is not None and target.isatty()
        except (OSError, ValueError):
            return False

    def coloured(self, stream: Literal["out", "err"]) -> bool:
        env = self._env
        if self.no_color or env.get("NO_COLOR") or env.get("TERM") == "dumb" or env.get("CLICOLOR") == "0":
            return False
        return bool(env.get("CLICOLOR_FORCE", "0") != "0") or self.is_terminal(stream)

    @property
    def redraws(self) -> bool:
        """Whether standard error is a terminal that can be drawn on."""
        return self.is_terminal("err") and self._env.get("TERM") not in (None, "", "dumb")

    @property
    def width(self) -> int:
        """Columns to write in: 80, or fewer on a narrow terminal."""
        for stream in ("err", "out"):
            target = self._streams[stream]
            try:
                if target is not None and target.isatty():
                    return max(40, min(80, os.get_terminal_size(target.fileno()).columns or 80))
            except (OSError, ValueError):
                continue
        return 80

    def result(self, lines: Iterable[str]) -> None:
        """Lines of the answer, for standard output."""
        self._print("out", lines)

    def note(self, lines: Iterable[str]) -> None:
        """Lines of progress and errors, for standard error."""
        self._print("err", lines)

    def data(self, value: Mapping[str, Any]) -> None:
        """One JSON document as a line."""
        self.write("out", json.dumps(value, ensure_ascii=False) + "\n")

    def write(self, stream: Literal["out", "err"], text: str) -> None:
        """Write at once. A stream that can't be written to is given up: what is being done goes on."""
        with self._lock:
            lost = self._try(stream, text)
        if stream == "out" and lost is not None and not isinstance(lost, BrokenPipeError):
            self.write("err", f"standard output can't be written to: {lost}\n")

    def _try(self, stream: Literal["out", "err"], text: str) -> Exception | None:
        target = self._streams[stream]
        if target is None:
            return None
        try:
            target.write(_encodable(text, target.encoding))
            target.flush()
        except (OSError, ValueError) as error:
            self._streams[stream] = None
            return error
        return None

    def _print(self, stream: Literal["out", "err"], lines: Iterable[str]) -> None:
        colour = self.coloured(stream)
        text = "\n".join(_paint(line) if colour else line for line in lines)
        self.write(stream, text + "\n")


def envelope(
    command: str, outcome: str, data: Mapping[str, Any], errors: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The one form of every JSON answer."""
    return {"schema": SCHEMA, "command": command, "outcome": outcome, "data": dict(data), "errors": list(errors)}


def _encodable(text: str, encoding: str | None) -> str:
    """The text, with question marks for what the stream's encoding lacks."""
    if text.isascii() or not encoding:
        return text
    return text.encode(encoding, "replace").decode(encoding)


def _paint(line: str) -> str:
    for word, colour in _COLOURS.items():
        if line.startswith(word) and line[len(word) : len(word) + 1] in ("", " "):
            return f"\x1b[1;{colour}m{word}\x1b[0m{line[len(word) :]}"
    return line
