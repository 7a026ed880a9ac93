"""`doctor`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bluegreen.cli import target
from bluegreen.cli.options import Command
from bluegreen.cli.run import Run
from bluegreen.model.errors import BluegreenError, Exit, Problem

if TYPE_CHECKING:
    from bluegreen.app.doctor import Finding
    from bluegreen.model.project import Project


@click.command(cls=Command)
@click.pass_obj
def command(run: Run) -> int:
    """Check what a deploy stands on: engine, plugins, file, port, memory, disk, images, proxy, shell.

    Each finding comes with its remedy. Nothing is changed.
    """
    from bluegreen.app.doctor import Examination, doctor
    from bluegreen.cli.screens import doctor as screen

    found: list[Finding] = []
    for finding in doctor(Examination(run.connect, lambda: _origin(run), lambda: _load(run), _name(run), run.env)):
        found.append(finding)
        if run.output.form == "text":
            run.output.result(screen.lines(run.page(), finding))
    failed = [f for f in found if f.level == "fail"]
    data = screen.data(found)
    if not failed:
        warned = sum(1 for f in found if f.level == "warn")
        return run.answer("warnings" if warned else "healthy", data, screen.sum_up(run.page(), found))
    error = BluegreenError(
        "doctor.failed",
        "something keeps a deploy from working",
        exit=Exit.UNREACHABLE if _no_engine(failed) else Exit.FAILED,
        problems=tuple(Problem(f.code or f"doctor.{f.check}", f.message, f.where, f.next) for f in failed),
    )
    return run.fail(error, data, screen.sum_up(run.page(), found))


def _no_engine(failed: list[Finding]) -> bool:
    return any(f.check == "engine" for f in failed)


def _load(run: Run) -> Project:
    from bluegreen.compose import load

    return load(target.file_of(run), directory=Path.cwd(), env=run.env, tag=None, project_name=target.given(run))


def _origin(run: Run) -> str:
    from bluegreen.engine.connect import resolve

    return resolve(run.engine, run.env).origin


def _name(run: Run) -> Callable[[Project | None], str | None]:
    def name(project: Project | None) -> str | None:
        if project is not None:
            return project.name
        try:
            return target.resolve(run)
        except BluegreenError:
            return None

    return name
