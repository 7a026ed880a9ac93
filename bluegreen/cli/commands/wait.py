"""`wait`."""

from __future__ import annotations

import click

from bluegreen.cli.options import Command, duration
from bluegreen.cli.run import Run


@click.command(cls=Command)
@click.argument("release", metavar="[TAG|NUMBER]", required=False)
@click.option("--timeout", metavar="TIME", callback=duration, help="Give up after so long, such as 20m; else wait for "
              "ever.")  # fmt: skip
@click.pass_obj
def command(run: Run, release: str | None, timeout: float | None) -> int:
    """Wait until it is decided what becomes of a candidate, or of a release that has just been switched to.

    By default it is the one that was tried last, also where that was decided before. It decides nothing: a guard does
    (watch), or somebody. The exit code tells a promotion and a guarded time that is over (0) from a release that was
    taken back or has an alarm (5) and from no decision (6).
    """
    from bluegreen.app.waiting import wait
    from bluegreen.cli.screens import wait as screen

    site = run.site()
    found = wait(site, release, timeout)
    return run.answer(
        found.outcome, screen.data(site.name, found), screen.lines(run.page(), found), screen.exit_of(found)
    )
