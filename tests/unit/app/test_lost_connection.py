"""The conversation with the proxy breaks off at every message of every command: what is said then is true.

A message may get lost on its way, its answer on the way back, or it may arrive late, when all is over.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import pytest

from bluegreen.app.deploy import DeployRequest, deploy
from bluegreen.app.recover import abort
from bluegreen.app.rollback import rollback, switch
from bluegreen.app.site import Site
from bluegreen.engine.protocol import Stream
from bluegreen.model.containers import Container
from bluegreen.model.errors import BluegreenError, EngineFailed, EngineUnreachable, Exit
from tests.world import World

How = Literal["lost", "answer-lost", "late"]


@dataclass
class Break:
    """Where it breaks: at the ``at``-th message (0..; None: nowhere). ``gone``: no connection can be made from then
    on."""

    at: int | None = None
    how: How = "lost"
    gone: bool = False
    seen: list[bytes] = field(default_factory=list)
    broken: bool = False
    on_its_way: list[Callable[[], None]] = field(default_factory=list)


class BreakingStream:
    """Breaks off at one message, which shows when the answer is waited for."""

    def __init__(self, inner: Stream, at: Break) -> None:
        self._inner = inner
        self._at = at
        self._broken = False

    def send(self, line: bytes) -> None:
        self._at.seen.append(line)
        if len(self._at.seen) - 1 != self._at.at:
            self._inner.send(line)
            return
        self._broken = self._at.broken = True
        if self._at.how == "answer-lost":
            self._inner.send(line)
        elif self._at.how == "late":
            self._at.on_its_way.append(lambda: self._inner.send(line))
            self._at.on_its_way.append(self._inner.close)

    def receive(self, timeout: float | None = None) -> bytes:
        if self._broken:
            raise EngineFailed("engine.timeout", "no answer within 30 s")
        return self._inner.receive(timeout)

    def errors(self) -> str:
        return ""

    def close(self) -> None:
        if not self._at.on_its_way:
            self._inner.close()


class Fragile(World):
    """The same world, over a connection that can break."""

    at: Break | None = None

    def _agent(self, container: Container) -> Stream:
        if self.at is None:
            return super()._agent(container)
        if self.at.gone and self.at.broken:
            raise EngineUnreachable(
                "engine.unreachable", "no answer from the engine at unix:///x: connection refused", next=("bg doctor",)
            )
        return BreakingStream(super()._agent(container), self.at)


COMMANDS: dict[str, Callable[[Fragile, Site], object]] = {
    "deploy": lambda world, site: deploy(site, DeployRequest(load=world.project, tag="v3")),
    "rollback": lambda _, site: rollback(site),
    "cold rollback": lambda _, site: rollback(site, "v0"),
    "switch": lambda _, site: switch(site, "v1"),
    "deploy of the standby": lambda world, site: deploy(site, DeployRequest(load=world.project, tag="v1")),
}


WAYS: tuple[tuple[How, bool], ...] = (
    ("lost", False),
    ("answer-lost", False),
    ("late", False),
    ("lost", True),
    ("answer-lost", True),
)


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_said_after_a_break_is_true_and_every_way_on_ends_clean(name: str) -> None:
    world = Fragile()
    try:
        for tag in ("v0", "v1", "v2"):
            world.deploy(tag)
        messages = forked(lambda: played(world, name, Break())).split()
        said = set()
        for at, message in enumerate(messages):
            # All ways where traffic moves, and everywhere else one after the other: it makes no difference there.
            for how, gone in WAYS if message == "activate" else (WAYS[at % len(WAYS)],):
                said.add(forked(partial(played, world, name, Break(at, how, gone))))
        assert {"INCOMPLETE", "UNKNOWN"} <= said
    finally:
        world.close()


def played(world: Fragile, name: str, at: Break) -> str:
    """How the command ended; of one that nothing broke, the messages that it sends."""
    world.move_volume()
    world.at = at
    error = None
    try:
        COMMANDS[name](world, world.site())
    except BluegreenError as caught:
        error = caught
    world.at = None
    if at.at is None:
        assert error is None
        return " ".join("activate" if b'"activate"' in line else "other" for line in at.seen)
    assert at.broken, f"it sent {len(at.seen)} messages only"
    where = f"{name}, message {at.at} {at.how}{', and the engine is gone' if at.gone else ''}: {error!r}"
    try:
        before = world.serving()
        for happen in at.on_its_way:
            happen()
        world.check()
        moved = world.serving() != "v2"
        if error is None:
            assert moved, "it said nothing"
        else:
            _holds(error, moved)
        if error is None or not at.gone:
            assert error is None or error.exit != Exit.UNKNOWN, "it could have asked again"
            assert world.serving() == before, "a late message moved traffic after all"
        if world.observed().history.unfinished is not None:
            abort(world.site())
        world.check_clean()
    except (AssertionError, BluegreenError) as wrong:
        raise AssertionError(f"{where}: {wrong}") from wrong
    return error.exit.name if error else "DONE"


def _holds(error: BluegreenError, moved: bool) -> None:
    """The exit code's promise, and a next command."""
    assert error.problem.next, "it doesn't say what to do next"
    if error.exit == Exit.INCOMPLETE:
        assert moved, "it said that traffic had moved"
    elif error.exit != Exit.UNKNOWN:
        assert not moved, f"it said {error.exit.name}, and traffic had moved"


def forked(play: Callable[[], str]) -> str:
    """What a forked process answers: the world here stays as it is."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            answer = "+" + play()
        except BaseException as error:
            answer = f"-{error}\n{traceback.format_exc()}"
        with os.fdopen(writer, "w") as file:
            file.write(answer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        answer = file.read()
    os.waitpid(child, 0)
    assert answer.startswith("+"), answer[1:] or "it ended without an answer"
    return answer[1:]
