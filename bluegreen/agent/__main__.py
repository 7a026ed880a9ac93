"""The agent as a process: requests on standard input, answers on standard output, one a line."""

from __future__ import annotations

import os
import select

from .agent import Agent, written
from .clock import Clock
from .errors import EndOfSession
from .files import Files
from .jsonl import loads
from .nginx import RealNginx, started

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STATE = "/bg"
VERSION = "/opt/bluegreen/version"
HUNG_UP = select.POLLHUP | select.POLLERR | select.POLLNVAL


def main() -> None:
    clock = Clock()
    nginx = RealNginx()
    agent = Agent(
        Files(STATE),
        nginx,
        clock,
        session=f"{os.getpid()}:{started(os.getpid())}",
        wait=_wait,
        alive=_alive,
        called=_called,
        version=_version(),
    )
    try:
        _serve(agent)
    except EndOfSession:
        pass
    except BrokenPipeError:
        # Nobody reads the answers. Not the interpreter's business either, which would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    agent.close()


def _serve(agent: Agent) -> None:
    pending = b""
    while True:
        part = os.read(0, 1 << 20)
        if not part:
            return
        *lines, pending = (pending + part).split(b"\n")
        for line in lines:
            if line.strip():
                _write(written(_answer(agent, line)) + b"\n")


def _answer(agent: Agent, line: bytes) -> dict[str, Any]:
    try:
        request = loads(line.decode())
        if not isinstance(request, dict):
            raise ValueError("a request is a JSON object")
    except ValueError as error:
        refused = {"ok": False, "code": "invalid", "message": f"not a request: {error}"}
        return {"id": None, "results": [refused]}
    return agent.handle(request)


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def _version() -> str:
    try:
        with open(VERSION) as file:
            return file.read().strip()
    except OSError:
        return ""


def _wait(seconds: float) -> None:
    """Sleep, unless the other side of standard input goes away."""
    poll = select.poll()
    poll.register(0, 0)
    for _, what in poll.poll(max(1, int(seconds * 1000))):
        if what & HUNG_UP:
            raise EndOfSession


def _called() -> bool:
    """Whether there is something to read that isn't the end."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    return any(what & select.POLLIN and not what & HUNG_UP for _, what in poll.poll(0))


def _alive(session: str) -> bool:
    pid, _, start = session.partition(":")
    return pid.isdigit() and str(started(int(pid))) == start


if __name__ == "__main__":
    main()
