"""The events of an operation, summed up: one line a phase, as it goes and when it is over."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bluegreen.cli.layout import duration, right, wrapped

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
    "restore",
    "down",
)
_LABELS = {"topology": "proxy", "retire": "make room", "restore": "put back"}
_CONTAINER = re.compile(r".*-(?:blue|green)-(?P<service>.+)-\d+")
LABEL = 11


@dataclass(slots=True)
class Item:
    """What one step of a phase is about."""

    verb: str
    subject: str
    cause: str = ""
    ms: float | None = None
    failed: str | None = None

    @property
    def running(self) -> bool:
        return self.ms is None and self.failed is None


@dataclass(slots=True)
class Phase:
    name: str
    started: float
    ended: float
    items: list[Item] = field(default_factory=list)
    shown: int = 0  # items that a line has been printed for

    @property
    def running(self) -> bool:
        return any(i.running for i in self.items)

    @property
    def failed(self) -> bool:
        return any(i.failed is not None for i in self.items)


class Phases:
    """Fold events into phases. ``clock`` in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.phases: dict[str, Phase] = {}
        self.progress = ""  # the last line of output of what is running

    def feed(self, event: Event) -> Phase | None:
        """Take an event in; answers the phase that it belongs to."""
        name = str(event.data.get("phase") or "")
        if event.kind == "progress":
            self.progress = event.message
            return None
        if event.kind not in ("step", "step-done", "step-failed") or not name:
            return None
        now = self.clock()
        phase = self.phases.setdefault(name, Phase(name, now, now))
        phase.ended = now
        if event.kind == "step":
            phase.items.append(Item(event.name, event.subject, event.message))
            return phase
        item = next((i for i in phase.items if i.running and (i.verb, i.subject) == (event.name, event.subject)), None)
        if item is None:
            item = Item(event.name, event.subject)
            phase.items.append(item)
        item.ms = event.ms
        if event.kind == "step-failed":
            item.failed = event.message or "failed"
        else:
            item.ms = event.ms or 0.0
        self.progress = ""
        return phase

    def ordered(self) -> list[Phase]:
        known = {name: n for n, name in enumerate(ORDER)}
        return sorted(self.phases.values(), key=lambda p: known.get(p.name, len(ORDER)))


def phase_lines(phase: Phase, items: list[Item], width: int = 80, *, seconds: float | None = None) -> list[str]:
    """The lines of a phase, or of some of its items; the time at the right edge of the first."""
    label = _LABELS.get(phase.name, phase.name)
    spent = seconds if seconds is not None else phase.ended - phase.started
    end = duration(spent * 1000)
    text = summary(phase.name, items)
    lines = wrapped(text, f"  {label.ljust(LABEL - 2)}", width - len(end) - 2)
    fixed = [lines[0], *(f"{'':{LABEL}}{line.strip()}" for line in lines[1:])]
    return [*fixed[:-1], right(fixed[-1], end, width)]


def summary(name: str, items: list[Item]) -> str:
    """What a phase has done, in words."""
    done = [i for i in items if not i.running]
    failed = [i for i in items if i.failed is not None]
    running = [i for i in items if i.running]
    text = _SUMMARIES.get(name, _plainly)(items, [i for i in done if i.failed is None])
    if failed:
        return "; ".join([*([text] if text else []), *(f"{i.subject}: failed" for i in failed)])
    if running and not text:
        return ", ".join(dict.fromkeys(_short(i.subject) for i in running)) + " ..."
    return text


def _plainly(_items: list[Item], done: list[Item]) -> str:
    return ", ".join(dict.fromkeys(f"{i.verb} {_short(i.subject)}" for i in done))


def _prepare(_items: list[Item], done: list[Item]) -> str:
    made = [i for i in done if i.verb != "keep-image"]
    words = {"network": "network", "volume": "volume", "create": "container", "start": "started", "build": "built"}
    parts = []
    for verb, word in words.items():
        found = list(dict.fromkeys(_short(i.subject) for i in made if i.verb == verb))
        if verb in ("network", "volume", "create"):
            if found:
                parts.append(f"{len(found)} {word}{'s' if len(found) > 1 else ''}")
        elif found:
            parts.append(f"{', '.join(found)} {word}")
    return ", ".join(parts)


def _build(_items: list[Item], done: list[Item]) -> str:
    return "  ".join(f"{i.subject} {duration(i.ms or 0)}" for i in done)


def _start(items: list[Item], done: list[Item]) -> str:
    wanted: dict[str, set[str]] = {}
    there: dict[str, set[str]] = {}
    for item in items:
        if item.verb == "start":
            wanted.setdefault(_short(item.subject), set()).add(item.subject)
    for item in done:
        if item.verb == "start":
            there.setdefault(_short(item.subject), set()).add(item.subject)
    parts = [f"{name} {len(there.get(name, ()))}/{len(all_)}" for name, all_ in wanted.items()]
    parts += [f"{_short(i.subject)} done" for i in done if i.verb == "run-job"]
    created = len({i.subject for i in done if i.verb in ("create", "recreate")})
    if not parts and created:
        return f"{created} containers created"
    return "  ".join(parts)


def _health(items: list[Item], done: list[Item]) -> str:
    names = dict.fromkeys(i.subject for i in items)
    ready = []
    for name in names:
        mine = [i for i in items if i.subject == name]
        if all(i in done for i in mine):
            probe = next((i for i in mine if i.verb == "probe"), None)
            said = f" {probe.cause.split(' must ')[0]}" if probe and " must " in probe.cause else ""
            ready.append(f"{name}{said} ok")
        elif any(i.running for i in mine):
            ready.append(f"{name} ...")
    return "  ".join(ready)


def _smoke(items: list[Item], done: list[Item]) -> str:
    checks = sum(_leading_number(i.subject) for i in items if _leading_number(i.subject))
    commands = [i for i in items if not _leading_number(i.subject)]
    passed = sum(_leading_number(i.subject) for i in done if _leading_number(i.subject))
    passed += sum(1 for i in commands if i in done)
    return f"{passed} of {checks + len(commands)} passed"


def _switch(_items: list[Item], done: list[Item]) -> str:
    if any(i.verb == "switch" for i in done):
        slot = next(i.subject for i in done if i.verb == "switch").rpartition(" in ")[2]
        return f"100 % to {slot}, confirmed by the proxy"
    return "every new upstream answers through the proxy" if any(i.verb == "probe" for i in done) else ""


def _topology(_items: list[Item], done: list[Item]) -> str:
    return "it knows the new containers" if done else ""


def _workers(_items: list[Item], done: list[Item]) -> str:
    parts = []
    for verb, word in (("stop", "stopped"), ("start", "running")):
        found = list(dict.fromkeys(i.subject for i in done if i.verb == verb))
        if found:
            parts.append(f"{', '.join(_slot_and_service(s) for s in found)} {word}")
    return ", ".join(parts)


def _retire(_items: list[Item], done: list[Item]) -> str:
    parts = []
    kept = [i for i in done if i.verb == "keep"]
    gone = [i for i in done if i.verb == "remove"]
    if kept:
        parts.append(f"{len(kept)} containers stopped and kept")
    if gone:
        parts.append(f"{len(gone)} removed")
    if not parts and any(i.verb == "drain" for i in done):
        parts.append("no connection left")
    return ", ".join(parts)


def _prune(_items: list[Item], done: list[Item]) -> str:
    images = sum(1 for i in done if i.verb == "remove-image")
    return f"{images} kept image tags of older releases removed" if images else ""


def _restore(_items: list[Item], done: list[Item]) -> str:
    return "output of the candidate saved" if any(i.verb == "save-logs" for i in done) else ""


_SUMMARIES: dict[str, Callable[[list[Item], list[Item]], str]] = {
    "prepare": _prepare,
    "build": _build,
    "start": _start,
    "health": _health,
    "smoke": _smoke,
    "switch": _switch,
    "topology": _topology,
    "workers": _workers,
    "retire": _retire,
    "prune": _prune,
    "restore": _restore,
}


def _short(subject: str) -> str:
    """A container by its service; anything else by its own name."""
    match = _CONTAINER.fullmatch(subject.split(" from ")[0])
    return match["service"] if match else subject


def _slot_and_service(subject: str) -> str:
    match = re.fullmatch(r".*-(?P<slot>blue|green)-(?P<service>.+)-\d+", subject)
    return f"{match['slot']} {match['service']}" if match else subject


def _leading_number(text: str) -> int:
    match = re.match(r"(\d+) checks", text)
    return int(match[1]) if match else 0


def unshown(phases: Iterable[Phase]) -> list[Phase]:
    return [p for p in phases if len([i for i in p.items if not i.running]) > p.shown]
