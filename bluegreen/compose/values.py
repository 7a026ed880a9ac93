"""Reading one value: each function gives what the node says, or reports what is wrong and gives None.

Booleans: Compose follows YAML 1.2, where ``yes`` and ``on`` are words, but accepts them wherever a key
*wants* a boolean; so does this. Numbers may be quoted. Text is what the file shows: ``1.10`` stays ``1.10``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping

from bluegreen.compose.tree import Listing, Node, Scalar, Table

_TRUE = frozenset(("true", "yes", "on", "y"))
_FALSE = frozenset(("false", "no", "off", "n"))
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?", re.IGNORECASE)
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:us|µs|ms|[smhd]))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(us|µs|ms|[smhd])")
_UNITS = {"us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}


def text(node: Node, *, empty: bool = False) -> str | None:
    """A scalar's text. Nothing at all, or an empty text unless ``empty``, is an error."""
    if not isinstance(node, Scalar):
        node.error("value-form", f"expected a text, found {_kind(node)}")
        return None
    if node.broken:
        return None
    if node.null or (not node.text and not empty):
        node.error("value-missing", "needs a value")
        return None
    return node.text


def matching(node: Node, pattern: re.Pattern[str], what: str) -> str | None:
    """A text that the whole pattern matches; ``what`` finishes the sentence "is no ..."."""
    value = text(node)
    if value is None or pattern.fullmatch(value):
        return value
    node.error("value-form", f"{shown(value)} is no {what}")
    return None


def choice(node: Node, allowed: Collection[str]) -> str | None:
    value = text(node)
    if value is None or value in allowed:
        return value
    node.error("value-form", f"{shown(value)} is none of {', '.join(allowed)}{did_you_mean(value, allowed)}")
    return None


def boolean(node: Node) -> bool | None:
    value = text(node)
    if value is None:
        return None
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    node.error("value-form", f"{shown(value)} is neither true nor false")
    return None


def integer(node: Node, low: int, high: int) -> int | None:
    value = text(node)
    if value is None:
        return None
    if re.fullmatch(r"[+-]?[0-9]{1,18}", value) and low <= int(value) <= high:
        return int(value)
    node.error("value-form", f"{shown(value)} is no whole number from {low} to {high}")
    return None


def decimal(node: Node) -> float | None:
    value = text(node)
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,12})?|\.[0-9]{1,12}", value):
        return float(value)
    node.error("value-form", f"{shown(value)} is no number")
    return None


def size(node: Node) -> int | None:
    """Bytes: ``2b``, ``64k``, ``1.5gb``, a plain number."""
    value = text(node)
    if value is None:
        return None
    match = _SIZE.fullmatch(value)
    if match and len(match[1]) <= 18:
        factor = 1024 ** " kmgtp".index(match[2].lower() or " ")
        whole = int(match[1]) * factor if match[1].isdigit() else int(float(match[1]) * factor)
        if whole < 2**63:
            return whole
    node.error("value-form", f"{shown(value)} is no size such as 512m or 1gb")
    return None


def nanoseconds(node: Node, *, bare_seconds: bool = False) -> int | None:
    """A duration such as ``1m30s``. A number without a unit is only one where ``bare_seconds`` says so."""
    value = text(node)
    if value is None:
        return None
    total: float | None = None
    if len(value) <= 40 and _DURATION.fullmatch(value):
        total = sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(value))
    elif value == "0" or (bare_seconds and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value)):
        total = float(value) * 10**9
    if total is not None and total < 2**62:
        return round(total)
    unit = "; a unit is missing" if re.fullmatch(r"[0-9.]+", value) else ""
    node.error("value-form", f"{shown(value)} is no duration such as 500ms, 30s or 1m30s{unit}")
    return None


def seconds(node: Node, low: float, high: float) -> float | None:
    """A duration of bluegreen's own keys, where a bare number means seconds."""
    value = nanoseconds(node, bare_seconds=True)
    if value is None:
        return None
    if low <= value / 10**9 <= high:
        return value / 10**9
    node.error("value-range", f"must be from {low:g}s to {high:g}s")
    return None


def file_mode(node: Node) -> int | None:
    """Permission bits. A quoted number is octal; a plain one has to say so, as YAML reads 440 in decimal."""
    value = text(node)
    if value is None:
        return None
    quoted = isinstance(node, Scalar) and not node.plain
    match = re.fullmatch(r"(0o|0)?([0-7]{3,4})", value)
    if match and (match[1] or quoted or match[2].startswith("0")):
        return int(match[2], 8)
    spelling = f"; write 0{value}" if match else ""
    node.error("value-form", f"{shown(value)} is no octal file mode{spelling}")
    return None


def items(node: Node) -> list[Node]:
    """A list's items; a null is none."""
    if isinstance(node, Listing):
        return node.items
    if not node.null:
        node.error("value-form", f"expected a list, found {_kind(node)}")
    return []


def items_or_one(node: Node) -> list[Node]:
    """A list's items, or the single scalar that stands for a list of one."""
    return [node] if isinstance(node, Scalar) and not node.null else items(node)


def texts(node: Node) -> list[str]:
    return [value for item in items(node) if (value := text(item)) is not None]


def table(node: Node) -> Table:
    """A mapping; a null is an empty one, and so is what had to be reported for not being one."""
    if isinstance(node, Table):
        return node
    if not node.null:
        node.error("value-form", f"expected a mapping, found {_kind(node)}")
    return Table(node.report, node.path, node.line, {}, {})


def pairs(node: Node) -> list[tuple[str, str | None, Node]]:
    """``{KEY: value}`` or ``[KEY=value]``, each with its place. None stands for a key without a value."""
    found: list[tuple[str, str | None, Node]] = []
    if isinstance(node, Listing):
        for item in node.items:
            entry = text(item)
            if entry is not None:
                key, separator, value = entry.partition("=")
                found.append((key, value if separator else None, item))
    else:
        for key, value_node in table(node):
            if not isinstance(value_node, Scalar):
                value_node.error("value-form", f"expected a text, found {_kind(value_node)}")
            else:
                found.append((key, pair_text(value_node), value_node))
    return found


def pair_text(node: Scalar) -> str | None:
    """A mapping's value as text: booleans as Compose writes them, numbers as the file does."""
    if node.null:
        return None
    return node.text.lower() if node.plain and node.text in ("True", "TRUE", "False", "FALSE") else node.text


def fields(
    node: Node,
    carried: Collection[str],
    *,
    known: Collection[str] = (),
    hints: Mapping[str, str] | None = None,
) -> Table:
    """A mapping whose keys are checked.

    Each is ``carried`` out, or ``known`` to the Compose specification, or wrong; ``hints`` say more about
    single keys of the latter two. ``x-`` keys may stand anywhere.
    """
    mapping = table(node)
    for key in mapping.entries:
        place = mapping.at(key)
        hint = (hints or {}).get(key)
        if key in carried:
            continue
        if key.startswith("x-"):
            if key != "x-bluegreen" and difflib.get_close_matches(key, ["x-bluegreen"], 1, 0.85):
                place.error("key-unknown", f"unknown key {key!r}; did you mean 'x-bluegreen'?")
        elif key in known:
            reason = f": {hint}" if hint else " yet"
            place.error("key-not-carried-out", f"bluegreen does not carry out {key!r}{reason}")
        elif hint:
            place.error("key-unknown", f"unknown key {key!r}: {hint}")
        else:
            place.error("key-unknown", f"unknown key {key!r}{did_you_mean(key, [*carried, *known])}")
    return mapping


def did_you_mean(word: str, candidates: Collection[str]) -> str:
    folded = {candidate.lower(): candidate for candidate in candidates}
    close = [folded[match] for match in difflib.get_close_matches(word.lower(), folded, 1, 0.65)]
    return f"; did you mean {close[0]!r}?" if close else ""


def shown(value: str) -> str:
    """A value fit for one line of an error: quoted, control characters spelled out, not endless."""
    return repr(value if len(value) <= 60 else value[:57] + "...")


def _kind(node: Node) -> str:
    if isinstance(node, Listing):
        return "a list"
    if isinstance(node, Table):
        return "a mapping"
    return "nothing" if node.null else "a text"
