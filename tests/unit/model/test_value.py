"""Values behave as the standard library's frozen dataclasses do; only their definition is cheaper."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar

import pytest

from bluegreen.model.value import dataclass


@dataclass(frozen=True, slots=True)
class Ours:
    name: str
    count: int = 1
    tags: Mapping[str, str] = field(default_factory=dict)
    hidden: str = field(default="secret", repr=False)
    kind: ClassVar[str] = "plain"

    @property
    def twice(self) -> int:
        return self.count * 2


@dataclasses.dataclass(frozen=True, slots=True)
class Standard:
    name: str
    count: int = 1
    tags: Mapping[str, str] = field(default_factory=dict)
    hidden: str = field(default="secret", repr=False)
    kind: ClassVar[str] = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    cause: str = ""

    def __str__(self) -> str:
        return f"because {self.cause}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived(Base):
    subject: str


ARGUMENTS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (("a",), {}),
    (("a", 2), {"tags": {"x": "y"}}),
    ((), {"name": "a", "hidden": "b"}),
    (("a", 2, {}, "h"), {}),
]


@pytest.mark.parametrize(("values", "named"), ARGUMENTS)
def test_takes_what_the_standard_one_takes(values: tuple[Any, ...], named: dict[str, Any]) -> None:
    ours, standard = Ours(*values, **named), Standard(*values, **named)
    assert repr(ours).partition("(")[2] == repr(standard).partition("(")[2]
    assert [getattr(ours, f.name) for f in dataclasses.fields(ours)] == [
        getattr(standard, f.name) for f in dataclasses.fields(standard)
    ]


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), (("a", 1, {}, "h", "too many"), {}), (("a",), {"name": "b"}), (("a",), {"nmae": "b"})],
)
def test_refuses_what_the_standard_one_refuses(values: tuple[Any, ...], named: dict[str, Any]) -> None:
    for kind in (Ours, Standard):
        with pytest.raises(TypeError):
            kind(*values, **named)


def test_is_equal_by_its_fields_and_its_class() -> None:
    assert Ours("a") == Ours("a", 1)
    assert Ours("a") != Ours("a", 2)
    other: object = Standard("a")
    assert Ours("a") != other
    assert hash(Derived(subject="x")) == hash(Derived(subject="x"))


def test_is_frozen_and_has_no_room_for_more() -> None:
    value = Ours("a")
    for name in ("name", "other"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, "b")
    with pytest.raises(dataclasses.FrozenInstanceError):
        del value.name
    assert not hasattr(value, "__dict__")


def test_is_a_dataclass_to_the_standard_library() -> None:
    assert dataclasses.is_dataclass(Ours)
    assert dataclasses.replace(Ours("a"), count=4) == Ours("a", 4)
    assert [f.name for f in dataclasses.fields(Ours)] == ["name", "count", "tags", "hidden"]
    match Ours("a", 3):
        case Ours(name, count):
            assert (name, count) == ("a", 3)
    assert Ours("a", 3).twice == 6


def test_default_factories_make_a_new_one_each_time() -> None:
    assert Ours("a").tags is not Ours("a").tags


def test_a_derived_value_has_the_fields_and_methods_of_its_base() -> None:
    value = Derived(subject="x", cause="y")
    assert str(value) == "because y"
    assert repr(value) == "Derived(cause='y', subject='x')"
    with pytest.raises(TypeError):
        Derived("x")  # type: ignore[call-arg] # by keyword only, which is what is tested


def test_can_be_copied_and_pickled() -> None:
    value = Ours("a", 2, {"x": "y"})
    assert copy.copy(value) == copy.deepcopy(value) == pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - own
