"""What the clients' process is told: whom to ask what, as one line of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from bluegreen.model.value import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One request that any client may send: the health request of a route, or one that the file names."""

    path: str
    host: str
    status: tuple[int, ...] = (200,)
    body: str | None = None  # a text that the answer must contain


@dataclass(frozen=True, slots=True)
class Orders:
    """``paths`` by kind, for those that need one of their own; ``clients`` by kind, how many."""

    address: tuple[str, int]
    run: str  # begins the id of every request
    token: str  # has the proxy say which slot answered; "": it won't
    targets: tuple[Target, ...]
    clients: Mapping[str, int]
    host: str
    records: str  # the file to write them to
    paths: Mapping[str, str] = field(default_factory=dict)
    upload_size: int = 0
    timeout: float = 30.0  # seconds for a whole answer
