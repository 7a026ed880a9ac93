"""The benchmarks' own arithmetic: medians, ratios, verdicts, and what is printed and written of them."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import run
from benchmarks.errors import BenchmarkFailed
from benchmarks.figures import Bar, Figure, Section, document, missed, table
from benchmarks.processes import taking_turns, timed
from benchmarks.project import FLOORS, STACK, Bench, quiet_environment
from benchmarks.strict import counted
from benchmarks.suite import BENCHMARKS, Benchmark
from benchmarks.watcher import Watcher
from benchmarks.wrk import Load, parsed
from tests.support import eventually

VALUES = st.lists(st.floats(0.1, 1e5), min_size=1, max_size=30).map(tuple)


def section(measured: tuple[float, ...], floor: tuple[float, ...], limit: float) -> Section:
    bar = Bar("b", Figure("m", measured), Figure("f", floor), limit)
    return Section("s", "title", (bar.measured, bar.floor), (bar,), ("a note",))


# -- figures -----------------------------------------------------------------------------------------------
@given(VALUES)
def test_a_median_lies_between_the_least_and_the_most(values: tuple[float, ...]) -> None:
    figure = Figure("x", values)
    assert figure.least <= figure.median <= figure.most
    assert sum(v < figure.median for v in values) <= len(values) / 2


def test_one_slow_run_does_not_move_a_median() -> None:
    assert Figure("x", (10.0, 11.0, 12.0, 13.0, 900.0)).median == 12.0


def test_a_figure_of_no_runs_is_none() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        Figure("x", ())


@given(VALUES, VALUES, st.floats(0.5, 3.0))
def test_a_bar_is_met_exactly_up_to_its_limit(
    measured: tuple[float, ...], floor: tuple[float, ...], limit: float
) -> None:
    found = section(measured, floor, limit)
    bar = found.bars[0]
    assert bar.met == (bar.measured.median / bar.floor.median <= limit)
    assert missed([found]) == ([] if bar.met else [bar])
    assert document([found], {})["outcome"] == ("met" if bar.met else "missed")


def test_a_ratio_at_the_limit_is_met() -> None:
    assert not missed([section((13.0,), (10.0,), 1.3)])
    assert missed([section((13.1,), (10.0,), 1.3)])


def test_what_must_be_reached_is_met_from_its_limit_on() -> None:
    assert Bar("b", Figure("m", (8.0,)), Figure("f", (10.0,)), 0.8, at_least=True).met
    assert not Bar("b", Figure("m", (7.9,)), Figure("f", (10.0,)), 0.8, at_least=True).met


def test_small_figures_keep_what_tells_them_apart() -> None:
    shown = table(Section("s", "t", (Figure("m", (1.234, 12.0)), Figure("n", (0.123,), "us"))))
    assert shown[1].split() == ["m", "6.6", "1.2", "12.0", "2", "ms"]
    assert shown[2].split() == ["n", "0.12", "0.12", "0.12", "1", "us"]


def test_the_table_says_all_of_a_bar() -> None:
    lines = table(section((30.0, 20.0, 40.0), (20.0,), 1.25))
    assert lines[0].split() == ["title", "median", "min", "max", "n"]
    assert lines[1].split() == ["m", "30", "20", "40", "3", "ms"]
    assert lines[3].split() == ["b", "1.50", "times;", "bar", "1.25:", "MISS"]
    assert lines[4].strip() == "a note"
    assert max(map(len, lines)) <= 80


def test_the_document_is_json_and_has_every_value() -> None:
    found = json.loads(json.dumps(document([section((30.0, 20.0), (20.0,), 1.5)], {"processors": 2})))
    assert set(found) == {"schema", "outcome", "machine", "benchmarks"}
    assert found["machine"] == {"processors": 2}
    written = found["benchmarks"]["s"]
    assert written["figures"]["m"] == {
        "unit": "ms",
        "n": 2,
        "median": 25.0,
        "min": 20.0,
        "max": 30.0,
        "values": [30.0, 20.0],
    }
    assert written["bars"] == [
        {"name": "b", "measured": "m", "floor": "f", "ratio": 1.25, "bar": 1.5, "at_least": False, "met": True}
    ]


# -- processes ---------------------------------------------------------------------------------------------
def test_a_process_is_timed_to_the_line_that_counts_and_to_its_end() -> None:
    script = "import sys, time; print('on the way'); sys.stdout.flush(); sys.stdin.read(); time.sleep(0.05)"
    found = timed([sys.executable, "-c", script], quiet_environment(), until=b"on the way")
    assert found.until is not None
    assert 0 < found.until < found.total
    assert found.output == "on the way\n"


def test_a_process_that_fails_is_no_figure() -> None:
    with pytest.raises(BenchmarkFailed, match="exit code 3\noops"):
        timed([sys.executable, "-c", "import sys; print('oops'); sys.exit(3)"], quiet_environment())


def test_a_process_that_never_says_what_counts_is_no_figure() -> None:
    with pytest.raises(BenchmarkFailed, match="never said 'done'"):
        timed([sys.executable, "-c", "pass"], quiet_environment(), until=b"done")


def test_measurements_take_turns_and_in_being_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.processes.BREATH", 0)
    order: list[str] = []
    taking_turns(3, lambda: order.append("a"), lambda: order.append("b"))
    assert order == ["a", "b", "b", "a", "a", "b"]


def test_the_environment_chooses_no_project(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BG_PROJECT", "COMPOSE_FILE", "TAG", "PYTHONDONTWRITEBYTECODE", "BLUEGREEN_SHELL"):
        monkeypatch.setenv(name, "1")
        assert name not in quiet_environment()
    monkeypatch.setenv("DOCKER_HOST", "unix:///x")
    assert quiet_environment()["DOCKER_HOST"] == "unix:///x"


# -- who answers -------------------------------------------------------------------------------------------
def test_a_watcher_sees_since_when_another_answers() -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    who = [b"old"]

    class Page(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(who[0])))
            self.end_headers()
            self.wfile.write(who[0])

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with Watcher(server.server_port) as watcher:
            eventually(lambda: watcher.answers > 3)
            assert watcher.changed is None
            who[0] = b"new"
            eventually(lambda: watcher.changed is not None)
        server.shutdown()
        thread.join()
    assert watcher.lost == 0


# -- load and loss -----------------------------------------------------------------------------------------
def test_what_wrk_counted_is_read_from_its_last_line() -> None:
    said = 'Running 1s test\n\n{"requests":500,"us":2000000,"p50":1500,"p99":9000,"lost":0,"refused":0}\n'
    assert parsed(said) == Load(500, 2.0, 1.5, 9.0)
    assert parsed(said).per_second == 250.0


@pytest.mark.parametrize("spoilt", ['"requests":0', '"lost":1', '"refused":3'])
def test_a_load_that_was_not_answered_is_no_figure(spoilt: str) -> None:
    key = spoilt.partition(":")[0]
    counts = {'"requests"': 9, '"us"': 1, '"p50"': 1, '"p99"': 1, '"lost"': 0, '"refused"': 0}
    text = ",".join(f"{k}:{v}" if k != key else spoilt for k, v in counts.items())
    with pytest.raises(BenchmarkFailed, match="lost"):
        parsed(f"{{{text}}}")


def test_a_switch_lasts_until_the_last_request_that_the_old_one_answered() -> None:
    answered = [[1.0, 1.1, "reuse", "a"], [2.5, 2.6, "reuse", "a"], [2.7, 2.8, "think", "b"], [4.5, 4.6, "think", "a"]]
    found = counted({"answered": answered, "lost": [[3.0, "post", "closed"]]}, [(2.0, "b"), (4.0, "a")])
    assert found.moved == pytest.approx((500.0, 0.0))
    assert (found.answered, found.lost, found.losses) == (4, 1, ("post: closed",))


# -- the command -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("measured", "options", "code"), [((12.0,), [], 0), ((99.0,), [], 1), ((99.0,), ["--no-fail"], 0)]
)
def test_the_exit_code_says_whether_the_bars_were_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: tuple[float, ...], options: list[str], code: int
) -> None:
    asked: list[int] = []

    def measure(_bench: Bench, runs: int) -> Section:
        asked.append(runs)
        return section(measured, (10.0,), 1.5)

    monkeypatch.setattr(run, "BENCHMARKS", {**BENCHMARKS, "help": Benchmark(measure, 15, 5)})
    monkeypatch.setattr(run, "versions", dict)
    file = tmp_path / "deep" / "bench.json"
    done = CliRunner().invoke(run.main, ["--only", "help", "--json", str(file), *options])
    assert done.exit_code == code, done.output
    assert json.loads(file.read_text())["outcome"] == ("missed" if measured[0] > 15 else "met")
    CliRunner().invoke(run.main, ["--only", "help", "--quick", "--json", str(file)])
    CliRunner().invoke(run.main, ["--only", "help", "--runs", "2", "--json", str(file)])
    assert asked == [15, 5, 2]


def test_what_cannot_be_measured_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(_bench: Bench, _runs: int) -> Section:
        raise BenchmarkFailed("no engine")

    monkeypatch.setattr(run, "BENCHMARKS", {**BENCHMARKS, "help": Benchmark(measure, 1, 1)})
    done = CliRunner().invoke(run.main, ["--only", "help", "--json", str(tmp_path / "x.json")])
    assert done.exit_code == 2
    assert "no engine" in done.output


def test_the_floors_and_stacks_are_there() -> None:
    assert {f.name for f in FLOORS.glob("*.py")} == {"listing.py", "listing_and_exec.py"}
    assert {f.name for f in STACK.iterdir()} == {
        "Dockerfile",
        "minimal.conf",
        "nginx.conf",
        "plain.yaml",
        "full.yaml",
        "proxied.yaml",
    }


@pytest.mark.parametrize("name", ["plain", "full"])
def test_the_stacks_are_what_they_are_said_to_be(name: str) -> None:
    from bluegreen.compose import load
    from bluegreen.model.names import Kind

    project = load(STACK / f"{name}.yaml", env={"BENCH_PORT": "18000", "BENCH_IMAGE": "x"}, tag="v1")
    assert not project.notices
    assert len(project.of_kind(Kind.ROUTED)) == 2
    assert len(project.of_kind(Kind.INTERNAL)) == 1
    assert all(s.health is not None and s.health.rise == 1 for s in project.of_kind(Kind.ROUTED))
    assert bool(project.of_kind(Kind.WORKER)) is bool(project.smoke) is (name == "full")
    assert "TAG=v1" in project.services["web"].body["Env"]


# -- growth ------------------------------------------------------------------------------------------------
def test_a_past_is_what_operations_leave_and_ends_as_they_do() -> None:
    from benchmarks.past import past
    from bluegreen.model.history import fold

    start = fold([{"event": "released", "release": {"number": 1, "tag": "v1"}}])
    operations = list(past(start, 300))
    events = [event for operation in operations for event in operation]
    assert 300 <= len(events) < 350
    assert all(operation[0]["event"] == "begin" and operation[-1]["event"] == "end" for operation in operations)
    whole, tail = fold(events, start), fold([operations[-1][-1]])
    assert whole.unfinished is None
    assert (whole.releases, whole.last_number) == (tail.releases, tail.last_number)


@pytest.mark.parametrize(("services", "replicas"), [(50, 1), (1, 50)])
def test_a_project_is_as_large_as_it_is_said_to_be(services: int, replicas: int) -> None:
    from benchmarks.sizes import compose_file
    from bluegreen.compose import load
    from bluegreen.model.names import Kind

    with compose_file(services, replicas) as file:
        project = load(file, env={"BENCH_PORT": "18000", "BENCH_IMAGE": "x"}, tag="v1")
    routed = project.of_kind(Kind.ROUTED)
    assert (len(routed), {service.replicas for service in routed}) == (services, {replicas})
