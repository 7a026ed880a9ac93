"""`drain`."""

from __future__ import annotations

import click

from bluegreen.cli.layout import count
from bluegreen.cli.options import Command
from bluegreen.cli.run import Run


@click.command(cls=Command)
@click.option("--now", is_flag=True, help="End them: the standby's containers restart one by one.")
@click.option("--timeout", type=click.FloatRange(min=0), default=300.0, metavar="SECONDS", show_default="300",
              help="How long to wait for them to end.")  # fmt: skip
@click.pass_obj
def command(run: Run, now: bool, timeout: float) -> int:
    """Wait until the release that lost its traffic has no connection left, or end those that are open."""
    from bluegreen.app.upkeep import drain
    from bluegreen.cli.operating import operating

    with operating(run):
        done = drain(run.site(), now=now, seconds=timeout)
    page = run.page()
    left = 0 if now else done.connections
    if now and done.outcome == "done":
        page.field("DRAINED", f"{count(done.connections, 'connection')} ended; the standby is warm again")
    elif left:
        page.field("WAITING", f"{count(left, 'connection')} still open after {timeout:g} s")
        page.commands("NEXT", ["bg drain --now    ends them", "bg drain    waits again"])
    else:
        page.field("DRAINED", "no connection is open to the release that lost its traffic")
    outcome = "open" if left else done.outcome
    return run.answer(outcome, {"connections": left, "ended": done.connections if now else 0}, page.lines)
