"""The bake: what it counts, what it expects, and what it says."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluegreen.judge import Bake, History
from bluegreen.judge.bake import QUIET, Alarm, AtRisk, upper_bound
from bluegreen.model.codec import decode, encode
from bluegreen.model.judging import JudgeSettings, Outcome, Verdict

START = 1_763_812_800.0  # 12:00:00 UTC


def history(answers: int, errors: int = 0) -> History:
    made = History()
    for number in range(answers):
        made.see(START + number, str(number), number < errors)
    return made


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=60))
def test_the_number_is_shiryaevs_and_roberts(errors: list[bool]) -> None:
    alarm, exact = Alarm(0.01, 0.05, 0.01, 1000), Fraction(0)
    for error in errors:
        reached = alarm.see(error)
        exact = (1 + exact) * (Fraction(5) if error else Fraction(95, 99))
        assert math.isclose(alarm.r, exact, rel_tol=1e-9)
        assert reached == (exact >= 100_000)


def test_it_starts_anew_after_its_horizon() -> None:
    alarm = Alarm(0.01, 0.05, 0.01, 1000)
    for _ in range(1000):
        alarm.see(False)
    alarm.see(True)
    assert alarm.answers == 1
    assert alarm.r == pytest.approx(5)


ANSWERS = st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abc"), st.booleans()), max_size=60)


@settings(deadline=None)
@given(ANSWERS)
def test_one_more_answer_counts_as_if_it_was_looked_at_closely(answers: list[tuple[int, str, bool]]) -> None:
    """Quick or not, whoever has seen an error does not count for a minute."""
    quick, careful = History(), History()
    at = START
    for more, client, error in answers:
        at += more
        careful.see(at, client, error)
        if error or not quick.again(client):
            quick.see(at, client, error)
    assert (quick.answers, quick.errors) == (careful.answers, careful.errors)


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=30, max_size=60))
def test_one_more_answer_takes_the_number_where_it_would_have_gone(errors: list[bool]) -> None:
    quick, careful = Alarm(0.3, 0.4, 0.5, 20), Alarm(0.3, 0.4, 0.5, 20)  # a low threshold, and a near horizon
    for error in errors:
        reached = False if not error and quick.again() else quick.see(error)
        assert reached == careful.see(error)
        assert (quick.r, quick.answers) == (careful.r, careful.answers)


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(1, 5000), st.floats(0.001, 0.5))
def test_an_upper_bound_is_above_what_was_seen_and_no_further_than_the_doubt(
    errors: int, more: int, doubt: float
) -> None:
    answers = errors + more
    bound = upper_bound(errors, answers, doubt)
    assert errors / answers < bound <= 1
    # Were the bound the true rate, so few errors would have at most the probability of the doubt.
    below = sum(
        math.exp(
            math.lgamma(answers + 1)
            - math.lgamma(k + 1)
            - math.lgamma(answers - k + 1)
            + k * math.log(bound)
            + (answers - k) * math.log1p(-bound)
        )
        for k in range(errors + 1)
    )
    assert below <= doubt * (1 + 1e-6)


def test_who_saw_an_error_and_never_comes_back_is_forgotten() -> None:
    risk, until, most = AtRisk(), dict[str, float](), 0
    for number in range(100_000):  # for 11 days; every third is there again after 30 or 90 seconds
        at, client = START + number * 10.0, str(number - (3, 9)[number % 2] if number % 3 == 0 else number)
        counts = at >= until.get(client, 0.0)
        if counts:
            until[client] = at + QUIET
        assert risk.see(at, client, True) is counts
        most = max(most, len(risk.quiet))
    assert most <= 1000
    assert len(until) > 60_000


def test_no_more_are_remembered_than_twice_those_who_do_not_count() -> None:
    risk = AtRisk()
    for number in range(100_000):  # an outage: 6,000 a minute
        risk.see(START + number / 100, str(number), True)
        assert len(risk.quiet) <= 12_002
    assert all(str(number) in risk.quiet for number in range(95_000, 100_000))


def test_without_history_the_files_own_limit_is_expected_and_that_is_said() -> None:
    bake = Bake(JudgeSettings(), "v1.1.0", "v1.0.0", History())
    assert (bake.p0, bake.p1) == (0.02, 0.08)
    assert bake.verdict(START).warnings == ("nothing is known of v1.0.0: 2 % of errors are expected",)
    assert bake.verdict(START).alpha_sum == 0.01
    assert upper_bound(0, 0, 0.01) == 1.0


@pytest.mark.parametrize(("answers", "errors"), [(1, 0), (1, 1), (1_000, 0), (1_000, 1_000), (1_000, 300)])
def test_any_history_gives_something_to_compare(answers: int, errors: int) -> None:
    bake = Bake(JudgeSettings(), "v1.1.0", "v1.0.0", history(answers, errors))
    assert 0 < bake.p0 < bake.p1 < 1


def test_as_long_as_it_is_guarded_a_release_without_an_alarm_has_not_passed_yet() -> None:
    bake = Bake(JudgeSettings(), "v1.1.0", "v1.0.0", history(10_000))
    bake.see(START + 1, "one", False)
    early = bake.verdict(START + 2, until=START + 67)
    assert early.outcome is Outcome.INCONCLUSIVE
    assert early.reason == "v1.1.0: no alarm in 1 answer so far, 0 of them errors; it is guarded until 12:01:07Z"
    assert bake.verdict(START + 67, until=START + 67).outcome is Outcome.PASS


@pytest.mark.parametrize("until", [START, START + 60, None])
def test_without_an_answer_there_is_no_pass_at_its_end_either(until: float | None) -> None:
    verdict = Bake(JudgeSettings(), "v1.1.0", "v1.0.0", history(100)).verdict(START, until=until)
    assert (verdict.outcome, verdict.reason) == (
        Outcome.INCONCLUSIVE,
        "v1.1.0 has answered nobody since the switch",
    )


def test_an_alarm_counts_before_its_time_is_over() -> None:
    bake = Bake(JudgeSettings(), "v1.1.0", "v1.0.0", history(10_000))
    for number in range(20):
        bake.see(START + number, str(number), True)
    assert bake.verdict(START + 20, until=START + 900).outcome is Outcome.FAIL


def test_an_outage_is_an_alarm_with_its_numbers() -> None:
    bake = Bake(JudgeSettings(), "v1.1.0", "v1.0.0", history(10_000))
    for number in range(100):
        bake.see(START + number, f"fine {number}", False, "backend", "GET / 200")
    assert bake.verdict(START).outcome is Outcome.PASS
    alarms = [bake.see(START + 187 + n / 10, str(n), True, "backend", "GET /api 500") for n in range(10)]
    assert alarms.count(True) == 1
    verdict = bake.verdict(START + 200)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason.startswith("backend v1.1.0: ")
    assert " answers were errors where at most 0.046 % were expected: R = " in verdict.reason
    assert verdict.reason.endswith(" >= 1.0e8; first: GET /api 500 at 12:03:07Z")
    assert verdict.alpha_sum == pytest.approx(0.02)  # its own, and that of the bound on the history
    assert decode(Verdict, encode(verdict)) == verdict


def test_one_client_that_tries_again_and_again_is_no_outage() -> None:
    bake = Bake(JudgeSettings(), "v1.1.0", "v1.0.0", history(10_000))
    assert not any(bake.see(START + n / 10, "one", True) for n in range(590))
    assert any(bake.see(START + n * 61, "one", True) for n in range(2, 20))
