"""The test martingale by itself: exact numbers, mean 1, and the careful side of every doubt."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluegreen.judge.comparison import ERROR_RATIOS, SLOW_RATIOS, SPLIT_RATIOS, Comparison, _changes

SHARES = st.integers(1, 99)
MET = st.lists(st.tuples(st.booleans(), SHARES), max_size=25)


def theta(ratio: Fraction, w: Fraction) -> Fraction:
    return w * ratio / (w * ratio + 1 - w)


def exactly(met: list[tuple[bool, int]], tolerated: int = 1) -> list[Fraction]:
    """The formula word for word, in fractions: before the first client and after each."""
    products, means = [Fraction(1)] * len(ERROR_RATIOS), [Fraction(1)]
    for x, share in met:
        w = Fraction(share, 100)
        null = theta(Fraction(tolerated), w)
        for number, ratio in enumerate(ERROR_RATIOS):
            one = theta(Fraction(ratio) * tolerated, w)
            products[number] *= one / null if x else (1 - one) / (1 - null)
        means.append(sum(products, Fraction(0)) / len(products))
    return means


@settings(deadline=None)
@given(MET, st.integers(1, 5))
def test_the_number_is_the_formulas(met: list[tuple[bool, int]], tolerated: int) -> None:
    comparison = Comparison(ERROR_RATIOS, 0.01, tolerated)
    reached = [comparison.see(x, share / 100) for x, share in met]
    exact = exactly(met, tolerated)
    assert reached == [e >= 100 for e in exact[1:]]
    assert math.isclose(comparison.log_e, math.log(exact[-1]), rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize(("share", "clients"), [(5, 2), (10, 3), (25, 4), (50, 8)])
def test_with_no_error_on_live_it_takes_exactly_so_many_clients(share: int, clients: int) -> None:
    comparison = Comparison(ERROR_RATIOS, 0.01)
    assert [comparison.see(True, share / 100) for _ in range(clients)] == [False] * (clients - 1) + [True]


@pytest.mark.parametrize("ratios", [ERROR_RATIOS, SLOW_RATIOS, SPLIT_RATIOS])
@settings(deadline=None)
@given(w=st.floats(0.001, 0.999), tolerated=st.floats(1, 100))
def test_each_factor_has_mean_one_where_the_tolerated_ratio_is_true(
    ratios: tuple[float, ...], w: float, tolerated: float
) -> None:
    of_live, of_candidate = _changes(ratios, tolerated, w)
    null = w * tolerated / (w * tolerated + 1 - w)
    for miss, hit in zip(of_live, of_candidate, strict=True):
        assert math.isclose(null * math.exp(hit) + (1 - null) * math.exp(miss), 1, rel_tol=1e-9)


@settings(deadline=None)
@given(st.booleans(), SHARES, SHARES, st.floats(1, 100))
def test_a_larger_share_never_says_more_against_the_candidate(x: bool, one: int, other: int, tolerated: float) -> None:
    """Why the larger of two shares is taken where it isn't sure which one was in force."""
    less, more = sorted((one, other))
    of_less = _changes(ERROR_RATIOS, tolerated, less / 100)[x]
    of_more = _changes(ERROR_RATIOS, tolerated, more / 100)[x]
    assert all(a >= b - 1e-12 for a, b in zip(of_less, of_more, strict=True))


@settings(deadline=None)
@given(MET, st.integers(0, 24))
def test_an_error_that_comes_later_or_not_at_all_never_makes_the_candidate_look_worse(
    met: list[tuple[bool, int]], which: int
) -> None:
    """While the share grows: so a better candidate, whose clients fall out later, is within the bound too."""
    met = sorted(met, key=lambda one: one[1])
    if which >= len(met) or not met[which][0]:
        return
    without = met[:which] + met[which + 1 :]
    last = (True, met[-1][1])
    assert exactly(without)[-1] <= exactly(met)[-1]
    assert exactly([*without, last])[-1] <= exactly(met)[-1]


def test_a_hundred_thousand_errors_are_a_number() -> None:
    comparison = Comparison(ERROR_RATIOS, 0.01)
    for _ in range(100_000):
        comparison.see(True, 0.05)
    assert comparison.e > 1e200
    for _ in range(100_000):
        comparison.see(False, 0.99)
    assert math.isfinite(comparison.log_e)


@pytest.mark.parametrize("w", [0.0, 1.0])
def test_without_two_sides_there_is_nothing_to_compare(w: float) -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        Comparison(ERROR_RATIOS, 0.01).see(True, w)
