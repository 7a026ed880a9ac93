"""A small application that `bg prove` can ask everything. Standard library only; it ends at once when it is told to.

TAG        what it answers
BREAK      every so many-th answer to `/` ends before its end
DATA       the file that ids are counted in, shared by all releases
"""

import base64
import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import signal
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

TAG = os.environ.get("TAG", "")
BREAK = int(os.environ.get("BREAK") or 0)
DATA = Path(os.environ.get("DATA", "/data/ids"))
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BLOCK = bytes(range(256)) * 64

answers = itertools.count(1)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a head and a body are two writes

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
        match url.path:
            case "/count":
                self.counts(query.get("prefix", ""))
            case "/download":
                self.download(int(query.get("blocks", 32)), float(query.get("seconds", 2)))
            case "/chunked":
                self.chunked(int(query.get("chunks", 10)), float(query.get("seconds", 2)))
            case "/events":
                self.events(float(query.get("interval", 0.1)))
            case "/live":
                self.live()
            case _:
                broken = BREAK and url.path == "/" and next(answers) % BREAK == 0
                self.answer(200, json.dumps({"tag": TAG}).encode(), short=4 if broken else 0)

    def do_POST(self) -> None:
        size, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        left, body = size, b""
        while left and (part := self.rfile.read1(min(left, 1 << 16))):
            left -= len(part)
            digest.update(part)
            body = part if size < 1000 else b""
        if left:  # the proxy went away in the middle of it
            self.close_connection = True
            return
        name = json.loads(body)["id"] if body else self.headers["X-Request-ID"]
        with DATA.open("a") as file:
            file.write(f"{name}\n")
        self.answer(200, json.dumps({"tag": TAG, "bytes": size, "sha256": digest.hexdigest()}).encode())

    def answer(self, status: int, body: bytes, short: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) - short])
        self.close_connection = self.close_connection or bool(short)

    def counts(self, prefix: str) -> None:
        with DATA.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            file.seek(0)
            found = [line for line in file.read().splitlines() if line.startswith(prefix)]
        self.answer(200, json.dumps({"posts": len(found), "ids": len(set(found))}).encode())

    def download(self, blocks: int, seconds: float) -> None:
        digest = base64.b64encode(hashlib.sha256(BLOCK * blocks).digest()).decode()
        self.send_response(200)
        self.send_header("Content-Length", str(blocks * len(BLOCK)))
        self.send_header("Content-Digest", f"sha-256=:{digest}:")
        self.end_headers()
        for _ in range(blocks):
            self.wfile.write(BLOCK)
            time.sleep(seconds / blocks)

    def chunked(self, chunks: int, seconds: float) -> None:
        self.begin_chunks("text/plain")
        for number in range(chunks):
            self.chunk(f"{number} {TAG}\n".encode())
            time.sleep(seconds / chunks)
        self.wfile.write(b"0\r\n\r\n")

    def events(self, interval: float) -> None:
        self.begin_chunks("text/event-stream")
        for number in itertools.count(1):
            self.chunk(b"id: %d\ndata: {}\n\n" % number)
            time.sleep(interval)

    def begin_chunks(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, text: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))

    def live(self) -> None:
        """A WebSocket that answers pings."""
        digest = hashlib.sha1(self.headers["Sec-WebSocket-Key"].encode() + GUID, usedforsecurity=False).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.end_headers()
        self.close_connection = True
        while (head := self.rfile.read(2)) and head[0] & 0x0F == 9:
            mask = self.rfile.read(4)
            data = bytes(b ^ mask[i % 4] for i, b in enumerate(self.rfile.read(head[1] & 0x7F)))
            self.wfile.write(bytes([0x8A, len(data)]) + data)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, ValueError):
            super().handle()

    def log_message(self, form: str, *values: object) -> None:
        """Nothing: there are too many."""


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    Server(("0.0.0.0", 8000), Handler).serve_forever()  # noqa: S104 - inside a container
