"""File effects that a crash can't tear: everything is synced before a rename makes it visible.

Each effect is announced before and after, by name, which is where the tests kill the agent.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

RESERVE = "reserve"
RESERVE_SIZE = 1 << 20
"""Bytes held back on the volume, so that a rollback still finds room when it is full."""


class Files:
    """The volume: paths are relative to ``root``."""

    def __init__(self, root: str, *, sync: bool = True, on: Callable[[str], None] | None = None) -> None:
        self.root = root
        self._sync = sync
        self._on = on

    def path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def read(self, name: str) -> str | None:
        """The text of a file; None where it isn't there."""
        try:
            with open(self.path(name), "rb") as file:
                return file.read().decode("utf-8", "replace")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names(self, name: str) -> list[str]:
        """What a directory holds, sorted; nothing where it isn't there."""
        try:
            return sorted(os.listdir(self.path(name)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def exists(self, name: str) -> bool:
        return os.path.lexists(self.path(name))

    def link_target(self, name: str) -> str | None:
        try:
            return os.readlink(self.path(name))
        except OSError:
            return None

    # -- effects -------------------------------------------------------------------------------------------
    def write(self, name: str, text: str, *, durable: bool = True) -> None:
        """Replace a file as a whole, or leave it as it was. Not ``durable``: a loss of power may undo it."""
        beside = f"{name}.{os.getpid()}.new"
        self.create(beside, text, durable=durable)
        self.rename(beside, name)
        if durable:
            self.sync(os.path.dirname(name))

    def create(self, name: str, text: str, *, durable: bool = True) -> None:
        """Write a file that nobody looks at yet."""
        self._said(f"create {name}", before=True)
        handle = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            _write_all(handle, text.encode())
            if durable and text and self._sync:
                os.fsync(handle)
        except OSError:
            os.unlink(self.path(name))
            raise
        finally:
            os.close(handle)
        self._said(f"create {name}")

    def append(self, name: str, text: str, *, durable: bool = True) -> None:
        """Add whole lines to a file: all of them or, where there is no room, none.

        Not ``durable``: until the next one that is, or `sync`, a loss of power may undo it. A last line that an
        earlier crash tore off was never acknowledged; it is cut away first.
        """
        self._said(f"append {name}", before=True)
        handle = os.open(self.path(name), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            end = _end_of_last_line(handle)
            os.ftruncate(handle, end)
            os.lseek(handle, end, os.SEEK_SET)
            try:
                _write_all(handle, text.encode())
                if durable and self._sync:
                    os.fsync(handle)
            except OSError:
                os.ftruncate(handle, end)
                raise
        finally:
            os.close(handle)
        self._said(f"append {name}")

    def mkdir(self, name: str) -> None:
        """Idempotent, parents included."""
        if os.path.isdir(self.path(name)):
            return
        self._said(f"mkdir {name}", before=True)
        os.makedirs(self.path(name), exist_ok=True)
        self._said(f"mkdir {name}")

    def link(self, name: str, target: str) -> None:
        """A second name for a file whose content never changes."""
        os.link(self.path(target), self.path(name))

    def symlink(self, name: str, target: str) -> None:
        """Make a symbolic link, or turn one to another target, in one step. `sync` makes it durable."""
        self.rename(self.symlink_beside(name, target), name)

    def symlink_beside(self, name: str, target: str) -> str:
        """Make a symbolic link that only has to be renamed to take the place of ``name``; answers its own name."""
        beside = f"{name}.{os.getpid()}.new"
        self.unlink(beside)
        os.symlink(target, self.path(beside))
        return beside

    def rename(self, name: str, new: str) -> None:
        """`sync` of the directory makes it durable."""
        self._said(f"rename {new}", before=True)
        os.rename(self.path(name), self.path(new))
        self._said(f"rename {new}")

    def unlink(self, name: str) -> None:
        """Idempotent."""
        try:
            os.unlink(self.path(name))
        except FileNotFoundError:
            return

    def remove(self, name: str) -> None:
        """Remove a file, a link or a whole directory. Idempotent."""
        self._said(f"remove {name}", before=True)
        _remove(self.path(name))
        self._said(f"remove {name}")

    def sync(self, name: str) -> None:
        """Make a directory's entries, or a file's content, durable."""
        if not self._sync:
            return
        handle = os.open(self.path(name), os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def lock(self, seconds: float = 15.0) -> Lock:
        return Lock(self.path("lock"), seconds)

    def keep_reserve(self) -> None:
        """Hold back some room, where there is any left."""
        if self.exists(RESERVE):
            return
        try:
            self.create(RESERVE, "-" * RESERVE_SIZE)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise

    def _said(self, effect: str, *, before: bool = False) -> None:
        if self._on is not None:
            self._on(f"{'before' if before else 'after'} {effect}")


NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class Lock:
    """A file lock held for milliseconds: what changes or checks who may change. Freed by a crash."""

    def __init__(self, path: str, seconds: float) -> None:
        self._path = path
        self._seconds = seconds
        self._handle = -1

    def __enter__(self) -> None:
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        until = time.monotonic() + self._seconds
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    os.close(self._handle)
                    raise
                time.sleep(0.002)
            else:
                return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._handle)


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _end_of_last_line(handle: int) -> int:
    end = os.lseek(handle, 0, os.SEEK_END)
    while end:
        start = max(0, end - 4096)
        block = os.pread(handle, end - start, start)
        newline = block.rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _remove(path: str) -> None:
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            for name in os.listdir(path):
                _remove(f"{path}/{name}")
            os.rmdir(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        return
