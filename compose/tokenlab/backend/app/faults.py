"""Ways for a release to be bad, turned on by the environment: something to roll back from."""

import asyncio
import logging
import os
import random
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

HEALTH = "/api/v1/health"
SPARED = (HEALTH, "/api/v1/version")  # by ERROR_RATE: a release that fails some requests and still looks fine

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("uvicorn.error")


@dataclass(frozen=True)
class Faults:
    """As in the README's table. The defaults are a release that works."""

    fail_health: str = ""
    start_delay: float = 0.0
    error_rate: float = 0.0
    latency: float = 0.0
    crash: str = ""
    redirect: bool = False
    only_host: str = ""
    listen: str = "0.0.0.0"  # noqa: S104  # inside a container, where only its networks reach it
    port: int = 8000

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Faults":
        """Raises ValueError that names every variable with a value that it can't have."""
        problems: list[str] = []

        def number(name: str, default: float, most: float) -> float:
            text = environment.get(name) or str(default)
            try:
                value = float(text)
            except ValueError:
                value = -1
            if not 0 <= value <= most:
                problems.append(f"{name}={text}: expected a number from 0 to {most:g}")
            return value

        def word(name: str, fits: Callable[[str], bool], expected: str) -> str:
            text = environment.get(name, "")
            if text and not fits(text):
                problems.append(f"{name}={text}: expected {expected}")
            return text

        faults = cls(
            fail_health=word("FAIL_HEALTH", _is_health, "1, body, or a status from 300 to 599"),
            start_delay=number("START_DELAY", 0, 3600),
            error_rate=number("ERROR_RATE", 0, 1),
            latency=number("LATENCY", 0, 3600),
            crash=word("CRASH", _is_crash, "at-start, oom or after:SECONDS"),
            redirect=environment.get("REDIRECT", "") not in ("", "0"),
            only_host=environment.get("ONLY_HOST", ""),
            listen=environment.get("LISTEN") or cls.listen,
            port=int(number("LISTEN_PORT", cls.port, 65535)),
        )
        if problems:
            raise ValueError("; ".join(problems))
        return faults

    def before_listening(self) -> None:
        """Delays the start, ends the process or arranges its end."""
        if self.crash == "at-start":
            log.critical("CRASH=at-start: giving up")
            sys.exit(3)
        if self.start_delay:
            log.warning("START_DELAY=%g: waiting before listening", self.start_delay)
            time.sleep(self.start_delay)
        if self.crash == "oom":
            _eat_memory()
        if self.crash.startswith("after:"):
            seconds = float(self.crash.removeprefix("after:"))
            timer = threading.Timer(seconds, _die, [f"CRASH={self.crash}: giving up"])
            timer.daemon = True
            timer.start()


class Faulty:
    """The application, behaving as badly as `faults` say. WebSockets are left alone."""

    def __init__(self, app: Application, faults: Faults, chance: Callable[[], float] = random.random) -> None:
        self.app = app
        self.faults = faults
        self.chance = chance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self.faults.latency:
                await asyncio.sleep(self.faults.latency)
            refusal = self._refusal(scope)
            if refusal is not None:
                await _answer(send, *refusal)
                return
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str, dict[str, str]] | None:
        path = scope["path"]
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if self.faults.redirect:
            return 301, "", {"location": f"https://{host}{path}"}
        if self.faults.only_host and host.partition(":")[0] != self.faults.only_host:
            return 400, f"Invalid host header: {host}", {}
        if self.faults.fail_health and path == HEALTH:
            if self.faults.fail_health == "body":
                return 200, '{"status": "starting"}', {}
            status = 503 if self.faults.fail_health == "1" else int(self.faults.fail_health)
            return status, '{"status": "unhealthy"}', {}
        if path not in SPARED and self.chance() < self.faults.error_rate:
            return 500, "ERROR_RATE chose this request", {}
        return None


async def _answer(send: Send, status: int, text: str, headers: dict[str, str]) -> None:
    body = text.encode()
    kind = "application/json" if text.startswith("{") else "text/plain"
    headers = {"content-type": kind, "content-length": str(len(body)), **headers}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _is_health(text: str) -> bool:
    return text in ("1", "body") or (text.isdecimal() and 300 <= int(text) <= 599)


def _is_crash(text: str) -> bool:
    seconds = text.removeprefix("after:")
    return text in ("at-start", "oom") or (seconds != text and seconds.replace(".", "", 1).isdecimal())


def _eat_memory(most: int = 2**30, step: int = 2**24) -> None:
    """Ends in the kernel's hands where the container has a memory limit, and by itself where it has none."""
    eaten = [b"\xff" * step for _ in range(most // step)]
    _die(f"CRASH=oom: {len(eaten) * step} bytes and no limit met")


def _die(reason: str) -> None:
    log.critical(reason)
    os._exit(3)
