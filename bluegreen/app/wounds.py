"""What has befallen live containers, as far as the engine still knows it."""

from __future__ import annotations

import re
from datetime import datetime

from bluegreen.app.status import Trouble
from bluegreen.engine.protocol import Engine
from bluegreen.model.containers import Container
from bluegreen.model.errors import BluegreenError
from bluegreen.model.names import Kind
from bluegreen.model.observed import Observed, manifest

ENDED = ("exited", "restarting", "dead")
RECENT = 3600.0
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800, "month": 2592000, "year": 31536000}
_UP = re.compile(r"Up (?:(Less than a|About an?|\d+) )?(second|minute|hour|day|week|month|year)s?")


def wounds(engine: Engine, observed: Observed) -> list[Trouble]:
    """Why live containers have ended, and which the engine has restarted within the last hour.

    A container is only inspected where its listing gives a reason to: it has ended, or it is not up for as long as
    it is there.
    """
    now = _unix(observed.proxy.clock)
    found: list[Trouble] = []
    for container in observed.stack(observed.live) if observed.live else ():
        if _is_job(container) or (container.state not in ENDED and not _came_back(container, now)):
            continue
        try:
            details = engine.container(container.name)
        except BluegreenError:
            continue  # it went away meanwhile, or the engine did: the next look tells
        logs = (f"bg logs {container.service}",)
        if details.container.state in ENDED:
            from bluegreen.execution.diagnosis import not_alive  # all is well, most of the time

            text = not_alive(details).text.rstrip(".")
            found.append(Trouble("live.ended", f"{container.name} {text}", logs))
        elif details.restarts:
            often = "once" if details.restarts == 1 else f"{details.restarts} times"
            message = f"{container.name} ended and was restarted by the engine, {often} since the release was started"
            found.append(Trouble("live.restarted", message, logs))
    return found


def _is_job(container: Container) -> bool:
    """One of a live release is over, and has done what it was for: else that had not become live."""
    release = manifest(container)
    service = release.services.get(container.service) if release else None
    return service is not None and service.kind is Kind.JOB


def _came_back(container: Container, now: float | None) -> bool:
    """Whether it may have been restarted lately: then it is up for less long than it is there."""
    up = _longest_up(container.status)
    if up is None or now is None or not container.created:
        return False
    return up <= RECENT and now - container.created > up + 1


def _longest_up(status: str) -> float | None:
    """The longest time, in seconds, of which the engine says ``Up 5 minutes``; None where it says something else."""
    told = _UP.match(status)
    if told is None:
        return None
    number, unit = told.groups()
    few = 1 if number is None or not number.isdecimal() else int(number) + 1
    return float((2 if number and number.startswith("About") else few) * _UNITS[unit])


def _unix(moment: str) -> float | None:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return None
