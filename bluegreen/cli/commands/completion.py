"""`completion`."""

from __future__ import annotations

import click

from bluegreen.cli.options import Command
from bluegreen.cli.run import Run
from bluegreen.cli.shells import SHELLS, completion, this_shell


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.pass_obj
def command(run: Run, shell: str | None) -> int:
    """Print a script that completes commands and options, for bluegreen and for bg."""
    chosen = shell or this_shell(run.env)
    text = completion(chosen, run.program)
    return run.answer("printed", {"shell": chosen, "script": text}, text.splitlines())
