"""Typed into a real bash, zsh and fish: `bg rollback` reaches bluegreen, and job control stays what it was.

Each shell runs on a terminal of its own, without the user's start-up files, and gets the line that `shell-init`
says to put there.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect  # type: ignore[import-untyped]  # it comes without types
import pytest

BIN = Path(sys.executable).parent
PROMPT = "READY>"
TIMEOUT = 20
SHELLS = {
    "bash": ["bash", "--noprofile", "--norc", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "-C", "set -g fish_greeting", "-i"],  # what makes %1 a job is in fish's own start-up files
}
SETUP = {
    "bash": "PS1='READY''> '; bind 'set enable-bracketed-paste off'",
    "zsh": "unsetopt zle prompt_cr prompt_sp; PS1='READY''> '",
    "fish": "function fish_prompt; echo -n 'READY''> '; end; function fish_right_prompt; end",
}
LINE = {
    "bash": 'eval "$(bluegreen shell-init bash)"',
    "zsh": 'eval "$(bluegreen shell-init zsh)"',
    "fish": "bluegreen shell-init fish | source",
}
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][0-9A-B]|[=>])")


class Terminal:
    """A shell on a terminal. ``run`` types a line and answers what was printed before the next prompt."""

    def __init__(self, shell: str, home: Path) -> None:
        path = shutil.which(shell)
        assert path, f"{shell} is not here, and this test must not be skipped: apt-get install -y {shell}"
        env = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(home),
            "TERM": "dumb" if shell != "fish" else "xterm",
            "LANG": "C.UTF-8",
            "SHELL": path,
            "DOCKER_HOST": "unix:///nonexistent/docker.sock",
        }
        # Else fish reads all manual pages of the machine, in a process of its own that outlives the shell.
        (home / ".local/share/fish/generated_completions").mkdir(parents=True, exist_ok=True)
        self.shell = shell
        self.child = pexpect.spawn(
            path,
            SHELLS[shell][1:],
            env=env,
            cwd=str(home),
            dimensions=(50, 200),
            encoding="utf-8",
            timeout=TIMEOUT,
            echo=False,
        )
        self.child.sendline(SETUP[shell])
        self.child.expect_exact(PROMPT)
        self.run("true")

    def run(self, line: str) -> str:
        mark = f"done-{abs(hash(line)) % 10**8}"
        self.child.sendline(f"{line}; echo {mark[:5]}''{mark[5:]}")
        self.child.expect(rf"(?s)^(.*?){mark}")
        said = _ESCAPES.sub("", self.child.match.group(1))
        self.child.expect_exact(PROMPT)
        return said.replace("\r", "")

    def start(self, line: str) -> None:
        """Type a line that does not give the prompt back by itself."""
        self.child.sendline(line)


@pytest.fixture(params=sorted(SHELLS))
def terminal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Terminal]:
    found = Terminal(request.param, tmp_path)
    yield found
    found.child.close(force=True)


def test_without_the_function_bg_is_job_control(terminal: Terminal) -> None:
    assert "Take the traffic back" not in terminal.run("bg rollback --help")


def test_bg_rollback_reaches_bluegreen(terminal: Terminal) -> None:
    terminal.run(LINE[terminal.shell])
    said = terminal.run("bg rollback --help")
    assert "Take the traffic back" in said
    assert "Usage: bg rollback" in said


def test_printed_commands_say_bg_where_bg_works(terminal: Terminal) -> None:
    terminal.run(LINE[terminal.shell])
    assert " bg -p shop doctor" in terminal.run("bg status -p shop")
    assert " bluegreen -p shop doctor" in terminal.run("bluegreen status -p shop")


def test_words_with_spaces_arrive_whole(terminal: Terminal) -> None:
    terminal.run(LINE[terminal.shell])
    assert "'a tag; with {words}' can't be a tag" in terminal.run("bg deploy 'a tag; with {words}'").replace("\n", " ")


def test_exit_codes_come_through(terminal: Terminal) -> None:
    terminal.run(LINE[terminal.shell])
    code = "$status" if terminal.shell == "fish" else "$?"
    assert "code 2." in terminal.run(f"bg deploy 'no;tag'; echo code {code}.")
    assert "code 8." in terminal.run(f"bg rollback -p shop; echo code {code}.")


@pytest.mark.parametrize("words", ["", "%1"])
def test_a_stopped_job_goes_on_in_the_background(terminal: Terminal, words: str) -> None:
    terminal.run(LINE[terminal.shell])
    terminal.start("sleep 300")
    _until_running(terminal, "sleep")
    terminal.child.sendcontrol("z")
    terminal.child.expect_exact(PROMPT)
    assert re.search(r"(?i)stopped|suspended", terminal.run("jobs"))
    terminal.run(f"bg {words}".strip())
    assert re.search(r"(?i)running", terminal.run("jobs"))
    terminal.run("kill %1" if terminal.shell != "fish" else "kill (jobs -p)")


def test_an_unknown_job_is_the_shells_own_error(terminal: Terminal) -> None:
    plain = terminal.run("bg %7")
    terminal.run(LINE[terminal.shell])
    with_function = terminal.run("bg %7")
    assert "bluegreen" not in with_function.replace("bluegreen shell-init", "")
    assert _reason(plain) == _reason(with_function)


def test_completion_offers_commands_for_both_names(terminal: Terminal) -> None:
    if terminal.shell == "bash":
        terminal.run('eval "$(bluegreen completion bash)"')
        for name in ("bg", "bluegreen"):
            said = terminal.run(
                f"COMP_WORDS=({name} rollb); COMP_CWORD=1; _bluegreen_completion {name}; echo $COMPREPLY"
            )
            assert "rollback" in said
            assert "_bluegreen_completion" in terminal.run(f"complete -p {name}")
    elif terminal.shell == "zsh":
        terminal.run("autoload -U compinit; compinit -u -D")
        terminal.run('eval "$(bluegreen completion zsh)"')
        for name in ("bg", "bluegreen"):
            assert "_bluegreen_completion" in terminal.run(f"echo $_comps[{name}]")
    else:
        terminal.run("bluegreen completion fish | source")
        for name in ("bg", "bluegreen"):
            assert "rollback" in terminal.run(f"complete -C '{name} rollb'")


def _reason(text: str) -> str:
    """A shell's complaint without its own place in it: a function has line numbers."""
    found = re.search(r"(?i)no (such|suitable) job", text)
    assert found, text
    return found[0]


def _until_running(terminal: Terminal, name: str) -> None:
    """Wait until the shell's foreground process is the one named."""
    import time

    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        group = os.tcgetpgrp(terminal.child.child_fd)
        try:
            if Path(f"/proc/{group}/comm").read_text().strip() == name:
                return
        except OSError:
            continue
    raise AssertionError(f"{name} did not come to the foreground")
