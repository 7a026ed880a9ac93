"""The comparison with the usual judges: what is played, and what each says of it."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from benchmarks import judge as bench
from benchmarks.judge import JUDGES, KINDS, SECONDS, SHARE, Answer, higher, measure, table, trace


def kind(name: str) -> bench.Kind:
    return next(kind for kind in KINDS if kind.name == name)


def minutes(errors: int, requests: int, candidate: bool) -> list[Answer]:
    """The same in each minute."""
    return [
        Answer(60.0 * minute + second / requests, candidate, minute * 1000 + second, second < errors)
        for minute in range(15)
        for second in range(requests)
    ]


def test_a_trace_has_the_traffic_and_the_share_that_it_says() -> None:
    answers = trace(kind("0.1 to 20 %"), Random(1))  # noqa: S311 - a simulation
    assert answers == sorted(answers)
    assert len(answers) == pytest.approx(5 * SECONDS, rel=0.1)
    candidates = [answer for answer in answers if answer.candidate]
    assert len(candidates) == pytest.approx(len(answers) * SHARE / 100, rel=0.3)
    assert sum(a.error for a in candidates) == pytest.approx(0.2 * len(candidates), rel=0.3)


def test_the_threshold_judges_count_windows_that_failed() -> None:
    answers = minutes(2, 30, candidate=True)  # 93.3 % succeed
    assert JUDGES["Argo"](answers) == 240
    assert JUDGES["Flagger"](answers) == 300
    answers = minutes(1, 30, candidate=True)  # 96.7 %
    assert JUDGES["Argo"](answers) is None
    assert JUDGES["Flagger"](answers) == 300


def test_the_rank_test_compares_minutes() -> None:
    worse = sorted(minutes(5, 30, candidate=True) + minutes(0, 30, candidate=False))
    assert JUDGES["Mann-Whitney"](worse) == 300
    same = sorted(minutes(5, 30, candidate=True) + minutes(5, 30, candidate=False))
    assert JUDGES["Mann-Whitney"](same) is None


def test_mann_and_whitneys_number_is_the_textbooks() -> None:
    assert higher([1, 2, 3], [4, 5, 6]) == pytest.approx(-1.9640, abs=1e-4)
    assert higher([4, 5, 6], [1, 2, 3]) == pytest.approx(1.9640, abs=1e-4)
    assert higher([1, 1], [1, 1]) == 0.0
    assert higher([], [1]) == 0.0
    # With ties: U = 8.5, variance 3 * 3 / 12 * (7 - 6 / 30)
    assert higher([2, 3, 4], [1, 1, 2]) == pytest.approx((8.5 - 4.5) / (0.75 * 6.6) ** 0.5, abs=1e-2)


def test_on_the_same_traces_this_judge_is_first_and_takes_no_good_release_back() -> None:
    good = {result.judge: result for result in measure(kind("equal, 10 %"), 6, seed=1)}
    assert good["bluegreen"].taken_back == 0
    assert good["Argo"].taken_back == good["Flagger"].taken_back == 6
    bad = {result.judge: result for result in measure(kind("0.1 to 20 %"), 6, seed=1)}
    assert {result.taken_back for result in bad.values()} == {6}
    ours = bad.pop("bluegreen")
    assert ours.delay is not None
    assert all(other.delay is not None and other.delay > 2 * ours.delay for other in bad.values())
    assert all(other.hurt > ours.hurt for other in bad.values())


def test_the_table_and_the_file_are_the_same_for_the_same_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "KINDS", (kind("equal, 1 %, a request in 2 s"), kind("0.1 to 20 %, a request in 2 s")))
    file = tmp_path / "new" / "figures.json"
    said = [CliRunner().invoke(bench.main, ["--runs", "4", "--seed", "7", "--json", str(file)]) for _ in range(2)]
    assert said[0].exit_code == 0
    assert said[0].stdout == said[1].stdout
    document = json.loads(file.read_text())
    assert (document["schema"], document["seed"]) == (1, 7)
    assert set(document["results"][0]) == {"kind", "judge", "good", "runs", "taken_back", "delay", "hurt"}
    lines = said[0].stdout.splitlines()
    assert lines[0].split() == ["good", "releases", "taken", "back", *JUDGES]
    assert lines[-1] == "4 canaries of 15 minutes at 10 % in each line; bluegreen's bound is 1 %; seed 7"


def test_a_judge_that_never_finds_a_release_says_so() -> None:
    never = bench.Result("slow poison", "bluegreen", False, 4, 0, None, 2.5)
    others = [bench.Result("slow poison", name, False, 4, 2, 60.0, 1) for name in list(JUDGES)[1:]]
    assert "0.0%, never, 2.5" in table([never, *others])[1]
