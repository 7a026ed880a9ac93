"""The journal survives what crashes and disks do to it, and says where it can't be read."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.agent import jsonl
from bluegreen.agent.files import Files
from bluegreen.agent.journal import Journal

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
EVENTS = st.lists(
    st.builds(
        lambda kind, extra: {"v": 1, "event": kind, "extra": extra},
        st.sampled_from(["begin", "intent", "outcome", "end", "switched"]),
        JSON,
    ),
    max_size=12,
)


@contextmanager
def journal() -> Iterator[tuple[Journal, Path]]:
    with tempfile.TemporaryDirectory() as directory:
        yield Journal(Files(directory, sync=False)), Path(directory, "journal.jsonl")


@given(JSON)
def test_json_is_written_and_read_as_by_the_standard_library(value: object) -> None:
    assert jsonl.loads(json.dumps(value)) == value
    assert json.loads(jsonl.dumps(value)) == value
    assert "\n" not in jsonl.dumps(value)


@given(st.text())
def test_json_is_refused_where_the_standard_library_refuses_it(text: str) -> None:
    try:
        expected = json.loads(text, parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            jsonl.loads(text)
    else:
        assert jsonl.loads(text) == expected


@given(EVENTS)
def test_what_was_appended_is_read_back_in_order(events: list[dict[str, object]]) -> None:
    with journal() as (book, _):
        book.append([])
        for event in events:
            book.append([event])
        assert book.read(history=True) == ("ok", "", events)


@given(EVENTS, st.data())
def test_a_torn_last_line_is_no_event_and_nothing_after_it_is_spoiled(
    events: list[dict[str, object]], data: st.DataObject
) -> None:
    with journal() as (book, path):
        book.append(events)
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(
            whole[:cut] + data.draw(st.sampled_from([b"", b"\0" * 40, b"garbage \xff"])).replace(b"\n", b"")
        )
        kept = whole[:cut].count(b"\n")
        assert book.read(history=True) == ("ok", "", events[:kept])
        book.append([{"v": 1, "event": "after"}])
        assert book.read(history=True) == ("ok", "", [*events[:kept], {"v": 1, "event": "after"}])


@given(EVENTS.filter(bool), st.binary(max_size=60).filter(lambda b: b"\n" not in b), st.data())
def test_garbage_in_the_middle_is_named_by_its_line(
    events: list[dict[str, object]], garbage: bytes, data: st.DataObject
) -> None:
    with journal() as (book, path):
        book.append(events)
        lines = path.read_bytes().split(b"\n")[:-1]
        at = data.draw(st.integers(0, len(lines)))
        lines.insert(at, b"{" + garbage)
        path.write_bytes(b"\n".join(lines) + b"\n")
        state, detail, found = book.read(history=True)
        assert state == "corrupt"
        assert detail.startswith(f"line {at + 1}: ")
        assert found == events[:at]


@given(EVENTS, st.integers(1, 40), st.data())
def test_the_tail_is_the_end_of_the_whole(events: list[dict[str, object]], block: int, data: st.DataObject) -> None:
    with journal() as (book, path), pytest.MonkeyPatch.context() as patch:
        patch.setattr("bluegreen.agent.journal.BLOCK", block)
        book.append(events)
        path.write_bytes(path.read_bytes() + data.draw(st.sampled_from([b"", b'{"v":1,"ev'])))
        ends = [i for i, event in enumerate(events) if event["event"] == "end"]
        assert book.read(history=False) == ("ok", "", events[ends[-1] if ends else 0 :])


@given(st.integers(0, 30), st.integers(1, 200))
def test_the_tail_names_a_broken_line_by_its_number_in_the_file(before: int, block: int) -> None:
    with journal() as (book, path), pytest.MonkeyPatch.context() as patch:
        patch.setattr("bluegreen.agent.journal.BLOCK", block)
        book.append([{"v": 1, "event": "intent", "n": n} for n in range(before)])
        path.write_bytes(path.read_bytes() + b"oops\n")
        book.append([{"v": 1, "event": "outcome"}])
        state, detail, found = book.read(history=False)
        assert (state, found) == ("corrupt", [{"v": 1, "event": "outcome"}])
        assert detail.startswith(f"line {before + 1}: ")


def test_an_unknown_schema_is_not_corruption() -> None:
    with journal() as (book, path):
        path.write_text('{"v":1,"event":"begin"}\n{"v":2,"event":"begin"}\n')
        assert book.read(history=True)[:2] == ("schema", "line 2: schema 2, where this agent knows 1")
        assert book.read(history=False)[0] == "schema"


def test_no_journal_is_missing_and_an_empty_one_is_not() -> None:
    with journal() as (book, path):
        assert book.read(history=True)[0] == "missing"
        path.touch()
        assert book.read(history=True) == ("ok", "", [])
