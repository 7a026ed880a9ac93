"""A phase as a line: what has been done, in the words of the project's own services."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from bluegreen.cli.layout import WIDTH, count, duration, right, wrapped
from bluegreen.cli.phases import STOPPED, Item, Phase

LABEL = 11
_LABELS = {"topology": "proxy", "retire": "keep"}
_SLOT = re.compile(r"(?P<slot>blue|green)-(?P<service>.+)-\d+")
_SHARED = re.compile(r"(?P<service>.+?)(?:-\d+)?")
_CHECKS = re.compile(r"(\d+) checks? on .*")


def lines(phase: Phase, items: Sequence[Item], project: str, width: int = WIDTH, *, now: float = 0.0) -> list[str]:
    """The lines of a phase, or of some of its items. None where nothing is worth a line."""
    text = summary(phase, items, project)
    if not text:
        return []
    end = duration(_spent(phase, items, now) * 1000)
    label = f"  {_LABELS.get(phase.name, phase.name)}".ljust(LABEL)
    first, *rest = wrapped(text, label, width - len(end) - 2)
    body = [first, *(f"{'':{LABEL}}{line.strip()}" for line in rest)]
    return [*right(body[0], end, width), *body[1:]]


def summary(phase: Phase, items: Sequence[Item], project: str) -> str:
    """What has been done of it and what is being done; "" where that is not worth a line."""
    names = _Names(project)
    text = _SUMMARIES.get(phase.name, _plainly)(items, names)
    if failed := [i for i in items if i.failed]:
        ends = [f"{names.service(i.subject)} {i.note if i.note == STOPPED else 'FAILED'}" for i in failed]
        return ", ".join(filter(None, [text, *dict.fromkeys(ends)]))
    if not text and (running := [i for i in items if i.running]):
        return ", ".join(dict.fromkeys(names.service(i.subject) for i in running)) + " ..."
    return text


class _Names:
    """Containers by their services."""

    def __init__(self, project: str) -> None:
        self._prefix = f"{project}-"

    def service(self, subject: str) -> str:
        name = subject.split(" from ")[0].split(" as ")[0]
        if not name.startswith(self._prefix):
            return name
        rest = name.removeprefix(self._prefix)
        found = _SLOT.fullmatch(rest) or _SHARED.fullmatch(rest)
        return found["service"] if found else rest

    def placed(self, subject: str) -> str:
        found = _SLOT.fullmatch(subject.removeprefix(self._prefix))
        return f"{found['slot']} {found['service']}" if found else self.service(subject)


Summary = Callable[[Sequence[Item], _Names], str]


def _spent(phase: Phase, items: Sequence[Item], now: float) -> float:
    """A switch takes as long as its flip; everything else from its first step's beginning to its last one's end."""
    single = next((i for i in items if i.verb in ("switch", "shift", "public") and i.done), None)
    if single is not None:
        return (single.ms or 0.0) / 1000
    return max(0.0, (now if phase.running and now else phase.ended) - phase.started)


def _plainly(items: Sequence[Item], names: _Names) -> str:
    return ", ".join(dict.fromkeys(f"{i.verb} {names.service(i.subject)}" for i in items if i.done))


def _prepare(items: Sequence[Item], names: _Names) -> str:
    """Making sure of what is there already is not worth a line."""
    parts = [f"{names.service(i.subject)} image built" for i in items if i.verb == "build" and i.done]
    parts += [f"{names.service(i.subject)} started" for i in items if i.verb == "start" and i.done]
    return ", ".join(parts)


def _build(items: Sequence[Item], _names: _Names) -> str:
    parts = [f"{i.subject} {duration(i.ms or 0)}" for i in items if i.done and not i.note]
    before = [i.subject for i in items if i.done and i.note]
    running = [i.subject for i in items if i.running]
    parts += [f"{', '.join(before)} (built before)"] if before else []
    parts += [f"{', '.join(running)} ..."] if running else []
    return "  ".join(parts)


def _retire(items: Sequence[Item], _names: _Names) -> str:
    parts = []
    if waiting := [i for i in items if i.verb == "drain" and i.running]:
        parts.append(f"waiting for the last connections to {waiting[0].subject}")
    if kept := sum(1 for i in items if i.verb == "keep" and i.done):
        parts.append(f"{count(kept, 'former container')} stopped, kept for a cold rollback")
    if gone := sum(1 for i in items if i.verb == "remove" and i.done):
        parts.append(f"{count(gone, 'left-over container')} removed")
    return ", ".join(parts)


def _start(items: Sequence[Item], names: _Names) -> str:
    wanted: dict[str, list[Item]] = {}
    for item in items:
        if item.verb == "start":
            wanted.setdefault(names.service(item.subject), []).append(item)
    parts = [f"{name} {sum(i.done for i in mine)}/{len(mine)}" for name, mine in wanted.items()]
    parts += [f"{names.service(i.subject)} {'done' if i.done else '...'}" for i in items if i.verb == "run-job"]
    return "  ".join(parts)


def _health(items: Sequence[Item], _names: _Names) -> str:
    parts = []
    for name in dict.fromkeys(i.subject for i in items):
        mine = [i for i in items if i.subject == name]
        probe = next((i for i in mine if i.verb == "probe"), None)
        asked = f" {probe.cause.split(' must ')[0]}" if probe and " must " in probe.cause else ""
        if all(i.done for i in mine):
            parts.append(f"{name}{asked} ok")
        elif any(i.running for i in mine):
            parts.append(f"{name}{asked} ...")
    return "  ".join(parts)


def _topology(items: Sequence[Item], _names: _Names) -> str:
    return "knows the new containers" if any(i.done for i in items) else ""


def _smoke(items: Sequence[Item], _names: _Names) -> str:
    def checks(item: Item) -> int:
        found = _CHECKS.fullmatch(item.subject)
        return int(found[1]) if found else 1

    return f"{sum(checks(i) for i in items if i.done)} of {sum(map(checks, items))} passed"


def _switch(items: Sequence[Item], _names: _Names) -> str:
    flip = next((i for i in items if i.verb in ("switch", "shift") and i.done), None)
    if flip is None:
        return ""
    slot = flip.subject.rpartition(" in ")[2]
    share = "100 %" if flip.verb == "switch" else flip.subject.partition(" of ")[0]
    at = time.strftime("%H:%M:%S", time.localtime(flip.at)) + f".{int(flip.at * 1000) % 1000:03}"
    return f"{share} to {slot} at {at}, confirmed by the proxy"


def _workers(items: Sequence[Item], names: _Names) -> str:
    parts = []
    for verb, word in (("stop", "stopped"), ("start", "running")):
        found = list(dict.fromkeys(names.placed(i.subject) for i in items if i.verb == verb and i.done))
        parts += [f"{', '.join(found)} {word}"] if found else []
    return ", ".join(parts)


def _prune(items: Sequence[Item], _names: _Names) -> str:
    images = sum(1 for i in items if i.verb == "remove-image" and i.done)
    return f"{count(images, 'image')} of older releases let go" if images else ""


def _public(items: Sequence[Item], _names: _Names) -> str:
    return items[-1].subject if items else ""


def _restore(items: Sequence[Item], names: _Names) -> str:
    parts = []
    started = [names.service(i.subject) for i in items if i.verb == "start" and i.done]
    if any(i.verb == "remove" and i.done for i in items):
        parts.append("the candidate is removed, its output saved")
    if started:
        parts.append(f"former standby started: {', '.join(dict.fromkeys(started))}")
    return ", ".join(parts)


_SUMMARIES: dict[str, Summary] = {
    "prepare": _prepare,
    "build": _build,
    "retire": _retire,
    "start": _start,
    "health": _health,
    "topology": _topology,
    "smoke": _smoke,
    "switch": _switch,
    "workers": _workers,
    "prune": _prune,
    "public": _public,
    "restore": _restore,
}
