"""Errors: what a person sees, what a program gets, and that nobody is ever shown a traceback."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.cli.layout import Page
from bluegreen.cli.problems import errors_of, heading_of, outcome_of, screen
from bluegreen.cli.run import Run
from bluegreen.model import errors
from bluegreen.model.errors import BluegreenError, BuildFailed, Exit, Problem, Unhealthy, UsageError
from bluegreen.model.events import Event
from tests.unit.cli.conftest import Program
from tests.world import World

BG = Path(sys.executable).parent / "bluegreen"

WORDS = st.text(max_size=300)


@given(WORDS, st.none() | WORDS, st.lists(WORDS, max_size=4), st.sampled_from(Exit), st.lists(WORDS, max_size=40))
def test_any_error_renders_on_a_page(
    message: str, where: str | None, steps: list[str], code: Exit, log: list[str]
) -> None:
    error = BluegreenError("some.code", message, where=where, next=tuple(steps), exit=code)
    error.logs = tuple(log)  # type: ignore[attr-defined]  # as `Unhealthy` has them
    lines = screen(Page(), error)
    assert 0 < len(lines) < 300
    assert lines[0].startswith(heading_of(error))
    assert all(line.isprintable() for line in lines)
    (found,) = errors_of(error)
    assert set(found) == {"code", "message", "where", "next"}


def test_every_exit_code_has_a_heading_and_an_outcome() -> None:
    for code in Exit:
        error = BluegreenError("x", "y", exit=code)
        assert heading_of(error).isupper()
        assert outcome_of(error) == code.name.lower().replace("_", "-")


def test_every_kind_of_error_is_rendered() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, BluegreenError)]
    assert len(kinds) > 10
    for kind in kinds:
        more: dict[str, Any] = {"service": "api", "why": "x"} if kind is Unhealthy else {}
        assert screen(Page(), kind("some.code", "a message", **more))


def test_several_problems_are_listed_with_their_places() -> None:
    problems = (
        Problem("key-unknown", "is no key; did you mean image?", "compose.yaml:3 services.web.imgae"),
        Problem("kind-missing", "has no kind", "compose.yaml:2 services.web", ("bg init",)),
    )
    error = UsageError("file-invalid", "compose.yaml has 2 problems", where="compose.yaml", problems=problems)
    assert screen(Page(), error) == [
        "ERROR    compose.yaml has 2 problems; nothing was changed.",
        "",
        "compose.yaml:3 services.web.imgae",
        "         is no key; did you mean image?",
        "",
        "compose.yaml:2 services.web",
        "         has no kind",
        "         bg init",
    ]


def test_the_last_lines_of_a_build_are_shown_once_each() -> None:
    error = BuildFailed("build.failed", "building shop-api:v1 failed", log=("a", "a", "a", "\x1b[31mb\x1b[0m\tc"))
    lines = screen(Page(), error)
    assert lines[1:] == ["         last lines:", "         | a  (3 times)", "         | b  c"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["deplyo"], "there is no command 'deplyo'; did you mean deploy?"),
        (["status", "--nope"], "no such option '--nope'"),
        (["rollback", "--to"], "option '--to' requires an argument"),
        (["deploy", "v1", "v2"], "got unexpected extra argument (v2)"),
        (["prune", "--keep", "many"], "'many' is not a valid integer range"),
    ],
)
def test_usage_errors_come_in_the_same_form(bg: Program, words: list[str], said: str) -> None:
    answer = bg(*words)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("ERROR    ")
    assert said in " ".join(answer.err.split())
    assert "--help" in answer.err
    document = bg("--json", *words).document
    assert document["outcome"] == "usage"
    assert document["errors"][0]["code"] == "usage"


@pytest.mark.parametrize("tag", ["a;b", "a\nb", "a{b}", "$a", "-a", "", "x" * 129, "ä", "a b"])
def test_a_tag_that_is_none_is_refused_before_anything_else(nowhere: Program, tag: str) -> None:
    answer = nowhere("deploy", "--json", "--", tag)
    assert answer.code == 2
    (error,) = answer.document["errors"]
    assert error["code"] == "tag.invalid"
    assert "letters, digits" in error["message"]
    assert "\n" not in nowhere("deploy", "--", tag).err.splitlines()[0]


def test_no_engine(nowhere: Program) -> None:
    for words in (["rollback", "-p", "shop"], ["status", "-p", "shop"], ["history"], ["down", "-p", "shop"]):
        answer = nowhere(*words)
        assert answer.code == 8
        assert answer.err.startswith("NO ENGINE  no Docker engine answers")


def test_a_bug_is_said_in_words_and_its_traceback_saved(bg: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("bluegreen.app.status.status", broken)
    answer = bg("status", "-p", "shop", "--json")
    assert answer.code == 1
    (error,) = answer.document["errors"]
    assert error["code"] == "bug"
    assert "Traceback" not in answer.err
    saved = Path(error["message"].rpartition(" ")[2].rstrip("."))
    assert "ZeroDivisionError: division by zero" in saved.read_text()
    saved.unlink()


def test_ctrl_c_is_130(bg: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bluegreen.app.status.status", stopped)
    answer = bg("status", "-p", "shop")
    assert answer.code == 130
    assert answer.err.startswith("STOPPED  interrupted")
    assert bg("status", "-p", "shop", "--json").document["outcome"] == "interrupted"


@pytest.mark.usefixtures("file")
def test_an_interrupted_deploy_says_who_serves(bg: Program, world: World) -> None:
    bg("deploy", "v1")

    def interrupt(method: str, _args: tuple[object, ...]) -> None:
        if method == "start":
            world.engine.before_call = lambda _m, _a: None
            raise KeyboardInterrupt

    world.engine.before_call = interrupt
    answer = bg("deploy", "v2")
    assert answer.code == 130
    assert "NOT DEPLOYED  v1 (blue) has all the traffic; nothing was lost." in answer.err
    assert "WHY      interrupted" in answer.err
    world.check_clean()


def test_a_screen_that_breaks_does_not_stop_the_operation(bg: Program, world: World) -> None:
    world.deploy("v1")
    world.deploy("v2")

    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(5, "Input/output error")

    run = Run({}, io.StringIO(), Closed(), connect=lambda _a, _e: world.engine)

    def broken(_event: Event) -> None:
        raise RuntimeError("a sink that breaks")

    run.watch(broken)
    from bluegreen.cli.program import run as start

    assert start(["rollback", "-p", "shop"], run) == 0
    assert world.serving() == "v1"
    del bg


def test_a_reader_that_leaves_is_no_error() -> None:
    script = f"{BG} --help | true; {BG} shell-init bash | head -c1"
    done = subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_sigterm_cleans_up_as_ctrl_c_does(tmp_path: Path) -> None:
    """The engine's socket accepts and never answers: the process waits there."""
    import socket

    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        process = subprocess.Popen(
            [BG, "-p", "shop", "-H", f"unix://{path}", "status"],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "HOME": str(tmp_path)},
        )
        accepted, _ = listener.accept()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
        accepted.close()
    assert process.returncode == 130
    assert said.startswith("STOPPED  interrupted")


@pytest.mark.usefixtures("file")
def test_an_error_that_the_engine_gives_says_at_least_how_to_look(bg: Program, world: World) -> None:
    bg("deploy", "v1")
    refused = errors.EngineFailed("engine.failed", "removing: no")

    def refuse(method: str, _args: object) -> None:
        if method == "remove":
            raise refused

    world.engine.before_call = refuse
    answer = bg("down", "--yes", "--json")
    assert answer.document["errors"][0]["next"] == ["bluegreen status"]
