"""The sample project's pure parts: they need nothing but the standard library, and none of its images."""

import asyncio
import contextlib
import importlib
import itertools
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

TOKENLAB = Path(__file__).parents[2] / "compose" / "tokenlab"

seeds = st.integers(min_value=0, max_value=2**63)
months = st.integers(min_value=1, max_value=60)
runs = st.integers(min_value=2, max_value=12)


def load(folder: str, name: str) -> Any:
    """Imports one module of the sample as its own image would, and leaves the path as it was."""
    sys.path.insert(0, str(TOKENLAB / folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


simulation = load("backend", "app.simulation")
faults = load("backend", "app.faults")
ledger = load("ledger", "ledger")


# The simulation


@given(seed=seeds, runs=runs, months=months)
def test_one_seed_gives_one_outlook(seed: int, runs: int, months: int) -> None:
    assert simulation.simulate(seed, runs, months) == simulation.simulate(seed, runs, months)


def test_an_outlook_is_the_same_on_every_python() -> None:
    outlook = simulation.simulate(seed=7, runs=50, months=24)
    assert {name: line[-1] for name, line in outlook.supply.items()} == {
        "p5": 496_330_061,
        "p25": 549_264_804,
        "p50": 565_135_171,
        "p75": 580_829_646,
        "p95": 605_296_491,
    }


@given(seed=seeds)
def test_another_seed_gives_another_outlook(seed: int) -> None:
    assert simulation.simulate(seed, 5, 12).supply != simulation.simulate(seed + 1, 5, 12).supply


@given(seed=seeds, runs=runs, months=months)
def test_percentiles_are_ordered_and_stay_within_what_is_unlocked(seed: int, runs: int, months: int) -> None:
    outlook = simulation.simulate(seed, runs, months)
    assert list(outlook.supply) == ["p5", "p25", "p50", "p75", "p95"]
    for month, unlocked in enumerate(outlook.unlocked):
        column = [line[month] for line in outlook.supply.values()]
        assert column == sorted(column)
        assert column[0] > 0
        assert column[-1] <= unlocked <= simulation.CAP


@given(seed=seeds, runs=runs, months=months, more=st.integers(min_value=1, max_value=24))
def test_a_longer_horizon_leaves_the_earlier_months_as_they_were(seed: int, runs: int, months: int, more: int) -> None:
    short, long = simulation.simulate(seed, runs, months), simulation.simulate(seed, runs, months + more)
    assert all(long.supply[name][: months + 1] == line for name, line in short.supply.items())


@given(seed=seeds, months=months)
def test_every_token_is_either_circulating_or_burned(seed: int, months: int) -> None:
    schedule = simulation.DEFAULT.schedule(months)
    for month in simulation.future(seed, 0, schedule):
        assert month.supply + month.burned == pytest.approx(schedule[month.number])


@given(seed=seeds, runs=runs, months=months)
def test_without_burning_the_supply_is_the_schedule(seed: int, runs: int, months: int) -> None:
    economy = simulation.Economy(burn=0.0)
    outlook = simulation.simulate(seed, runs, months, economy)
    assert all(line == outlook.unlocked for line in outlook.supply.values())
    assert outlook.burned == 0


def test_the_schedule_only_grows_and_ends_at_the_cap() -> None:
    schedule = simulation.DEFAULT.schedule(1_000)
    assert all(before <= after for before, after in itertools.pairwise(schedule))
    assert schedule[0] == simulation.DEFAULT.genesis
    assert schedule[-1] == pytest.approx(simulation.CAP)


@given(
    cliff=st.integers(min_value=0, max_value=24),
    duration=st.integers(min_value=24, max_value=60),
    month=st.integers(min_value=0, max_value=120),
)
def test_a_grant_vests_nothing_before_its_cliff_and_all_at_its_end(cliff: int, duration: int, month: int) -> None:
    vested = simulation.Grant("team", 100.0, cliff, duration).vested(month)
    if month < cliff:
        assert vested == 0
    elif month >= duration:
        assert vested == 100.0
    else:
        assert vested == pytest.approx(100.0 * month / duration)


@pytest.mark.parametrize(("runs", "months"), [(1, 12), (0, 12), (10, 0), (10, -1)])
def test_a_size_that_means_nothing_is_refused(runs: int, months: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        simulation.simulate(1, runs, months)


# The faults


def answer(faulty: Any, path: str, host: str = "tokenlab.test") -> tuple[int, dict[str, str], str]:
    """What a GET of `path` gets from the faulty application around one that always answers 204."""
    sent: list[dict[str, Any]] = []

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [(b"host", host.encode())]}
    asyncio.run(faults.Faulty(application, faulty, chance=lambda: 0.5)(scope, None, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"].decode()


def test_an_environment_without_faults_gives_a_release_that_works() -> None:
    unset = faults.Faults.read({})
    assert unset == faults.Faults.read({"FAIL_HEALTH": "", "CRASH": "", "LISTEN": "", "LISTEN_PORT": ""})
    assert (unset.listen, unset.port) == ("0.0.0.0", 8000)
    assert answer(unset, "/api/v1/health")[0] == 204


@pytest.mark.parametrize(
    ("value", "status", "body"),
    [("1", 503, "unhealthy"), ("404", 404, "unhealthy"), ("body", 200, "starting")],
)
def test_failing_health_fails_nothing_else(value: str, status: int, body: str) -> None:
    failing = faults.Faults.read({"FAIL_HEALTH": value})
    got, _, text = answer(failing, "/api/v1/health")
    assert got == status
    assert body in text
    assert '"healthy"' not in text
    assert answer(failing, "/api/v1/version")[0] == 204


@pytest.mark.parametrize(("rate", "status"), [("0.4", 204), ("0.6", 500), ("1", 500)])
def test_the_error_rate_spares_what_a_deploy_looks_at(rate: str, status: int) -> None:
    failing = faults.Faults.read({"ERROR_RATE": rate})
    assert answer(failing, "/api/v1/simulate")[0] == status
    assert answer(failing, "/api/v1/health")[0] == 204
    assert answer(failing, "/api/v1/version")[0] == 204


def test_a_redirect_and_a_strict_host_look_like_what_frameworks_do() -> None:
    status, headers, _ = answer(faults.Faults.read({"REDIRECT": "1"}), "/api/v1/health")
    assert (status, headers["location"]) == (301, "https://tokenlab.test/api/v1/health")
    strict = faults.Faults.read({"ONLY_HOST": "tokenlab.test"})
    assert answer(strict, "/", host="tokenlab.test:8080")[0] == 204
    assert answer(strict, "/", host="backend")[0] == 400


def test_all_values_that_mean_nothing_are_named_at_once() -> None:
    wrong = {
        "ERROR_RATE": "1.5",
        "LATENCY": "slow",
        "CRASH": "later",
        "FAIL_HEALTH": "200",
        "LISTEN_PORT": "70000",
    }
    with pytest.raises(ValueError, match="expected") as caught:
        faults.Faults.read(wrong)
    assert all(f"{name}={value}: expected" in str(caught.value) for name, value in wrong.items())


def test_every_fault_is_passed_on_by_the_compose_file_and_told_in_the_readme() -> None:
    asked: list[str] = []

    class Environment(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            asked.append(name)
            return default

    faults.Faults.read(Environment())
    services = yaml.safe_load((TOKENLAB / "compose.yaml").read_text())["services"]
    readme = (TOKENLAB / "README.md").read_text()
    assert asked
    for name in asked:
        assert services["backend"]["environment"][name] == f"${{{name}:-}}"
        assert f"| `{name}` |" in readme


@pytest.mark.parametrize("crash", ["at-start", "oom", "after:3", "after:0.5"])
def test_every_documented_crash_is_understood(crash: str) -> None:
    assert faults.Faults.read({"CRASH": crash}).crash == crash


def test_crashing_at_start_exits_before_listening() -> None:
    with pytest.raises(SystemExit) as caught:
        faults.Faults.read({"CRASH": "at-start"}).before_listening()
    assert caught.value.code == 3


# The ledger


def record(seed: int, version: str = "v1.0.0") -> dict[str, Any]:
    return {"op": "record", "seed": seed, "median": 5, "version": version, "worker": "w"}


def count(name: str) -> dict[str, Any]:
    return {"op": "count", "id": name, "version": "v1.0.0"}


def ask(path: Path, *questions: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers of a ledger that is started for these questions and stopped afterwards."""
    with contextlib.closing(ledger.Ledger(path)) as store:
        answers = [store.answer(question) for question in questions]
        asyncio.run(store.commit())
        return answers


def test_what_the_ledger_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    questions = ({"op": "simulations"}, {"op": "counts"}, {"op": "counted", "id": "a"})
    told = ask(tmp_path / "log", record(0), record(1, "v1.1.0"), count("a"), *questions)
    assert told[:3] == [{"new": True}, {"new": True}, {"count": 1}]
    assert told[3]["versions"] == {"v1.0.0": 1, "v1.1.0": 1}
    assert ask(tmp_path / "log", *questions) == told[3:]


def test_two_workers_at_once_show_as_a_conflict(tmp_path: Path) -> None:
    assert ask(tmp_path / "log", record(0), record(0, "v1.1.0")) == [{"new": True}, {"new": False}]
    (simulations,) = ask(tmp_path / "log", {"op": "simulations"})
    assert (simulations["recorded"], simulations["conflicts"]) == (1, 1)
    assert simulations["last"]["version"] == "v1.0.0"


def test_repeated_posts_are_told_from_different_ones(tmp_path: Path) -> None:
    ask(tmp_path / "log", *map(count, ("x-1", "x-2", "x-2", "y-1")))
    (counts,) = ask(tmp_path / "log", {"op": "counts", "prefix": "x-"})
    assert counts == {"posts": 3, "ids": 2, "repeated": 1, "repeated_ids": ["x-2"]}


@given(cut=st.integers(min_value=0, max_value=400))
def test_a_torn_last_line_is_cut_off_and_what_follows_is_whole(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "log"
    ask(path, *map(record, range(4)))
    path.write_bytes(path.read_bytes()[:cut])
    (torn, _) = ask(path, {"op": "simulations"}, record(99))
    (whole,) = ask(path, {"op": "simulations"})
    assert torn["recorded"] + 1 == whole["recorded"] == path.read_bytes().count(b"\n")


def test_a_full_disk_leaves_no_part_of_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(ledger.Ledger(tmp_path / "log")) as store:
        store.answer(record(0))
        file = store._log

        class Full:
            truncate = file.truncate
            close = file.close

            def write(self, line: bytes) -> int:
                return int(file.write(line[:7]))

        monkeypatch.setattr(store, "_log", Full())
        with pytest.raises(OSError, match="part of a line"):
            store.answer(record(1))
    (simulations,) = ask(tmp_path / "log", {"op": "simulations"})
    assert simulations["recorded"] == 1


@pytest.mark.parametrize("question", [{"op": "forget"}, {"op": "record", "seed": 1}, {"op": "count"}, {}])
def test_the_ledger_refuses_nonsense_and_keeps_nothing_of_it(tmp_path: Path, question: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError)):
        ask(tmp_path / "log", question)
    assert (tmp_path / "log").read_bytes() == b""
