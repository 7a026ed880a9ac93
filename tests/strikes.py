"""What may happen to a process of the program in the middle of its work, in a world in memory.

A process changes the world through two doors only: calls of the engine that have an effect, and messages to the
agent. Between two of those nothing changes, so that "right after the n-th effect" for every n is every state that a
death can leave: before and after each step, between the parts of a step, and between an effect and its record.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from typing import Any, Literal

from bluegreen.proxy.memory import AgentStream

How = Literal["killed", "interrupted"]

MUTATING = frozenset(
    ("acquire", "seize", "release", "append", "activate", "drop_back", "put", "prune", "begin_journal", "reload")
)
"""The agent's operations that change what it keeps; any other one does where it is journaled."""


class Killed(BaseException):
    """The process was killed with SIGKILL here: nothing of it runs any more."""


class Strike:
    """Strikes a process right after its ``at``-th effect (1..; 0: before the first; None: never), or after the first
    effect whose description contains a text.

    Killed, it does nothing more. Interrupted, its main thread gets the KeyboardInterrupt of Ctrl-C and of SIGTERM,
    wherever it is: waiting for an effect in another thread, or for an answer, which then stays unread.
    """

    def __init__(self, at: int | str | None = None, how: How = "killed") -> None:
        self.at = at
        self.how = how
        self.effects: list[str] = []
        self.dead = False
        self.struck = False
        self._turn = threading.Lock()

    @property
    def where(self) -> str:
        return f"{self.how} after effect {len(self.effects)}, {self.effects[-1] if self.effects else 'the start'}"

    def before(self, what: str) -> None:
        """An effect is about to happen."""
        del what
        self.check()
        if self.at == 0 and not self.struck:
            self._strike()

    def after(self, what: str) -> None:
        """An effect has happened."""
        with self._turn:
            self.check()
            self.effects.append(what)
            text = isinstance(self.at, str) and self.at in what
            hit = not self.struck and (text or len(self.effects) == self.at)
            self.struck = self.struck or hit
        if hit:
            self._strike()

    def check(self) -> None:
        if self.dead:
            raise Killed

    def _strike(self) -> None:
        self.struck = True
        if self.how == "killed":
            self.dead = True
            raise Killed
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


class StruckStream:
    """The conversation of a process with its agent, as long as it is ``alive`` (which raises otherwise).

    When the process dies, the agent sees the end of its input.
    """

    def __init__(self, inner: AgentStream, strike: Strike, alive: Callable[[], None]) -> None:
        self._inner = inner
        self._strike = strike
        self._alive = alive

    def send(self, line: bytes) -> None:
        self._alive()
        what = _described(line)
        if what:
            self._strike.before(what)
        self._inner.send(line)
        if what:
            self._strike.after(what)

    def receive(self, timeout: float | None = None) -> bytes:
        self._alive()
        self._strike.check()
        return self._inner.receive(timeout)

    def end(self) -> None:
        """Its container stops."""
        self._inner.end()

    def errors(self) -> str:
        return self._inner.errors()

    def close(self) -> None:
        self._inner.close()


def _described(line: bytes) -> str:
    """What a message changes; nothing of it where it only asks."""
    ops: list[dict[str, Any]] = json.loads(line)["do"]
    if not any(op["op"] in MUTATING or "journal" in op for op in ops):
        return ""
    return " + ".join(filter(None, map(_op, ops)))


def _op(op: dict[str, Any]) -> str:
    if op["op"] == "append":
        return ", ".join(f"{e['event']} {e.get('step', e.get('kind', ''))}".strip() for e in op["events"])
    return str((op.get("journal") or {}).get("step") or op["op"])
