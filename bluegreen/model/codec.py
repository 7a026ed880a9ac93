"""Frozen dataclasses to JSON and back, by their annotations.

Stored data must outlive the tool's version, so decoding ignores fields it does not know (the schema
number guards meaning) and fails on fields it misses.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache, partial
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def encode(value: Any) -> Any:
    """The JSON form of a value made of dataclasses, enums, mappings, tuples and scalars."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(encode(k)): encode(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [encode(v) for v in value]
    return value


def decode(kind: type[T], data: Any) -> T:
    """The inverse of `encode`. Raises ValueError, naming the field, where the data does not fit."""
    try:
        read: Read = _reader(kind)  # type: ignore[arg-type]  # a type is hashable, whatever it is a type of
        result: T = read(data)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a {kind.__name__}: {error}") from error
    return result


Read = Callable[[Any], Any]


@cache
def _reader(kind: Any) -> Read:
    """How data becomes a value of this type: found out once, since a status decodes the same few types often."""
    if kind is Any:
        return _as_it_is
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        some = _reader(next(o for o in args if o is not type(None)))
        return (lambda data: None if data is None else some(data)) if type(None) in args else some
    if origin is tuple:
        return _reader_of_tuple(args)
    if origin is Literal:
        return _as_it_is
    if origin is not None and issubclass(origin, Mapping):
        key, value = int if args[0] is int else _reader(args[0]), _reader(args[1])
        return lambda data: {key(k): value(v) for k, v in data.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return lambda data: kind(**{name: read(data[name]) for name, read in _fields(kind) if name in data})
    if issubclass(kind, Enum):
        return partial(kind)
    if kind is float:
        return _as_float
    return partial(_checked, kind)


@cache
def _fields(kind: type) -> tuple[tuple[str, Read], ...]:
    """The fields of a dataclass. Not before they are needed: it may hold values of its own type."""
    hints = get_type_hints(kind)
    return tuple((f.name, _reader(hints[f.name])) for f in dataclasses.fields(kind))


def _reader_of_tuple(args: tuple[Any, ...]) -> Read:
    every = _reader(args[0]) if len(args) == 2 and args[1] is Ellipsis else None
    each = () if every else tuple(map(_reader, args))

    def read(data: Any) -> Any:
        if not isinstance(data, list):
            raise ValueError(f"expected a list, found {type(data).__name__}")
        if every is not None:
            return tuple([every(item) for item in data])
        return tuple(one(item) for one, item in zip(each, data, strict=True))

    return read


def _as_it_is(data: Any) -> Any:
    return data


def _as_float(data: Any) -> Any:
    return float(data) if isinstance(data, int) else _checked(float, data)


def _checked(kind: type, data: Any) -> Any:
    if not isinstance(data, kind):
        raise ValueError(f"expected {kind.__name__}, found {type(data).__name__}")
    return data
