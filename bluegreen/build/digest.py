"""A digest of everything that decides what a build makes: the same on every machine and at every time."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from bluegreen.engine.building import ignored
from bluegreen.model.project import Build

_FORMAT = "bluegreen source 1"  # raise it when the meaning of the digest changes: all tags count as used then


def content_digest(context: Path, build: Build) -> str:
    """sha256 of the files that .dockerignore lets through (paths, contents, executable or not, links), the
    Dockerfile, wherever it is, arguments, target and labels. Owners, times and other permissions don't count."""
    total = hashlib.sha256()

    def add(*parts: bytes) -> None:
        for part in parts:
            # Each with its length: no two lists of parts look the same.
            total.update(len(part).to_bytes(8, "big"))
            total.update(part)

    add(_FORMAT.encode(), _dockerfile(context, build), (build.target or "").encode())
    for name, value in (*sorted(build.args), ("", ""), *sorted(build.labels)):
        add(name.encode(), value.encode())
    for path in sorted(_files(context, build), key=os.fsencode):
        file = context / path
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            add(b"link", os.fsencode(path), os.fsencode(file.readlink()))
        elif stat.S_ISDIR(mode):
            add(b"directory", os.fsencode(path))
        elif stat.S_ISREG(mode):
            add(b"program" if mode & stat.S_IXUSR else b"file", os.fsencode(path), _of_file(file))
    return f"sha256:{total.hexdigest()}"


def _files(context: Path, build: Build) -> set[str]:
    from docker.utils.build import exclude_paths

    inside = context / build.dockerfile
    own = inside.with_name(f"{inside.name}.dockerignore")
    # BuildKit prefers the ignore file of this very Dockerfile.
    patterns = ignored(own) if build.dockerfile_inline is None and own.is_file() else ignored(context / ".dockerignore")
    # The Dockerfile counts by its text, below whatever name: an ignored one must not come back as a file.
    found: set[str] = exclude_paths(str(context), patterns, dockerfile=os.path.relpath(inside, context))
    return found


def _dockerfile(context: Path, build: Build) -> bytes:
    if build.dockerfile_inline is not None:
        return build.dockerfile_inline.encode()
    try:
        return (context / build.dockerfile).read_bytes()
    except OSError:
        return b""  # the build itself says that it is missing


def _of_file(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
