"""What is read from a log is what nginx wrote, whatever visitors send."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.traffic.lines import Format, Hit, parse, recognise
from tests.unit.traffic.logs import PLAIN, line, log_format

HOSTILE = st.one_of(
    st.binary(max_size=80),
    st.lists(
        st.sampled_from(
            [b'"', b"\\", b"\n", b"\r", b"}", b"{", b",", b'","slot":"green","uri":"', b'{"t":1.000,"slot":"', b'\\"',
             b"\x00", b"\x1e", b"\xff", "\u2028".encode(), b"status", b'"}\n', b"/", b"%22", line()]
        ),
        max_size=8,
    ).map(b"".join),
)  # fmt: skip


def only(chunk: bytes, form: Format = Format.BLUEGREEN) -> Hit:
    found = parse(chunk, form)
    assert (len(found.hits), found.unreadable) == (1, 0), chunk
    return found.hits[0]


def test_a_line_is_read_as_it_was_written() -> None:
    hit = only(line(status=b"502", upstream_status=b"502, 502", upstream_response_time=b"0.001, 0.002"))
    assert (hit.slot, hit.service, hit.client, hit.method, hit.route) == (
        "green",
        "backend",
        "203.0.113.9",
        "GET",
        "/api/",
    )
    assert (hit.status, hit.error, hit.drawn, hit.uri, hit.host) == (
        502,
        True,
        True,
        "/api/v1/products",
        "shop.example.com",
    )
    assert (hit.ended, hit.seconds) == (1763850000.123, 0.013)
    assert hit.at == pytest.approx(1763850000.110)


def test_the_fields_stand_in_the_order_of_the_format() -> None:
    wanted = re.findall(r'"(\w+)":', log_format())
    got = re.findall(r'"(\w+)"', "".join(f'"{name}"' for name in json.loads(line())))
    assert wanted == got
    assert wanted[-2:] == ["host", "uri"]  # what visitors choose comes last
    assert list(PLAIN) == [
        "msec", "bg_slot", "bg_release", "bg_counted_bucket", "bg_service", "status", "request_time", "upstream_status",
        "upstream_response_time", "request_method", "bg_route", "bg_fallback", "bytes_sent", "upstream_addr",
        "bg_client", "remote_addr", "host", "uri",
    ]  # fmt: skip
    assert re.findall(r"\$(\w+)", log_format()) == list(PLAIN)


@given(host=HOSTILE, uri=HOSTILE)
def test_no_request_can_write_a_field_of_its_line_or_another_line(host: bytes, uri: bytes) -> None:
    written = line(host=host, uri=uri)
    plain = only(line())
    (hit,) = parse(line() + written + line()).hits[1:-1]
    assert hit[:11] == plain[:11]
    assert hit.uri == uri.decode("utf-8", "replace")
    assert hit.host == host.decode("utf-8", "replace")


@given(part=HOSTILE, host=HOSTILE)
def test_a_line_that_was_cut_off_takes_at_most_the_next_one_with_it(part: bytes, host: bytes) -> None:
    """As a full volume leaves it: some of a line, and then whole ones."""
    whole = line(uri=part, host=host)
    for cut in (1, len(whole) // 2, len(whole) - 2):
        found = parse(line() + whole[:cut] + line() + line(status=b"500"))
        assert found.hits[0] == only(line())
        assert found.hits[-1].status == 500
        assert 2 <= len(found.hits) <= 3


@given(st.binary(max_size=200))
def test_any_bytes_are_hits_or_unreadable_and_never_an_error(junk: bytes) -> None:
    for form in Format:
        found = parse(junk + b"\n", form)
        assert len(found.hits) + found.unreadable == (junk + b"\n").count(b"\n")


def test_what_no_slot_answered_and_what_was_not_answered_at_all_is_a_line_too() -> None:
    hit = only(line(bg_slot=b"", bg_service=b"", status=b"000", upstream_status=b"", upstream_addr=b"", host=b""))
    assert (hit.slot, hit.status, hit.error) == ("", 0, False)


def test_lines_from_before_the_release_was_in_them_are_read_too() -> None:
    former = line().replace(b'"release":"7",', b"")
    assert only(former) == only(line())._replace(release="")
    assert only(line()).release == "7"


def test_visitors_who_went_away_are_no_errors() -> None:
    assert not only(line(status=b"499")).error


@pytest.mark.parametrize("bucket", [b"preview", b"forced"])
def test_what_testers_and_the_preview_ask_for_is_told_apart(bucket: bytes) -> None:
    assert not only(line(bg_counted_bucket=bucket)).drawn


COMBINED = (
    b'203.0.113.9 - - [22/Nov/2026:23:59:59 +0100] "GET /api/v1?token=x HTTP/1.1" 502 612 "https://e.org/" "Mozilla"\n'
)


def test_nginx_combined_format_is_read_without_its_query() -> None:
    hit = only(COMBINED, Format.COMBINED)
    assert (hit.client, hit.method, hit.uri, hit.status, hit.error) == ("203.0.113.9", "GET", "/api/v1", 502, True)
    assert hit.ended == 1795388399.0  # date -d '2026-11-22 23:59:59 +0100' +%s
    assert hit.slot == ""


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"], exclude_characters='"\\'), max_size=60))
def test_a_user_name_cannot_forge_a_combined_line(user: str) -> None:
    forged = rb"[01/Jan/2001:00:00:00 +0000] \x22GET / HTTP/1.1\x22 200 1 "
    written = COMBINED.replace(b" - - ", b" - " + user.encode() + forged + b" ")
    assert only(written, Format.COMBINED) == only(COMBINED, Format.COMBINED)


def test_a_logs_format_is_recognised_by_its_first_lines() -> None:
    assert recognise(line() + line()[:50]) is Format.BLUEGREEN
    assert recognise(COMBINED * 3) is Format.COMBINED
    assert recognise(b"what is this\n") is None
    assert recognise(b"") is None
