"""One look at the public address after a switch: what a person on this machine gets.

A finding, never a verdict: from here the address may not be reachable at all (a firewall, a remote engine).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Look:
    """``status`` None: no answer, and ``problem`` says why. ``ms`` is until the headers were read."""

    url: str
    status: int | None
    ms: float
    problem: str | None = None


def look(url: str, *, timeout: float = TIMEOUT) -> Look:
    """GET the address without following redirects and without the environment's proxies."""
    import httpx

    start = time.monotonic()
    try:
        with (
            httpx.Client(timeout=timeout, trust_env=False, follow_redirects=False) as client,
            client.stream("GET", url, headers={"User-Agent": "bluegreen"}) as response,
        ):
            return Look(url, response.status_code, (time.monotonic() - start) * 1000)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Look(url, None, (time.monotonic() - start) * 1000, str(error) or type(error).__name__)
