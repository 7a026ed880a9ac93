"""JSON without the ``json`` package, which imports ``re`` and takes longer than all else the agent does.

The C scanner and encoder are the ones that ``json`` itself uses, with its own defaults; where an interpreter has
them under other names, ``json`` is taken after all.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


def loads(text: str) -> Any:
    """The value of one JSON text. Raises ValueError."""
    text = text.strip(" \t\r\n")
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        raise ValueError("no JSON value") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if end != len(text):
        raise ValueError("more than one JSON value")
    return value


def dumps(value: Any) -> str:
    """One line of compact JSON."""
    return "".join(_encode(value, 0))


def _unknown(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} has no JSON form")


class _Context:
    """What the C scanner reads its settings from."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo: dict[str, str] = {}  # noqa: RUF012 - the scanner wants an attribute, and clears it after each call

    @staticmethod
    def parse_constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")


_scan: Callable[[str, int], tuple[Any, int]]
_encode: Callable[[Any, int], Iterable[str]]
try:
    import _json

    _settings: Any = _Context()
    _scan = _json.make_scanner(_settings)
    _encode = _json.make_encoder(None, _unknown, _json.encode_basestring_ascii, None, ":", ",", False, False, False)
except (ImportError, AttributeError, TypeError):  # another Python than those this was written for
    import json

    _scan = json.JSONDecoder(parse_constant=_Context.parse_constant).raw_decode

    def _encode(value: Any, _: int) -> Iterable[str]:
        return (json.dumps(value, separators=(",", ":"), allow_nan=False),)
