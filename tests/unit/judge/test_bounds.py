"""Simulated deploys: how often a good release is taken back, and how soon a bad one.

The bounds are binomial: a count of false alarms may not exceed what a rate of exactly alpha yields by chance (with a
probability of one in ten thousand). Seeded, so that a failure is one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from statistics import median

import pytest

from bluegreen.judge import Bake, History, Judge
from bluegreen.judge.bake import Alarm
from bluegreen.judge.comparison import ERROR_RATIOS, SLOW_RATIOS, SPLIT_RATIOS, Comparison
from bluegreen.judge.passing import Passing
from bluegreen.model.judging import JudgeSettings, Outcome
from tests.unit.judge.simulation import (
    ALPHA,
    Met,
    Ramp,
    first_errors,
    most_by_chance,
    plain,
    returning,
    taken_back,
)

RAMP = Ramp()


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - a simulation


# ---- no worse: at most alpha are taken back ----


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05, 0.3])
def test_equal_rates_are_within_the_bound_at_any_share(rate: float) -> None:
    runs, clients = 1600, min(30_000, int(150 / rate))

    def draw(random: Random) -> Met:
        return plain(random, clients, rate, random.choice((0.05, 0.1, 0.25, 0.5)))

    assert taken_back(runs, 1, draw) <= most_by_chance(runs, ALPHA)


def test_the_bound_is_not_far_from_what_happens() -> None:
    """A judge that never takes anything back would be within it, too."""
    assert taken_back(1600, 2, lambda random: plain(random, 20_000, 0.01, 0.5)) >= 3


@pytest.mark.parametrize("flaky", [3, 10])
@pytest.mark.parametrize("ramp", [RAMP, Ramp(((0.0, 5),)), Ramp(((0.0, 25),))], ids=["ramp", "5 %", "25 %"])
def test_few_clients_that_always_fail_half_their_requests_are_within_the_bound(flaky: int, ramp: Ramp) -> None:
    """Of 2,000 who come back. The others see no errors, so that they needn't be drawn."""
    runs = 3000
    found = taken_back(runs, 3, lambda random: returning(random, flaky, lambda _: 40.0, ramp))
    assert found <= most_by_chance(runs, ALPHA)


def test_the_same_clients_break_a_bound_on_requests() -> None:
    """What counting each client once is for, and that these simulations can see a broken bound."""
    runs = 300

    def each_request(random: Random) -> Iterator[tuple[bool, float]]:
        sides = [random.random() < 0.05 for _ in range(3)]
        for _ in range(60):
            yield random.choice(sides), 0.05

    assert taken_back(runs, 4, each_request) > 2 * most_by_chance(runs, ALPHA)


def test_ramps_are_within_the_bound() -> None:
    runs = 1500
    found = taken_back(runs, 5, lambda random: returning(random, 250, lambda r: r.choice((0.01, 0.3, 3.0)), RAMP))
    assert found <= most_by_chance(runs, ALPHA)


def test_rates_that_change_over_the_day_are_within_the_bound() -> None:
    """Traffic and errors both go up and down, between 0.1 and 10 %, while the share grows."""
    runs = 1500

    def draw(random: Random) -> Met:
        errors, phase = [], random.random()
        for number in range(1500):
            at = number / 1500
            day = 0.5 + 0.5 * math.sin(2 * math.pi * (2 * at + phase))
            if random.random() < 0.001 + 0.099 * day**4:
                errors.append((at, random.randrange(100)))
        return first_errors(errors, RAMP)

    assert taken_back(runs, 6, draw) <= most_by_chance(runs, ALPHA)


def test_an_outage_that_hits_both_sides_is_within_the_bound() -> None:
    """A database that goes away in the middle of a ramp: everybody who comes sees errors, some see them at once."""
    runs = 1500

    def draw(random: Random) -> Met:
        begin = random.random()
        errors = [
            (begin + random.expovariate(5.0) if random.random() < 0.9 else random.random(), random.randrange(100))
            for _ in range(250)
        ]
        return first_errors([one for one in errors if one[0] < 1], RAMP)

    assert taken_back(runs, 7, draw) <= most_by_chance(runs, ALPHA)


def test_a_better_candidate_is_within_the_bound_when_lives_clients_are_used_up() -> None:
    """Once all of live's clients have seen an error, who is left is the candidate's: that must not look like guilt."""
    runs = 1500

    def draw(random: Random) -> Met:
        errors = []
        for _ in range(200):
            bucket = random.randrange(100)
            errors.append((random.expovariate(4.0 if bucket < 50 else 40.0), bucket))
        return first_errors(errors, Ramp(((0.0, 50),)))

    assert taken_back(runs, 8, draw) <= most_by_chance(runs, ALPHA)


@pytest.mark.parametrize("later", [0.0, 1.0])
def test_errors_may_take_any_time_to_show_but_not_longer_on_one_side(later: float) -> None:
    """What the bound needs, and the document says: else the quick side's errors come first, and look like its own."""
    runs = 400

    def draw(random: Random) -> Met:
        met = []
        for _ in range(200):
            x = random.random() < 0.25
            shown = random.expovariate(0.1) + random.expovariate(0.5)  # an outage of seconds, and what each waits
            met.append((shown if x else shown + later, x))
        return ((x, 0.25) for _, x in sorted(met))

    assert (taken_back(runs, 19, draw) <= most_by_chance(runs, ALPHA)) == (later == 0)


def judged(share: int) -> Judge:
    made = Judge(JudgeSettings(latency=False), "v1.0.0", "v1.1.0")
    made.shift(0.0, share)
    return made


def test_bursts_of_retries_are_within_the_bound() -> None:
    """Through the judge itself: each error is tried again up to 20 times, and most of these fail as well."""
    runs, bad = 600, 0
    random = seeded(9)
    for _ in range(runs):
        share = random.choice((5, 10, 25, 50))
        made = judged(share)
        for number in range(60):
            bucket = random.randrange(100)
            for _ in range(random.randrange(1, 20)):
                made.see(number, bucket < share, str(number), random.random() < 0.8, bucket=bucket)
        bad += made.verdict(100.0).outcome is Outcome.FAIL
    assert bad <= most_by_chance(runs, ALPHA)


@pytest.mark.parametrize("known", [True, False], ids=["addresses known", "addresses unknown"])
def test_visitors_who_share_an_address_and_a_draw_are_within_the_bound_where_addresses_are_known(known: bool) -> None:
    """An office of thirty with one browser for all, who got their places by it, and whose proxy breaks requests."""
    runs, bad = 600, 0
    random = seeded(10)
    for _ in range(runs):
        made = judged(5)
        drawn = [[random.randrange(100) for _ in range(3)] for _ in range(3)]  # offices, browsers
        for number in range(90):
            office = random.randrange(3)
            bucket = random.choice(drawn[office])
            address = f"192.0.2.{office}" if known else ""
            made.see(number, bucket < 5, f"{number:032x}", True, address=address, bucket=bucket)
        bad += made.verdict(100.0).outcome is Outcome.FAIL
    assert (bad <= most_by_chance(runs, ALPHA)) == known


def test_equally_slow_sides_are_within_the_latency_bound() -> None:
    runs = 2000
    random, bad = seeded(11), 0
    for _ in range(runs):
        comparison, w = Comparison(SLOW_RATIOS, 0.005), random.choice((0.05, 0.25, 0.5))
        bad += any(comparison.see(random.random() < w, w) for _ in range(150))
    assert bad <= most_by_chance(runs, 0.005)


def test_a_sound_split_is_hardly_ever_warned_of() -> None:
    runs = 1000
    random, bad = seeded(12), 0
    for _ in range(runs):
        comparison, w = Comparison(SPLIT_RATIOS, 0.01), random.choice((0.05, 0.25, 0.5))
        bad += any(comparison.see(random.random() < w, w) for _ in range(300))
    assert bad <= most_by_chance(runs, 0.01)


# ---- worse: found, and soon ----


def requests_to_detect(random: Random, share: float, live: float, candidate: float) -> int:
    comparison, count = Comparison(ERROR_RATIOS, ALPHA), 0
    while True:
        count += 1
        x = random.random() < share
        if random.random() < (candidate if x else live) and comparison.see(x, share):
            return count


@pytest.mark.parametrize(("rate", "most"), [(0.05, 330), (1.0, 16)])
def test_half_of_the_bad_releases_are_found_within(rate: float, most: int) -> None:
    random = seeded(13)
    assert median(requests_to_detect(random, 0.25, 0.001, rate) for _ in range(1500)) <= most


def test_where_three_in_five_answers_are_slow_that_is_found() -> None:
    """Of live's one in twenty is, by definition."""
    random, counts = seeded(14), []
    for _ in range(300):
        comparison, count = Comparison(SLOW_RATIOS, 0.005), 0
        while True:
            count += 1
            x = random.random() < 0.25
            if random.random() < (0.6 if x else 0.05) and comparison.see(x, 0.25):
                break
        counts.append(count)
    assert median(counts) <= 120


# ---- pass ----


@pytest.mark.parametrize(("rate", "share"), [(0.02, 0.05), (0.05, 0.05)])
def test_a_release_that_is_not_good_enough_passes_at_most_so_often(rate: float, share: float) -> None:
    runs, passed = 600, 0
    random = seeded(15)
    for _ in range(runs):
        passing = Passing(0.02, share)
        for _ in range(600):
            passing.clients += 1
            passing.erring += random.random() < rate
            if passing.reached:
                passed += 1
                break
    assert passed <= most_by_chance(runs, share)


def test_a_good_release_nearly_always_passes() -> None:
    runs, passed = 200, 0
    random = seeded(16)
    for _ in range(runs):
        passing = Passing(0.02, 0.05)
        for _ in range(2000):
            passing.clients += 1
            passing.erring += random.random() < 0.002
            if passing.reached:
                passed += 1
                break
    assert passed > 0.95 * runs


# ---- bake ----


def test_a_bake_without_change_is_within_its_bound() -> None:
    """With an alpha that can be seen: over the whole horizon, at exactly the rate that is allowed."""
    runs, horizon, alpha = 400, 1000, 0.2
    random, alarms = seeded(17), 0
    for _ in range(runs):
        alarm = Alarm(0.01, 0.04, alpha, horizon)
        alarms += any(alarm.see(random.random() < 0.01) for _ in range(horizon))
    assert alarms <= most_by_chance(runs, alpha)


def test_a_bake_notices_a_change_whenever_it_comes() -> None:
    random, history = seeded(18), History()
    for number in range(20_000):
        history.see(number / 10, str(number), random.random() < 0.001)
    delays = []
    for _ in range(30):
        bake = Bake(JudgeSettings(), "v1.1.0", "v1.0.0", history)
        for number in range(2000):
            assert not bake.see(number / 10, str(number), random.random() < 0.001)
        delays.append(next(n for n in range(10_000) if bake.see(300.0 + n, f"new {n}", random.random() < 0.2)))
    assert median(delays) <= 40
