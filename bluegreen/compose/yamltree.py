"""YAML text to nodes that know where they stand, and nothing more: no types, no merging, no variables.

Built from PyYAML's events rather than with ``yaml.compose``: libyaml's composer recurses in C and ends
the process on deep nesting, events come one at a time, so the depth can be limited while reading.

Plain scalars are *not* typed here. Under YAML 1.1 ``yes``, ``12:30`` and ``1_0`` would turn into a boolean
and two integers; Compose follows YAML 1.2, and what a word means depends on the key it stands under.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

MAX_DEPTH = 64
# libyaml is ten times as fast; not every build has it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotYamlError(ValueError):
    """The text can't be read as YAML. ``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(slots=True, eq=False)
class RawScalar:
    text: str
    plain: bool  # neither quoted nor a block scalar
    tag: str | None  # only where the file spells one
    line: int  # from 1
    column: int  # from 0
    end: tuple[int, int]  # just behind it; of a block scalar, the start of the line after it


@dataclass(slots=True, eq=False)
class RawSequence:
    items: list[RawNode]
    flow: bool
    tag: str | None
    line: int
    column: int
    end: tuple[int, int]


@dataclass(slots=True, eq=False)
class RawMapping:
    pairs: list[tuple[RawNode, RawNode]]
    flow: bool
    tag: str | None
    line: int
    column: int
    end: tuple[int, int]


RawNode = RawScalar | RawSequence | RawMapping


def parse(text: str) -> RawNode | None:
    """The document's root, or None when the text holds no node at all. Raises NotYamlError."""
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotYamlError(mark.line + 1 if mark else 1, _in_words(error, text)) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        raise NotYamlError(line, "holds a character that YAML does not allow") from error
    except UnicodeEncodeError as error:
        raise NotYamlError(text.count("\n", 0, error.start) + 1, "holds half of a surrogate pair") from error
    except yaml.YAMLError as error:
        raise NotYamlError(1, str(error)) from error
    return builder.root


def _in_words(error: yaml.MarkedYAMLError, text: str) -> str:
    problem, mark = error.problem or "can't be read", error.problem_mark
    lines = text.splitlines()
    if mark and mark.line < len(lines) and lines[mark.line].lstrip(" ")[:1] == "\t":
        return "the line is indented with a tab; YAML takes spaces"
    since = f" from line {error.context_mark.line + 1} on" if error.context_mark else ""
    context = f" ({error.context}{since})" if error.context else ""
    return f"{problem}{context}"


class _Builder:
    def __init__(self) -> None:
        self.root: RawNode | None = None
        self._documents = 0
        self._anchors: dict[str, RawNode] = {}
        self._open: list[tuple[RawSequence | RawMapping, str | None]] = []
        self._keys: list[RawNode | None] = []  # the pending key of each open mapping

    def take(self, event: Any) -> None:
        line, column = event.start_mark.line + 1, event.start_mark.column
        end = (event.end_mark.line + 1, event.end_mark.column)
        if isinstance(event, yaml.ScalarEvent):
            # libyaml says '' and PyYAML None for a plain style
            scalar = RawScalar(event.value, not event.style, _tag(event), line, column, end)
            self._place(scalar, end, event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise NotYamlError(line, f"*{event.anchor} is not the name of an anchor that ended above it")
            self._place(self._anchors[event.anchor], end, None)
        elif isinstance(event, yaml.MappingStartEvent):
            self._start(RawMapping([], bool(event.flow_style), _tag(event), line, column, end), event.anchor)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._start(RawSequence([], bool(event.flow_style), _tag(event), line, column, end), event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            node, anchor = self._open.pop()
            self._keys.pop()
            if node.flow:
                node.end = end
            self._place(node, node.end, anchor)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise NotYamlError(line, "a second document starts here; a Compose file is one")

    def _start(self, node: RawSequence | RawMapping, anchor: str | None) -> None:
        if len(self._open) == MAX_DEPTH:
            raise NotYamlError(node.line, f"nested deeper than {MAX_DEPTH} levels")
        self._open.append((node, anchor))
        self._keys.append(None)

    def _place(self, node: RawNode, end: tuple[int, int], anchor: str | None) -> None:
        # An anchor counts from its node's end, so a node can never contain itself.
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            self.root = node
            return
        parent, _ = self._open[-1]
        parent.end = end
        if isinstance(parent, RawSequence):
            parent.items.append(node)
            return
        key = self._keys[-1]
        if key is None:
            self._keys[-1] = node
        else:
            parent.pairs.append((key, node))
            self._keys[-1] = None


def _tag(event: Any) -> str | None:
    tag: str | None = event.tag
    return tag if tag not in (None, "!") else None
