"""The conversation with the agent in the proxy's container: operations out, results in, over one exec.

`PROTOCOL.md` beside the agent says what the operations are. A rollback imports this, so it stays light.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bluegreen.agent import PROTOCOL, SEPARATOR
from bluegreen.model.errors import BluegreenError, EngineFailed, Held, JournalLost, Overtaken, ProxyFailed, Stale

if TYPE_CHECKING:
    from bluegreen.engine.protocol import Stream

AGENT = ("/opt/bluegreen/agent",)
"""The command to exec. The same in every version of the image: a later tool must reach an older agent."""

ANSWER_SECONDS = 30.0


class Followed(NamedTuple):
    """A part of the access log. ``position`` is where it ends: to go on there later, in any session."""

    data: bytes  # whole lines; b"" where nothing came within a second
    position: Mapping[str, Any]
    missed: int  # bytes just before this part that the log's rotation removed before they could be read
    behind: int  # bytes that are there and not read yet


class ProxySession:
    """One session. Threads may share it; their messages take turns.

    The lease of a session that is waiting for its agent is kept alive by the agent; in between,
    `start_renewing` does that.
    """

    def __init__(self, stream: Stream, seconds: float = ANSWER_SECONDS) -> None:
        """``seconds``: what the agent may take beyond the waiting that an operation itself asks for."""
        self._stream = stream
        self._seconds = seconds
        self._lock = threading.Lock()
        self._number = 0
        self._broken: BluegreenError | None = None
        self._renewing: threading.Thread | None = None
        self._stop = threading.Event()

    def run(self, ops: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Run operations in order and answer their results. Raises the error of the first that failed."""
        results = self.send(ops)
        for op, result in zip(ops, results, strict=False):
            if not result.get("ok"):
                raise refusal(result, str(op.get("op")))
        if len(results) < len(ops):
            raise self._fail("the agent answered less than it was asked")
        return results

    def send(self, ops: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The same without raising for results that say ``"ok": false``: as many results as were run.

        Raises `ProxyFailed` when the session has ended, and why.
        """
        with self._lock:
            if self._broken is not None:
                raise self._broken
            if not ops:
                return []
            self._number += 1
            request = json.dumps({"id": self._number, "do": list(ops)}, separators=(",", ":"))
            results = None
            try:
                self._stream.send(request.encode() + b"\n")
                while results is None:
                    line = self._stream.receive(self._seconds + sum(map(_waiting, ops)))
                    results = self._results(line)
            except EngineFailed as error:
                raise self._fail(str(error)) from error
            return results

    def start_renewing(self, operation: str, seconds: float) -> None:
        """Extend the lease in the background until `stop_renewing`, well before its ``seconds`` are over."""
        self.stop_renewing()
        self._stop = threading.Event()
        arguments = (operation, seconds / 4, self._stop)
        self._renewing = threading.Thread(target=self._renew, args=arguments, name="bluegreen-lease", daemon=True)
        self._renewing.start()

    def stop_renewing(self) -> None:
        """Idempotent."""
        self._stop.set()
        if self._renewing is not None:
            self._renewing.join(1.0)
            self._renewing = None

    def hello(self) -> dict[str, Any]:
        """The agent's version and clock. Raises `ProxyFailed` where it speaks another protocol than this tool."""
        answer = self.run([{"op": "hello"}])[0]
        if answer.get("protocol") != PROTOCOL:
            raise _other_protocol(answer.get("protocol"))
        return answer

    def follow(
        self, position: Mapping[str, Any] | None = None, *, oldest: bool = False, seconds: float = 1.0, reader: str = ""
    ) -> Iterator[Followed]:
        """The access log from a position on, without end: over rotations and reloads of the proxy no line is left out,
        and none comes twice. Without a position from now on, or from its ``oldest`` line.

        Something comes at least every ``seconds``, also when there is no new line. Other operations may be run in
        between; who follows the log from two places names a ``reader`` for each. Raises `ProxyFailed` when the session
        ends; the last position holds in another one.
        """
        while True:
            op = {"op": "follow", "reader": reader, "position": position, "oldest": oldest, "seconds": seconds}
            result = self.run([op])[0]
            position = result["position"]
            yield Followed(result.get("data", b""), result["position"], int(result["missed"]), int(result["behind"]))

    def close(self) -> None:
        """End the session. A lease that it still holds is released by the agent. Idempotent."""
        self.stop_renewing()
        self._stream.close()

    def _renew(self, operation: str, every: float, stop: threading.Event) -> None:
        due = time.monotonic() + every
        while not stop.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + every
            try:
                # Whoever lost the lease learns it from the epoch of its next step; so nothing to do here.
                self.send([{"op": "renew", "operation": operation}])
            except BluegreenError:
                return

    def _results(self, line: bytes) -> list[dict[str, Any]] | None:
        """None for the answer to an earlier request, whose asker was interrupted while waiting for it."""
        if not line:
            raise self._fail(self._stream.errors().strip()[-1000:] or "it ended without an answer")
        try:
            head, separator, data = line.partition(SEPARATOR)
            answer = json.loads(head)
            results = list(answer["results"])
            if separator:
                results[-1]["data"] = data.replace(SEPARATOR, b"\n")
        except (ValueError, KeyError, TypeError) as error:
            raise self._fail(f"it answered {line[:200]!r}") from error
        if isinstance(answer.get("id"), int) and answer["id"] < self._number:
            return None
        if answer.get("id") != self._number:
            raise self._fail(f"it answered {answer.get('id')} to {self._number}: {results}")
        return results

    def _fail(self, why: str) -> ProxyFailed:
        """After a message without its answer nobody knows what was done; the session is not used again."""
        self._broken = ProxyFailed(
            "proxy.session",
            f"the conversation with the proxy's agent broke off: {why}",
            next=("bg status", "bg doctor"),
        )
        return self._broken


def refusal(result: Mapping[str, Any], doing: str) -> BluegreenError:
    """The error for a result that says no. ``doing`` names the operation."""
    code, message = str(result.get("code", "")), str(result.get("message", "no reason given"))
    if code == "overtaken":
        return Overtaken(
            "operation.overtaken",
            "another operation took over; this one stopped before its next effect",
            next=("bg status", "bg history"),
        )
    if code in ("stale", "no-back"):
        return Stale(
            "operation.stale",
            f"the traffic was moved by someone else meanwhile ({message}); nothing was changed",
            next=("bg status",),
        )
    if code == "held":
        lease = result.get("lease") or {}
        return Held(
            "operation.held",
            f"another operation is under way: {lease.get('operation', '?')} by {lease.get('holder', '?')}, "
            f"until {lease.get('expires', '?')} unless it renews",
            next=("bg status", "bg rollback    never waits"),
        )
    if code.startswith("journal"):
        return JournalLost(code.replace("-", ".", 1), message, next=("bg status", "bg rollback"))
    if code == "unknown":
        return _other_protocol(result.get("protocol"))
    return ProxyFailed(f"proxy.{code or 'failed'}", f"{doing}: {message}", next=("bg status", "bg doctor"))


def _other_protocol(found: object) -> ProxyFailed:
    older = not isinstance(found, int) or found <= PROTOCOL
    return ProxyFailed(
        "proxy.version",
        f"the proxy's agent is {'older' if older else 'newer'} than this tool (protocol {found}, here {PROTOCOL})",
        next=("bg proxy upgrade    replaces the proxy, which takes about a second",)
        if older
        else ("upgrade bluegreen on this machine",),
    )


def _waiting(op: Mapping[str, Any]) -> float:
    """Seconds that an operation asks the agent to wait."""
    kind = op.get("op")
    if kind == "acquire":
        return float(op.get("wait") or 0)
    if kind in ("settle", "drain", "follow"):
        return float(op.get("seconds") or 0)
    if kind == "probe":
        limits = [float(r.get("timeout") or 5.0) for r in op.get("requests") or ()]
        # All at once; what is asked again to find out more is asked one by one.
        return max(limits, default=0.0) + (sum(limits) + 2.0 * len(limits) if op.get("diagnose") else 0.0)
    return 0.0
