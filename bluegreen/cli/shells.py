"""Bash, zsh and fish: the function `bg`, and completion.

`bg` is a builtin of all three, and a builtin wins over a program; a function wins over the builtin.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bluegreen.cli.naming import SHELL_VARIABLE
from bluegreen.model.errors import UsageError

SHELLS = ("bash", "zsh", "fish")
FILES = {
    "bash": ("~/.bashrc", 'eval "$(bluegreen shell-init bash)"'),
    "zsh": ("~/.zshrc", 'eval "$(bluegreen shell-init zsh)"'),
    "fish": ("~/.config/fish/config.fish", "bluegreen shell-init fish | source"),
}

_POSIX = """\
# bg: job control as ever (no argument, %1, a number), everything else is bluegreen's.
bg() {{
  case "${{1-}}" in
    ''|%*|+|-) builtin bg "$@" ;;
    *[!0-9]*) {variable}=1 command {program} "$@" ;;
    *) builtin bg "$@" ;;
  esac
}}
"""

_FISH = """\
# bg: job control as ever (no argument, %1, a number), everything else is bluegreen's.
function bg --description 'bluegreen, or send a job to the background'
    if test (count $argv) -eq 0; or string match -qr '^(%.*|[0-9]+)$' -- $argv[1]
        if functions -q __fish_expand_pid_args
            set -l jobs (__fish_expand_pid_args $argv)
            and builtin bg $jobs
        else
            builtin bg $argv
        end
    else
        {variable}=1 command {program} $argv
    end
end
"""


def function(shell: str, program: str) -> str:
    """The function, which runs ``program``: a name on the PATH, or a path."""
    from shlex import quote

    template = _FISH if shell == "fish" else _POSIX
    return template.format(variable=SHELL_VARIABLE, program=quote(program))


def completion(shell: str, program: str) -> str:
    """Click's own script, registered for both names and asking ``program``."""
    from shlex import quote

    from click.shell_completion import get_completion_class

    from bluegreen.cli.program import program as commands

    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError("shell.unknown", f"no completion for {shell}")
    complete = kind(commands, {}, "bluegreen", "_BLUEGREEN_COMPLETE")
    text = complete.source_template % complete.source_vars()
    asked = quote(program)
    if shell == "bash":
        text = text.replace("bash_complete $1", f"bash_complete {asked}")
        return text + "complete -o nosort -F _bluegreen_completion bg\n"
    if shell == "zsh":
        text = text.replace("zsh_complete bluegreen", f"zsh_complete {asked}")
        text = text.replace("(( ! $+commands[bluegreen] )) && return 1\n", "")
        return text + "(( $+functions[compdef] )) && compdef _bluegreen_completion bg\n"
    text = text.replace("fish_complete", "fish_complete", 1).replace(" bluegreen)", f" {asked})")
    return text + "complete --command bg --wraps bluegreen\n"


def this_shell(env: Mapping[str, str]) -> str:
    """The shell that the user logs in with. Raises `UsageError` where it is none of those known."""
    name = Path(env.get("SHELL", "")).name
    if name in SHELLS:
        return name
    raise UsageError(
        "shell.unknown",
        f"say which shell: {', '.join(SHELLS)}" + (f" (SHELL is {env['SHELL']})" if name else ""),
        next=("bg shell-init bash",),
    )
