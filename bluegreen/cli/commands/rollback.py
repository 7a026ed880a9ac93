"""`rollback`. Nothing is imported here that isn't needed before the flip."""

from __future__ import annotations

import click

from bluegreen.cli.guard import ignore_hangup
from bluegreen.cli.options import Command
from bluegreen.cli.run import Run


@click.command(cls=Command)
@click.argument("to", metavar="[TAG|NUMBER]", required=False)
@click.option("--to", "option", metavar="TAG|NUMBER", help="An older release, instead of the one that stands by.")
@click.option("--reason", metavar="TEXT", help="Why, for the history.")
@click.option("--dry-run", is_flag=True, help="Show the plan, and stop.")
@click.pass_obj
def command(run: Run, to: str | None, option: str | None, reason: str | None, dry_run: bool) -> int:
    """Take the traffic back to the release before, or to the one named.

    Needs the engine and nothing else: no file, no build, no registry. Never waits and never asks.
    """
    if to and option and to != option:
        raise click.UsageError(f"{to} and --to {option} are two releases; name one")
    from bluegreen.app.opening import Opening

    if not dry_run:
        ignore_hangup()
    site = run.site()
    opening = Opening(site)
    from bluegreen.app.rollback import rollback
    from bluegreen.cli.moving import Moving

    moving = Moving(run, "rollback")
    done = rollback(site, option or to, reason=reason, dry_run=dry_run, opening=opening)
    return moving.finish(site.name, done)
