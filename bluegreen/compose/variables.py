"""Where variables come from: the tag, then the process's environment, then the project's ``.env``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bluegreen.compose import dotenv
from bluegreen.compose.report import Report
from bluegreen.model.errors import UsageError


@dataclass(frozen=True, slots=True)
class Variables:
    """``tag`` is TAG over everything. Without one, a TAG that nothing sets is empty and nobody is told.

    Commands such as ``status`` and ``config`` read the file without a tag; a file that says
    ``image: shop:${TAG:?}`` is as good for them as for a deploy.
    """

    environment: Mapping[str, str]
    file: Mapping[str, str] = field(default_factory=dict)  # .env
    tag: str | None = None

    def lookup(self, name: str) -> str | None:
        if name == "TAG" and self.tag is not None:
            return self.tag
        value = self.environment.get(name)
        return self.file.get(name) if value is None else value

    @property
    def excused(self) -> frozenset[str]:
        return frozenset() if self.tag is not None else frozenset({"TAG"})

    def with_project(self, name: str) -> Variables:
        """Compose sets this one itself, whatever decided the name."""
        return Variables({**self.environment, "COMPOSE_PROJECT_NAME": name}, self.file, self.tag)


def read(directory: Path, environment: Mapping[str, str], tag: str | None, report: Report) -> Variables:
    """Variables for a project in ``directory``. A missing ``.env`` is none; a wrong one raises UsageError."""

    def unset(line: int, name: str) -> None:
        report.notice_elsewhere(f".env:{line}", f"the variable {name} is not set; it becomes empty")

    path = directory / ".env"
    bare = Variables(environment, {}, tag)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return bare
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("env-file-unreadable", f"can't be read: {error}", where=".env") from error
    try:
        return Variables(environment, dotenv.parse(text, bare.lookup, unset), tag)
    except dotenv.EnvFileError as error:
        raise UsageError("env-file-form", error.message, where=f".env:{error.line}") from error
