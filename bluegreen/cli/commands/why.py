"""`why`."""

from __future__ import annotations

import click

from bluegreen.cli.options import Command
from bluegreen.cli.run import Run


@click.command(cls=Command)
@click.argument("release", metavar="[TAG|NUMBER]", required=False)
@click.pass_obj
def command(run: Run, release: str | None) -> int:
    """Why the last release failed or was taken back, or the one named: the reason again, with its last lines.

    Of a candidate, also of one that passed, its shares and the verdict of each.
    """
    from bluegreen.app.history import why
    from bluegreen.cli.screens import history as screen

    found = why(run.site(), release)
    return run.answer("found", screen.why_data(found), screen.why_lines(run.page(), found))
