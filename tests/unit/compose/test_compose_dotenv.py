"""``.env`` and ``env_file`` syntax."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.compose.dotenv import EnvFileError, parse, parse_raw

NOTHING: dict[str, str] = {}


def read(text: str, **env: str) -> dict[str, str]:
    return parse(text, env.get, lambda line, name: None)  # noqa: ARG005 - nobody listens


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=val", "val"),
        ("A=", ""),
        ("A = val ", "val"),
        ("  A=val", "val"),
        ("export A=val", "val"),
        ("export\tA=val", "val"),
        ("A: val", "val"),
        ("A=a=b=", "a=b="),
        ("A=1:2", "1:2"),
        ("A=val # comment", "val"),
        ("A=val# no comment", "val# no comment"),
        ("A=#anchor", "#anchor"),
        ("A= # comment", ""),
        ("A='it''s' # no", None),
        ("A='val'", "val"),
        ("A='$B ${B} \\n'", "$B ${B} \\n"),
        ("A='Let\\'s go!'", "Let's go!"),
        ('A="val"', "val"),
        ('A="a # b"  # comment', "a # b"),
        ('A="tab\\there\\nline"', "tab\there\nline"),
        ('A="{\\"hello\\": \\"json\\"}"', '{"hello": "json"}'),
        ('A="back\\\\slash"', "back\\slash"),
        ('A="\\$B $B"', "$B bee"),
        ('A="\\0101"', "A"),
        ('A="\\q"', "\\q"),
        ("A=some\\tvalue", "some\\tvalue"),
        ("A=$B", "bee"),
        ("A=${B}s", "bees"),
        ("A=${NONE:-x}", "x"),
        ("A=$$B", "$B"),
        ("A='two\nlines'", "two\nlines"),
        ('A="two\n  $B lines"', "two\n  bee lines"),
        ("A=a\r", "a"),
        ("A='x'\r\n", "x"),
    ],
)
def test_one_value(line: str, value: str | None) -> None:
    if value is None:
        with pytest.raises(EnvFileError, match="goes on behind its closing quote"):
            read(line, B="bee")
    else:
        assert read(line, B="bee") == {"A": value}


def test_lines_see_the_ones_above_and_the_environment_wins() -> None:
    assert read("A=1\nB=${A}2\nA=3\nC=$A$D", D="4") == {"A": "3", "B": "12", "C": "34"}
    assert read("A=1\nB=$A", A="outside") == {"A": "1", "B": "outside"}


def test_a_bare_name_takes_the_environment_s_value_or_stays_out() -> None:
    assert read("A\nB\n", A="1") == {"A": "1"}


def test_names_may_have_dots_dashes_and_brackets() -> None:
    assert read("a.b=1\na-b=2\na[1]=3\n") == {"a.b": "1", "a-b": "2", "a[1]": "3"}


def test_comments_and_blank_lines_are_nothing() -> None:
    assert read("\n# c\n   # d\n\nA=1\n# e") == {"A": "1"}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("A=1\nB C=2", 2, "is no NAME=value"),
        ("%=1", 1, "is no NAME=value"),
        ("\n\nA='open", 3, "has a quote that is never closed"),
        ('A="a" b', 1, "goes on behind its closing quote"),
        ("A=pa$%ssword", 1, "'$%' is no variable; a literal dollar sign is written $$"),
        ("A=1\nB=${", 2, "'${' is no variable; a literal dollar sign is written $$"),
        ("A=${B:?set B}", 1, "B is required and is not set: set B"),
    ],
)
def test_a_wrong_line_is_named(text: str, line: int, message: str) -> None:
    with pytest.raises(EnvFileError) as caught:
        read(text)
    assert (caught.value.line, caught.value.message) == (line, message)


def test_unset_variables_are_heard_with_their_line() -> None:
    heard: list[tuple[int, str]] = []
    parse("A=1\nB=$NONE\n", NOTHING.get, lambda line, name: heard.append((line, name)))
    assert heard == [(2, "NONE")]


def test_the_raw_format_takes_values_as_they_stand() -> None:
    assert parse_raw("# c\nA='$B' # x\nB\nC\n", {"B": "b"}.get) == {"A": "'$B' # x", "B": "b"}
    with pytest.raises(EnvFileError, match="is no NAME=value"):
        parse_raw("=x", NOTHING.get)


@given(st.text(st.sampled_from("AB=:'\"\\$ {}#\n\texport"), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(EnvFileError):
        read(text)
    with suppress(EnvFileError):
        parse_raw(text, NOTHING.get)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True),
        st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=20),
    )
)
def test_what_is_quoted_comes_back(variables: dict[str, str]) -> None:
    def quoted(value: str) -> str:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
        return f'"{escaped}"'

    assert read("\n".join(f"{key}={quoted(value)}" for key, value in variables.items())) == variables
