"""`preview`."""

from __future__ import annotations

import click

from bluegreen.cli.options import Command
from bluegreen.cli.run import Run


@click.command(cls=Command)
@click.option("--new-token", is_flag=True, help="Make another token first: the former opens nothing any more.")
@click.pass_obj
def command(run: Run, new_token: bool) -> int:
    """How to look at what is in the idle slot, before it gets traffic or after it lost it."""
    from bluegreen.app.upkeep import preview

    found = preview(run.site(), renew=new_token)
    enter = f"{found.url}.bluegreen/enter?token={found.token}"
    data = {"url": found.url, "token": found.token, "enter": enter, "tag": found.tag}
    page = run.page()
    page.field("PREVIEW", f"{found.tag} in the idle slot" if found.tag else "nothing is in the idle slot now")
    page.line(f"BROWSER  {enter}")
    page.line(f"CURL     curl -H 'X-Bluegreen-Token: {found.token}' {found.url}")
    page.field("", "Both work on the engine's own machine only. Who has the token can look: keep it to yourself.")
    return run.answer("found" if found.tag else "empty", data, page.lines)
