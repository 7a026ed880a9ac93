"""What `bg init` writes: an ``x-bluegreen`` line for each service that has none, with the reason beside it.

Lines are added to the text as it is; comments, order and layout of the rest stay. Guesses come from names,
images, ports, volumes and dependencies, and are bent until they fit together: what they make loads, as far
as it was the missing kinds that kept it from loading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bluegreen.compose.guess import Guess, guess
from bluegreen.compose.report import Report
from bluegreen.compose.tree import Table, build
from bluegreen.compose.variables import Variables
from bluegreen.compose.yamltree import NotYamlError, RawMapping, RawNode, RawScalar, parse
from bluegreen.model.errors import UsageError
from bluegreen.model.names import Kind


@dataclass(frozen=True, slots=True)
class Choice:
    service: str
    kind: Kind
    why: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """``text`` is the whole file with the blocks added: unchanged where ``choices`` is empty."""

    text: str
    choices: tuple[Choice, ...]
    left: tuple[str, ...] = ()  # services that lack a block and can't be given one by adding a line

    @property
    def changed(self) -> bool:
        return bool(self.choices)


def propose(text: str, *, env: Mapping[str, str] | None = None, name: str = "compose.yaml") -> Proposal:
    """Raises UsageError where the text is no Compose file with services in it."""
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    try:
        raw = parse(text)
    except NotYamlError as error:
        raise UsageError("file-not-yaml", f"is not YAML: {error.message}", where=f"{name}:{error.line}") from error
    raw_services = _entry(raw, "services")
    if not isinstance(raw, RawMapping) or not isinstance(raw_services, RawMapping) or not raw_services.pairs:
        raise UsageError("services-missing", "there are no services to propose a kind for", where=name)
    # Its problems are `load`'s to report; a guess takes what it can read.
    top = build(raw, Report(name), Variables(env or {}))
    services = top.get("services") if isinstance(top, Table) else None
    guesses = guess(services) if isinstance(services, Table) else {}
    editor = _Editor(text)
    choices: list[Choice] = []
    left: list[str] = []
    for key, value in raw_services.pairs:
        if not isinstance(key, RawScalar) or key.text not in guesses:
            continue
        if editor.add(key, value, guesses[key.text]):
            choices.append(Choice(key.text, guesses[key.text].kind, guesses[key.text].why))
        else:
            left.append(key.text)
    return Proposal(mark + editor.text(), tuple(choices), tuple(left))


def _entry(node: RawNode | None, name: str) -> RawNode | None:
    for key, value in node.pairs if isinstance(node, RawMapping) else ():
        if isinstance(key, RawScalar) and key.text == name:
            return value
    return None


class _Editor:
    """Additions to a text, made from the last to the first so that positions stay right."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines(keepends=True)
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._additions: list[tuple[int, int, str]] = []  # line (from 0), column, text

    def add(self, key: RawScalar, value: RawNode, guessed: Guess) -> bool:
        if not isinstance(value, RawMapping) or not value.pairs:
            return False
        if (value.line, value.column) < (key.line, key.column):
            return False  # an alias: its lines are another service's
        if value.flow:
            row, column = self._opening_brace(value)
            self._additions.append((row, column, f"x-bluegreen: {guessed.flow}, "))
            return True
        row = self._behind(value)
        indent = " " * value.pairs[0][0].column
        line_text = f"{indent}x-bluegreen: {guessed.flow}  # guessed: {guessed.why}{self._newline}"
        self._additions.append((row, 0, line_text))
        return True

    def text(self) -> str:
        lines = list(self._lines)
        for row, column, addition in sorted(self._additions, reverse=True):
            if row >= len(lines):
                # Line breaks inside a value follow the file; the last line may lack its own.
                if lines and not lines[-1].endswith("\n"):
                    lines[-1] += self._newline
                lines.append(addition)
            else:
                lines[row] = lines[row][:column] + addition + lines[row][column:]
        return "".join(lines)

    def _behind(self, block: RawMapping) -> int:
        """The row behind the block's last line of content: before blank lines and comments that follow it."""
        row, column = block.end
        if column > 0:
            return row
        row -= 1  # a block scalar ends on the line behind it
        last = _last_scalar(block)
        if last is None or not last.text.endswith("\n\n"):  # kept by `|+`, blank lines are content
            while row > block.line and not self._lines[row - 1].strip():
                row -= 1
        return row

    def _opening_brace(self, mapping: RawMapping) -> tuple[int, int]:
        """Behind the brace, which may itself stand behind an anchor."""
        row, column = mapping.line - 1, mapping.column
        while (found := self._lines[row].find("{", column)) < 0:
            row, column = row + 1, 0
        return row, found + 1


def _last_scalar(node: RawNode) -> RawScalar | None:
    while not isinstance(node, RawScalar):
        if isinstance(node, RawMapping):
            if not node.pairs:
                return None
            node = node.pairs[-1][1]
        elif node.items:
            node = node.items[-1]
        else:
            return None
    return node
