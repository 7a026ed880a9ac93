"""One look at the public address after a switch: what a person on this machine gets.

A finding, never a verdict: from here the address may not be reachable at all (a firewall, a remote engine).
"""

from __future__ import annotations

import time

from bluegreen.model.value import dataclass

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
    from http.client import HTTPConnection, HTTPException
    from urllib.parse import urlsplit

    start = time.monotonic()
    connection = None
    try:
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        connection.request("GET", parts.path or "/", headers={"User-Agent": "bluegreen"})
        return Look(url, connection.getresponse().status, (time.monotonic() - start) * 1000)
    except (HTTPException, OSError, ValueError) as error:
        return Look(url, None, (time.monotonic() - start) * 1000, str(error) or type(error).__name__)
    finally:
        if connection is not None:
            connection.close()
