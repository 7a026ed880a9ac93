"""Rows say what the lines said, however the log was cut into pieces."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from bluegreen.traffic.fold import Fold
from bluegreen.traffic.lines import parse
from bluegreen.traffic.rows import BOUNDS, Row, decode, merge, wider
from tests.unit.traffic.logs import line

REQUESTS: st.SearchStrategy[list[dict[str, bytes]]] = st.lists(
    st.builds(
        dict,
        msec=st.integers(0, 3999).map(lambda ms: b"%d.%03d" % (1763850000 + ms // 1000, ms % 1000)),
        bg_slot=st.sampled_from([b"blue", b"green", b""]),
        bg_service=st.sampled_from([b"backend", b"frontend"]),
        status=st.sampled_from([b"200", b"404", b"499", b"500", b"502", b"000"]),
        upstream_status=st.sampled_from([b"200", b"502, 200", b"502 : 500", b"-", b""]),
        request_time=st.sampled_from([b"0.000", b"0.001", b"0.013", b"2.500", b"93.000", b"600.000"]),
        bg_client=st.sampled_from([b"203.0.113.9", b"0" * 32, b"f" * 32]),
        bg_counted_bucket=st.sampled_from([b"7", b"99", b"preview", b"forced"]),
    ),
    max_size=40,
)


def rows(chunk: bytes) -> list[Row]:
    fold = Fold()
    fold.add(chunk)
    return fold.take()


@given(REQUESTS)
def test_rows_say_what_the_lines_say(requests: list[dict[str, bytes]]) -> None:
    chunk = b"".join(line(**request) for request in requests)
    hits = [hit for hit in parse(chunk).hits if hit.drawn]
    found = rows(chunk)
    assert len({row.key for row in found}) == len(found)
    for row in found:
        mine = [h for h in hits if (h.service, h.slot, int(h.ended)) == row.key]
        assert row.requests == len(mine) == sum(row.histogram.values())
        assert row.errors == sum(h.status >= 500 for h in mine)
        assert row.upstream_errors == sum(h.upstream_status.count("502") + h.upstream_status.count("500") for h in mine)
        assert abs(row.seconds - sum(h.seconds for h in mine)) < 0.01
        assert row.clients == len({h.client for h in mine})
    assert sum(row.requests for row in found) == len(hits)


@given(REQUESTS, st.integers(0, 40))
def test_the_rows_of_two_parts_add_up_to_those_of_the_whole(requests: list[dict[str, bytes]], cut: int) -> None:
    lines = [line(**request) for request in requests]
    whole = rows(b"".join(lines))
    parts = merge([*rows(b"".join(lines[:cut])), *rows(b"".join(lines[cut:]))])
    for one, other in zip(whole, parts, strict=True):
        assert one.clients >= other.clients  # of a second in two pieces a lower bound
        other.clients = one.clients
    assert [row.encode() for row in whole] == [row.encode() for row in parts]


@given(REQUESTS)
def test_what_is_stored_is_what_comes_back(requests: list[dict[str, bytes]]) -> None:
    found = rows(b"".join(line(**request) for request in requests))
    assert [decode(row.encode()) for row in found] == found


def test_a_later_versions_row_is_read_and_its_further_columns_left_alone() -> None:
    row = Row("backend", "green", 1763850000, 2, 1, 1, 0.5, 2, {3: 2})
    assert decode([*row.encode(), "something new"]) == row
    assert row.encode() == [1763850000, "green", "backend", 2, 1, 1, 0.5, 2, [3, 2]]


def test_quantiles_are_upper_bounds() -> None:
    times = sorted(random.Random(4).uniform(0.001, 3) for _ in range(500))  # noqa: S311 - no secret
    (row,) = rows(b"".join(line(request_time=b"%.3f" % time) for time in times))
    for q in (0.5, 0.95, 0.99):
        bound = row.quantile(q)
        exact = times[round(q * 500) - 1]
        assert bound is not None
        assert exact <= bound + 0.001 <= exact * 1.5
    assert Row("a", "blue", 1).quantile(0.5) is None
    assert Row("a", "blue", 1, 1, histogram={len(BOUNDS): 1}).quantile(0.5) is None


def test_minutes_are_the_seconds_in_them() -> None:
    parts = [Row("a", "blue", second, 1, histogram={0: 1}) for second in range(120, 181)]
    assert [(row.second, row.requests) for row in wider(parts, 60)] == [(120, 60), (180, 1)]
