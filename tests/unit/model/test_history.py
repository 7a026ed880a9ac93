"""The fold over the journal: what later commands believe happened."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bluegreen.model.history import History, apply, fold

Event = dict[str, Any]

numbers = st.integers(1, 6)
event = st.one_of(
    st.builds(
        lambda n, op, kind: {
            "event": "begin",
            "op": op,
            "kind": kind,
            "release": n,
            "tag": f"v{n}",
            "t": "2026-01-01T00:00:00Z",
        },
        numbers,
        st.sampled_from(["a", "b"]),
        st.sampled_from(["deploy", "rollback"]),
    ),
    st.builds(lambda n: {"event": "released", "op": "a", "release": {"number": n, "tag": f"v{n}"}}, numbers),
    st.builds(
        lambda n, m, op: {
            "event": "switched",
            "op": op,
            "to": n,
            "from": m,
            "kind": "deploy",
            "t": "2026-01-01T00:00:01Z",
        },
        numbers,
        numbers,
        st.sampled_from(["a", "b"]),
    ),
    st.builds(
        lambda n, m: {"event": "marked", "release": n, "mark": m, "reason": "r"},
        numbers,
        st.sampled_from(["good", "bad"]),
    ),
    st.builds(lambda n: {"event": "failed", "op": "a", "release": n, "code": "c", "message": "m"}, numbers),
    st.just({"event": "from-a-later-version", "x": 1}),
)


def end(past: History, op: str = "a") -> Event:
    return {"event": "end", "op": op, "outcome": "done", "snapshot": past.snapshot()}


@given(st.lists(event, max_size=30), st.lists(event, max_size=10))
def test_the_tail_from_a_snapshot_on_tells_the_same_as_the_whole_journal(
    before: list[Event], after: list[Event]
) -> None:
    whole = fold(before)
    tail = fold([end(whole), *after])
    full = fold([*before, end(whole), *after])
    assert tail.releases == full.releases
    assert tail.last_number == full.last_number
    if any(e["event"] == "begin" for e in after):
        assert tail.operation == full.operation


@given(st.lists(event, max_size=30), st.lists(event, max_size=10))
def test_a_fold_leaves_alone_what_it_starts_from_and_tells_what_its_events_tell_one_by_one(
    before: list[Event], after: list[Event]
) -> None:
    start = fold(before)
    releases = dict(start.releases)
    found = fold(after, start)
    assert dict(start.releases) == releases
    for one in after:
        start = apply(start, one)
    assert start == found


@given(st.lists(event, max_size=40))
def test_a_number_is_never_given_twice(events: list[Event]) -> None:
    past = fold(events)
    assert past.next_number > max([0, *past.releases])


def test_an_operation_is_unfinished_until_its_own_end() -> None:
    begin = {"event": "begin", "op": "a", "kind": "deploy", "release": 1, "tag": "v1"}
    assert fold([begin]).unfinished is not None
    assert fold([begin, {"event": "end", "op": "other", "outcome": "done"}]).unfinished is not None
    assert fold([begin, {"event": "end", "op": "a", "outcome": "done"}]).unfinished is None


def test_a_lost_session_leaves_its_operation_unfinished() -> None:
    begin = {"event": "begin", "op": "a", "kind": "deploy", "release": 1, "tag": "v1"}
    assert fold([begin, {"event": "lost", "op": "a"}]).unfinished is not None


def test_a_release_that_was_live_when_an_operation_began_counts_as_one_that_was_live() -> None:
    past = fold(
        [{"event": "begin", "op": "b", "kind": "rollback", "release": 1, "live": 2, "t": "2026-01-01T00:00:00Z"}]
    )
    assert past.was_live(2)
