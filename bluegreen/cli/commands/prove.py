"""`prove`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bluegreen.cli.guard import ignore_hangup
from bluegreen.cli.interruption import first_interruption
from bluegreen.cli.options import Command
from bluegreen.cli.run import Run

if TYPE_CHECKING:
    from bluegreen.model.prove import ProveSettings

DEFAULT_SWITCHES = 20


@click.command(cls=Command)
@click.option("--switches", type=click.IntRange(1, 100_000), metavar="N",
              help="How many switches to make (20; with --seconds as many as fit).")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(1, 86_400), metavar="S", help="Begin no switch after so long.")
@click.option("--connections", type=click.IntRange(1, 1000), default=24, metavar="N", show_default="24",
              help="How many clients, over all kinds; one of each at least.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the receipt there, "
              "as JSON.")  # fmt: skip
@click.pass_obj
def command(run: Run, switches: int | None, seconds: float | None, connections: int, out: Path | None) -> int:
    """Switch to what stands by and back, under load, and count every response.

    Strict clients of eleven kinds use the project while its traffic moves. Whatever is not answered, whole and
    once, is named. Afterwards the project serves what it served before.
    """
    settings, why = _settings(run)
    site = run.site()
    from bluegreen.app.prove import Enough, ProveRequest, prove
    from bluegreen.cli.screens import prove as screen

    ignore_hangup()
    enough = Enough()
    if switches is None and seconds is None:
        switches = DEFAULT_SWITCHES
    request = ProveRequest(settings, why, switches, seconds, connections, enough)
    run.watch(screen.Progress(run, switches))
    with first_interruption(enough.set):
        result = prove(site, request)
    data = screen.data(site.name, result)
    if out is not None:
        _write(run, out, data)
    page = run.page()
    lines = screen.lines(page, result)
    error = screen.error(result)
    if error is None:
        return run.answer("proved", data, lines)
    if run.output.form == "text":
        run.output.result(lines)
        screen.next_steps(page := run.page(), error)
        run.output.note(page.lines)
        return int(error.exit)
    return run.fail(error, data)


def _settings(run: Run) -> tuple[ProveSettings | None, str]:
    """What the file lets be asked, and else why nothing of it is known."""
    from bluegreen.cli import target
    from bluegreen.compose import find, load
    from bluegreen.model.errors import UsageError

    given = target.given(run)
    file = target.file_of(run)
    if file is None:
        try:
            file = find(Path.cwd(), run.env)
        except UsageError:
            if run.env.get("BG_FILE"):
                raise
            return None, "no Compose file here says where"
    project = load(file, directory=Path.cwd(), env=run.env, tag=None, project_name=None)
    if given is not None and project.name != given and not run.file:
        return None, f"{file.name} here is of another project, {project.name}"
    return project.prove, ""


def _write(run: Run, out: Path, data: dict[str, Any]) -> None:
    import json

    from bluegreen.cli.output import SCHEMA

    try:
        out.write_text(json.dumps({"schema": SCHEMA, **data}, indent=1) + "\n")
    except OSError as error:
        run.notice(f"the receipt can't be written there: {error.strerror}", str(out))
