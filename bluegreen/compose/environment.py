"""A service's environment: ``env_file`` from the top down, then ``environment`` over it."""

from __future__ import annotations

from pathlib import Path

from bluegreen.compose import dotenv, keys, values
from bluegreen.compose.mounts import resolve
from bluegreen.compose.tree import Node, Table, storable
from bluegreen.compose.variables import Variables


def read_environment(
    env_file: Node | None, environment: Node | None, directory: Path, variables: Variables
) -> dict[str, str]:
    """A name without a value takes that of the environment; where there is none, the variable is unset."""
    found: dict[str, str] = {}
    for item in values.items_or_one(env_file) if env_file is not None and not isinstance(env_file, Table) else ():
        found.update(_read_file(item, directory, variables))
    if isinstance(env_file, Table):
        found.update(_read_file(env_file, directory, variables))
    for key, value, node in values.pairs(environment) if environment is not None else ():
        if not key or "=" in key or any(character.isspace() for character in key):
            node.error("environment-form", f"{values.shown(key)} is no name of a variable")
            continue
        resolved = variables.lookup(key) if value is None else value
        if resolved is None:
            found.pop(key, None)
        elif not storable(resolved):
            node.error("environment-form", f"the value of {key} is no text in UTF-8")
        else:
            found[key] = resolved
    return found


def _read_file(node: Node, directory: Path, variables: Variables) -> dict[str, str]:
    required, raw, place = True, False, node
    if isinstance(node, Table):
        fields = values.fields(node, keys.ENV_FILE)
        path_node = fields.get("path")
        if path_node is None:
            node.error("value-missing", "needs 'path'")
            return {}
        place = path_node
        required = not ((n := fields.get("required")) is not None and values.boolean(n) is False)
        raw = (n := fields.get("format")) is not None and values.choice(n, ("raw",)) == "raw"
    written = values.text(place)
    if written is None:
        return {}
    path = resolve(written, directory, variables.lookup("HOME"))
    try:
        text = Path(path or written).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        if required:
            place.error("env-file-missing", f"there is no file {written}")
        return {}
    except (OSError, UnicodeDecodeError, ValueError) as error:
        place.error("env-file-unreadable", f"{written} can't be read: {error}")
        return {}

    def unset(line: int, name: str) -> None:
        place.notice(f"{written}:{line}: the variable {name} is not set; it becomes empty")

    try:
        return dotenv.parse_raw(text, variables.lookup) if raw else dotenv.parse(text, variables.lookup, unset)
    except dotenv.EnvFileError as error:
        place.error("env-file-form", f"{written}:{error.line}: {error.message}")
        return {}
