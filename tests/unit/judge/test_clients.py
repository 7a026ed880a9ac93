"""Who counts and by which share: that what is compared is a lot, whoever shares a draw."""

from __future__ import annotations

from itertools import product
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluegreen.judge import clients
from bluegreen.judge.clients import MARGIN, Draws, Pool, Shares
from bluegreen.judge.comparison import ERROR_RATIOS, Comparison

MOMENTS = st.floats(0, 20).map(lambda at: round(at, 1))


@settings(deadline=None)
@given(st.lists(st.tuples(MOMENTS, st.integers(0, 100)), max_size=8), MOMENTS)
def test_the_share_is_the_largest_that_was_in_force_around_a_moment(
    shifts: list[tuple[float, int]], moment: float
) -> None:
    shifts.sort(key=lambda one: one[0])
    shares = Shares()
    for at, share in shifts:
        shares.shift(at, share)
    ends = [*(at for at, _ in shifts), float("inf")][1:]
    around = [
        share
        for (begin, share), end in zip(shifts, ends, strict=True)
        if begin < moment + MARGIN and end >= moment - MARGIN
    ]
    assert shares.at(moment) == max(around, default=0)
    assert shares.now == (shifts[-1][1] if shifts else 0)
    assert shares.since == next((at for at, share in shifts if share > 0), None)


def test_a_clock_that_was_set_back_keeps_the_order_of_shifts() -> None:
    shares = Shares()
    shares.shift(100.0, 5)
    shares.shift(40.0, 25)
    assert (shares.at(50.0), shares.at(102.0), shares.now) == (0, 25, 25)


@pytest.mark.parametrize("visitors", ["ABAB", "AAAA", "ABCA"], ids=lambda each: f"draws {each}")
@pytest.mark.parametrize("addresses", ["1111", "1212", "1222"], ids=lambda each: f"addresses {each}")
@pytest.mark.parametrize("shares", [(2, 2, 2, 2), (1, 1, 3, 3)], ids=str)
def test_whoever_shares_addresses_and_draws_the_mean_over_all_draws_is_one(
    visitors: str, addresses: str, shares: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All draws of five places, played through: four visitors see errors, one after the other. Those of one address
    with one letter got their place by one draw. Exactly 1 is what makes E a martingale, and the bound hold."""
    monkeypatch.setattr(clients, "BUCKETS", 5)
    drawn = sorted(set(zip(addresses, visitors, strict=True)))
    total = 0.0
    for places in product(range(5), repeat=len(drawn)):
        place = dict(zip(drawn, places, strict=True))
        draws, comparison = Draws(True), Comparison(ERROR_RATIOS, 0.01)
        for address, visitor, share in zip(addresses, visitors, shares, strict=True):
            bucket = place[address, visitor]
            w = draws.take(address, bucket, share)
            if w is not None:
                comparison.see(bucket < share, w)
        total += exp(comparison.log_e)
    assert total / 5 ** len(drawn) == pytest.approx(1.0)


def test_different_addresses_count_by_the_share_itself() -> None:
    draws = Draws(True)
    assert [draws.take(f"192.0.2.{n}", 3, 10) for n in range(5)] == [0.1] * 5


def test_without_a_place_or_an_address_it_is_the_share() -> None:
    draws = Draws(True)
    assert [draws.take("192.0.2.1", None, 10), draws.take("", 3, 10), draws.take("", 3, 10)] == [0.1] * 3


def test_where_each_request_is_drawn_places_are_not_used_up() -> None:
    draws = Draws(False)
    assert [draws.take("192.0.2.1", 3, 10) for _ in range(3)] == [0.1] * 3


def test_an_address_all_of_whose_places_were_seen_says_no_more() -> None:
    draws = Draws(True)
    taken = [draws.take("192.0.2.1", bucket, 10) for bucket in range(100)]
    # Of the candidate's ten places the last one is drawn from 91; then there is nothing left to compare.
    assert taken[0] == 0.1
    assert taken[9] == 1 / 91
    assert taken[10:] == [None] * 90
    assert [draws.take("192.0.2.1", bucket, 10) for bucket in range(100)] == [None] * 100


@pytest.mark.parametrize("share", [0, 100])
def test_with_one_side_only_nobody_counts(share: int) -> None:
    assert Draws(True).take("192.0.2.1", 3, share) is None


@pytest.mark.parametrize(("of_one", "found"), [(159, None), (160, "one")])
def test_a_pool_is_noticed_from_four_in_five_requests_on(of_one: int, found: str | None) -> None:
    pool = Pool()
    pool.see(["one" if number < of_one else f"other {number}" for number in range(200)])
    assert pool.client == found
    assert pool.part == of_one / 200 * (found is not None)
