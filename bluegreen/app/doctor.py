"""`doctor`: everything that a deploy will stand on, each finding with its remedy. Changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bluegreen.app.site import Site
from bluegreen.engine.protocol import Engine
from bluegreen.model.errors import BluegreenError, UsageError
from bluegreen.model.names import Kind
from bluegreen.model.project import Project

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """``check`` names what was looked at. A failing one keeps a deploy from working."""

    check: str
    level: Level
    message: str
    where: str | None = None
    next: tuple[str, ...] = ()
    code: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """What is to be examined. ``load`` reads the Compose file, ``name`` says which project of the engine's."""

    connect: Callable[[], Engine]
    origin: Callable[[], str]  # who said which engine
    load: Callable[[], Project]
    name: Callable[[Project | None], str | None]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


def doctor(asked: Examination) -> Iterator[Finding]:
    """Findings as they are made. Never raises for what it finds."""
    from bluegreen.app import doctor_engine, doctor_proxy, doctor_shell

    project = yield from _file(asked)
    engine = yield from _engine(asked)
    if engine is not None:
        name = asked.name(project)
        yield from _guarded("plugins", lambda: doctor_engine.plugins(asked.env, project))
        yield from _guarded("disk", lambda: doctor_engine.disk(engine.info()))
        if project is not None:
            yield from _guarded("memory", lambda: doctor_engine.memory(engine, project))
            yield from _guarded("under compose", lambda: doctor_engine.under_compose(engine, project))
            yield from _guarded("port", lambda: doctor_engine.port(engine, project))
        yield from _guarded("images", lambda: doctor_engine.base_images(engine, asked.env))
        if name is not None:
            site = Site(name, engine, env=asked.env)
            yield from _guarded("proxy", lambda: doctor_proxy.findings(site))
    yield from doctor_shell.findings(asked.env)


def _file(asked: Examination) -> Generator[Finding, None, Project | None]:
    try:
        project = asked.load()
    except UsageError as error:
        missing = error.code == "file-missing"
        for problem in error.problems:
            yield Finding(
                "file",
                "warn" if missing else "fail",
                problem.message + ("; a deploy needs one, a rollback does not" if missing else ""),
                problem.where,
                ("bg --file PATH doctor",) if missing else problem.next,
                problem.code,
            )
        return None
    kinds = [(kind, len(project.of_kind(kind))) for kind in Kind]
    said = ", ".join(f"{number} {kind}" for kind, number in kinds if number)
    yield Finding("file", "ok", f"{project.file}: project {project.name}, {len(project.services)} services ({said})")
    for notice in project.notices:
        yield Finding("file", "warn", notice.message, notice.where)
    return project


def _engine(asked: Examination) -> Generator[Finding, None, Engine | None]:
    try:
        engine = asked.connect()
        info = engine.info()
    except BluegreenError as error:
        problem = error.problem
        helpful = tuple(step for step in problem.next if step != "bg doctor")
        yield Finding("engine", "fail", problem.message, problem.where, helpful, problem.code)
        return None
    yield Finding(
        "engine", "ok", f"{info.version} at {info.host} (from {asked.origin()}), API {info.api}, storage {info.storage}"
    )
    return engine


def _guarded(check: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """One check that can't be made must not keep the others from being made."""
    try:
        yield from look()
    except BluegreenError as error:
        problem = error.problem
        yield Finding(check, "fail", problem.message, problem.where, problem.next, problem.code)
    except OSError as error:
        yield Finding(check, "warn", f"could not be looked at: {error}")
