"""The receipt says what was lost, and when each colour answered first and last."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.prove.histogram import Histogram, of_sorted
from bluegreen.prove.kinds import NUMBERS
from bluegreen.prove.receipt import Fold, Movement, Processed, count_streams, cut_streams, failures_of
from bluegreen.prove.records import Record, pack, read

BLUE_TO_GREEN = Movement("rollback", "v1", "green", asked=9.9, renamed=10.0, confirmed=10.5, drain=5.0)
GREEN_TO_BLUE = Movement("switch", "v2", "blue", asked=19.9, renamed=20.0, confirmed=20.5, drain=5.0)
BOTH = (BLUE_TO_GREEN, GREEN_TO_BLUE)
AGAIN = Movement("rollback", "v1", "green", asked=21.9, renamed=22.0, confirmed=22.5, drain=5.0)


def fold(*records: tuple[float, float, str], movements: tuple[Movement, ...] = BOTH, kind: str = "think") -> Fold:
    return Fold(movements, "blue").take(Record(begun, ended, kind, slot) for begun, ended, slot in records)


def test_a_request_that_the_new_colour_answers_after_the_rename_is_as_it_should_be() -> None:
    found = fold((9.5, 9.6, "blue"), (10.001, 10.003, "green"), (20.001, 20.002, "blue"))
    assert found.late == []
    assert found.cutover() == {"p50": 0.0, "p99": 0.0, "max": 0.0}
    assert found.first_new() == {"p50": 2.0, "p99": 3.0, "max": 3.0}
    assert found.seen() == 2


def test_the_cut_over_is_the_last_request_sent_that_the_old_colour_answered() -> None:
    found = fold((10.001, 10.002, "blue"), (10.004, 10.006, "blue"), (10.002, 10.003, "green"))
    assert found.cutover() == {"p50": 0.0, "p99": 4.0, "max": 4.0}
    assert found.late == []  # the rollback had not returned yet
    assert found.moves()[0]["cutover_ms"] == 4.0
    assert found.sent_soon == 3


def test_an_old_answer_to_a_request_that_began_after_the_rollback_had_returned_is_named() -> None:
    found = fold((10.6, 10.7, "blue"))
    assert found.late_count == 1
    failure = found.late[0]
    assert (failure.problem, failure.switch, failure.begun_ms) == ("late", 1, 600.0)
    assert "answered by blue, 600.0ms after the switch to green" in failure.seen


def test_a_request_under_way_at_a_switch_may_be_answered_by_either() -> None:
    found = fold((9.9, 10.2, "blue"), (9.95, 10.1, "green"), (9.0, 20.1, "green"), kind="upload")
    assert (found.late, found.cutover()) == ([], {"p50": 0.0, "p99": 0.0, "max": 0.0})


def test_a_request_may_be_read_after_the_next_switch_and_last_over_the_one_after_that() -> None:
    found = fold((19.99, 23.0, "blue"), movements=(*BOTH, AGAIN), kind="chunked")
    assert (found.late, found.cutover()) == ([], {"p50": 0.0, "p99": 0.0, "max": 0.0})


def test_the_last_answer_of_the_old_colour_and_the_first_of_the_new_are_of_short_requests() -> None:
    found = fold((9.99, 10.02, "blue"), (9.99, 10.01, "green"))
    assert found.last_old() == {"p50": 20.0, "p99": 20.0, "max": 20.0}
    assert found.first_new() == {"p50": 10.0, "p99": 10.0, "max": 10.0}
    slow = fold((9.0, 15.0, "blue"), (10.1, 16.0, "green"), kind="download")
    assert (slow.last_old(), slow.first_new()) == (None, None)


def test_where_no_one_tells_the_colour_or_the_moment_nothing_is_claimed() -> None:
    assert fold((10.001, 10.003, "")).cutover() is None
    unknown = tuple(Movement(m.verb, m.tag, m.slot, m.asked, None, m.confirmed) for m in BOTH)
    assert fold((10.001, 10.003, "blue"), movements=unknown).cutover() is None


def test_latencies_are_told_apart_by_the_switch_that_they_are_near_to() -> None:
    found = fold((9.0, 9.001, "blue"), (9.99, 10.01, "blue"), (10.1, 10.102, "green"), (11.0, 11.004, "green"))
    assert {name: histogram.count for name, histogram in found.latency.items()} == {
        "before": 1,
        "during": 2,
        "after": 1,
    }


moments = st.floats(0, 30, allow_nan=False)
records = st.lists(st.tuples(moments, st.floats(0, 3), st.sampled_from(("blue", "green"))), max_size=30)


@given(records)
def test_late_is_exactly_what_no_colour_of_its_time_can_explain(drawn: list[tuple[float, float, str]]) -> None:
    all_three = (*BOTH, AGAIN)
    found = fold(*((begun, begun + took, slot) for begun, took, slot in drawn), movements=all_three)

    def late(begun: float, ended: float, slot: str) -> bool:
        colours = {"blue" if begun < 10 or 20 <= begun < 22 else "green"}
        colours |= {m.slot for m in all_three if m.renamed is not None and begun < m.renamed <= ended}
        return slot not in colours and (10.5 < begun < 20 or 20.5 < begun < 22 or begun > 22.5)

    assert found.late_count == sum(late(begun, begun + took, slot) for begun, took, slot in drawn)


# -- streams -------------------------------------------------------------------------------------------------------


def stream(begun: float, ended: float, slot: str | None, how: str = "cut") -> Mapping[str, Any]:
    about = {"kind": "events", "client": 3, "path": "/events", "id": "x", "seen": "the connection ended"}
    return {**about, "begun": begun, "ended": ended, "slot": slot, "how": how}


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (stream(1, 9, "blue", "client"), None),
        (stream(1, 12, "blue", "client"), None),
        (stream(1, 9, "blue"), "and its release was live"),
        (stream(1, 9, "blue", "server"), "and its release was live"),
        (stream(1, 12, "blue"), "3.0s before its drain deadline"),
        (stream(1, 15.1, "blue"), None),
        (stream(1, 15.1, "blue", "server"), None),
        (stream(11, 15.1, "green"), "and its release was live"),
        (stream(11, 26, "green"), None),
        (stream(21, 30, "blue"), "and its release was live"),
        (stream(1, 22, "blue"), "and its release was live"),  # it had come back
        (stream(1, 30, None), "and its release was live"),
    ],
)
def test_a_stream_may_end_by_its_client_or_once_its_retired_release_has_had_its_time(
    one: Mapping[str, Any], why: str | None
) -> None:
    found = cut_streams([one], BOTH)
    assert [why in f.seen for f in found] == [True] if why is not None else found == []


def test_streams_are_counted() -> None:
    streams = [stream(1, 12, "blue", "client"), stream(1, 9, "blue", "client"), stream(1, 15.1, "blue")]
    assert count_streams(streams, BOTH, 0) == {"opened": 3, "over_a_switch": 2, "ended_at_deadline": 1, "cut": 0}


# -- the rest ------------------------------------------------------------------------------------------------------


def test_a_failure_is_placed_among_the_switches() -> None:
    told = {"kind": "post", "problem": "closed", "seen": "x", "method": "POST", "path": "/p", "id": "i", "client": 4}
    (failure,) = failures_of([{**told, "number": 7, "begun": 10.25, "ended": 10.26}], BOTH)
    assert (failure.switch, failure.begun_ms, failure.connection, failure.number) == (1, 250.0, 4, 7)
    (early,) = failures_of([{**told, "number": 7, "begun": 1.0, "ended": 1.5}], BOTH)
    assert (early.switch, early.begun_ms) == (None, None)


def test_duplicates_and_missing_ones_are_what_the_application_counted_differently() -> None:
    assert (Processed(5, 5, 5).duplicates, Processed(5, 5, 5).missing) == (0, 0)
    assert (Processed(5, 5, 7).duplicates, Processed(5, 3, 3).missing) == (2, 2)
    assert (Processed(5, 6, 6).duplicates, Processed(5, 6, 6).missing) == (0, 0)  # one was lost on its way back
    assert (Processed(5).duplicates, Processed(5).missing) == (0, 0)


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=200), st.sampled_from((50.0, 90.0, 99.0, 99.9)))
def test_percentiles_are_within_one_per_cent(values: list[float], percent: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
    assert exact * 0.999999 <= histogram.percentile(percent) <= exact * 1.0101
    assert histogram.max == max(values)
    assert of_sorted(sorted(values))["max"] == round(max(values), 3)


@given(
    st.lists(st.tuples(moments, moments, st.sampled_from(sorted(NUMBERS)), st.sampled_from(("blue", "green", None))))
)
def test_records_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[float, float, str, str | None]]
) -> None:
    file = tmp_path_factory.mktemp("records") / "records"
    file.write_bytes(b"".join(pack(b, e, NUMBERS[k], s) for b, e, k, s in drawn) + b"torn")
    assert list(read(file)) == [Record(b, e, k, s or "") for b, e, k, s in drawn]
