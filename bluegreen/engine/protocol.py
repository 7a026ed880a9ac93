"""What bluegreen asks of an engine, and what it may rely on.

Every call raises `EngineUnreachable` when the engine doesn't answer, `NotFound` when what is named isn't there,
`EngineConflict` when the state changed underneath, else `EngineFailed`; never a library's own
exception. "Idempotent" means: safe to repeat after a crash in the middle, with the same end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from threading import Event
from typing import Protocol

from bluegreen.model.containers import (
    CloneSpec,
    Container,
    ContainerDetails,
    ContainerSpec,
    EngineInfo,
    Image,
    NetworkInfo,
)
from bluegreen.model.project import Build, Network, Volume
from bluegreen.model.value import dataclass


class Stream(Protocol):
    """The standard streams of one exec: lines out, lines in. The agent's transport."""

    def send(self, line: bytes) -> None:
        """Write a line (newline included). Raises `EngineFailed` when the exec has ended."""

    def receive(self, timeout: float | None = None) -> bytes:
        """The next line of standard output without its newline; b"" at the end. ``timeout`` in seconds
        raises `EngineFailed`. Standard error is kept for `errors`."""

    def errors(self) -> str:
        """What the exec has written to standard error so far."""

    def close(self) -> None:
        """Close standard input and the connection. Idempotent."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """One image to build. ``context`` is a directory on the operator's machine."""

    context: Path
    build: Build
    tags: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    stop: Event | None = None  # once set, the build ends soon with `BuildFailed`, code ``build.stopped``


Progress = Callable[[str], None]
"""Receives one line of progress at a time, for people; losing it changes nothing."""


class Engine(Protocol):
    @property
    def public(self) -> str:
        """Where people reach a port it publishes: "localhost", or the engine's host. Asks nobody."""

    def info(self) -> EngineInfo: ...

    # -- observing -----------------------------------------------------------------------------------------
    def containers(self, project: str | None = None) -> list[Container]:
        """All containers with the project's label (any project's, where None), running or not, sorted by name.

        One round trip; ``exit_code`` and ``health`` come from the list's status text.
        """

    def foreign_containers(self, compose_project: str) -> list[Container]:
        """Containers that Compose itself made for a project of this name."""

    def container(self, name: str) -> ContainerDetails: ...

    def memory(self, name: str) -> int | None:
        """Bytes that a container uses now, without what the kernel could drop of its files' cache. None: it doesn't
        run, or the engine can't tell."""

    def image(self, ref: str) -> Image | None:
        """The image by name, tag or id; None where it is not on the engine."""

    def images(self, prefix: str) -> list[Image]:
        """Images with a tag that starts with ``prefix``; their ports and health checks only `image` tells."""

    def networks(self) -> list[NetworkInfo]:
        """All networks of the engine."""

    def volumes(self, project: str | None = None) -> list[str]:
        """Names of all volumes of the engine, or of those that bluegreen or Compose made for a project."""

    def logs(
        self,
        name: str,
        *,
        tail: int | None = None,
        since: str | None = None,
        follow: bool = False,
        timestamps: bool = False,
    ) -> Iterator[bytes]:
        """Lines of a container's output, both streams in order. ``since`` is RFC 3339."""

    def port_holder(self, port: int) -> Container | None:
        """The running container that publishes this TCP port on the host, of any project."""

    # -- containers ----------------------------------------------------------------------------------------
    def create(self, spec: ContainerSpec) -> str:
        """Create a container, put its files into it and attach it to its networks; answers its id.

        Idempotent for one specification: an existing container of this name with the same
        ``labels`` is completed (missing networks, files), with other labels it raises `EngineConflict`.
        """

    def clone(self, spec: CloneSpec) -> str:
        """The same from an existing container's configuration. Equally idempotent."""

    def start(self, name: str) -> None:
        """Idempotent. Returns when the process has been started. Raises `EngineFailed` with the engine's
        reason (code ``engine.port-held`` when a published port is taken, with who holds it in the message)."""

    def stop(self, name: str, grace: float) -> None:
        """SIGTERM (or its stop signal), then SIGKILL after ``grace`` seconds. Idempotent."""

    def set_restart(self, name: str, policy: str) -> None:
        """Change the restart policy (no, always, on-failure[:N], unless-stopped). Idempotent."""

    def rename(self, name: str, new: str) -> None:
        """Raises `EngineConflict` when ``new`` is taken by another container."""

    def remove(self, name: str) -> None:
        """Remove a container, by force, with its anonymous volumes. Idempotent: gone is fine."""

    def wait(self, name: str, timeout: float) -> int:
        """Wait until it has exited; answers its exit code. Raises `EngineFailed`
        (code ``engine.timeout``) after ``timeout`` seconds."""

    def exec_stream(self, name: str, argv: Sequence[str]) -> Stream:
        """Start a command in a running container with its standard streams attached."""

    # -- networks, volumes, images -------------------------------------------------------------------------
    def ensure_network(self, network: Network, labels: Mapping[str, str]) -> None:
        """Create it unless a network of this name exists. External ones must exist (`NotFound`)."""

    def connect(self, network: str, container: str, ip: str | None = None, aliases: Sequence[str] = ()) -> None:
        """Idempotent."""

    def remove_network(self, name: str) -> None:
        """Idempotent."""

    def ensure_volume(self, volume: Volume, labels: Mapping[str, str]) -> None:
        """Create it unless it exists. External ones must exist (`NotFound`)."""

    def remove_volume(self, name: str) -> None:
        """Idempotent."""

    def build(self, request: BuildRequest, progress: Progress) -> str:
        """Build an image and answer its id. Raises `BuildFailed` with the failing step and its last lines,
        or with code ``build.needs-buildkit`` when the Dockerfile needs BuildKit and only the classic
        builder is there, or ``build.disk-full``."""

    def pull(self, ref: str, progress: Progress) -> str: ...

    def tag(self, image: str, ref: str) -> None:
        """Idempotent."""

    def remove_image(self, ref: str) -> bool:
        """Remove a tag, and the image with its last tag. False when it is in use or gone."""

    def close(self) -> None: ...
