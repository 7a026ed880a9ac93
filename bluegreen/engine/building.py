"""What both builders share: how a build failed, its Dockerfile, and stopping it from another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bluegreen.engine.protocol import BuildRequest
from bluegreen.model.errors import BuildFailed

CHECK = 0.1  # seconds between two looks at whether a build is to stop


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a build failed, the step in the Dockerfile's words, and that step's own lines where known."""

    reason: str
    step: str = ""
    log: tuple[str, ...] = ()


@contextmanager
def stoppable(stop: threading.Event | None, cancel: Callable[[], None]) -> Iterator[None]:
    """Call ``cancel`` once when ``stop`` is set while the block runs, or when the block is left by an exception
    (Ctrl-C). Whoever reads the build's output then sees its end."""
    done = threading.Event()

    def watch() -> None:
        while stop is not None and not done.is_set():
            if stop.wait(CHECK):
                if not done.is_set():
                    cancel()
                return

    watcher = threading.Thread(target=watch, name="build-stop", daemon=True)
    watcher.start()
    try:
        yield
    except BaseException:
        cancel()
        raise
    finally:
        done.set()
        watcher.join()


def dockerfile_text(request: BuildRequest) -> str:
    """The Dockerfile of a request. Raises `BuildFailed` where it can't be read."""
    if request.build.dockerfile_inline is not None:
        return request.build.dockerfile_inline
    file = request.context / request.build.dockerfile
    try:
        return file.read_text(errors="replace")
    except OSError as error:
        raise BuildFailed(
            "build.no-dockerfile",
            f"building {request.tags[0]}: there is no Dockerfile at {file} ({error.strerror})",
            next=("say build.dockerfile in the Compose file",),
        ) from error


def ignored(file: Path) -> list[str]:
    """The patterns of an ignore file; none where there is no such file."""
    if not file.is_file():
        return []
    lines = (line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def place(request: BuildRequest, line: int | None = None) -> str:
    """Where the Dockerfile is, for messages."""
    file = "dockerfile_inline" if request.build.dockerfile_inline is not None else request.build.dockerfile
    return f"{file}:{line}" if line else file
