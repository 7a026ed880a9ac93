"""Variables in values: every operator, nesting, and an oracle written differently."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.compose.interpolation import VariableError, substitute

VALUES = {"FOO": "first", "EMPTY": "", "low_1": "x"}
NOTHING: dict[str, str] = {}


def resolve(text: str) -> str:
    return substitute(text, VALUES.get, lambda name: None)  # noqa: ARG005 - nobody listens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$FOO", "first"),
        ("${FOO}", "first"),
        ("$FOO-bar", "first-bar"),
        ("$low_1.$FOO", "x.first"),
        ("a $$FOO b", "a $FOO b"),
        ("$${FOO}", "${FOO}"),
        ("$$$FOO", "$first"),
        ("${NONE}", ""),
        ("${EMPTY}", ""),
        ("${NONE:-word}", "word"),
        ("${EMPTY:-word}", "word"),
        ("${FOO:-word}", "first"),
        ("${NONE-word}", "word"),
        ("${EMPTY-word}", ""),
        ("${FOO-word}", "first"),
        ("${NONE:+word}", ""),
        ("${EMPTY:+word}", ""),
        ("${FOO:+word}", "word"),
        ("${NONE+word}", ""),
        ("${EMPTY+word}", "word"),
        ("${FOO+word}", "word"),
        ("${FOO:?word}", "first"),
        ("${FOO?word}", "first"),
        ("${EMPTY?word}", ""),
        ("${NONE:-}", ""),
        ("${NONE-/a:-b}", "/a:-b"),
        ("${NONE:-$FOO}", "first"),
        ("${NONE:-${FOO} and ${FOO}}", "first and first"),
        ("${NONE:-${EMPTY:-${FOO}}}!", "first!"),
        ("${NONE:-$${FOO}}", "${FOO}"),
        ('${NONE:-{"a": {"b": 1}}}', '{"a": {"b": 1}}'),
        ("${NONE-a?b}", "a?b"),
        ("${FOO:+${NONE:-in}}", "in"),
        ("${FOO}${EMPTY}${FOO}", "firstfirst"),
    ],
)
def test_every_operator(text: str, expected: str) -> None:
    assert resolve(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${NONE:?set it}", "NONE is required and is not set: set it"),
        ("${NONE?set it}", "NONE is required and is not set: set it"),
        ("${EMPTY:?set it}", "EMPTY is required and is empty: set it"),
        ("${NONE:?}", "NONE is required and is not set"),
        ("${NONE?see ${FOO}}", "NONE is required and is not set: see first"),
        ("${NONE:-${OTHER?inner}}", "OTHER is required and is not set: inner"),
    ],
)
def test_a_required_variable_says_its_name_and_reason(text: str, message: str) -> None:
    with pytest.raises(VariableError, match=r".") as caught:
        resolve(text)
    assert (caught.value.code, caught.value.message) == ("variable-required", message)


@pytest.mark.parametrize(
    "text",
    [
        "$",
        "a$",
        "${",
        "${}",
        "$}",
        "${ FOO}",
        "${FOO }",
        "${FOO!}",
        "${FOO/a/b}",
        "$1",
        "${1}",
        "${FOO",
        "${NONE:-${FOO}",
        "$-",
        "${é}",
    ],
)
def test_a_malformed_variable_is_refused(text: str) -> None:
    with pytest.raises(VariableError) as caught:
        resolve(text)
    assert caught.value.code == "variable-form"
    assert "$$" in caught.value.message


def test_the_unused_branch_is_not_evaluated() -> None:
    assert resolve("${FOO:-${NONE:?never asked}}") == "first"
    assert resolve("${NONE:+${OTHER:?never asked}}") == ""


def test_unset_names_are_heard_once_each_place() -> None:
    heard: list[str] = []
    substitute("$A ${B} ${C:-} ${D-x} $FOO $EMPTY", VALUES.get, heard.append)
    assert heard == ["A", "B"]


def test_an_excused_name_is_empty_even_where_it_is_required() -> None:
    heard: list[str] = []
    text = substitute("$TAG|${TAG:?x}|${TAG?x}|${TAG:-dev}", NOTHING.get, heard.append, frozenset({"TAG"}))
    assert (text, heard) == ("|||dev", [])


def test_deep_nesting_is_an_error_and_no_crash() -> None:
    with pytest.raises(VariableError, match="nested deeper"):
        resolve("${A:-" * 5000 + "}" * 5000)


# An oracle: terms are generated together with what they mean.
Term = tuple[str, str]
names = st.sampled_from(["FOO", "EMPTY", "NONE"])
literals = st.text(st.characters(codec="utf-8", exclude_characters="${}"), max_size=6)


def _operator(name: str, colon: bool, sign: str, word: Term) -> Term:
    value = VALUES.get(name)
    given_ = bool(value) if colon else value is not None
    meaning = {"-": (value or "") if given_ else word[1], "+": word[1] if given_ else ""}[sign]
    return "${" + name + (":" if colon else "") + sign + word[0] + "}", meaning


leaves: st.SearchStrategy[Term] = st.one_of(
    literals.map(lambda text: (text, text)),
    st.just(("$$", "$")),
    names.map(lambda name: ("${" + name + "}", VALUES.get(name, ""))),
)


def _join(parts: list[Term]) -> Term:
    return "".join(part[0] for part in parts), "".join(part[1] for part in parts)


terms = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(_join),
        st.builds(_operator, names, st.booleans(), st.sampled_from("-+"), inner),
    ),
    max_leaves=12,
)


@given(terms)
def test_it_means_what_the_oracle_says(term: Term) -> None:
    assert resolve(term[0]) == term[1]


@given(st.text(st.sampled_from("${}:-?+AFO _x"), max_size=30))
def test_any_text_is_resolved_or_refused(text: str) -> None:
    with suppress(VariableError):
        resolve(text)
