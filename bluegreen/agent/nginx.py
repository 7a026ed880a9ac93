"""nginx as the agent sees it: what it can be asked, and what it can be told."""

from __future__ import annotations

import errno
import os
import time

from .sockets import held
from .wire import fetch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .wire import Answer

SOCKET = "/run/bluegreen/control.sock"
RELOAD = "/run/bluegreen/reload"
STATE = "/.bluegreen/generation"
HANGUP = 1  # `signal` imports `enum`
KEEPALIVE_SECONDS = 5.0
"""`keepalive_min_timeout` of the templates: how long an old worker may still take requests on open connections."""


class Workers:
    """Counts: ``active`` all that accept, ``old`` those of them that a reload is to replace, ``draining``."""

    __slots__ = ("active", "draining", "old", "since")

    def __init__(self, active: int, old: int, draining: int, since: float | None) -> None:
        self.active = active
        self.old = old
        self.draining = draining
        self.since = since  # seconds since the last reload was asked for; None: none since nginx started


class Nginx:
    """What the agent needs. Implemented by `RealNginx`, and for tests by `bluegreen.proxy.memory`."""

    def test(self, conf: str) -> str | None:
        """Check a configuration; None, or what nginx says is wrong with it."""
        raise NotImplementedError

    def reload(self) -> None:
        """Ask for a reload. That it was asked for proves nothing."""
        raise NotImplementedError

    def workers(self) -> Workers:
        raise NotImplementedError

    def fetch(self, requests: list[dict[str, Any]]) -> list[Answer]:
        """Send requests to the control socket, all at once."""
        raise NotImplementedError

    def connections(self) -> dict[str, int]:
        """How many connections the proxy holds to each address, those that are being opened included."""
        raise NotImplementedError

    def connect(self, ip: str, port: int, timeout: float) -> str | None:
        """Try a connection: None, ``refused``, ``timeout`` or ``unreachable``."""
        raise NotImplementedError

    def memory(self) -> int:
        """Bytes of all its processes, what they share counted once."""
        raise NotImplementedError

    def new_token(self) -> None:
        """Make another token for the preview listener. It counts from the next reload on."""
        raise NotImplementedError

    def start(self) -> str:
        """Names this start of the proxy container: another one after each restart."""
        raise NotImplementedError

    def writes(self, device: int, inode: int) -> bool:
        """Whether one of its processes has this file open."""
        raise NotImplementedError

    def served(self) -> dict[str, Any] | None:
        """What the control socket answers: ``generation`` and the digest it ``compiled``; None without an answer."""
        answer = self.fetch([{"path": STATE, "headers": {"Host": "bluegreen"}, "timeout": 1.0}])[0]
        number = answer.body.strip()
        if answer.error is not None or answer.status != 200 or not number.isdigit():
            return None
        return {"generation": int(number), "compiled": answer.headers.get("x-bluegreen-compiled")}


class RealNginx(Nginx):
    """nginx as process 1 of this container."""

    def test(self, conf: str) -> str | None:
        import subprocess  # a rollback never comes here

        command = ["nginx", "-t", "-q", "-e", "stderr", "-c", conf]
        try:
            done = subprocess.run(command, capture_output=True, timeout=20, check=False)
        except subprocess.TimeoutExpired:
            return "nginx -t did not end within 20 s"
        return None if done.returncode == 0 else done.stderr.decode("utf-8", "replace").strip()[-4000:]

    def reload(self) -> None:
        with open(RELOAD, "w") as file:
            file.write(f"{time.monotonic()} " + " ".join(f"{pid}:{start}" for pid, start in _workers()[0]))
        os.kill(1, HANGUP)

    def workers(self) -> Workers:
        active, draining = _workers()
        replaced, since = _last_reload()
        return Workers(len(active), len(replaced.intersection(active)), draining, since)

    def fetch(self, requests: list[dict[str, Any]]) -> list[Answer]:
        return fetch(SOCKET, requests)

    def connections(self) -> dict[str, int]:
        return held()

    def connect(self, ip: str, port: int, timeout: float) -> str | None:
        import _socket

        connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect((ip, port))
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return "refused" if error.errno == errno.ECONNREFUSED else "unreachable"
        finally:
            connection.close()
        return None

    def writes(self, device: int, inode: int) -> bool:
        return any(_has_open(pid, device, inode) for pid in os.listdir("/proc") if pid.isdigit())

    def memory(self) -> int:
        return sum(_memory(name) for name in os.listdir("/proc") if name.isdigit())

    def new_token(self) -> None:
        import subprocess  # as above

        subprocess.run(["/opt/bluegreen/new-token"], stdin=subprocess.DEVNULL, timeout=20, check=True)

    def start(self) -> str:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return f"{file.read().strip()}:{started(1)}"


def _workers() -> tuple[list[tuple[int, int]], int]:
    """(pid, start) of the workers that accept, and the number of those that drain."""
    active, draining = [], 0
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                title = file.read()
        except OSError:
            continue
        if title.startswith(b"nginx: worker process is shutting down"):
            draining += 1
        elif title.startswith(b"nginx: worker process"):
            active.append((int(name), started(int(name))))
    return active, draining


def _has_open(pid: str, device: int, inode: int) -> bool:
    """Whether this process is nginx's and has the file open. One that ends meanwhile has not."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if not file.read().startswith(b"nginx: "):
                return False
        handles = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    for handle in handles:
        try:
            info = os.stat(f"/proc/{pid}/fd/{handle}")
        except OSError:
            continue
        if (info.st_dev, info.st_ino) == (device, inode):
            return True
    return False


def _memory(pid: str) -> int:
    """Bytes of a process where it is one of nginx's: its share of what it shares, or all where that isn't told."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if not file.read().startswith(b"nginx: "):
                return 0
        return _proportional(pid) or _resident(pid)
    except (OSError, IndexError, ValueError):
        return 0


def _proportional(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:")), 0)
    except OSError:
        return 0


def _resident(pid: str) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def started(pid: int) -> int:
    """When a process was started, in clock ticks since boot; 0 where it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def _last_reload() -> tuple[set[tuple[int, int]], float | None]:
    try:
        with open(RELOAD) as file:
            at, *pairs = file.read().split()
        replaced = {(int(pid), int(start)) for pid, _, start in (pair.partition(":") for pair in pairs)}
        return replaced, time.monotonic() - float(at)
    except (OSError, ValueError):
        return set(), None
