"""Help: quick, complete, and on 80 columns. What a command imports is part of its user's wait."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from bluegreen.cli import commands
from bluegreen.cli.program import COMMANDS, program

HEAVY = {"yaml", "jinja2", "httpx", "rich", "asyncio", "docker", "requests"}
SLOW = HEAVY | {"bluegreen.build", "bluegreen.compose.loader"}


_SCRIPT = """
import io, os, sys
sys.stdout = open(os.devnull, "w")
{code}
sys.stdout = sys.__stdout__
print(*sys.modules)
"""


def _imported_after(code: str) -> set[str]:
    """Top-level names and our own modules that a fresh interpreter has after some code."""
    done = subprocess.run([sys.executable, "-c", _SCRIPT.format(code=code)], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_help_imports_click_and_what_is_needed_to_print_it() -> None:
    found = _imported_after("from bluegreen.cli import main\nsys.argv = ['bluegreen', '--help']\nassert main() == 0")
    ours = {name for name in found if name.startswith("bluegreen")}
    assert ours == {
        "bluegreen",
        "bluegreen.cli",
        "bluegreen.cli.program",
        "bluegreen.cli.guard",
        "bluegreen.cli.options",
        "bluegreen.cli.run",
        "bluegreen.cli.layout",
        "bluegreen.cli.naming",
        "bluegreen.cli.output",
    }
    assert not found & (HEAVY | {"dataclasses", "importlib.metadata"})


@pytest.mark.parametrize("name", ["rollback", "status"])
def test_a_command_that_is_measured_imports_nothing_slow(name: str) -> None:
    """All that such a command imports on its way, and what it imports until it finds no engine."""
    whole = _imported_after(
        f"import bluegreen.cli.commands.{name}, bluegreen.app.{name}, bluegreen.engine.connect\n"
        "import bluegreen.cli.moving, bluegreen.cli.target, bluegreen.cli.screens.status, bluegreen.app.site\n"
        "from bluegreen.cli import main\n"
        f"sys.argv = ['bluegreen', '{name}', '-p', 'shop', '-H', 'unix:///nonexistent']\n"
        "sys.stderr = io.StringIO()\nassert main() == 8\nsys.stderr = sys.__stderr__"
    )
    assert not whole & SLOW


def test_the_help_of_a_command_imports_nothing_heavy() -> None:
    found = _imported_after(
        "from bluegreen.cli import main\nsys.argv = ['bluegreen', 'rollback', '--help']\nassert main() == 0"
    )
    assert not found & HEAVY
    assert not any(name.startswith("bluegreen.app") for name in found)


def test_every_command_is_there_and_known() -> None:
    folder = Path(commands.__path__[0])
    assert {f.stem.replace("_", "-") for f in folder.glob("[a-z]*.py")} == set(COMMANDS)
    for name in COMMANDS:
        command = import_module(f"bluegreen.cli.commands.{name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        assert command.help


@pytest.mark.parametrize("name", ["", *COMMANDS, "proxy start", "proxy status", "proxy upgrade", "proxy repair"])
def test_help_fits_80_columns(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from bluegreen.cli.program import run

    assert run([*name.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Usage: ")
    assert [line for line in said.splitlines() if len(line) > 80] == []
    assert "--json" in said
    assert "--engine" in said


def test_no_arguments_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    from bluegreen.cli.program import run

    assert run([]) == 0
    assert "rollback" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from bluegreen import __version__
    from bluegreen.cli.program import run

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"bluegreen {__version__}\n"


def test_completion_asks_no_command_for_its_name() -> None:
    found = _imported_after(
        "from bluegreen.cli import main\nos.environ.update(_BLUEGREEN_COMPLETE='bash_complete', "
        "COMP_WORDS='bluegreen ro', COMP_CWORD='1')\nsys.argv = ['bluegreen']\nassert main() == 0"
    )
    assert not any(name.startswith("bluegreen.cli.commands.") for name in found)


def test_the_program_is_a_group() -> None:
    assert isinstance(program, click.Group)
