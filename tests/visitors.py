"""Visitors of a project in memory, played to its proxy's access log."""

from __future__ import annotations

import random
from typing import Any

from bluegreen.app.ramp import Ramp, ramp
from bluegreen.app.site import Site
from bluegreen.model.names import Slot
from tests.world import World

LINE = (
    '{"t":%.3f,"slot":"%s","release":"","bucket":"%d","service":"api","status":"%d","time":0.013,"upstream_status":"%d",'
    '"upstream_time":"0.012","method":"GET","route":"/api/","fallback":"","bytes":512,"upstream":"10.0.0.2:80",'
    '"client":"%032x","address":"203.0.113.%d","host":"localhost","uri":"/api/x"}\n'
)


class Visitors:
    """New ones all the time, each with one request; whoever waits lets them come."""

    def __init__(self, world: World, a_second: int = 200) -> None:
        self.world = world
        self.a_second = a_second
        self.failing = {Slot.GREEN: 0.0, Slot.BLUE: 0.0}  # part of the requests
        self.at: dict[float, Any] = {}  # what happens at a moment
        self._chance = random.Random(7)  # noqa: S311 - a sample, no secret
        self._clock = world.nginx.clock
        self._really = self._clock.pause
        self._clock.pause = self._pause  # type: ignore[method-assign]
        self._begin = self._clock.monotonic()

    def site(self) -> Site:
        site = self.world.site()
        site.clock = self._clock.monotonic
        return site

    def _pause(self, seconds: float) -> None:
        self._really(seconds)
        now = self._clock.now()
        lines = []
        for _ in range(round(self.a_second * seconds)):
            bucket = self._chance.randrange(100)
            slot = self.world.nginx.serve("/api/x", bucket=bucket)[0]
            assert slot is not None
            status = 500 if self._chance.random() < self.failing[slot] else 200
            who = (now, slot, bucket, status, status, self._chance.getrandbits(128), self._chance.randrange(250))
            lines.append(LINE % who)
        self.world.nginx.log("".join(lines).encode())
        for moment in [m for m in self.at if self._clock.monotonic() - self._begin >= m]:
            self.at.pop(moment)()


def run(visitors: Visitors, *shares: int, hold: float = 20.0, **more: Any) -> Ramp:
    """Take the candidate from share to share while they come."""
    candidate = visitors.world.observed().candidate
    assert candidate is not None
    return ramp(visitors.site(), candidate, shares or (10, 50), hold=hold, **more)
