"""`prune`."""

from __future__ import annotations

import click

from bluegreen.cli.layout import count
from bluegreen.cli.options import Command
from bluegreen.cli.run import Run


@click.command(cls=Command)
@click.option("--keep", type=click.IntRange(0, 100), metavar="N", help="Releases to keep (else the file's keep:).")
@click.option("--dry-run", is_flag=True, help="Show what would go, and stop.")
@click.pass_obj
def command(run: Run, keep: int | None, dry_run: bool) -> int:
    """Remove kept releases beyond the newest N. What is live or stands by is never touched."""
    from bluegreen.app.upkeep import prune
    from bluegreen.cli.operating import operating
    from bluegreen.cli.screens.plan import plan_lines

    with operating(run):
        done = prune(run.site(), keep, dry_run=dry_run)
    data = {"plan": [dict(step) for step in done.plan]}
    containers = sum(1 for step in done.plan if step["step"] == "remove")
    images = sum(1 for step in done.plan if step["step"] == "remove-image")
    page = run.page()
    if done.outcome == "planned" and (containers or images):
        return run.answer("planned", data, plan_lines(page, done.plan))
    if containers or images:
        page.field("PRUNED", f"{count(containers, 'container')} and {count(images, 'image tag')} removed")
    else:
        page.field("NOTHING TO DO", "no more releases are kept than should be")
    return run.answer(done.outcome, data, page.lines)
