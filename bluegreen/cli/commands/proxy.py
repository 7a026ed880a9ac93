"""`proxy`."""

from __future__ import annotations

import click

from bluegreen.cli.options import Command, global_options
from bluegreen.cli.run import Run


@click.group(
    params=global_options(),
    invoke_without_command=True,
    subcommand_metavar="[status|start|upgrade|repair]",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.pass_context
def command(ctx: click.Context) -> None:
    """The project's proxy: how it is, and what can be done about it."""
    if ctx.invoked_subcommand is None:
        ctx.exit(ctx.invoke(status))


@command.command(cls=Command)
@click.pass_obj
def status(run: Run) -> int:
    """Is it running, since when, and what does it answer."""
    from bluegreen.app.doctor_proxy import look
    from bluegreen.cli.screens import proxy as screen

    found = look(run.site())
    return run.answer(found.state, screen.data(found), screen.lines(run.page(), found))


@command.command(cls=Command)
@click.pass_obj
def start(run: Run) -> int:
    """Have it running again: started where it was stopped, made again where it was deleted.

    It serves what was live before: that is in its volume.
    """
    from bluegreen.app.doctor_proxy import look
    from bluegreen.app.ground import start_proxy
    from bluegreen.cli.operating import operating
    from bluegreen.cli.screens import proxy as screen

    site = run.site()
    with operating(run):
        start_proxy(site)
    found = look(site)
    return run.answer(found.state, screen.data(found), screen.lines(run.page(), found))


@command.command(cls=Command)
@click.pass_obj
def upgrade(run: Run) -> int:
    """Replace its container by one of this version of bluegreen.

    The new one is made beside the old one first. Then requests are refused for about a second, while one stops and the
    other starts, and requests that go on for longer are cut. How long it took is measured and said. Where the new one
    does not start, the old one serves again.
    """
    from bluegreen.app.upgrade import upgrade_proxy
    from bluegreen.cli.operating import operating
    from bluegreen.model.codec import encode

    with operating(run):
        found = upgrade_proxy(run.site())
    page = run.page()
    page.field("UPGRADED", f"requests were refused for at most {found.gap_ms:.0f} ms")
    return run.answer("done", encode(found), page.lines)


@command.command(cls=Command)
@click.pass_obj
def repair(run: Run) -> int:
    """Start a new journal from what the engine knows, where the old one is lost or broken."""
    from bluegreen.app import upkeep
    from bluegreen.cli.operating import operating
    from bluegreen.model.codec import encode

    with operating(run):
        found = upkeep.repair_journal(run.site())
    page = run.page()
    page.field("REPAIRED", "the journal begins anew, from what the engine knows")
    page.commands("NEXT", ["bg history    what is known", "bg status"])
    return run.answer("done", {"repair": encode(found)}, page.lines)
