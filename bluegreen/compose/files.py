"""Secrets and configs: read while loading, put into the containers as files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bluegreen.compose import keys, values
from bluegreen.compose.mounts import resolve
from bluegreen.compose.tree import Node, Table
from bluegreen.compose.variables import Variables
from bluegreen.model.project import File

What = Literal["secret", "config"]
_NUMERIC_USER = re.compile(r"(\d{1,9})(?::(\d{1,9}))?")


@dataclass(slots=True)
class Source:
    """A top-level secret or config. Its content is read at the first use: one nobody uses may be missing."""

    what: What
    node: Table
    directory: Path
    variables: Variables
    used: bool = False
    _content: bytes | None = None

    def content(self) -> bytes | None:
        """None when it can't be had, which has then been reported."""
        if not self.used:
            self.used = True
            self._content = self._read()
        return self._content

    def _read(self) -> bytes | None:
        entry = self.node.get
        if (n := entry("content")) is not None and self.what == "config":
            text = values.text(n, empty=True)
            return None if text is None else text.encode()
        if (n := entry("environment")) is not None:
            name = values.text(n)
            if name is None:
                return None
            value = self.variables.lookup(name)
            if value is None:
                n.error("secret-missing", f"the variable {name} is not set")
            return None if value is None else value.encode(errors="surrogateescape")
        if (n := entry("file")) is not None and (written := values.text(n)) is not None:
            path = resolve(written, self.directory, self.variables.lookup("HOME"))
            try:
                return Path(path or written).read_bytes()
            except OSError as error:
                n.error("secret-missing", f"{written} can't be read: {error.strerror or error}")
        return None


def read_sources(node: Node | None, what: What, directory: Path, variables: Variables) -> dict[str, Source]:
    """The file's ``secrets:`` or ``configs:``."""
    found: dict[str, Source] = {}
    for name, definition in values.table(node) if node is not None else ():
        fields = (
            values.fields(definition, keys.SECRET, known=keys.SECRET_KNOWN, hints=keys.SECRET_HINTS)
            if what == "secret"
            else values.fields(definition, keys.CONFIG, known=keys.CONFIG_KNOWN)
        )
        found[name] = Source(what, fields, directory, variables)
        for inert in ("name", "labels"):
            if fields.get(inert) is not None:
                fields.at(inert).notice(f"has no effect: the {what} is put into the container as a file")
        if (n := fields.get("external")) is not None and (isinstance(n, Table) or values.boolean(n)):
            n.error(f"{what}-external", f"an external {what} exists only in a swarm; write file: or environment:")
        else:
            given = [key for key in ("file", "environment", "content") if fields.get(key) is not None]
            allowed = given if what == "config" else [key for key in given if key != "content"]
            if len(allowed) != 1:
                found_ = " and ".join(allowed) or "neither"
                fields.error(f"{what}-form", f"needs either file: or environment:, and has {found_}")
    return found


def read_grants(
    node: Node, what: What, sources: Mapping[str, Source], user: str | None
) -> list[tuple[str, File, Node]]:
    """A service's ``secrets`` or ``configs``: path in the container, file and place of each."""
    found: list[tuple[str, File, Node]] = []
    base = "/run/secrets" if what == "secret" else "/"
    for item in values.items(node):
        fields = Table(item.report, item.path, item.line, {"source": item}, {})
        if isinstance(item, Table):
            fields = values.fields(item, keys.GRANT)
        entry, source_node = fields.get, fields.get("source")
        if source_node is None:
            item.error("value-missing", f"needs 'source', the name of a {what}")
            continue
        name = values.text(source_node)
        if name is None:
            continue
        if name not in sources:
            meant = values.did_you_mean(name, list(sources))
            source_node.error(f"{what}-unknown", f"{what}s: has no {values.shown(name)}{meant}")
            continue
        target = values.text(n) if (n := entry("target")) else name
        mode = values.file_mode(n) if (n := entry("mode")) else 0o444
        default_uid, default_gid = _numeric(user)
        uid = values.integer(n, 0, 2**31) if (n := entry("uid")) else default_uid
        gid = values.integer(n, 0, 2**31) if (n := entry("gid")) else default_gid
        content = sources[name].content()
        if content is None or target is None or mode is None or uid is None or gid is None:
            continue
        path = posixpath.normpath(posixpath.join(base, target))
        if path.endswith("/") or ".." in target.split("/") or target.endswith("/"):
            item.error("value-form", f"{values.shown(target)} is no path of a file")
            continue
        # The specification has writable bits ignored.
        found.append((path, File(content, mode & ~0o222, uid, gid), item))
    return found


def _numeric(user: str | None) -> tuple[int, int]:
    """The container's user where the file gives it as a number; a name only the image can resolve."""
    match = _NUMERIC_USER.fullmatch(user or "")
    if not match:
        return 0, 0
    return int(match[1]), int(match[2] or 0)
