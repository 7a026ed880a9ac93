"""Finding the Compose file, and the project's name in it, without parsing YAML.

`bg rollback` needs no more than the name, and must work when the file no longer parses.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from bluegreen.model import names
from bluegreen.model.errors import UsageError

FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_NAME_LINE = re.compile(r"""name[ \t]*:[ \t]+(?P<quote>["']?)(?P<name>[A-Za-z0-9._-]+)(?P=quote)[ \t]*(?:[ \t]#.*)?""")
_ANY_NAME_LINE = re.compile(r"""["']?name["']?[ \t]*:.*""")


def find(directory: Path, env: Mapping[str, str]) -> Path:
    """The Compose file for ``directory``: BG_FILE, else the first of Compose's own names.

    Raises UsageError, which names what was looked for.
    """
    if chosen := env.get("BG_FILE"):
        path = directory / chosen
        if path.is_file():
            return path
        raise UsageError(
            "file-missing",
            f"BG_FILE names {chosen}, and there is no such file",
            next=("unset BG_FILE", "bg --file PATH ..."),
        )
    for name in FILES:
        if (path := directory / name).is_file():
            return path
    raise UsageError(
        "file-missing",
        f"no Compose file in {directory}: looked for {', '.join(FILES)}",
        next=("bg --file PATH ...", "bg init"),
    )


def project_name(file: Path, env: Mapping[str, str] | None = None) -> str | None:
    """The project's name as Compose decides it: COMPOSE_PROJECT_NAME, ``name:``, the directory's name.

    None when only reading the file as YAML could tell (the name holds a variable, say), or when what was found
    is no valid name. ``env`` is the process's environment by default.
    """
    if given := _from_environment(file.parent, os.environ if env is None else env):
        name: str | None = given
    else:
        try:
            text = file.read_text(encoding="utf-8-sig", errors="replace")
        except OSError:
            text = ""
        found, name = _declared(text)
        if not found:
            name = normalised(file.absolute().parent.name)
    return name if name and names.PROJECT.fullmatch(name) else None


def normalised(directory: str) -> str:
    """A directory's name as a project's: as Compose does it."""
    return re.sub(r"[^a-z0-9_-]", "", directory.lower()).lstrip("_-")


def _declared(text: str) -> tuple[bool, str | None]:
    """Whether a top-level ``name:`` stands in the text, and its value if it is a plain word."""
    for line in text.splitlines():
        if _ANY_NAME_LINE.match(line):
            plain = _NAME_LINE.fullmatch(line.rstrip())
            return True, plain["name"] if plain else None
        if line.startswith("{"):  # the whole file may be one flow mapping
            return True, None
    return False, None


def _from_environment(directory: Path, env: Mapping[str, str]) -> str | None:
    if name := env.get("COMPOSE_PROJECT_NAME"):
        return name
    try:
        text = (directory / ".env").read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return None
    if "COMPOSE_PROJECT_NAME" not in text:
        return None
    from bluegreen.compose import dotenv

    try:
        return dotenv.parse(text, env.get, lambda line, name: None).get("COMPOSE_PROJECT_NAME") or None  # noqa: ARG005
    except dotenv.EnvFileError:
        return None
