"""`status`."""

from __future__ import annotations

import click

from bluegreen.cli.options import Command
from bluegreen.cli.run import Run


@click.command(cls=Command)
@click.pass_obj
def command(run: Run) -> int:
    """What is live, what stands by, and everything that is not as it should be. Changes nothing."""
    from bluegreen.app.opening import Opening

    site = run.site()
    opening = Opening(site)
    from bluegreen.app.status import status
    from bluegreen.cli.screens.status import data, lines

    found = status(site, opening)
    return run.answer("trouble" if found.troubles else "fine", data(found), lines(run.page(), found))
