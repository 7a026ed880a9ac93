"""A Docker engine of a test's own, which can be restarted: in a network and a mount namespace of its own.

Needs root on Linux and dockerd. Nothing of it is left when it ends: no process, no control group, no file.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

import docker

from bluegreen.engine.connect import resolve
from tests.support import eventually

START_SECONDS = 60.0
CLONE_NEWNET = 0x40000000
CGROUPS = Path("/sys/fs/cgroup")

SCRIPT = """
mount --make-rprivate /
mkdir -p /run/docker /run/containerd
mount -t tmpfs tmpfs /run/docker
mount -t tmpfs tmpfs /run/containerd
ip link set lo up
ulimit -Sn "$(ulimit -Hn)"
exec dockerd "$@"
"""


class OwnEngine:
    """Starts with the block, stopped with its end."""

    def __init__(self) -> None:
        assert os.geteuid() == 0, "a second engine can be started by root only: run the tests as root"
        for program in ("dockerd", "unshare", "ip"):
            assert shutil.which(program), f"a second engine needs {program}: scripts/engine installs dockerd"
        self.directory = Path(tempfile.mkdtemp(prefix="bge-"))
        self.name = self.directory.name
        self.client = docker.DockerClient(base_url=self.address, timeout=60, version="1.41")
        self._process: subprocess.Popen[bytes] | None = None
        self._doors: list[Door] = []

    @property
    def address(self) -> str:
        return f"unix://{self.directory}/s"

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")[-3000:]

    def start(self) -> None:
        """Start it, and wait until it answers. Containers that ran when it was stopped come back by their policy."""
        data = str(self.directory / "data")
        words = ["--host", self.address, "--data-root", data, "--pidfile", str(self.directory / "pid")]
        words += ["--cgroup-parent", f"/{self.name}"]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "--net", "--mount", "sh", "-eu", "-c", SCRIPT, "dockerd", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually(self._answers, START_SECONDS, "the second engine's answer")

    def stop(self) -> None:
        """As a machine that is shut down does it: the engine ends, its containers before it. Idempotent."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def load(self, refs: Sequence[str]) -> None:
        """Copy images from the engine that the tests use otherwise."""
        origin = resolve(None, os.environ).url
        with subprocess.Popen(["docker", "--host", origin, "save", *refs], stdout=subprocess.PIPE) as saved:
            subprocess.run(
                ["docker", "--host", self.address, "load", "--quiet"],
                stdin=saved.stdout,
                stdout=subprocess.DEVNULL,
                check=True,
            )
        assert saved.returncode == 0

    def open_door(self, port: int) -> None:
        """Make what listens on a port of the engine's loopback reachable on the same port of this machine's."""
        self._doors.append(Door(port, lambda: self._process.pid if self._process else None))

    def __enter__(self) -> OwnEngine:
        try:
            self.start()
        except BaseException as error:
            error.add_note(self.log)
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(self.log)
        self._end()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the second engine ended: {self.log}"
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.settimeout(5)
                sock.connect(str(self.directory / "s"))
                sock.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in sock.recv(4096)
            except OSError:
                return False

    def _end(self) -> None:
        for door in self._doors:
            door.close()
        with contextlib.suppress(docker.errors.DockerException, OSError):  # nobody is to wait for their last words
            for container in self.client.containers.list(ignore_removed=True):
                container.kill()
        self.client.close()
        self.stop()
        # Containers' mounts are gone with the namespace, once the last process in it has ended.
        eventually(lambda: _removed(self.directory), 20, f"{self.directory} being removed")
        for controller in CGROUPS.iterdir() if CGROUPS.is_dir() else ():
            group = controller / self.name
            if group.is_dir():
                eventually(partial(_removed_group, group), 20, f"{group} being removed")
        if (CGROUPS / self.name).is_dir():
            eventually(partial(_removed_group, CGROUPS / self.name), 20)


class Door:
    """Passes TCP connections on to the loopback of another process's network namespace."""

    def __init__(self, port: int, process: object) -> None:
        """``process``: answers the pid, or None while there is none."""
        self._process = process
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                inside = self._connected()
            except OSError:
                return
            with inside:
                back = threading.Thread(target=_copy, args=(inside, client), daemon=True)
                back.start()
                _copy(client, inside)
                back.join()

    def _connected(self) -> socket.socket:
        """This thread moves into the namespace and ends there; its connection is what is needed of it."""
        pid = self._process()  # type: ignore[operator]
        if pid is None:
            raise ConnectionRefusedError
        with Path(f"/proc/{pid}/ns/net").open("rb") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        return socket.create_connection(("127.0.0.1", self._port), timeout=10)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for sock in (source, target):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _removed(directory: Path) -> bool:
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()


def _removed_group(group: Path) -> bool:
    for inner in sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True):
        with contextlib.suppress(OSError):
            inner.rmdir()
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()
