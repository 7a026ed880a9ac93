"""What works on the proxy's side: `PROTOCOL.md`.

A copy of this package stands in the proxy image as ``bluegreen_agent`` and is started by one exec for
every session, so what it imports is part of a rollback's time. Bare Python starts in 9 ms here; ``json``
and ``socket`` together add 15, ``typing`` and ``dataclasses`` as much again. Hence only C modules
and ``os``, plain classes, and ``TYPE_CHECKING`` as a name of our own, which type checkers know.
"""

PROTOCOL = 1
"""Number of the contract in `PROTOCOL.md`. Raised when an operator's older or newer tool could go wrong."""

SEPARATOR = b"\x1e"
"""In an answer: before raw data, and in that instead of each line's end."""
