"""Variables in values, with all operators of the Compose specification.

    $NAME ${NAME}                          the value; unset is empty, and worth a notice
    ${NAME:-word} ${NAME-word}             word, if unset or empty / if unset
    ${NAME:?word} ${NAME?word}             an error that says word, likewise
    ${NAME:+word} ${NAME+word}             word, if set and not empty / if set
    $$                                     a dollar sign

Words may hold variables themselves; only the word that is used is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Lookup = Callable[[str], str | None]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
MAX_NESTING = 32


class VariableError(ValueError):
    """A value's variables can't be resolved: ``code`` tells a wrong form from a missing value."""

    def __init__(self, code: str, message: str, *next_: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.next = next_


def substitute(
    text: str,
    lookup: Lookup,
    unset: Callable[[str], None],
    excused: frozenset[str] = frozenset(),
    depth: int = 0,
) -> str:
    """``text`` with its variables replaced.

    ``unset`` hears each name that became empty for want of a value. ``excused`` names stay empty without a
    word even where they are required. Raises VariableError.
    """
    if depth > MAX_NESTING:
        raise VariableError("variable-form", f"variables are nested deeper than {MAX_NESTING} levels")
    parts: list[str] = []
    position = 0
    while (dollar := text.find("$", position)) >= 0:
        parts.append(text[position:dollar])
        after = dollar + 1
        if text.startswith("$", after):
            parts.append("$")
            position = after + 1
        elif text.startswith("{", after):
            end = _closing_brace(text, after)
            parts.append(_braced(text[after + 1 : end], lookup, unset, excused, depth))
            position = end + 1
        elif name := _NAME.match(text, after):
            parts.append(_value(name.group(), lookup, unset, excused))
            position = name.end()
        else:
            raise _malformed(text[dollar : dollar + 2])  # the rest may be a password's
    parts.append(text[position:])
    return "".join(parts)


def _braced(inner: str, lookup: Lookup, unset: Callable[[str], None], excused: frozenset[str], depth: int) -> str:
    name = _NAME.match(inner)
    if not name:
        raise _malformed("${" + inner + "}")
    variable = name.group()
    if name.end() == len(inner):
        return _value(variable, lookup, unset, excused)
    operator = _OPERATOR.match(inner, name.end())
    if not operator:
        raise _malformed("${" + inner + "}")
    word = inner[operator.end() :]
    value = lookup(variable)
    given = value is not None and (value != "" or not operator.group().startswith(":"))

    def evaluated() -> str:
        return substitute(word, lookup, unset, excused, depth + 1)

    if operator.group().endswith("+"):
        return evaluated() if given else ""
    if given and value is not None:
        return value
    if operator.group().endswith("-"):
        return evaluated()
    if variable in excused:
        return ""
    reason = evaluated()
    state = "is not set" if value is None else "is empty"
    because = f": {reason}" if reason else ""
    message = f"{variable} is required and {state}{because}"
    raise VariableError("variable-required", message, f"{variable}=... in .env, or in the environment")


def _value(name: str, lookup: Lookup, unset: Callable[[str], None], excused: frozenset[str]) -> str:
    value = lookup(name)
    if value is None and name not in excused:
        unset(name)
    return value or ""


def _closing_brace(text: str, opening: int) -> int:
    """Braces count in pairs, so that a default may be JSON."""
    level = 0
    for position in range(opening, len(text)):
        if text[position] == "{":
            level += 1
        elif text[position] == "}":
            level -= 1
            if level == 0:
                return position
    raise _malformed(text[opening - 1 :])


def _malformed(text: str) -> VariableError:
    shown = text if len(text) <= 40 else text[:37] + "..."
    return VariableError("variable-form", f"{shown!r} is no variable; a literal dollar sign is written $$")
