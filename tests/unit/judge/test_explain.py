"""What a step can show, told beforehand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluegreen.judge import explain
from bluegreen.judge.explain import duration
from bluegreen.judge.passing import Passing, clean_needed
from bluegreen.model.judging import JudgeSettings


def test_it_says_how_many_clean_clients_a_pass_needs_and_how_long_that_takes() -> None:
    ten, quarter = (explain(share, 3, JudgeSettings()) for share in (10, 25))
    assert ten.lines[0] == (
        "184 clean clients needed for 'below 2 %'; at 3 new clients a second and 10 % about 10 minutes"
    )
    assert quarter.lines[0].endswith("25 % about 4 minutes")


def test_it_says_at_how_many_errors_a_release_is_taken_back() -> None:
    found = [explain(share, 3, JudgeSettings()).errors_needed for share in (5, 10, 25, 50)]
    assert found == [2, 3, 4, 8]


def test_it_says_what_it_cannot_tell_apart() -> None:
    lines = explain(10, 3, JudgeSettings(), base=0.01).lines
    assert lines[-1] == "errors for 1 % of its clients against 1 % of live's: not told apart"


def test_without_clients_it_promises_nothing() -> None:
    found = explain(10, 0, JudgeSettings())
    assert found.seconds_to_pass is None
    assert found.lines[0] == "184 clean clients needed for 'below 2 %'; there are no new clients now"
    assert found.lines[2].endswith(" new clients")


@pytest.mark.parametrize("share", [0, 100])
def test_a_share_without_two_sides_is_refused(share: int) -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        explain(share, 3, JudgeSettings())


@settings(deadline=None)
@given(st.floats(0.0001, 0.5), st.floats(0.001, 0.5))
def test_so_many_clean_clients_pass_and_one_fewer_does_not(p_max: float, beta: float) -> None:
    passing = Passing(p_max, beta)
    passing.clients = clean_needed(p_max, beta)
    assert passing.reached
    passing.clients -= 1
    assert not passing.reached


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 seconds"), (1, "1 second"), (99, "99 seconds"), (245, "4 minutes"), (5400, "2 hours"), (2e5, "2 days")],
)
def test_durations_are_said_roughly(seconds: float, said: str) -> None:
    assert duration(seconds) == f"about {said}"
