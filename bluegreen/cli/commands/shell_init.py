"""`shell-init`."""

from __future__ import annotations

import click

from bluegreen.cli.options import Command
from bluegreen.cli.run import Run
from bluegreen.cli.shells import FILES, SHELLS, function, this_shell


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.pass_obj
def command(run: Run, shell: str | None) -> int:
    """Print a function bg for your shell, which has a builtin of that name.

    Job control (no argument, %1, a number) still goes to the builtin, everything else to bluegreen.
    """
    chosen = shell or this_shell(run.env)
    text = function(chosen, run.program)
    if run.output.form == "text" and run.output.is_terminal("out"):
        run.output.note(
            [f"# To have it in every shell, put this line into {FILES[chosen][0]}:", f"#   {FILES[chosen][1]}"]
        )
    return run.answer("printed", {"shell": chosen, "script": text}, text.splitlines())
