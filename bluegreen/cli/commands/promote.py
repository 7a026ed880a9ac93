"""`promote`."""

from __future__ import annotations

import click

from bluegreen.cli.guard import ignore_hangup
from bluegreen.cli.options import Command
from bluegreen.cli.run import Run


@click.command(cls=Command)
@click.option("--reason", metavar="TEXT", help="Why, for the history.")
@click.option("--dry-run", is_flag=True, help="Show the plan, and stop.")
@click.pass_obj
def command(run: Run, reason: str | None, dry_run: bool) -> int:
    """Give the candidate all visitors, whatever share it has: a switch, workers included.

    What was live stands by, warm. Refused without a candidate: nobody is sent to an old standby.
    """
    from bluegreen.app.rollback import promote
    from bluegreen.cli.moving import Moving

    moving = Moving(run, "promote")
    if not dry_run:
        ignore_hangup()
    site = run.site()
    return moving.finish(site.name, promote(site, reason=reason, dry_run=dry_run))
