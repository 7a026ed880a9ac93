"""`abort`."""

from __future__ import annotations

import click

from bluegreen.cli.options import Command
from bluegreen.cli.run import Run


@click.command(cls=Command)
@click.pass_obj
def command(run: Run) -> int:
    """End an operation that was interrupted, else remove the candidate.

    Traffic stays where it is. A switch or rollback that has moved it already is finished instead.
    """
    from bluegreen.app.recover import abort
    from bluegreen.cli.operating import operating
    from bluegreen.cli.screens import recovered as screen

    with operating(run):
        found = abort(run.site())
    return run.answer(found.outcome, screen.data(found), screen.lines(run.page(), found))
