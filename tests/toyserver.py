"""A server that answers its colour, and misbehaves where it is asked to. Runs in a container from its source alone."""

import base64
import hashlib
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COLOUR = sys.argv[1] if len(sys.argv) > 1 else "none"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 8000
seen = {"bytes": 0, "posts": 0}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        word, _, rest = self.path.split("?")[0].lstrip("/").partition("/")
        act = getattr(self, f"_{word}", None)
        if act is None:
            self._answer(200, f"{COLOUR} {self.path}\n")
        else:
            act(rest)

    def do_DELETE(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding"):
            count = sum(self._chunks())
        else:
            count, left = 0, int(self.headers.get("Content-Length", 0))
            while left and (part := self.rfile.read1(min(left, 65536))):
                left -= len(part)
                count += len(part)
                seen["bytes"] += len(part)
        seen["posts"] += 1
        self._answer(200, f"{COLOUR} {count}\n")

    def _chunks(self) -> Iterator[int]:
        while size := int(self.rfile.readline(), 16):
            self.rfile.read(size + 2)
            seen["bytes"] += size
            yield size
        self.rfile.readline()

    def _status(self, rest: str) -> None:
        self._answer(int(rest), f"{COLOUR}\n")

    def _only(self, rest: str) -> None:
        """A file that this colour has; 404, and 503 for what has ``down`` in its name, of any other."""
        has = rest.startswith(f"{COLOUR}/")
        self._answer(200 if has else 503 if "down" in rest else 404, f"{COLOUR} {'has' if has else 'lacks'} {rest}\n")

    def _redirect(self, _: str) -> None:
        self._answer(301, "", {"Location": "/login"})

    def _headers(self, _: str) -> None:
        self._answer(200, json.dumps({name.lower(): value for name, value in self.headers.items()}))

    def _host(self, _: str) -> None:
        self._answer(200 if self.headers["Host"] == "localhost" else 400, f"{COLOUR}\n")

    def _close(self, _: str) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _slow(self, rest: str) -> None:
        time.sleep(float(rest or 5))
        self._answer(200, f"{COLOUR}\n")

    def _seen(self, _: str) -> None:
        self._answer(200, json.dumps(seen))

    def _big(self, rest: str) -> None:
        self._answer(200, "x" * int(rest))

    def _events(self, rest: str) -> None:
        """Server-sent events: so many, a fifth of a second apart."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(int(rest or 3)):
            line = f"data: {COLOUR} {number}\n\n".encode()
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.flush()
            time.sleep(0.2)
        self.wfile.write(b"0\r\n\r\n")

    def _socket(self, _: str) -> None:
        """A WebSocket that echoes bytes, without frames, once the upgrade is through."""
        if self.headers.get("Upgrade", "").lower() != "websocket":
            self._answer(426, "")
            return
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest())  # noqa: S324 - RFC 6455 says so
        self.send_header("Sec-WebSocket-Accept", accept.decode())
        self.end_headers()
        self.wfile.flush()
        while data := self.connection.recv(4096):
            self.connection.sendall(COLOUR.encode() + b" " + data)
        self.close_connection = True

    def _answer(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        data = body.encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet: nobody reads it."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


if __name__ == "__main__":
    threading.stack_size(1 << 18)
    Server(("0.0.0.0", PORT), Handler).serve_forever()
