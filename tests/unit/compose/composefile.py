"""Compose files written into a test's directory, and what reading them gave."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from bluegreen.compose import load
from bluegreen.model.errors import UsageError
from bluegreen.model.project import Project, Service

ROUTED = "route: /, port: 80"


def read(
    directory: Path,
    text: str,
    *,
    env: Mapping[str, str] | None = None,
    tag: str | None = "v1.0.0",
    name: str | None = "shop",
    files: Mapping[str, str] | None = None,
) -> Project:
    for path, content in {"compose.yaml": textwrap.dedent(text), **(files or {})}.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(content, encoding="utf-8")
    return load(None, directory=directory, env=env or {}, tag=tag, project_name=name)


def error(directory: Path, text: str, **given: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        read(directory, text, **given)  # type: ignore[arg-type]  # handed through
    return caught.value


def problems(directory: Path, text: str, **given: object) -> list[str]:
    """Each problem as a person sees it, in order."""
    return [str(problem) for problem in error(directory, text, **given).problems]


def around(block: str, extension: str = ROUTED) -> str:
    """A file with one service, ``web``, whose block begins on line 5."""
    return (
        "services:\n  web:\n    image: web\n"
        f"    x-bluegreen: {{{extension}}}\n{textwrap.indent(textwrap.dedent(block).strip(), '    ')}\n"
    )


def service(directory: Path, block: str, extension: str = ROUTED, **given: object) -> Service:
    return read(directory, around(block, extension), **given).services["web"]  # type: ignore[arg-type]  # likewise


def service_problems(directory: Path, block: str, extension: str = ROUTED, **given: object) -> list[str]:
    return problems(directory, around(block, extension), **given)


def notices(project: Project) -> list[str]:
    return [f"{notice.where}: {notice.message}" for notice in project.notices]
