"""Events as JSON lines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bluegreen.cli.output import SCHEMA
from bluegreen.model.codec import encode

if TYPE_CHECKING:
    from bluegreen.model.events import Event


def as_data(event: Event, rename: Callable[[str], str] = str) -> dict[str, Any]:
    """One event; ``at`` is this machine's clock, ``ms`` how long the step took."""
    return {
        "schema": SCHEMA,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "kind": event.kind,
        "name": event.name,
        "subject": event.subject,
        "message": rename(event.message),
        "ms": None if event.ms is None else round(event.ms, 1),
        "data": encode(event.data),
    }
