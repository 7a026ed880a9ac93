"""What may befall an operation on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from bluegreen.model.errors import EngineFailed, EngineUnreachable
from bluegreen.planning.steps import Step

Kind = Literal["", "kill", "ctrl-c", "engine refuses", "engine drops", "engine gone", "agent dies", "meanwhile"]


class Killed(BaseException):
    """The process was killed with SIGKILL here: nothing of it runs any more."""


class AgentKilled(BaseException):
    """The agent was killed with SIGKILL here; the command lives on."""


@dataclass(slots=True)
class Doom:
    """One operation's fate: at its ``at``-th point of a kind this happens to it, once.

    A kill counts checkpoints, calls of the engine and messages to the agent; Ctrl-C and what somebody else does
    meanwhile count checkpoints; the engine's troubles count its calls, the agent's death what it does to files.
    """

    kind: Kind = ""
    at: int = 0
    dead: bool = False
    meanwhile: Callable[[], None] | None = None
    struck: str = ""
    counts: dict[str, int] = field(default_factory=dict)

    def __call__(self, when: Literal["before", "after"], step: Step) -> None:
        where = f"{when} {step.verb} {step.subject}"
        if self._strikes("ctrl-c", where):
            raise KeyboardInterrupt
        if self._strikes("meanwhile", where) and self.meanwhile is not None:
            self.meanwhile()
        self.point(where)

    def point(self, where: str) -> None:
        """A place where the process may be killed. A dead one gets no further."""
        if self.dead or self._strikes("kill", where):
            self.dead = True
            raise Killed

    def before_call(self, method: str) -> None:
        self.point(f"before {method}")
        if self._strikes("engine gone", method) or (self.kind == "engine gone" and self.struck):
            raise EngineUnreachable("engine.unreachable", "the engine does not answer", next=("bg doctor",))
        if self._strikes("engine refuses", method):
            raise EngineFailed("engine.failed", f"{method}: the engine said no", next=("bg doctor",))

    def after_call(self, method: str) -> None:
        if self._strikes("engine drops", method):
            raise EngineFailed("engine.failed", f"{method}: the connection broke off", next=("bg doctor",))
        self.point(f"after {method}")

    def agent(self, event: str) -> None:
        if self._strikes("agent dies", event):
            raise AgentKilled

    def _strikes(self, kind: Kind, where: str) -> bool:
        if self.kind != kind or self.struck:
            return False
        count = self.counts.get(kind, 0)
        self.counts[kind] = count + 1
        if count != self.at:
            return False
        self.struck = where
        return True
