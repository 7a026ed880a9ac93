"""A proxy in front of the engine's socket that is slow, hangs, or drops connections where a test says so.

It reads as much HTTP as it must to know where a request begins. What follows an exec's start is the conversation with
the agent, one JSON line a message.
"""

from __future__ import annotations

import re
import select
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal

Manner = Literal["slow", "hang", "hang-answer", "drop", "drop-answer"]
"""slow: each such request waits ``seconds``. hang: it is not passed on, and nothing is answered. hang-answer: it is
passed on, and nothing is answered. drop, drop-answer: the same with the connection closed instead."""


@dataclass
class Fault:
    """What befalls requests whose first line, or messages to the agent that, match ``where``."""

    where: str  # a regular expression
    manner: Manner
    seconds: float = 0.0
    after: int = 0  # how many of them are let through first
    for_good: bool = False  # from the first one on the engine hangs, or drops, for every connection
    struck: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def strikes(self, text: bytes) -> bool:
        with self._lock:
            if self.for_good and self.struck:
                return True
            if not re.search(self.where.encode(), text):
                return False
            self.after -= 1
            if self.after >= 0 or (self.struck and self.manner != "slow" and not self.for_good):
                return False
            self.struck += 1
            return True


class FaultProxy:
    """Listens on a unix socket of its own. ``fault`` can be changed at any time; None passes everything on."""

    def __init__(self, engine: str) -> None:
        """``engine``: the path of the engine's socket."""
        self.fault: Fault | None = None
        self._engine = engine
        self._directory = tempfile.mkdtemp(prefix="bgf-")
        self._path = str(Path(self._directory) / "s")
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._ended = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._path)
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"unix://{self._path}"

    @contextmanager
    def having(self, where: str, manner: Manner, **more: float | bool) -> Iterator[Fault]:
        """With this fault; afterwards everything is passed on again, and what hung is let go."""
        fault = Fault(where, manner, **more)  # type: ignore[arg-type]  # its own fields
        self.fault = fault
        try:
            yield fault
        finally:
            self.fault = None
            self.let_go()

    def let_go(self) -> None:
        """Close every connection: whoever hung at one learns that it is over."""
        for sock in list(self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._threads = []

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.let_go()
        shutil.rmtree(self._directory)

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        engine = socket.socket(socket.AF_UNIX)
        self._open |= {client, engine}
        try:
            engine.connect(self._engine)
            self._pass_on(client, engine)
        except OSError:
            pass
        finally:
            for sock in (client, engine):
                self._open.discard(sock)
                sock.close()

    def _pass_on(self, client: socket.socket, engine: socket.socket) -> None:
        manner: Manner | None = None  # of what strikes this connection
        answered = True
        while True:
            ready, _, _ = select.select([client, engine], [], [])
            if client in ready:
                data = client.recv(1 << 16)
                if not data:
                    return
                fault = self.fault
                # A client of this kind sends a request as a whole, and no other before it is answered.
                if fault is not None and manner is None and answered and fault.strikes(data):
                    if fault.manner == "slow":
                        self._ended.wait(fault.seconds)
                    else:
                        manner = fault.manner
                answered = False
                if manner == "drop":
                    return
                if manner != "hang":
                    engine.sendall(data)
            if engine in ready:
                data = engine.recv(1 << 16)
                if manner == "drop-answer" or not data:
                    return
                answered = True
                if manner is None:
                    client.sendall(data)
