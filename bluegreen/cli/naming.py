"""The name to print for the program, so that a printed command works where it is printed.

Shells have a builtin `bg`, and it wins over a program of that name: unless the function of `shell-init` runs us
(it says so in the environment), the printed name is `bluegreen`, or the path that this was started by.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import cache

SHELL_VARIABLE = "BLUEGREEN_SHELL"


def program_name(argv0: str, env: Mapping[str, str]) -> str:
    """The name to print."""
    if env.get(SHELL_VARIABLE):
        return "bg"
    found = program_path(argv0, env)
    here = os.path.relpath(found) if "/" in found else found
    return here if not here.startswith("..") else found


def program_path(argv0: str, env: Mapping[str, str]) -> str:
    """``bluegreen`` where the PATH leads to this installation; else the path that this was started by."""
    base = os.path.basename(argv0)  # noqa: PTH119 - pathlib costs a rollback milliseconds
    if base not in ("bg", "bluegreen") or "/" not in argv0:
        return "bluegreen"
    folder = os.path.dirname(os.path.abspath(argv0))  # noqa: PTH100, PTH120 - likewise
    for entry in env.get("PATH", "").split(os.pathsep):
        if entry and os.access(os.path.join(entry, "bluegreen"), os.X_OK):  # noqa: PTH118 - likewise
            if os.path.realpath(entry) == os.path.realpath(folder):
                return "bluegreen"
            break  # that would be another installation
    return os.path.join(folder, base)  # noqa: PTH118 - likewise


def rewrite(text: str, name: str, options: Sequence[str] = ()) -> str:
    """``bg COMMAND`` in a text, with the name that works here and the options that chose the project."""
    if name == "bg" and not options:
        return text

    def named(match: re.Match[str]) -> str:
        rest = text[match.end() :].splitlines()[0] if match.end() < len(text) else ""
        said = rest.split("    ")[0].split()
        wanted = []
        for option in options:
            flag = option.split(" ")[0]
            if not any(word in _SPELLINGS[flag] for word in said):
                wanted.append(option)
        return " ".join([name, *wanted]) + " "

    return _printed().sub(named, text)


@cache
def _printed() -> re.Pattern[str]:
    from bluegreen.cli.program import COMMANDS  # which imports this; whoever prints has it already

    return re.compile(rf"(?<![\w/-])bg (?=--?[a-zA-Z]|(?:{'|'.join(COMMANDS)})\b)")


_SPELLINGS = {"--file": ("--file", "-f"), "-p": ("-p", "--project"), "--engine": ("--engine", "-H")}
