"""A toy application whose conduct is set by its environment. Standard library only.

MODE      server (default), worker (a line now and then), job (one line, then the end)
TAG       what it answers                      COLOUR  anything else worth telling releases apart by
HOST PORT where it listens; PORT 0: nowhere
EXIT      end at once with this code           BEFORE  seconds before it listens
STATUS    of every answer                      AFTER   seconds before every answer
EAT       megabytes to use up first            ONLY    the one Host header it accepts
"""

import base64
import contextlib
import hashlib
import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ENV = os.environ
WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(float(ENV.get("AFTER") or 0))
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if ENV.get("ONLY") and self.headers["Host"] != ENV["ONLY"]:
            self.answer(400, b"Invalid Host header")
        elif ENV.get("STATUS"):
            self.answer(int(ENV["STATUS"]), b"this release is broken", {"Location": "/login"})
        elif url.path == "/file":
            self.answer(200, Path(query["path"]).read_bytes())
        elif url.path == "/append":
            with Path(query["path"]).open("a") as file:
                file.write(query["text"] + "\n")
            self.answer(200, b"")
        elif url.path == "/eat":
            self.answer(200, str(len(bytearray(b"x") * (int(query["megabytes"]) << 20))).encode())
        elif url.path == "/slow":
            time.sleep(float(query["seconds"]))
            self.answer(200, ENV.get("TAG", "").encode())
        elif url.path == "/stream":
            self.stream(int(query["parts"]))
        elif url.path == "/socket":
            self.socket()
        else:
            about = {"tag": ENV.get("TAG"), "colour": ENV.get("COLOUR"), "host": ENV.get("HOSTNAME")}
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.answer(200, json.dumps({**about, "path": self.path, "headers": headers}).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, json.dumps({"tag": ENV.get("TAG"), "bytes": len(body)}).encode())

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, parts: int) -> None:
        """Parts that are sent one by one, each when the file /tmp/go holds its number."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(parts):
            while number and not Path(f"/tmp/go{number}").exists():  # noqa: S108 - inside a container
                time.sleep(0.01)
            text = f"{ENV.get('TAG')} {number}\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def socket(self) -> None:
        """A WebSocket that answers each short text with the release's tag before it."""
        key = self.headers["Sec-WebSocket-Key"].encode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        digest = hashlib.sha1(key + WEBSOCKET, usedforsecurity=False).digest()
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.end_headers()
        self.close_connection = True
        while (head := self.rfile.read(2)) and head[0] & 0xF == 1:
            mask = self.rfile.read(4)
            data = bytes(b ^ mask[i % 4] for i, b in enumerate(self.rfile.read(head[1] & 0x7F)))
            text = f"{ENV.get('TAG')} {data.decode()}".encode()
            self.wfile.write(bytes([0x81, len(text)]) + text)
            self.wfile.flush()

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a probe that did not wait
            super().handle()

    def log_message(self, form: str, *values: object) -> None:
        """Nothing: the last lines are those of the start."""


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    mode, tag = ENV.get("MODE", "server"), ENV.get("TAG", "")
    say(f"{mode} {tag} starts")
    if ENV.get("EXIT"):
        say("no database URL was given")
        sys.exit(int(ENV["EXIT"]))
    eaten = bytearray(os.urandom(1)) * (int(ENV.get("EAT") or 0) << 20)
    if mode == "job":
        with Path("/data/jobs").open("a") as file:
            file.write(f"{tag}\n")
        return
    time.sleep(float(ENV.get("BEFORE") or 0))
    port = int(ENV.get("PORT") or 8000)
    if mode == "server" and port:
        server = ThreadingHTTPServer((ENV.get("HOST") or "0.0.0.0", port), Handler)
        say(f"listening on port {port}")
        server.serve_forever()
    threading.Event().wait()
    del eaten


main()
