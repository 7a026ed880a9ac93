"""The file as values that know their place: variables replaced, merge keys applied, duplicates refused.

Every value carries its line, its key path and the report its problems go to, so that reading code says
``node.error(...)`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bluegreen.compose.interpolation import VariableError, substitute
from bluegreen.compose.report import Report
from bluegreen.compose.variables import Variables
from bluegreen.compose.yamltree import RawMapping, RawNode, RawScalar, RawSequence
from bluegreen.model.errors import UsageError

MAX_VALUES = 100_000
LONGEST_KEY = 100
_NULLS = ("", "~", "null", "Null", "NULL")
GIVEN_TO_COMMANDS = frozenset({"BG_PREVIEW_URL", "BG_PREVIEW_TOKEN", "BG_SLOT"})
"""Variables that smoke commands have in their environment, and the file has not."""
_CORE = "tag:yaml.org,2002:"
_CORE_TAGS = frozenset(_CORE + kind for kind in ("str", "int", "float", "bool", "null", "map", "seq"))


@dataclass(slots=True, eq=False)
class Node:
    report: Report = field(repr=False)
    path: str
    line: int

    def error(self, code: str, message: str, *next_: str) -> None:
        self.report.error(self.line, self.path, code, message, next_)

    def notice(self, message: str) -> None:
        self.report.notice(self.line, self.path, message)

    @property
    def where(self) -> str:
        return self.report.where(self.line, self.path)

    @property
    def null(self) -> bool:
        return False


@dataclass(slots=True, eq=False)
class Scalar(Node):
    text: str  # variables replaced
    plain: bool  # written without quotes
    empty: bool = False  # written as nothing, ``~`` or ``null``
    broken: bool = False  # its variables could not be resolved, which has been reported
    written: str | None = None  # as the file has it, where variables were replaced in it

    @property
    def null(self) -> bool:
        return self.empty


@dataclass(slots=True, eq=False)
class Listing(Node):
    items: list[Node]


@dataclass(slots=True, eq=False)
class Table(Node):
    entries: dict[str, Node]
    lines: dict[str, int]  # of the keys

    def get(self, key: str) -> Node | None:
        """The value of a key, unless the key is absent or says nothing."""
        node = self.entries.get(key)
        return None if node is None or node.null else node

    def at(self, key: str) -> Node:
        """A key's own place: where a problem with the key, rather than with its value, is."""
        return Node(self.report, _join(self.path, key), self.lines.get(key, self.line))

    def __iter__(self) -> Iterator[tuple[str, Node]]:
        return iter(self.entries.items())


def build(raw: RawNode, report: Report, variables: Variables, path: str = "") -> Node:
    """The tree below ``raw``. Problems go to the report; what can't be read is left out.

    Raises UsageError where aliases make it grow beyond all measure.
    """
    return _Walk(report, variables).convert(raw, path, raw.line)


class _Walk:
    def __init__(self, report: Report, variables: Variables) -> None:
        self.report = report
        self.variables = variables
        self.budget = MAX_VALUES

    def convert(self, raw: RawNode, path: str, line: int) -> Node:
        """``line`` is the key's: a block's own first line would be its first entry's."""
        self.budget -= 1
        if self.budget == 0:
            where = self.report.where(line, path)
            raise UsageError("file-too-large", f"aliases grow to more than {MAX_VALUES} values", where=where)
        if raw.tag is not None and raw.tag not in _CORE_TAGS:
            name = raw.tag.replace(_CORE, "!!")
            message = f"bluegreen does not carry out the YAML tag {name}"
            self.report.error(raw.line, path, "tag-unknown", message)
        if isinstance(raw, RawScalar):
            return self._scalar(raw, path)
        if isinstance(raw, RawSequence):
            items = [self.convert(item, f"{path}[{i}]", item.line) for i, item in enumerate(raw.items)]
            return Listing(self.report, path, line, items)
        table = Table(self.report, path, line, {}, {})
        self._fill(table, raw)
        return table

    def _fill(self, table: Table, raw: RawMapping) -> None:
        merged: list[RawNode] = []
        for key, value in raw.pairs:
            if not isinstance(key, RawScalar):
                message = "a key must be a word, not a list or a mapping"
                self.report.error(key.line, table.path, "key-form", message)
            elif key.text == "<<" and key.plain:
                merged.append(value)
            elif key.text in table.entries:
                first = table.lines[key.text]
                self.report.error(
                    key.line,
                    _join(table.path, key.text),
                    "key-twice",
                    f"the key {key.text!r} is there already, on line {first}",
                )
            else:
                self._enter(table, key, value)
        for source in merged:
            for mapping in source.items if isinstance(source, RawSequence) else [source]:
                self._merge(table, mapping)

    def _merge(self, table: Table, source: RawNode) -> None:
        if not isinstance(source, RawMapping):
            self.report.error(
                source.line,
                _join(table.path, "<<"),
                "merge-form",
                "only a mapping, or a list of mappings, can be merged with <<",
            )
            return
        for key, value in source.pairs:
            if isinstance(key, RawScalar) and key.text == "<<" and key.plain:
                for inner in value.items if isinstance(value, RawSequence) else [value]:
                    self._merge(table, inner)
            elif isinstance(key, RawScalar) and key.text not in table.entries:
                self._enter(table, key, value)

    def _enter(self, table: Table, key: RawScalar, value: RawNode) -> None:
        if (text := self._readable(key, table.path)) is None:
            return
        table.lines[text] = key.line
        table.entries[text] = self.convert(value, _join(table.path, text), key.line)

    def _scalar(self, raw: RawScalar, path: str) -> Scalar:
        text = self._readable(raw, path) or ""
        broken, written = False, None
        null = raw.tag == _CORE + "null" or (raw.plain and raw.tag is None and raw.text in _NULLS)
        if "$" in text:
            report = self.report

            def unset(name: str) -> None:
                later = f", where $${name} leaves it to the command" if name in GIVEN_TO_COMMANDS else ""
                report.notice(raw.line, path, f"the variable {name} is not set; it becomes empty{later}")

            written = text if "$" in text.replace("$$", "") else None
            try:
                text = substitute(text, self.variables.lookup, unset, self.variables.excused)
                if not storable(text):
                    raise VariableError("variable-form", "a variable's value is no text in UTF-8")
            except VariableError as error:
                report.error(raw.line, path, error.code, error.message, error.next)
                text, broken = "", True
        return Scalar(self.report, path, raw.line, text, raw.plain, null, broken, written)

    def _readable(self, raw: RawScalar, path: str) -> str | None:
        """The text, unless it can't be stored: a quoted escape can spell NUL or half a character."""
        if storable(raw.text):
            return raw.text
        self.report.error(raw.line, path, "file-characters", "holds a NUL character or half of a surrogate pair")
        return None


def storable(text: str) -> bool:
    """Whether the engine can be sent it. Variables of a process may hold any bytes, which Python smuggles through."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _join(path: str, key: str) -> str:
    """For people to find it by: no key that anybody means is longer than that."""
    key = key if len(key) <= LONGEST_KEY else f"{key[: LONGEST_KEY - 3]}..."
    return f"{path}.{key}" if path else key
