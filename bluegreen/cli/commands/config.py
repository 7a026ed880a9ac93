"""`config`."""

from __future__ import annotations

from pathlib import Path

import click

from bluegreen.cli import target
from bluegreen.cli.options import Command
from bluegreen.cli.run import Run


@click.command(cls=Command)
@click.argument("tag", required=False)
@click.option("--reveal", is_flag=True, help="Show the values of variables, build arguments and headers.")
@click.option("--quiet", "-q", is_flag=True, help="Only check the file.")
@click.pass_obj
def command(run: Run, tag: str | None, reveal: bool, quiet: bool) -> int:
    """The Compose file as it is understood: variables replaced (TAG too), defaults filled in."""
    from bluegreen.compose import load
    from bluegreen.compose.render import to_data, to_yaml

    project = load(target.file_of(run), directory=Path.cwd(), env=run.env, tag=tag, project_name=target.given(run))
    for notice in project.notices:
        run.notice(notice.message, notice.where)
    lines = [] if quiet else to_yaml(project, reveal=reveal).splitlines()
    return run.answer("valid", {"project": to_data(project, reveal=reveal)}, lines)
