"""Progress as events: one stream for the terminal, JSON lines and later consumers alike.

Losing a consumer never stops an operation; whoever emits catches nothing, so sinks must not raise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Literal

from bluegreen.model.value import dataclass

Kind = Literal["operation", "phase", "step", "step-done", "step-failed", "progress", "notice", "guard", "result"]


@dataclass(frozen=True, slots=True)
class Event:
    """``name`` is the step's or phase's word, ``subject`` what it is about, ``ms`` how long it took."""

    kind: Kind
    name: str
    subject: str = ""
    message: str = ""
    ms: float | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


Sink = Callable[[Event], None]


def nowhere(event: Event) -> None:
    """The sink of callers that do not care."""
