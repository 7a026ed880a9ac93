"""Where the proxy image's build context is: in the source tree, or in the installed wheel."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from bluegreen import __version__

PACKAGE = Path(__file__).resolve().parent.parent


def templates() -> Path:
    return _nginx() / "templates"


def image_tag() -> str:
    """The image's name, which follows from its content: another context is another image."""
    digest = hashlib.sha256()
    for name, source in _sources():
        digest.update(f"{name}\0".encode() + source.read_bytes() + b"\0")
    return f"bluegreen-proxy:{__version__.replace('+', '-')}-{digest.hexdigest()[:12]}"


@contextmanager
def image_context() -> Iterator[Path]:
    """A directory to build the image from; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bluegreen-proxy-") as directory:
        context = Path(directory)
        for name, source in _sources():
            target = context / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        (context / "version").write_text(f"{__version__}\n")
        yield context


def _sources() -> list[tuple[str, Path]]:
    """(path in the context, file), sorted."""
    nginx, agent = _nginx(), PACKAGE / "agent"
    found = [(str(p.relative_to(nginx)), p) for p in nginx.rglob("*") if "templates" not in p.relative_to(nginx).parts]
    found += [(f"agent/{p.name}", p) for p in agent.glob("*.py")]
    return sorted((name, path) for name, path in found if path.is_file())


@cache
def _nginx() -> Path:
    """Templates, Dockerfile and what goes with it."""
    installed = PACKAGE / "_nginx"
    return installed if installed.is_dir() else PACKAGE.parent / "nginx"
