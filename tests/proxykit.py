"""Generations and sessions for tests of the proxy's side, in memory and for real."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bluegreen.model.codec import encode
from bluegreen.model.names import Kind, Slot
from bluegreen.model.project import ProxySettings, Route
from bluegreen.model.release import Release, Routes, ServiceRelease, Stack
from bluegreen.proxy.memory import MemoryNginx, agent_stream
from bluegreen.proxy.render import render
from bluegreen.proxy.session import ProxySession

SETTINGS = ProxySettings()
BLUE_ADDRESS, GREEN_ADDRESS = "10.213.1.16:8000", "10.213.2.16:8000"


def release(number: int, /, **services: tuple[str, ...]) -> Release:
    """A release with these routed services; by default one, ``web``, at ``/``. Prefixes may carry ``HOST/``."""
    wanted = services or {"web": ("/",)}
    return Release(
        number,
        f"v{number}",
        "config",
        {
            name: ServiceRelease(Kind.ROUTED, "sha256:x", routes=tuple(map(route, routes)), port=8000)
            for name, routes in wanted.items()
        },
    )


def route(text: str) -> Route:
    host, slash, path = text.partition("/")
    return Route(slash + path, host or None)


def stack(number: int, address: str = BLUE_ADDRESS, /, **services: tuple[str, ...]) -> Stack:
    made = release(number, **services)
    return Stack(made, dict.fromkeys(made.services, (address,)))


def both(live: Slot | None = None, share: int = 0, blue: Stack | None = None, green: Stack | None = None) -> Routes:
    """Release 1 in blue, 2 in green."""
    stacks = {Slot.BLUE: blue or stack(1, BLUE_ADDRESS), Slot.GREEN: green or stack(2, GREEN_ADDRESS)}
    return Routes(0, live=live, share=share, stacks=stacks, project="shop")


def upload(routes: Routes, settings: ProxySettings = SETTINGS) -> dict[str, Any]:
    key = repr((routes, settings))
    if key not in _rendered:
        _rendered[key] = render(routes, settings, 2)
    return {"files": dict(_rendered[key]), "routes": encode(routes)}


_rendered: dict[str, dict[str, str]] = {}


def topology(routes: Routes, parent: int, **more: Any) -> dict[str, Any]:
    return {"op": "activate", "generation": upload(routes), "parent": parent, "topology": True, **more}


def flip(routes: Routes, parent: int, **more: Any) -> dict[str, Any]:
    """All traffic to ``routes.live``, with the way back to the other slot."""
    assert routes.live is not None
    way = {"back": upload(replace(routes, live=routes.live.other)), "settle": "verified", **more}
    return {"op": "activate", "generation": upload(routes), "parent": parent, "topology": False, **way}


def way_back(parent: int, **more: Any) -> dict[str, Any]:
    return {"op": "activate", "generation": "back", "parent": parent, "settle": "verified", **more}


class Killed(BaseException):
    """The agent was killed with SIGKILL here."""


class KillAt:
    """Kills the agent at the ``at``-th thing it announces, counted from 0; -1 never."""

    def __init__(self, at: int = -1) -> None:
        self.at = at
        self.seen: list[str] = []

    def __call__(self, what: str) -> None:
        self.seen.append(what)
        if len(self.seen) - 1 == self.at:
            raise Killed(what)


class MemoryProxy:
    """A proxy in memory whose containers answer their colour; a port other than 8000 refuses."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.refusing: set[str] = set()
        self.answers: dict[str, Callable[[str, Mapping[str, str]], tuple[int, Mapping[str, str], bytes]]] = {}
        self.nginx = MemoryNginx(root, self._fetch)

    def session(self, on: Callable[[str], None] | None = None) -> ProxySession:
        return ProxySession(agent_stream(self.root, self.nginx, on))

    def holding(self, operation: str = "deploy-1", on: Callable[[str], None] | None = None) -> ProxySession:
        """A session that holds the lease."""
        session = self.session(on)
        session.run([{"op": "acquire", "operation": operation, "holder": "test", "seconds": 30}])
        return session

    def at_blue(self) -> None:
        """Both stacks known, blue live, green the way back: generation 2."""
        session = self.holding("setup")
        session.run([topology(both(), 0), flip(both(Slot.BLUE), 1), {"op": "release", "operation": "setup"}])
        session.close()

    def _fetch(
        self, ip: str, port: int, method: str, path: str, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        del method
        address = f"{ip}:{port}"
        if address in self.refusing or port != 8000:
            raise ConnectionRefusedError
        if address in self.answers:
            return self.answers[address](path, headers)
        return 200, {"Content-Type": "text/plain"}, {BLUE_ADDRESS: b"blue", GREEN_ADDRESS: b"green"}[address]
