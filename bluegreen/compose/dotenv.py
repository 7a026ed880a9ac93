"""``.env`` and ``env_file`` as Compose reads them.

``NAME=value``, one a line. An unquoted value ends at `` #``; ``'...'`` is literal and ``"..."`` knows
backslash escapes, and both may span lines; unquoted and double-quoted values hold variables, from the
environment first, then from the lines above. ``NAME`` alone takes the environment's value or stays out.
``export`` in front is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from bluegreen.compose.interpolation import Lookup, VariableError, substitute

_KEY = re.compile(r"(?:export[ \t]+)?(?P<key>[\w.\-\[\]]+)[ \t]*(?P<separator>[=:]|$)")
_ESCAPE = re.compile(r'\\(?:([abfnrtv$"\\])|0([0-7]{0,3}))')
_ESCAPED = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "$": "$$",
    '"': '"',
    "\\": "\\",
}


class EnvFileError(ValueError):
    """``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def parse(text: str, lookup: Lookup, unset: Callable[[int, str], None]) -> dict[str, str]:
    """The variables of a file in Compose's format. Raises EnvFileError.

    ``unset`` hears the line and the name of each variable that became empty for want of a value.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    found: dict[str, str] = {}

    def known(name: str) -> str | None:
        value = lookup(name)
        return found.get(name) if value is None else value

    def note(name: str) -> None:
        unset(number, name)

    index = number = 0
    while index < len(lines):
        number, line = index + 1, lines[index].lstrip()
        index += 1
        if not line or line.startswith("#"):
            continue
        match = _KEY.match(line)
        if not match:
            raise EnvFileError(number, "is no NAME=value")
        key = match["key"]
        if not match["separator"]:
            inherited = lookup(key)
            if inherited is not None:
                found[key] = inherited
            continue
        rest = line[match.end() :]
        value = rest.lstrip()
        try:
            if value[:1] in ("'", '"'):
                value, index = _quoted(value, lines, index)
                if value.startswith('"'):
                    value = substitute(_ESCAPE.sub(_unescape, value[1:]), known, note)
                else:
                    value = value[1:]
            else:
                value = substitute(re.split(r"[ \t]#", rest, maxsplit=1)[0].strip(), known, note)
        except VariableError as error:
            raise EnvFileError(number, error.message) from error
        found[key] = value
    return found


def parse_raw(text: str, lookup: Lookup) -> dict[str, str]:
    """The ``raw`` format: everything behind the first ``=`` as it stands."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, separator, value = line.lstrip().partition("=")
        if not key or re.search(r"\s", key):
            raise EnvFileError(number, "is no NAME=value")
        if separator:
            found[key] = value
        elif (inherited := lookup(key)) is not None:
            found[key] = inherited
    return found


def _quoted(start: str, lines: list[str], index: int) -> tuple[str, int]:
    """The value with its opening quote and without its closing one, and the next line's index."""
    quote, text, first = start[0], start, index
    while True:
        position, escaped = 1, False
        while position < len(text):
            char = text[position]
            if char == quote and not escaped:
                rest = text[position + 1 :].strip()
                if rest and not rest.startswith("#"):
                    raise EnvFileError(
                        index, "goes on behind its closing quote"
                    )  # not with what: it is a piece of a value
                value = text[1:position]
                # Double quotes are unescaped with the rest of their escapes.
                return quote + (value.replace("\\'", "'") if quote == "'" else value), index
            escaped = char == "\\" and not escaped
            position += 1
        if index >= len(lines):
            raise EnvFileError(first, "has a quote that is never closed")
        text += "\n" + lines[index]
        index += 1


def _unescape(match: re.Match[str]) -> str:
    letter, octal = match.groups()
    if letter is not None:
        return _ESCAPED[letter]
    return chr(int(octal or "0", 8))
