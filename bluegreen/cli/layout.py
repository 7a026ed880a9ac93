"""Pages of 80 columns: a word that says what a line is, then the text, wrapped below itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

INDENT = 9
WIDTH = 80
PURPOSE = "    "
"""Between a command and what it is for, in the next steps that the app hands over."""


class Page:
    """Lines for a person. ``rename`` puts the program's name as it works here into every text, before it is
    wrapped."""

    def __init__(self, rename: Callable[[str], str] = str, width: int = WIDTH) -> None:
        self.rename = rename
        self.width = width
        self.lines: list[str] = []

    def line(self, text: str = "", end: str = "") -> None:
        """A line as it is, with something at its right edge where ``end`` is given."""
        whole = plain(self.rename(text))
        self.lines.extend(right(whole, plain(end), self.width) if end else [whole.rstrip()])

    def field(self, label: str, text: str) -> None:
        """``LABEL    text``, further lines below the text."""
        head = label.ljust(INDENT) if len(label) < INDENT else f"{label}  "
        for number, part in enumerate(self.rename(text).splitlines() or [""]):
            self.lines.extend(wrapped(plain(part), head if number == 0 else " " * INDENT, self.width))

    def quoted(self, lines: Iterable[str]) -> None:
        """Somebody else's output, indented: as it is but for control characters, repeated lines once."""
        said = [plain(line) for line in lines]
        number = 0
        while number < len(said):
            times = 1
            while number + times < len(said) and said[number + times] == said[number]:
                times += 1
            repeated = f"  ({times} times)" if times > 1 else ""
            self.lines.extend(wrapped(f"{said[number]}{repeated}", f"{'':{INDENT}}| ", self.width))
            number += times

    def commands(self, label: str, items: Iterable[str]) -> None:
        """Commands, each on a line of its own so that it can be pasted; what one is for goes beside it."""
        pairs = [(c.strip(), p.strip()) for c, _, p in (plain(self.rename(i)).partition(PURPOSE) for i in items)]
        beside = [len(c) for c, p in pairs if p and INDENT + len(c) + 3 + len(p) <= self.width]
        room = max(beside, default=0)
        for number, (command, purpose) in enumerate(pairs):
            head = (label if number == 0 else "").ljust(INDENT)
            whole = f"{head}{command.ljust(room)}   {purpose}".rstrip()
            if not purpose or len(whole) <= self.width:
                self.lines.append(whole)
            else:
                self.lines.append(f"{head}{command}")
                self.lines.extend(wrapped(purpose, " " * (INDENT + 4), self.width))


def plain(text: str) -> str:
    """On one line, and without what could move a terminal's cursor or change its colours."""
    if text.isprintable():
        return text
    import re

    text = re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)", "", text.expandtabs(4))
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text.rstrip())


def right(text: str, end: str, width: int = WIDTH) -> list[str]:
    """A line with something at its right edge; below it where there is no room."""
    if len(text) + 1 + len(end) <= width:
        return [f"{text}{end.rjust(width - len(text))}"]
    return [text, end.rjust(width)]


def table(rows: Iterable[Iterable[str]], *, gap: str = "  ") -> list[str]:
    """Columns as wide as their longest cell, without trailing blanks."""
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [gap.join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]


def duration(ms: float) -> str:
    """Short, and in the unit that a person thinks in."""
    if ms < 1000:
        return f"{ms:.0f}ms"
    if ms < 100_000:
        return f"{ms / 1000:.1f}s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes}m{seconds:02}s"


def count(number: int, word: str, plural: str | None = None) -> str:
    return f"{number} {word if number == 1 else plural or word + 's'}"


def wrapped(text: str, head: str, width: int) -> list[str]:
    """Text behind a head, further lines below the text."""
    if len(head) + len(text) <= width:
        return [f"{head}{text}".rstrip()]
    import textwrap

    return textwrap.wrap(
        text,
        width,
        initial_indent=head,
        subsequent_indent=" " * (INDENT if head.strip() else len(head)),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [head.rstrip()]
