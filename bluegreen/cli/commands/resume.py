"""`resume`."""

from __future__ import annotations

import click

from bluegreen.cli.options import Command
from bluegreen.cli.run import Run


@click.command(cls=Command)
@click.pass_obj
def command(run: Run) -> int:
    """Go on with an operation that was interrupted, from where it stopped.

    A deploy that stopped before its containers were made needs its Compose file: run the deploy again.
    """
    from bluegreen.app.recover import resume
    from bluegreen.cli.operating import operating
    from bluegreen.cli.screens import recovered as screen

    with operating(run):
        found = resume(run.site())
    return run.answer(found.outcome, screen.data(found), screen.lines(run.page(), found))
