"""Engines over ssh: a socket of our own, each connection to which is one `ssh HOST docker system dial-stdio`.

The SDK's own way needs paramiko even where it runs the ssh command, starts one for every request, and
knows no timeouts. Behind a socket its pool reuses connections, so that a command needs two of them.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

CONNECT_TIMEOUT = 30  # seconds, as the docker command has it
_PATIENCE = 2.0  # seconds an ssh whose connection was closed has to end


class Tunnel:
    """Listens on ``socket``, for this user alone, until it is closed or this process ends."""

    def __init__(self, url: str, env: Mapping[str, str]) -> None:
        self._command = command(url)
        self._env = dict(env)
        self._directory = tempfile.TemporaryDirectory(prefix="bluegreen-ssh-")
        self.socket = Path(self._directory.name) / "engine.sock"
        self._said: list[IO[bytes]] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._failure = ""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.socket))
        self._listener.listen()
        self._thread = threading.Thread(target=self._accept, name="ssh-tunnel", daemon=True)
        self._thread.start()

    def last_words(self) -> str:
        """What the last ssh command said for its failure; empty where it said nothing."""
        if self._failure or not self._said:
            return self._failure
        with suppress(subprocess.TimeoutExpired):
            self._processes[-1].wait(_PATIENCE)
        stream = self._said[-1]
        stream.seek(0)
        lines = stream.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""

    def close(self) -> None:
        """Idempotent."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(_PATIENCE)
        self._listener.close()
        for process in self._processes:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.terminate()
                process.wait()
        for stream in self._said:
            stream.close()
        self._directory.cleanup()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            said = tempfile.TemporaryFile()  # noqa: SIM115 - read when the command has failed
            self._said.append(said)
            with connection:
                try:
                    # One socket for both directions: nobody has to copy between them.
                    end = connection.fileno()
                    self._processes.append(
                        subprocess.Popen(self._command, stdin=end, stdout=end, stderr=said, env=self._env)
                    )
                except OSError as error:
                    self._failure = f"no command can be run: {error.strerror}"


def command(url: str) -> list[str]:
    """The ssh command for an ssh:// address. What the address says can't become an option of it."""
    parts = urlsplit(url)
    words = ["-o", f"ConnectTimeout={CONNECT_TIMEOUT}", "-T"]
    words += ["-l", parts.username] if parts.username else []
    words += ["-p", str(parts.port)] if parts.port else []
    remote = ["docker"]
    if parts.path not in ("", "/"):
        remote += ["--host", f"unix://{parts.path}"]
    remote += ["system", "dial-stdio"]
    # A Ctrl-C is for us alone: what must still be said to the engine afterwards needs the connection.
    return ["sh", "-c", 'trap "" INT; exec ssh "$@"', "ssh", *words, "--", parts.hostname or "", *remote]
