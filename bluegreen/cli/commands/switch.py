"""`switch`."""

from __future__ import annotations

import click

from bluegreen.cli.guard import ignore_hangup
from bluegreen.cli.options import Command
from bluegreen.cli.run import Run


@click.command(cls=Command)
@click.argument("to", metavar="TAG|NUMBER")
@click.option("--reason", metavar="TEXT", help="Why, for the history.")
@click.option("--dry-run", is_flag=True, help="Show the plan, and stop.")
@click.pass_obj
def command(run: Run, to: str, reason: str | None, dry_run: bool) -> int:
    """Go forward to a release that is warm: a staged candidate, or the standby, marked bad or not."""
    from bluegreen.app.rollback import switch
    from bluegreen.cli.moving import Moving

    moving = Moving(run, "switch")
    if not dry_run:
        ignore_hangup()
    site = run.site()
    return moving.finish(site.name, switch(site, to, reason=reason, dry_run=dry_run))
