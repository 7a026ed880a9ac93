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
    slot: str | None = None  # the slot that answered, told to whoever has the token
    release: int | None = None  # what is in that slot

    def __str__(self) -> str:
        if self.status is None:
            return f"GET {self.url} from here: {self.problem}"
        return f"GET {self.url} {self.status}" + (f", served by release {self.release}" if self.release else "")


def look(url: str, token: str | None = None, *, timeout: float = TIMEOUT) -> Look:
    """GET the address without following redirects and without the environment's proxies.

    With ``token``, the preview listener's, the proxy tells which slot answered. It is for addresses of this machine
    only: the request is not encrypted.
    """
    from http.client import HTTPConnection, HTTPException
    from urllib.parse import urlsplit

    start = time.monotonic()
    connection = None
    try:
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        headers = {"User-Agent": "bluegreen"} | ({"X-Bluegreen-Token": token} if token else {})
        connection.request("GET", parts.path or "/", headers=headers)
        answer = connection.getresponse()
        ms = (time.monotonic() - start) * 1000
        return Look(url, answer.status, ms, slot=answer.headers.get("X-Bluegreen-Slot"))
    except (HTTPException, OSError, ValueError) as error:
        return Look(url, None, (time.monotonic() - start) * 1000, str(error) or type(error).__name__)
    finally:
        if connection is not None:
            connection.close()
