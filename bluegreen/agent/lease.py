"""Who may act: a lease that expires by itself, and the epoch that every new holder raises.

Expiry counts on the monotonic clock, since a clock set back must not keep a dead holder's lease. A lease
of before the proxy container's last start is void: the session that took it is gone.
"""

from __future__ import annotations

from .clock import rfc3339
from .errors import Refusal
from .jsonl import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .clock import Clock
    from .files import Files

NAME = "lease.json"


class Leases:
    """All calls except `read` want the lock held."""

    def __init__(self, files: Files, clock: Clock, start: str, running: Callable[[str], bool]) -> None:
        """``start`` names this start of the proxy container; ``running`` says whether a session's agent runs."""
        self._files = files
        self._clock = clock
        self._start = start
        self._running = running

    def read(self) -> tuple[int, dict[str, Any] | None]:
        """The epoch, and the lease unless it has expired."""
        epoch, lease = self._stored()
        return epoch, lease if lease is not None and self._alive(lease) else None

    def check(self, epoch: int) -> None:
        """Raises the refusal ``overtaken`` unless this is the current epoch."""
        now = self._stored()[0]
        if epoch != now:
            raise Refusal("overtaken", f"epoch {epoch} was overtaken by {now}", current=now)

    def take(self, operation: str, holder: str, seconds: float, session: str) -> int:
        """Make a lease whatever was there, and answer its epoch."""
        epoch = self._stored()[0] + 1
        self._store(epoch, self._lease(operation, holder, seconds, session))
        return epoch

    def renew(self, operation: str, session: str, seconds: float | None = None) -> dict[str, Any]:
        """Extend it. Also after it expired, as long as nobody took it. From now on it is this session's."""
        epoch, lease = self._stored()
        if lease is None or lease.get("operation") != operation:
            raise Refusal("overtaken", f"{operation} does not hold the lease any more", current=epoch)
        renewed = self._lease(operation, str(lease.get("holder")), seconds or float(lease["seconds"]), session)
        self._store(epoch, renewed)
        return renewed

    def release(self, operation: str) -> None:
        """Idempotent: what someone else holds stays."""
        epoch, lease = self._stored()
        if lease is not None and lease.get("operation") == operation:
            self._store(epoch, None)

    def held_by(self, session: str) -> dict[str, Any] | None:
        """The lease, where it is this session's."""
        lease = self._stored()[1]
        return lease if lease is not None and lease.get("session") == session else None

    def _lease(self, operation: str, holder: str, seconds: float, session: str) -> dict[str, Any]:
        return {
            "operation": operation,
            "holder": holder,
            "seconds": seconds,
            "expires": rfc3339(self._clock.now() + seconds),
            "deadline": self._clock.monotonic() + seconds,
            "start": self._start,
            "session": session,
        }

    def _alive(self, lease: dict[str, Any]) -> bool:
        return (
            lease.get("start") == self._start
            and self._clock.monotonic() < float(lease.get("deadline") or 0)
            and self._running(str(lease.get("session")))
        )

    def _stored(self) -> tuple[int, dict[str, Any] | None]:
        text = self._files.read(NAME)
        if text is None:
            return 0, None
        try:
            data = loads(text)
            lease = data["lease"]
            return int(data["epoch"]), lease if isinstance(lease, dict) else None
        except (ValueError, KeyError, TypeError):
            # Unreadable: an epoch above all that were given out, so that no old holder can go on.
            return int(self._clock.now()), None

    def _store(self, epoch: int, lease: dict[str, Any] | None) -> None:
        # Not made durable: after a loss of power every session is gone, and with it who could use an older epoch.
        self._files.write(NAME, dumps({"v": 1, "epoch": epoch, "lease": lease}), durable=False)
