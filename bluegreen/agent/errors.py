"""How an operation of the protocol says no."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Refusal(Exception):
    """An operation that was not done, or not done as asked: a stable ``code``, words, further fields."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.more = more


class EndOfSession(Exception):
    """The other side went away while an operation was waiting."""
