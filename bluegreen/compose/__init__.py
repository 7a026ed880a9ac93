"""Reading a Compose file: what the user wrote, to a `bluegreen.model.project.Project`.

Importing this is cheap. YAML is only imported by `load`; a rollback asks for no more than `project_name`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bluegreen.compose.locate import find, project_name

if TYPE_CHECKING:
    from bluegreen.model.project import Project

__all__ = ["find", "load", "project_name"]


def load(
    file: Path | None,
    *,
    directory: Path | None = None,
    env: Mapping[str, str],
    tag: str | None,
    project_name: str | None = None,
) -> Project:
    """The project that a Compose file describes, with variables replaced and env files and secrets read.

    ``file`` None: found from ``directory`` (the current one by default), as `find` does it. ``env`` is the
    process's environment. ``tag`` is TAG for interpolation; without one the environment's TAG counts, and
    where there is none it is empty without a notice. ``project_name`` goes over everything that names it.

    Raises UsageError with *every* problem of the file in ``problems``, each with line and key path.
    """
    from bluegreen.compose import loader

    path = find(directory or Path.cwd(), env) if file is None else file
    return loader.load(path, env=env, tag=tag, project_name=project_name, found=file is None and not env.get("BG_FILE"))
