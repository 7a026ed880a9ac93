"""A client that forgives nothing: every request must be answered, whole, on the connection it was sent on.

Run as ``python strict_client.py HOST PORT``: it sends requests, says "ready" once each of its connections has had an
answer, goes on until its standard input ends, and then writes what became of each request as JSON. Times are those
of CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
import time
from dataclasses import dataclass, field


class Lost(Exception):
    """A request without a whole answer."""


@dataclass
class Results:
    answered: list[tuple[float, float, str, str]] = field(default_factory=list)  # begin, end, kind, colour
    lost: list[tuple[float, str, str]] = field(default_factory=list)  # begin, kind, why
    connections: int = 0


class Visitor(threading.Thread):
    """One connection after the other, requests one by one."""

    def __init__(self, address: tuple[str, int], kind: str, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.kind = kind
        self.results = Results()
        self.begun = threading.Event()
        """Its first request has come to an end."""
        self._address = address
        self._stopping = stop
        self._socket: socket.socket | None = None
        self._rest = b""

    def run(self) -> None:
        while not self._stopping.is_set():
            begin = time.monotonic()
            try:
                if self._socket is None:
                    self._connect()
                    begin = time.monotonic()
                colour, reusable = self._exchange()
                self.results.answered.append((begin, time.monotonic(), self.kind, colour))
            except (OSError, Lost, ValueError) as error:
                self.results.lost.append((begin, self.kind, f"{type(error).__name__}: {error}"))
                reusable = False
            self.begun.set()
            if not reusable:
                self._close()
            if self.kind == "think":
                self._stopping.wait(random.uniform(0.002, 0.03))  # noqa: S311 - no secret
        self._close()

    def _connect(self) -> None:
        self._socket = socket.create_connection(self._address, 20)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        self.results.connections += 1

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self) -> tuple[str, bool]:
        assert self._socket is not None
        close = "Connection: close\r\n" if self.kind == "close" else ""
        if self.kind == "post":
            body = b"x" * 3000
            head = f"POST /count HTTP/1.1\r\nHost: shop\r\nContent-Length: {len(body)}\r\n\r\n"
        else:
            body, head = b"", f"GET / HTTP/1.1\r\nHost: shop\r\n{close}\r\n"
        self._socket.sendall(head.encode() + body)
        status, headers = self._head()
        length = int(headers["content-length"])
        while len(self._rest) < length:
            self._more()
        content, self._rest = self._rest[:length], self._rest[length:]
        if status != 200:
            raise Lost(f"status {status}")
        if self._rest:
            raise Lost(f"more than was announced: {self._rest[:40]!r}")
        return content.split()[0].decode(), headers.get("connection", "").lower() != "close"

    def _head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self._rest:
            self._more()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:])
        return int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in pairs}

    def _more(self) -> None:
        assert self._socket is not None
        part = self._socket.recv(65536)
        if not part:
            raise Lost(f"end of file after {self._rest[:40]!r}")
        self._rest += part


def main() -> None:
    address = (sys.argv[1], int(sys.argv[2]))
    stop = threading.Event()
    kinds = ["reuse"] * 3 + ["think"] * 4 + ["close", "post"]
    visitors = [Visitor(address, kind, stop) for kind in kinds]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.begun.wait()
    print("ready", flush=True)  # noqa: T201 - this is what it is for
    sys.stdin.read()
    stop.set()
    for visitor in visitors:
        visitor.join(30)
    results = [visitor.results for visitor in visitors]
    print(  # noqa: T201 - this is what it is for
        json.dumps(
            {
                "answered": [one for r in results for one in r.answered],
                "lost": [one for r in results for one in r.lost],
                "connections": sum(r.connections for r in results),
            }
        )
    )


if __name__ == "__main__":
    main()
