"""Whether typing `bg` in the user's shell runs bluegreen: a builtin of that name would win over the program."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from bluegreen.app.doctor import Finding

SECONDS = 10.0
_MARK = "BLUEGREEN_SHELL"
_ASK = {"bash": "declare -f bg", "zsh": "functions bg", "fish": "functions bg"}
_PUT = {
    "bash": "echo 'eval \"$(bluegreen shell-init bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(bluegreen shell-init zsh)\"' >> ~/.zshrc",
    "fish": "echo 'bluegreen shell-init fish | source' >> ~/.config/fish/config.fish",
}


def findings(env: Mapping[str, str]) -> Iterator[Finding]:
    """One finding. The shell is started as a terminal would start it, without a terminal."""
    if env.get(_MARK):
        yield Finding("shell", "ok", "typing bg runs bluegreen here")
        return
    path = env.get("SHELL", "")
    name = Path(path).name
    if name not in _ASK:
        yield Finding("shell", "ok", "type bluegreen: most shells have a builtin called bg")
        return
    said = _ask(path, _ASK[name], env)
    if said is None:
        yield Finding("shell", "warn", f"{path} did not answer, so whether it knows bg is not known")
    elif _MARK in said:
        yield Finding("shell", "ok", f"typing bg runs bluegreen in {name}")
    else:
        yield Finding(
            "shell",
            "warn",
            f"bg is job control in {name}; bluegreen works, and for bg this function is needed",
            next=(_PUT[name],),
        )


def _ask(path: str, question: str, env: Mapping[str, str]) -> str | None:
    try:
        done = subprocess.run(
            [path, "-ic", question],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            start_new_session=True,  # it must not take the terminal
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace")
