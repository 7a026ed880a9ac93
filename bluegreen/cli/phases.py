"""The events of an operation, folded into phases: each a word, what has been done, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bluegreen.model.names import proxy_container

if TYPE_CHECKING:
    from bluegreen.model.events import Event

ORDER = (
    "prepare",
    "build",
    "retire",
    "start",
    "health",
    "topology",
    "smoke",
    "switch",
    "workers",
    "prune",
    "public",
    "restore",
    "down",
)
"""As they are shown. Steps of two phases may take turns."""


STOPPED = "stopped"
"""The note of a step that was interrupted."""


@dataclass(slots=True)
class Item:
    """One step."""

    verb: str
    subject: str
    cause: str = ""
    ms: float | None = None
    note: str = ""
    failed: bool = False
    at: float = 0.0  # when it was over, seconds since the epoch

    @property
    def running(self) -> bool:
        return self.ms is None and not self.failed

    @property
    def done(self) -> bool:
        return self.ms is not None and not self.failed


@dataclass(slots=True)
class Phase:
    name: str
    started: float  # by the clock of `Phases`, seconds
    ended: float
    items: list[Item] = field(default_factory=list)
    shown: int = 0  # items that a line has been printed for

    @property
    def running(self) -> bool:
        return any(i.running for i in self.items)

    @property
    def failed(self) -> bool:
        return any(i.failed for i in self.items)


class Phases:
    """``clock`` tells how long things take, ``wall`` when they were over; both in seconds."""

    def __init__(
        self, project: str, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self.clock = clock
        self.wall = wall
        self.project = project
        self.phases: dict[str, Phase] = {}
        self.output: dict[str, str] = {}  # the last line of output of what is running, by subject
        self._failed = False

    def feed(self, event: Event) -> Phase | None:
        """Take an event in; answers the phase that it belongs to."""
        if event.kind == "progress":
            self.output[event.subject] = event.message
        if event.kind not in ("step", "step-done", "step-failed"):
            return None
        name = self._phase_of(event)
        if not name:
            return None
        now = self.clock()
        if name == "restore" and not self._failed:
            self._stop(now)
        phase = self.phases.setdefault(name, Phase(name, now, now))
        phase.ended = now
        if event.kind == "step":
            if not phase.running and phase.shown == len(phase.items):
                phase.started = now
            phase.items.append(Item(event.name, event.subject, event.message))
        else:
            self._over(phase, event)
        return phase

    def ordered(self) -> list[Phase]:
        """In the order that they are shown in."""
        return [self.phases[name] for name in ORDER if name in self.phases]

    def _phase_of(self, event: Event) -> str:
        name = str(event.data.get("phase") or "")
        if name == "start" and event.subject == proxy_container(self.project):
            return "prepare"
        return "restore" if name and self._failed else name

    def _stop(self, now: float) -> None:
        """Things are being put back and nothing has failed: what was running has been interrupted."""
        self._failed = True
        for phase in self.phases.values():
            for item in phase.items:
                if item.running:
                    item.failed, item.note, phase.ended = True, STOPPED, now

    def _over(self, phase: Phase, event: Event) -> None:
        item = next((i for i in phase.items if i.running and (i.verb, i.subject) == (event.name, event.subject)), None)
        if item is None:
            item = Item(event.name, event.subject)
            phase.items.append(item)
        item.ms, item.note, item.at = event.ms or 0.0, event.message, self.wall()
        item.failed = event.kind == "step-failed"
        self._failed = self._failed or item.failed
        self.output.pop(event.subject, None)
