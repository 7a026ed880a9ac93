"""What is kept for people beside the journal: logs of candidates that failed, by operation."""

from __future__ import annotations

import os

from .errors import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .files import Files

FOLDER = "failures"
FILE_LIMIT = 1 << 20
TOTAL_LIMIT = 20 << 20


def put(files: Files, path: str, text: str, *, append: bool) -> None:
    """Keep a text, of a long one its end; the oldest files go when there is too much."""
    name = _name(path)
    if append:
        text = (files.read(name) or "") + text
    data = text.encode()[-FILE_LIMIT:].decode("utf-8", "ignore")
    files.mkdir(os.path.dirname(name))
    files.write(name, data)
    _trim(files, name)


def get(files: Files, path: str) -> dict[str, object]:
    """A file's text, or with a "/" at the end the names in a folder."""
    if path.endswith("/"):
        return {"list": files.names(_name(path[:-1]) if path != "/" else FOLDER)}
    try:
        text = files.read(_name(path))
    except IsADirectoryError:
        text = None
    if text is None:
        raise Refusal("missing", f"{path} is not kept")
    return {"text": text}


def _name(path: str) -> str:
    parts = path.split("/")
    if len(parts) > 4 or any(not p or p.startswith(".") or not p.isprintable() or len(p) > 200 for p in parts):
        raise Refusal("invalid", f"{path!r} is no path of a kept file")
    return "/".join((FOLDER, *parts))


def _trim(files: Files, newest: str) -> None:
    found = []
    for folder, _, names in os.walk(files.path(FOLDER)):
        for name in names:
            path = f"{folder}/{name}"
            try:
                info = os.stat(path)
            except FileNotFoundError:
                continue
            found.append((info.st_mtime, path, info.st_size))
    total = sum(size for _, _, size in found)
    for _, path, size in sorted(found):
        if total <= TOTAL_LIMIT:
            return
        if path != files.path(newest):
            os.unlink(path)
            total -= size
