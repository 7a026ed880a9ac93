"""`canary`."""

from __future__ import annotations

import click

from bluegreen.cli.options import Command
from bluegreen.cli.run import Run

STEPS = (1, 5, 10, 25, 50)


def _percent(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """``10`` or ``10%``."""
    if value is None:
        return None
    text = value.removesuffix("%").strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise click.BadParameter(f"{value!r} is no whole number of percent, such as 10")
    return int(text)


def _steps(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [str(step) for step in STEPS if str(step).startswith(incomplete)]


@click.command(cls=Command)
@click.argument("share", metavar="[N]", required=False, callback=_percent, shell_complete=_steps)
@click.option("--explain", is_flag=True, help="Say what each share, or N, can and cannot show at the present traffic.")
@click.option("--reason", metavar="TEXT", help="Why, for the history.")
@click.option("--dry-run", is_flag=True, help="Show the plan, and stop.")
@click.pass_obj
def command(run: Run, share: int | None, explain: bool, reason: str | None, dry_run: bool) -> int:
    """Send N percent of the visitors, 0 to 99, to the candidate; without N, say how they are shared.

    A candidate is made by deploy --stage. Who is on it stays on it while N grows. The share stays until it is
    changed: by another N, promote, abort or rollback.
    """
    from bluegreen.app.canary import canary, check_share, standing
    from bluegreen.cli.operating import operating
    from bluegreen.cli.screens import canary as screen

    if share is not None:
        check_share(share)
    if explain:
        return _explain(run, share)
    if share is None:
        site = run.site()
        found = standing(site)
        return run.answer(screen.outcome(found), screen.data(site.name, found), screen.lines(run.page(), found))
    site = run.site()
    if dry_run:
        found = canary(site, share, reason=reason, dry_run=True)
        return run.answer("planned", screen.data(site.name, found), screen.plan(run.page(), found))
    with operating(run):
        found = canary(site, share, reason=reason)
    return run.answer(found.outcome, screen.data(site.name, found), screen.lines(run.page(), found))


def _explain(run: Run, share: int | None) -> int:
    from bluegreen.app.explaining import SHARES, explain_steps
    from bluegreen.cli.screens import canary as screen

    site = run.site()
    found = explain_steps(site, (share,) if share else SHARES)
    return run.answer("explained", screen.explained_data(site.name, found), screen.explained(run.page(), found))
