"""`dataclass` for values: frozen, with slots, and cheap to define.

The standard library's compiles half a dozen methods for each class, and a rollback would wait a tenth of its time
for those of some seventy classes. Here the classes share methods that look at the fields when they are called. In
all else, `dataclasses.replace` and `fields` included, they are what type checkers take them for: the standard ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses
    import functools

    _fields = functools.cache(dataclasses.fields)

    def dataclass(*, frozen, slots, kw_only=False):
        """As the standard one; frozen and with slots is the only kind there is here."""
        if not (frozen and slots):
            raise TypeError("a value is frozen and has slots")

        def define(cls):
            cls.__doc__ = cls.__doc__ or cls.__name__  # else the standard library renders the signature
            made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
            for name, method in _METHODS.items():
                if name not in cls.__dict__:
                    setattr(made, name, method)
            return made

        return define

    _set = object.__setattr__

    def _init(self, *values, **named):
        cls = type(self)
        fields = _fields(cls)
        if values:
            names = [field.name for field in fields if not field.kw_only]
            if len(values) > len(names):
                raise TypeError(
                    f"{cls.__name__}() takes {len(names)} positional arguments, and {len(values)} were given"
                )
            if twice := named.keys() & set(names[: len(values)]):
                raise TypeError(f"{cls.__name__}() got several values for {', '.join(sorted(twice))}")
            named.update(zip(names, values, strict=False))
        for field in fields:
            name = field.name
            if name in named:
                _set(self, name, named.pop(name))
            elif field.default is not dataclasses.MISSING:
                _set(self, name, field.default)
            elif field.default_factory is not dataclasses.MISSING:
                _set(self, name, field.default_factory())
            else:
                raise TypeError(f"{cls.__name__}() lacks {name}")
        if named:
            raise TypeError(f"{cls.__name__}() has no {', '.join(sorted(named))}")

    def _repr(self):
        shown = [f"{f.name}={getattr(self, f.name)!r}" for f in _fields(type(self)) if f.repr]
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def _values(self):
        return tuple([getattr(self, field.name) for field in _fields(type(self))])

    def _eq(self, other):
        return _values(self) == _values(other) if type(other) is type(self) else NotImplemented

    def _hash(self):
        return hash(_values(self))

    def _setattr(self, name, value):
        del self, value
        raise dataclasses.FrozenInstanceError(f"cannot assign to {name!r}")

    def _delattr(self, name):
        del self
        raise dataclasses.FrozenInstanceError(f"cannot delete {name!r}")

    def _setstate(self, state):
        for field, value in zip(_fields(type(self)), state, strict=True):
            _set(self, field.name, value)

    _METHODS = {
        "__init__": _init,
        "__repr__": _repr,
        "__eq__": _eq,
        "__hash__": _hash,
        "__setattr__": _setattr,
        "__delattr__": _delattr,
        "__getstate__": _values,
        "__setstate__": _setstate,
    }

__all__ = ["dataclass"]
