"""Someone who asks a port again and again, to see who answers since when."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType

INTERVAL = 0.001
"""Seconds between an answer and the next request."""

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Watcher:
    """While its block runs, requests go to a port of this machine one at a time, over
    one connection for as long as it is kept open.

    ``changed`` is when (by the monotonic clock) the first answer by somebody else than before was complete, and
    ``lost`` how many requests got no answer.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._who: bytes | None = None
        self.changed: float | None = None
        self.answers = 0
        self.lost = 0

    def __enter__(self) -> Watcher:
        self._thread.start()
        self._ready.wait(5.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(5.0)

    def _watch(self) -> None:
        connection: socket.socket | None = None
        while not self._stop.wait(INTERVAL):
            try:
                if connection is None:
                    connection = socket.create_connection(("127.0.0.1", self._port), timeout=5.0)
                who, goes_on = _ask(connection)
                self._saw(who)
            except OSError:
                self.lost += 1
                goes_on = False
            if not goes_on and connection is not None:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _saw(self, who: bytes) -> None:
        now = time.monotonic()
        self.answers += 1
        if self._who is None:
            self._who = who
            self._ready.set()
        elif who != self._who and self.changed is None:
            self.changed = now


def _ask(connection: socket.socket) -> tuple[bytes, bool]:
    """The body of one answer, and whether the connection stays open after it.

    Raises OSError for anything but a whole answer with status 200.
    """
    connection.sendall(REQUEST)
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    if " 200" not in status:
        raise OSError(f"answered {status}")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    while len(body) < int(headers["content-length"]):
        body += _more(connection)
    return body, headers.get("connection", "").lower() != "close"


def _more(connection: socket.socket) -> bytes:
    part = connection.recv(65536)
    if not part:
        raise OSError("closed without an answer")
    return part
