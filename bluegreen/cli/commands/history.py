"""`history`."""

from __future__ import annotations

import click

from bluegreen.cli.options import Command
from bluegreen.cli.run import Run


@click.command(cls=Command)
@click.option("--markdown", is_flag=True, help="A Markdown table, for a runbook or a wiki.")
@click.option("--limit", "-n", type=click.IntRange(min=1), metavar="N", help="Only the newest N releases.")
@click.pass_obj
def command(run: Run, markdown: bool, limit: int | None) -> int:
    """Every release that the journal or a label knows of, newest first."""
    from bluegreen.app.history import history
    from bluegreen.cli.screens import history as screen

    found = history(run.site())[:limit]
    lines = screen.markdown(found) if markdown else screen.lines(run.page(), found)
    return run.answer("listed", screen.data(found), lines)
