"""Files into and out of containers, as the engine's archive requests want them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from bluegreen.model.project import File

Member = tuple[tarfile.TarInfo, bytes]


def archives(members: Iterable[Member], volumes: Iterable[str]) -> dict[str, bytes]:
    """Tar archives by the directory to unpack them in.

    ``members`` are named by absolute path. What lies in one of ``volumes`` must be unpacked there: the
    engine refuses to unpack at / where the root is read-only, whatever is mounted below.
    """
    directories = sorted(volumes, key=len, reverse=True)
    grouped: dict[str, list[Member]] = {}
    for info, content in members:
        target = PurePosixPath(info.name)
        base = next((d for d in directories if target.is_relative_to(d)), "/")
        info.name = str(target.relative_to(base))
        grouped.setdefault(base, []).append((info, content))
    return {base: _tar(found) for base, found in grouped.items()}


def members(files: Mapping[str, File]) -> list[Member]:
    """The archive members of a specification's files."""
    found = []
    for path, file in sorted(files.items()):
        info = tarfile.TarInfo(path)
        info.size, info.mode, info.uid, info.gid = len(file.content), file.mode, file.uid, file.gid
        found.append((info, file.content))
    return found


def copied(path: str, archive: bytes) -> Member:
    """The one member of what the engine answers for ``path``, with its full name again."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        info = tar.next()
        if info is None:
            raise ValueError(f"an empty archive for {path}")
        stream = tar.extractfile(info) if info.isfile() else None
        content = stream.read() if stream else b""
    info.name = path
    return info, content


def _tar(found: Iterable[Member]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in found:
            tar.addfile(info, io.BytesIO(content) if info.isfile() else None)
    return buffer.getvalue()
