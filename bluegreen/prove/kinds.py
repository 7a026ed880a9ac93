"""The kinds of clients: what each does, and how many there are of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

KINDS: Mapping[str, str] = {
    "reuse": "a kept-alive connection, one request after the other",
    "think": "a kept-alive connection, with pauses",
    "close": "Connection: close, a new connection each time",
    "http10": "HTTP/1.0, a new connection each time",
    "pipeline": "four requests at once on one connection",
    "post": "POST, each with an id",
    "upload": "an upload that takes seconds",
    "download": "a download that takes seconds",
    "chunked": "a chunked answer that takes seconds",
    "events": "server-sent events",
    "websocket": "a WebSocket",
}
"""In the order that they are shown, and numbered, in."""

NUMBERS: Mapping[str, int] = {kind: number for number, kind in enumerate(KINDS)}
NAMES: Sequence[str] = tuple(KINDS)

SHORT = frozenset(("reuse", "think", "close", "http10", "post"))
"""Kinds whose answers come at once: their latencies mean something."""

ALWAYS = ("reuse", "think", "close", "http10", "pipeline")
"""Kinds that any project can be asked."""

LEAST = len(KINDS)
MOST = 1000

_MORE = ("think", "reuse", "think", "events", "think", "websocket", "think", "post", "close", "think")
"""Who gets the connections beyond one for each kind, in turn."""


def allocate(connections: int, kinds: Sequence[str]) -> dict[str, int]:
    """How many clients of each of these kinds: one at least, so there may be more than ``connections``."""
    counts = dict.fromkeys(kinds, 1)
    turns = [kind for kind in _MORE if kind in counts]
    for number in range(max(0, connections - len(counts))):
        counts[turns[number % len(turns)]] += 1
    return counts
