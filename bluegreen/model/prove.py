"""What a project lets `bg prove` ask it."""

from __future__ import annotations

from bluegreen.model.value import dataclass

UPLOAD_SIZE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ProveSettings:
    """Paths, each with its query; None where the project has no such thing. ``get`` empty: the health requests.

    ``counted`` answers ``{"posts": n, "ids": n}`` for the ids that begin with what is appended to it.
    """

    get: tuple[str, ...] = ()
    post: str | None = None
    counted: str | None = None
    upload: str | None = None
    upload_size: int = UPLOAD_SIZE  # bytes
    download: str | None = None
    chunked: str | None = None
    events: str | None = None
    websocket: str | None = None
    host: str | None = None  # Host header of all of them; None: the public address
