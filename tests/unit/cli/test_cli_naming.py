"""Printed commands work where they are printed, for the project that was chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from bluegreen.cli.naming import program_name, program_path, rewrite
from bluegreen.cli.program import COMMANDS


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("bg rollback", "bluegreen rollback"),
        ("see bg status.", "see bluegreen status."),
        ("bg --file FILE deploy v1", "bluegreen --file FILE deploy v1"),
        ("the job went to the bg at once", "the job went to the bg at once"),
        ("tokenlab-bg rollback", "tokenlab-bg rollback"),
        ("bg proxy repair    starts a new journal", "bluegreen proxy repair    starts a new journal"),
        ("(bg rollback goes back)", "(bluegreen rollback goes back)"),
        ("bg statusquo", "bg statusquo"),
    ],
)
def test_the_programs_name_is_put_in(text: str, printed: str) -> None:
    assert rewrite(text, "bluegreen") == printed
    assert rewrite(text, "bg") == text


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_is_printed_by_a_name_that_does_not_work(command: str) -> None:
    assert rewrite(f"NEXT bg {command}    so", "bluegreen") == f"NEXT bluegreen {command}    so"


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("bg rollback --to v1", "bg -p shop rollback --to v1"),
        ("bg status -p NAME    if it has another name", "bg status -p NAME    if it has another name"),
        ("bg --project x status", "bg --project x status"),
        ("bg resume    goes on; bg abort -p x", "bg -p shop resume    goes on; bg abort -p x"),
    ],
)
def test_the_options_that_chose_the_project_are_kept(text: str, printed: str) -> None:
    assert rewrite(text, "bg", ["-p shop"]) == printed


def test_in_the_shells_function_it_is_bg() -> None:
    assert program_name("/usr/bin/bluegreen", {"BLUEGREEN_SHELL": "1", "PATH": ""}) == "bg"


def test_found_on_the_path_it_is_bluegreen(tmp_path: Path) -> None:
    for name in ("bg", "bluegreen"):
        (tmp_path / name).touch(mode=0o755)
    env = {"PATH": f"/nowhere:{tmp_path}"}
    assert program_name(f"{tmp_path}/bluegreen", env) == "bluegreen"
    assert program_name(f"{tmp_path}/bg", env) == "bluegreen"  # a shell's builtin would win


def test_elsewhere_it_is_the_path_it_was_started_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, other = tmp_path / ".venv" / "bin", tmp_path / "other"
    for folder in (here, other):
        folder.mkdir(parents=True)
        (folder / "bluegreen").touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    env = {"PATH": str(other)}
    assert program_name(f"{here}/bluegreen", env) == ".venv/bin/bluegreen"
    assert program_path(f"{here}/bluegreen", env) == f"{here}/bluegreen"
    monkeypatch.chdir(other)
    assert program_name(f"{here}/bluegreen", env) == f"{here}/bluegreen"
