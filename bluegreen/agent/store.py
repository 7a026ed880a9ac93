"""Generations, the link `current`, and the way back.

    generations/000044/   nginx.conf  upstreams.conf  slot.conf  digest  routes.json  generation
                          split/green -> ../../../markers/0-30   idle/green   skew/blue/176385000
                          back/  (the same of the way back, without a number), or back -> ../000043
    current -> generations/000044
    markers/0-30/         empty files named 0..29, shared by all generations that need them

A numbered generation never changes, but for losing its way back and what else leads there. As that is part of it, one
rename moves both; and as marker directories are shared, a way back becomes a generation by a handful of links.
"""

from __future__ import annotations

import os

from .clock import parse_rfc3339
from .errors import Refusal
from .jsonl import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .files import Files

SLOTS = ("blue", "green")
OWN_FILES = ("routes.json", "generation")  # of a numbered generation alone
FOLDERS = ("split", "idle", "skew", "back")
MOST_SKEW = 3600.0
"""Seconds."""


class Store:
    def __init__(self, files: Files) -> None:
        self.files = files

    def current(self) -> int | None:
        """The number that `current` names; None when there is none."""
        return _number(self.files.link_target("current"))

    def routes(self, directory: str) -> dict[str, Any] | None:
        """A generation's ``routes.json``; None where it isn't there, as in the one the image brings."""
        text = self.files.read(f"{directory}/routes.json")
        if text is None:
            return None
        try:
            routes = loads(text)
        except ValueError:
            return None
        return routes if isinstance(routes, dict) else None

    def digest(self, directory: str) -> str | None:
        text = self.files.read(f"{directory}/digest")
        return None if text is None else text.strip()

    def highest(self) -> int:
        return max((_number(name) or 0 for name in self.files.names("generations")), default=0)

    # -- making generations --------------------------------------------------------------------------------
    def stage(self, operation: str, files: dict[str, str], routes: dict[str, Any]) -> str:
        """Write what was uploaded to a directory of its own under ``staging/``."""
        directory = self._staging(operation)
        self._fill(directory, files, routes)
        return directory

    def stage_copy(self, operation: str, source: str, routes: dict[str, Any]) -> str:
        """The same from another generation's files."""
        directory = self._staging(operation)
        for name in self.files.names(source):
            if name not in OWN_FILES and os.path.isfile(self.files.path(f"{source}/{name}")):
                self.files.link(f"{directory}/{name}", f"{source}/{name}")
        self._mark(directory, routes)
        return directory

    def stage_back(self, staged: str, files: dict[str, str], routes: dict[str, Any]) -> None:
        """Put an uploaded way back into a staged generation."""
        directory = f"{staged}/back"
        self.files.mkdir(directory)
        self._fill(directory, files, routes)
        self.files.create(f"{directory}/routes.json", dumps(routes))
        self._sync_staged(directory)

    def stage_back_to(self, staged: str, number: int) -> None:
        """Let a staged generation's way back be another generation, where there is one to go to."""
        if self.routes(name_of(number)) is not None:
            self.files.symlink(f"{staged}/back", f"../{number:06d}")

    def mark_skew(self, staged: str, routes: dict[str, Any], since: str) -> None:
        """Let a staged generation keep calls of the former release's pages there, for as long as its release says.

        One file for every ten seconds of that time, by which nginx tells when it is over: nobody has to be there to
        end it. ``since`` is when what is live became live.
        """
        try:
            former, seconds = skew(routes)
            first = parse_rfc3339(since)
        except (AttributeError, TypeError, ValueError):  # damaged by hand: no reason to stop a rollback
            return
        if former is None:
            return
        directory = f"{staged}/skew/{former}"
        self.files.mkdir(directory)
        for tens in range(int(first // 10), int((first + seconds) // 10) + 1):
            os.close(os.open(self.files.path(f"{directory}/{tens}"), os.O_WRONLY | os.O_CREAT, 0o644))

    def place(self, staged: str, routes: dict[str, Any]) -> None:
        """Give a staged generation its number (``routes["generation"]``)."""
        self.files.create(f"{staged}/routes.json", dumps(routes))
        self.files.create(f"{staged}/generation", f"{routes['generation']}\n")
        self._sync_staged(staged)
        self.files.mkdir("generations")
        self.files.rename(staged, name_of(routes["generation"]))

    def point(self, number: int, now: Callable[[], float] = lambda: 0.0) -> float:
        """The flip; answers ``now`` just before it."""
        beside = self.files.symlink_beside("current", name_of(number))
        moment = now()
        self.files.rename(beside, "current")
        # Together, since a journaling file system writes both renames at once, in their order. Were only the second
        # one there after a loss of power, the proxy would start with the newest generation, which is this one.
        self.files.sync("generations")
        self.files.sync("")
        return moment

    def drop_back(self) -> None:
        """Say that there is no way back from now on. Idempotent."""
        if self.files.exists("current/back"):
            aside = f"{self._staging('dropped')}/back"
            self.files.rename("current/back", aside)
            self.files.sync("current")
            self.files.remove(os.path.dirname(aside))
        self.end_skew()

    def end_skew(self) -> None:
        """Let no call go to the former release any more: it is about to be stopped. Idempotent."""
        if self.files.exists("current/skew"):
            self.files.remove("current/skew")

    # -- tidying -------------------------------------------------------------------------------------------
    def prune(self, keep: int) -> list[int]:
        """Remove all but the last ``keep`` generations, and uploads that were left over."""
        old = self.forget(keep)
        for name in self.files.names("staging"):
            self.files.remove(f"staging/{name}")
        return old

    def forget(self, keep: int) -> list[int]:
        """Remove all but the last ``keep`` generations, never current, its parent or the way back."""
        current = self.current()
        parent = (self.routes("current") or {}).get("parent")
        needed = {current, parent}
        needed.update(_number(self.files.link_target(f"{name_of(n)}/back")) for n in (current, parent) if n is not None)
        numbers = sorted(n for n in map(_number, self.files.names("generations")) if n is not None)
        old = [n for n in numbers[: -keep or None] if n not in needed]
        for number in old:
            self.files.remove(name_of(number))
        return old

    # -- helpers -------------------------------------------------------------------------------------------
    def _staging(self, operation: str) -> str:
        """A fresh directory: an upload into one that is there would merge with what is in it."""
        base = f"staging/{operation or 'none'}.{os.getpid()}"
        number = 0
        while self.files.exists(f"{base}.{number}"):
            number += 1
        self.files.mkdir(f"{base}.{number}")
        return f"{base}.{number}"

    def _sync_staged(self, directory: str) -> None:
        for folder in ("split", "idle", ""):
            self.files.sync(f"{directory}/{folder}")

    def _fill(self, directory: str, files: dict[str, str], routes: dict[str, Any]) -> None:
        self._mark(directory, routes)
        for name, text in files.items():
            _check_name(name)
            self.files.create(f"{directory}/{name}", text)

    def _mark(self, directory: str, routes: dict[str, Any]) -> None:
        """Markers of the slots by bucket, and of the idle slot."""
        root = "../" * (directory.count("/") + 2)
        self.files.mkdir(f"{directory}/split")
        for slot, (first, end) in shares(routes).items():
            if first == end:  # nginx looks in vain, which is cheapest where not even the directory is there
                continue
            self._ensure_markers(first, end)
            self.files.symlink(f"{directory}/split/{slot}", f"{root}markers/{first}-{end}")
        self.files.mkdir(f"{directory}/idle")
        idle = idle_slot(routes)
        if idle is not None:
            self.files.create(f"{directory}/idle/{idle}", "")

    def _ensure_markers(self, first: int, end: int) -> None:
        directory = f"markers/{first}-{end}"
        self.files.mkdir(directory)
        present = set(self.files.names(directory))
        missing = [bucket for bucket in range(first, end) if str(bucket) not in present]
        for bucket in missing:
            os.close(os.open(self.files.path(f"{directory}/{bucket}"), os.O_WRONLY | os.O_CREAT, 0o644))
        if missing:
            self.files.sync(directory)
            self.files.sync("markers")


def name_of(number: int) -> str:
    return f"generations/{number:06d}"


def shares(routes: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Which buckets each slot gets: the candidate 0..p-1, the live slot the others."""
    live, share = routes.get("live"), routes.get("share") or 0
    if live is not None and live not in SLOTS:
        raise Refusal("invalid", f"there is no slot {live!r}")
    if not isinstance(share, int) or not 0 <= share <= 100:
        raise Refusal("invalid", f"a share is 0..100, not {share!r}")
    if share and (live is None or len(routes.get("stacks") or {}) < len(SLOTS)):
        raise Refusal("invalid", f"{share} % would go to a slot that holds nothing")
    if live is None:
        return dict.fromkeys(SLOTS, (0, 0))
    return {slot: (share, 100) if slot == live else (0, share) for slot in SLOTS}


def idle_slot(routes: dict[str, Any]) -> str | None:
    """The slot that the preview shows: one with a stack that isn't live, of two the newer."""
    stacks = routes.get("stacks") or {}
    idle = [slot for slot in SLOTS if slot in stacks and slot != routes.get("live")]
    return max(idle, key=lambda slot: _release(stacks[slot]), default=None)


def skew(routes: dict[str, Any]) -> tuple[str | None, float]:
    """The slot of the former release whose pages keep their calls there, and for how many seconds after the switch.

    None after a rollback, which a newer release is left by, and where the idle slot holds a candidate.
    """
    stacks = routes.get("stacks") or {}
    live = routes.get("live")
    former = next((slot for slot in SLOTS if slot in stacks and slot != live), None)
    if live not in stacks or former is None or _release(stacks[former]) >= _release(stacks[live]):
        return None, 0.0
    proxy = (stacks[live].get("release") or {}).get("proxy") or {}
    seconds = min(float(proxy.get("skew") or 0), MOST_SKEW)
    return (former if seconds > 0 else None), seconds


def _release(stack: dict[str, Any]) -> int:
    return int((stack.get("release") or {}).get("number") or 0)


def _number(target: str | None) -> int | None:
    """44 for ``generations/000044``, ``../000044`` and ``000044``."""
    if target is None:
        return None
    directory, _, name = target.rpartition("/")
    return int(name) if directory in ("", "..", "generations") and name.isascii() and name.isdigit() else None


def _check_name(name: str) -> None:
    allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
    if not name or name[0] == "." or name in (*OWN_FILES, *FOLDERS) or not set(name) <= set(allowed):
        raise Refusal("invalid", f"{name!r} is no name for a file of a generation")
