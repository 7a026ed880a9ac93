"""The judge as its callers use it: who counts, what it says, and when it says nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluegreen.judge import Judge
from bluegreen.judge.comparison import ERROR_RATIOS, Comparison
from bluegreen.model.codec import decode, encode
from bluegreen.model.judging import Check, Count, Evidence, Facts, JudgeSettings, Outcome, Verdict, problems

START = 1_763_812_800.0  # 12:00:00 UTC
SIMULATE = "GET /api/v1/simulate 500"


def judge(settings: JudgeSettings | None = None, share: int = 10, **given: object) -> Judge:
    made = Judge(settings or JudgeSettings(), "v1.0.0", "v1.1.0", **given)  # type: ignore[arg-type]  # each test's own
    made.shift(START, share)
    return made


def clean(made: Judge, live: int = 0, candidate: int = 0, at: float = START + 60) -> None:
    for number in range(live):
        made.see(at, False, f"l{number}", False, 0.01, "backend", "GET / 200")
    for number in range(candidate):
        made.see(at, True, f"c{number}", False, 0.01, "backend", "GET / 200")


def fail(made: Judge, candidate: bool, client: str, at: float = START + 187, **more: object) -> bool:
    return made.see(at, candidate, client, True, 0.01, "backend", SIMULATE, **more)  # type: ignore[arg-type]


def named(verdict: Verdict, name: str) -> Evidence:
    return next(evidence for evidence in verdict.evidence if evidence.name == name)


# ---- what it says ----


def test_a_verdict_names_its_numbers_and_the_first_sample() -> None:
    made = judge()
    clean(made, live=380, candidate=41)
    assert [fail(made, True, f"c{n}", START + 187 + n) for n in range(3)] == [False, False, True]
    verdict = made.verdict(START + 200)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason == (
        "backend v1.1.0: 3 of 41 clients saw errors against 0 of 380 on v1.0.0: E = 341 >= 100; "
        "first: GET /api/v1/simulate 500 at 12:03:07Z"
    )
    assert verdict.bounded
    assert verdict.alpha_sum == 0.01  # latency was not compared
    assert named(verdict, "errors").at == START + 189


def test_the_moment_is_written_by_the_readers_clock() -> None:
    made = judge(clock=lambda at: f"{at - START:.0f} s")
    for number in range(3):
        fail(made, True, f"c{number}")
    assert made.verdict(START).reason.endswith("first: GET /api/v1/simulate 500 at 187 s")


def test_what_a_visitor_wrote_can_neither_move_a_terminal_nor_fill_it() -> None:
    made = judge()
    for number in range(3):
        made.see(START, True, f"c{number}", True, what=f"GET /\x1b[2J\n\u202e{'a' * 500} 500")
    reason = made.verdict(START).reason
    assert "first: GET /?[2J??aaa" in reason
    assert reason.isprintable()
    assert "aaa... 500 at 12:00:00Z" in reason
    assert len(reason) < 300


def test_a_service_with_more_erring_clients_is_named_first() -> None:
    made = judge()
    made.see(START + 9, True, "a", True, 0.1, "frontend", "GET / 502")
    fail(made, True, "b")
    fail(made, True, "c")
    assert made.verdict(START).reason.startswith("backend, frontend v1.1.0: 3 of 3 clients")


def test_184_clean_clients_are_a_pass_and_183_are_not() -> None:
    made = judge()
    clean(made, live=500, candidate=183)
    before = made.verdict(START + 90)
    assert before.outcome is Outcome.INCONCLUSIVE
    assert "0 of 183 clients saw errors in this step, 'below 2 %': E = 19.7 < 20 (184 clean" in before.reason
    made.see(START + 90, True, "one more", False)
    after = made.verdict(START + 91)
    assert after.outcome is Outcome.PASS
    assert after.reason == "v1.1.0: 0 of 184 clients saw errors in this step, 'below 2 %': E = 20.1 >= 20"


def test_no_traffic_is_neither_pass_nor_failure() -> None:
    made = judge(JudgeSettings(inconclusive="promote"))
    clean(made, live=1000)
    verdict = made.verdict(START + 600)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.then == "promote"
    assert verdict.reason == "v1.1.0 has answered nobody in this step: no traffic is neither pass nor failure"


def test_a_fail_stays_one_with_the_numbers_of_when_it_was_decided() -> None:
    made = judge()
    for number in range(3):
        fail(made, True, f"c{number}")
    decided = made.verdict(START + 200)
    for number in range(300):
        fail(made, False, f"l{number}", START + 300)
    clean(made, candidate=1000, at=START + 300)
    assert made.verdict(START + 400).reason == decided.reason


def test_a_verdict_survives_the_journal() -> None:
    made = judge(JudgeSettings(max_error_rate=0.5), slow={"backend": 0.1})
    made.facts(Facts({"backend": 1}, checks=(Check("smoke", True),)))
    for number in range(3):
        fail(made, True, f"c{number}")
    verdict = made.verdict(START + 200)
    assert decode(Verdict, encode(verdict)) == verdict


# ---- who counts ----

REQUESTS = st.lists(
    st.tuples(st.integers(0, 8), st.booleans(), st.floats(0, 0.2), st.sampled_from([None, 5, 25, 50])), max_size=80
)


@settings(deadline=None)
@given(REQUESTS)
def test_only_first_errors_count(requests: list[tuple[int, bool, float, int | None]]) -> None:
    """Whatever else is answered, the number is that of the clients' first errors alone."""
    made = judge(share=10, slow={"backend": 0.1})
    alone = Comparison(ERROR_RATIOS, 0.01)
    share, seen, reached = 10, set(), False
    for number, (client, error, seconds, shift) in enumerate(requests):
        at = START + 100 * (number + 1)
        if shift is not None:
            made.shift(at - 50, shift)
            share = shift
        candidate = client % 2 == 0
        made.see(at, candidate, str(client), error, seconds, "backend", "GET / 500")
        if error and client not in seen:
            seen.add(client)
            reached = alone.see(candidate, share / 100) or reached
        errors = named(made.verdict(at), "errors")
        assert errors.holds == reached
        assert reached or errors.e == pytest.approx(alone.e)


def test_a_client_that_retries_counts_once() -> None:
    made = judge(share=5)
    assert not any(fail(made, True, "one", START + 10 + n) for n in range(1000))
    assert fail(made, True, "another")


def test_a_client_that_failed_on_live_does_not_count_again_on_the_candidate() -> None:
    made = judge(share=50)
    for number in range(100):
        fail(made, False, str(number))
    made.shift(START + 300, 75)
    assert not any(fail(made, True, str(number), START + 400) for number in range(100))


def test_a_cookie_and_the_address_it_came_from_are_one_place() -> None:
    """A first visit has no cookie yet: its error and the ones with the cookie are one visitor's."""
    made = judge(share=5)
    fail(made, True, "192.0.2.1", address="192.0.2.1", bucket=3)
    assert not fail(made, True, "a" * 32, address="192.0.2.1", bucket=3)
    assert not fail(made, True, "b" * 32, address="192.0.2.1", bucket=3)
    assert fail(made, True, "c" * 32, address="192.0.2.2", bucket=3)


def test_near_a_shift_the_larger_share_counts() -> None:
    def after(at: float) -> float:
        made = judge(share=5)
        made.shift(START + 100, 50)
        fail(made, True, "one", at)
        return named(made.verdict(at), "errors").e or 0

    assert after(START + 98.9) > after(START + 99.1) == after(START + 100) == after(START + 150)

    falling = judge(share=50)
    falling.shift(START + 100, 5)
    fail(falling, True, "one", START + 100.9)
    assert named(falling.verdict(START), "errors").e == pytest.approx(after(START + 150))


def test_what_began_before_a_shift_is_judged_by_the_share_of_then() -> None:
    late, early = judge(share=5), judge(share=5)
    fail(early, True, "one", START + 50)
    late.shift(START + 100, 50)
    fail(late, True, "one", START + 50)
    assert named(late.verdict(START), "errors").e == named(early.verdict(START), "errors").e


def test_what_came_before_the_candidate_had_a_share_is_ignored() -> None:
    made = Judge(JudgeSettings(), "v1.0.0", "v1.1.0")
    for number in range(100):
        fail(made, number % 2 == 0, str(number), START)
    assert made.verdict(START).since is None
    assert named(made.verdict(START), "errors").candidate == Count(0, 0)
    made.shift(START + 100, 10)
    assert made.verdict(START).since == START + 100


def test_a_tolerated_ratio_takes_more_to_go_beyond() -> None:
    strict, lenient = judge(), judge(JudgeSettings(tolerated=4.0))
    assert [fail(strict, True, str(n)) for n in range(3)][-1]
    assert not any(fail(lenient, True, str(n)) for n in range(4))


# ---- latency ----


def test_slow_answers_take_back_with_an_alpha_of_their_own() -> None:
    made = judge(share=25, slow={"backend": 0.1})
    clean(made, live=300)
    decided = [made.see(START + 60, True, f"c{n}", False, 0.3, "backend", "GET /slow 200") for n in range(20)]
    assert decided.count(True) == 1
    verdict = made.verdict(START + 70)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.alpha_sum == pytest.approx(0.015)
    assert " met slow answers against 0 of 300 on v1.0.0: E = " in verdict.reason
    assert named(verdict, "latency").threshold == pytest.approx(200)


@pytest.mark.parametrize("seconds", [None, 0.1])
def test_a_stream_is_not_slow_and_neither_is_the_limit_itself(seconds: float | None) -> None:
    made = judge(slow={"backend": 0.1})
    for number in range(50):
        made.see(START + 60, True, f"c{number}", False, seconds, "backend")
    assert named(made.verdict(START), "latency").candidate == Count(0, 50)


def test_latency_can_be_left_out() -> None:
    verdict = judge(JudgeSettings(latency=False), slow={"backend": 0.1}).verdict(START)
    assert "latency" not in [evidence.name for evidence in verdict.evidence]


# ---- pass, by step ----


def test_each_step_needs_a_pass_of_its_own_and_the_evidence_against_goes_on() -> None:
    made = judge(share=5)
    clean(made, candidate=200)
    fail(made, True, "one")
    made.shift(START + 300, 10)
    assert made.verdict(START + 301).outcome is Outcome.INCONCLUSIVE
    clean(made, candidate=184, at=START + 400)
    assert made.verdict(START + 400).outcome is Outcome.PASS
    for number in range(2):
        fail(made, True, f"later {number}", START + 500)
    assert made.verdict(START + 500).outcome is Outcome.FAIL


def test_a_later_error_takes_a_clean_client_back() -> None:
    made = judge(share=50)
    clean(made, candidate=190)
    assert made.verdict(START).outcome is Outcome.PASS
    fail(made, True, "c0")
    fail(made, True, "c0")
    verdict = made.verdict(START)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert named(verdict, "pass").candidate == Count(1, 190)


# ---- outside the bound ----


@pytest.mark.parametrize(
    ("settings", "facts", "name", "said"),
    [
        (JudgeSettings(), Facts({"backend": 0, "web": 2}), "healthy", "no healthy container of backend"),
        (
            JudgeSettings(max_restarts=1),
            Facts(restarts={"web": 0, "backend": 2}),
            "restarts",
            "backend was restarted 2 times, of at most 1",
        ),
        (
            JudgeSettings(max_memory_growth=1.5),
            Facts(memory={"backend": 2.0}),
            "memory",
            "backend uses 2.0 times the memory it had, of at most 1.5",
        ),
        (JudgeSettings(), Facts(checks=(Check("smoke", False, "exit code 3"),)), "smoke", "smoke: exit code 3"),
    ],
)
def test_a_fact_takes_back_by_itself_and_is_named_as_outside_the_bound(
    settings: JudgeSettings, facts: Facts, name: str, said: str
) -> None:
    made = judge(settings)
    clean(made, candidate=200)
    assert made.verdict(START).outcome is Outcome.PASS
    made.facts(facts)
    verdict = made.verdict(START)
    assert verdict.outcome is Outcome.FAIL
    assert not verdict.bounded
    assert verdict.reason == f"{said} (outside the bound of 1 %)"
    assert named(verdict, name).holds


@pytest.mark.parametrize(
    ("settings", "facts"),
    [
        (JudgeSettings(), Facts({"backend": 1})),
        (JudgeSettings(max_restarts=2), Facts(restarts={"backend": 2})),
        (JudgeSettings(), Facts(restarts={"backend": 200}, memory={"backend": 9.0})),
        (JudgeSettings(max_memory_growth=1.5), Facts(memory={"backend": 1.5})),
        (JudgeSettings(), Facts(checks=(Check("smoke", True, "fine"),))),
    ],
)
def test_what_is_within_its_limit_or_not_asked_for_takes_nothing_back(settings: JudgeSettings, facts: Facts) -> None:
    made = judge(settings)
    made.facts(facts)
    assert made.verdict(START).outcome is Outcome.INCONCLUSIVE


def test_an_absolute_error_rate_counts_requests_from_a_minimum_on() -> None:
    made = judge(JudgeSettings(max_error_rate=0.1, min_requests=100))
    for _ in range(50):
        fail(made, True, "one")
    for number in range(49):
        made.see(START + 60, True, f"c{number}", False, service="backend")
    assert made.verdict(START).outcome is Outcome.INCONCLUSIVE
    made.see(START + 60, True, "c", False, service="backend")
    verdict = made.verdict(START)
    assert not verdict.bounded
    assert verdict.reason == ("backend: 50 of 100 requests failed, 50 % of at most 10 % (outside the bound of 1 %)")


# ---- where the split or the clients are not what they should be ----


def test_a_split_that_is_not_the_asked_one_is_warned_of_and_takes_nothing_back() -> None:
    made = judge(share=10)
    clean(made, candidate=20)
    verdict = made.verdict(START)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.warnings[0].startswith(
        "the routing may be broken: 20 of 20 clients went to v1.1.0, 2 were to be expected: E = "
    )


def test_a_candidate_that_gets_nobody_is_warned_of() -> None:
    made = judge(share=25)
    clean(made, live=100)
    assert made.verdict(START).warnings[0].startswith("the routing may be broken: 0 of 100 clients went to v1.1.0")


def test_where_one_client_has_nearly_all_requests_its_places_count_instead() -> None:
    made = judge(share=25)
    for number in range(200):
        made.see(START + 60, False, "10.0.0.1", False, 0.01, "backend", address="10.0.0.1", bucket=25 + number % 75)
    verdict = made.verdict(START)
    (warning,) = verdict.warnings
    assert warning == (
        "clients can't be told apart: 100 % of the requests were of one, 10.0.0.1; each of its places counts once "
        "instead of each client. If that is a load balancer, name it in trusted_proxies"
    )
    decided = [fail(made, True, "10.0.0.1", address="10.0.0.1", bucket=bucket) for bucket in (1, 1, 1, 2, 2, 7, 9)]
    assert decided == [False] * 6 + [True]


def test_where_each_request_is_drawn_anew_one_clients_errors_count_once_a_second() -> None:
    made = judge(share=25, sticky=False)
    for number in range(200):
        made.see(START + 60, number % 4 == 0, "10.0.0.1", False, address="10.0.0.1", bucket=number % 100)
    assert "its answers count once a second instead of once a client" in made.verdict(START).warnings[0]
    seconds = (100.1, 100.2, 100.9, 101.0, 102.0, 103.5)
    decided = [fail(made, True, "10.0.0.1", START + s, address="10.0.0.1", bucket=4) for s in seconds]
    assert decided == [False] * 5 + [True]


def test_one_address_with_many_cookies_is_warned_of_and_its_clients_count() -> None:
    made = judge(share=25)
    for number in range(400):
        made.see(
            START + 60, number * 37 % 100 < 25, f"{number:032x}", False, 0.01, address="10.0.0.1", bucket=number % 100
        )
    verdict = made.verdict(START)
    assert len(verdict.warnings) == 1
    assert verdict.warnings[0].startswith("100 % of the requests came from one address, 10.0.0.1; its clients are told")
    decided = [fail(made, True, f"{n:032x}", address="10.0.0.1", bucket=n) for n in range(4)]
    assert decided == [False, False, False, True]


# ---- settings ----


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"alpha": 0.0}, "alpha"),
        ({"beta": 1.0}, "beta"),
        ({"tolerated": 0.5}, "tolerated"),
        ({"p_max": 1.0}, "p_max"),
        ({"max_error_rate": 0.0}, "max_error_rate"),
        ({"bake_horizon": 10}, "bake_horizon"),
        ({"max_restarts": -1}, "max_restarts"),
        ({"max_memory_growth": 1.0}, "max_memory_growth"),
    ],
)
def test_settings_that_cannot_be_judged_by_are_refused(change: dict[str, float], named: str) -> None:
    settings = replace(JudgeSettings(), **change)  # type: ignore[arg-type]  # one field of each kind
    assert [problem.split(":")[0] for problem in problems(settings)] == [named]
    with pytest.raises(ValueError, match=f"^{named}: "):
        Judge(settings, "v1.0.0", "v1.1.0")


def test_the_settings_as_they_come_are_sound() -> None:
    assert problems(JudgeSettings()) == ()


def test_a_visitors_first_request_without_a_cookie_and_the_later_ones_count_once_towards_a_pass() -> None:
    judge = Judge(JudgeSettings(), "v1", "v2")
    judge.shift(0.0, 25)
    for number in range(200):
        address, bucket = f"198.51.100.{number}", number % 25
        judge.see(number, True, address, False, address=address, bucket=bucket)
        judge.see(number + 0.5, True, f"{number:032x}", False, address=address, bucket=bucket)
        assert (judge.verdict(number + 1).outcome is Outcome.PASS) == (number + 1 >= 184), number


def test_visitors_with_cookies_behind_one_address_each_count_towards_a_pass() -> None:
    judge = Judge(JudgeSettings(), "v1", "v2")
    judge.shift(0.0, 25)
    for number in range(184):
        judge.see(number, True, "192.0.2.1", False, address="192.0.2.1", bucket=number % 25)
        judge.see(number + 0.5, True, f"{number:032x}", False, address="192.0.2.1", bucket=number % 25)
    assert judge.verdict(200).outcome is Outcome.PASS
