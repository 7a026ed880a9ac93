"""Which project is meant, without asking and without reading more than has to be read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from bluegreen.model.errors import BluegreenError, Refused, UsageError
from bluegreen.model.names import PROJECT

if TYPE_CHECKING:
    from bluegreen.cli.run import Run


def resolve(run: Run) -> str:
    """The project's name: said, else the file's, else the only one on the engine.

    Raises `Refused`, listing those on the engine, where that leaves a choice.
    """
    return given(run) or _of_file(run) or _of_engine(run)


def given(run: Run) -> str | None:
    """The name that was said, by option or environment. Raises `UsageError` when it can't be one."""
    for name, origin in ((run.project, "--project"), (run.env.get("BG_PROJECT"), "BG_PROJECT")):
        if name:
            return _checked(name, origin)
    return None


def file_of(run: Run) -> Path | None:
    """The file that was said; None leaves it to be found. Raises `UsageError` when it isn't there."""
    if not run.file:
        return None
    path = Path(run.file)
    if not path.is_file():
        raise UsageError(
            "file-missing",
            f"there is no file {run.file}",
            where="--file",
            next=(f"bg --file PATH {run.command}".rstrip(),),
        )
    return path


def _of_file(run: Run) -> str | None:
    from bluegreen.compose import find, project_name

    path = file_of(run)
    if path is None:
        try:
            path = find(Path.cwd(), run.env)
        except UsageError:
            if run.env.get("BG_FILE"):
                raise
            return None
    return project_name(path) or _read_name(run, path)


def _read_name(run: Run, path: Path) -> str | None:
    """The name that only YAML can tell: it holds a variable, or the file is one flow mapping, such as JSON.

    None where the file can't be understood: what is asked for may not need it.
    """
    from bluegreen.compose import load

    try:
        return load(path, directory=Path.cwd(), env=run.env, tag=None, project_name=None).name
    except BluegreenError:
        return None


def _of_engine(run: Run) -> str:
    """No file says it: what Compose would call this directory, if that is on the engine; else the only one there."""
    there = projects(run)
    wanted = run.env.get("COMPOSE_PROJECT_NAME") or re.sub(r"[^a-z0-9_-]", "", Path.cwd().name.lower()).lstrip("_-")
    if wanted in there:
        return wanted
    if len(there) == 1:
        run.notice(f"project {there[0]}: the only one on this engine")
        return there[0]
    if not there:
        raise Refused(
            "project.none",
            "there is no Compose file here, and no project of bluegreen's on this engine",
            next=("bg --file PATH deploy TAG", "bg doctor"),
        )
    raise Refused(
        "project.which",
        f"there is no Compose file here, and the engine has {len(there)} projects: {', '.join(there)}",
        next=tuple(f"bg {run.command or 'status'} -p {name}" for name in there[:5]),
    )


def projects(run: Run) -> list[str]:
    """Every project that has a container on the engine."""
    return sorted({c.project for c in run.connect().containers() if c.project})


def _checked(name: str, origin: str) -> str:
    if PROJECT.fullmatch(name):
        return name
    raise UsageError(
        "project.name",
        f"{name!r} can't be a project's name: lower-case letters, digits, '-' and '_', at most 41, "
        f"the first a letter or digit",
        where=origin,
    )
