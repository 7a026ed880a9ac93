"""The log is followed over its rotations: each line once, and what was removed too early is told in bytes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bluegreen.model.errors import ProxyFailed
from bluegreen.proxy.session import Followed, ProxySession
from tests.proxykit import MemoryProxy
from tests.unit.traffic.logs import line

Position = Mapping[str, Any]


class Rotated:
    """A log with a rotation of its own, as `nginx/rotate-log` makes it, and a worker that is late to reopen."""

    def __init__(self, tmp_path: Path) -> None:
        self.proxy = MemoryProxy(tmp_path / "volume")
        self.nginx = self.proxy.nginx
        self.folder = self.nginx.logs
        self.folder.mkdir()
        self.number = 0
        self._late: Path | None = None

    def write(self, count: int = 1, *, late: bool = False) -> None:
        """Lines, each with its number for a path; ``late``: from the worker that still has the former file."""
        for _ in range(count):
            data = line(uri=b"/%d" % self.number)
            self.number += 1
            if late:
                assert self._late is not None
                with self._late.open("ab") as file:
                    file.write(data)
            else:
                self.nginx.log(data)

    def rotate(self, *, late: bool = False) -> None:
        log = self.folder / "access.log"
        oldest = self.folder / "access.log.3"
        if oldest.exists():
            removed = self.folder / "removed"
            known = int(removed.read_text()) if removed.exists() else 0
            removed.write_text(f"{known + oldest.stat().st_size}\n")
        for older, newer in ((3, 2), (2, 1)):
            if (self.folder / f"access.log.{newer}").exists():
                (self.folder / f"access.log.{newer}").replace(self.folder / f"access.log.{older}")
        if log.exists():
            log.replace(self.folder / "access.log.1")
            if late:
                self._late = self.folder / "access.log.1"
                info = self._late.stat()
                self.nginx.writing = {(info.st_dev, info.st_ino)}

    def reopened(self) -> None:
        self.nginx.writing = set()
        self._late = None


@pytest.fixture
def log(tmp_path: Path) -> Rotated:
    return Rotated(tmp_path)


def numbers(data: bytes) -> list[int]:
    return [int(part.partition(b'"')[0]) for part in data.split(b'"uri":"/')[1:]]


def rest(session: ProxySession, position: Position | None, *, oldest: bool = False) -> tuple[list[int], Followed]:
    """All that is there, in this session."""
    found: list[int] = []
    for part in session.follow(position, oldest=oldest, seconds=0):
        found += numbers(part.data)
        if not part.data and not part.missed:
            return found, part
    raise AssertionError("it never ends")


def test_from_now_on_or_from_the_oldest_line(log: Rotated) -> None:
    log.write(3)
    log.rotate()
    log.write(2)
    assert rest(log.proxy.session(), None, oldest=True)[0] == [0, 1, 2, 3, 4]
    session = log.proxy.session()
    found, end = rest(session, None)
    assert found == []
    log.write(2)
    assert rest(session, end.position)[0] == [5, 6]
    assert rest(log.proxy.session(), end.position)[0] == [5, 6]


def test_a_log_that_is_not_there_yet_is_read_from_its_first_line(log: Rotated) -> None:
    session = log.proxy.session()
    _, nothing = rest(session, None)
    log.write(2)
    assert rest(session, nothing.position)[0] == [0, 1]
    assert rest(log.proxy.session(), nothing.position)[0] == [0, 1]


def test_what_a_worker_writes_to_the_former_file_comes_before_the_next_one(log: Rotated) -> None:
    session = log.proxy.session()
    log.write(2)
    found, at = rest(session, None, oldest=True)
    log.rotate(late=True)
    log.write(2)
    log.write(1, late=True)
    more, at = rest(session, at.position)
    assert (found, more) == ([0, 1], [4])  # not 2 and 3 yet: more may come before them
    log.write(1, late=True)
    log.reopened()
    assert rest(session, at.position)[0] == [5, 2, 3]


def test_half_a_line_is_not_read_before_its_end(log: Rotated) -> None:
    session = log.proxy.session()
    data = line(uri=b"/7")
    log.nginx.log(data[:40])
    found, at = rest(session, None, oldest=True)
    assert found == []
    log.nginx.log(data[40:])
    assert rest(session, at.position)[0] == [7]


def test_a_line_that_stays_half_does_not_hold_up_what_follows(log: Rotated) -> None:
    log.write(1)
    log.nginx.log(line()[:40])
    log.rotate()
    log.write(1)
    assert rest(log.proxy.session(), None, oldest=True)[0] == [0, 1]


@pytest.mark.parametrize("rotated", [False, True])
def test_who_has_read_up_to_a_line_that_stays_half_is_not_behind(log: Rotated, *, rotated: bool) -> None:
    log.write(2)
    if rotated:
        log.rotate()
    half = line(uri=b"/7")[:40]
    log.nginx.log(half)
    session = log.proxy.session()
    found, end = rest(session, None, oldest=True)
    assert (found, end.behind) == ([0, 1], 0)
    part = next(log.proxy.session().follow(None, oldest=True, seconds=0))
    assert part.behind == 0
    log.nginx.log(line()[40:] + line() * 3000 + half)
    part = next(session.follow(end.position, seconds=0))
    assert len(part.data) + part.behind == 3001 * len(line())


def test_a_file_that_is_being_read_is_read_to_its_end_after_it_was_removed(log: Rotated) -> None:
    session = log.proxy.session()
    log.write(1)
    found, at = rest(session, None, oldest=True)
    log.write(2)
    for _ in range(4):
        log.rotate()
        log.write(1)
    assert not (log.folder / "access.log.4").exists()
    more, _ = rest(session, at.position)
    assert found + more == list(range(log.number))


def test_who_comes_too_late_is_told_how_many_bytes_are_missing(log: Rotated) -> None:
    log.write(5)
    session = log.proxy.session()
    _, at = rest(session, None, oldest=True)
    session.close()
    log.write(2)  # 5 and 6 go unread
    for _ in range(4):
        log.rotate()
        log.write(3)
    parts = []
    for part in log.proxy.session().follow(at.position, seconds=0):
        parts.append(part)
        if not part.data:
            break
    assert [number for part in parts for number in numbers(part.data)] == list(range(7, 19))
    assert [part.missed for part in parts if part.missed] == [2 * len(line(uri=b"/5"))]


def test_the_same_is_told_to_who_reads_on_in_the_same_session(log: Rotated) -> None:
    session = log.proxy.session()
    log.write(1)
    found, at = rest(session, None, oldest=True)
    log.write(1)
    for _ in range(6):  # 2 to 7; of these the first two files go unread
        log.rotate()
        log.write(1)
    parts = session.follow(at.position, seconds=0)
    read = [(numbers(part.data), part.missed) for part in (next(parts) for _ in range(6))]
    missed = 2 * len(line(uri=b"/2"))
    assert found == [0]
    assert read == [([1], 0), ([4], missed), ([5], 0), ([6], 0), ([7], 0), ([], 0)]


def test_another_file_on_the_same_inode_is_not_taken_for_the_former_one(log: Rotated) -> None:
    log.write(3)
    _, at = rest(log.proxy.session(), None, oldest=True)
    text = (log.folder / "access.log").read_bytes()
    with (log.folder / "access.log").open("r+b") as file:  # the same inode, other content, longer
        file.write(line(uri=b"/100") * 9)
    assert len(text) < (log.folder / "access.log").stat().st_size
    assert rest(log.proxy.session(), at.position)[0] == [100] * 9


def test_a_part_of_a_large_log_says_how_much_is_left(log: Rotated) -> None:
    log.nginx.log(line() * 3000)
    part = next(log.proxy.session().follow(None, oldest=True, seconds=0))
    assert part.data.endswith(b"}\n")
    assert len(part.data) + part.behind == 3000 * len(line())


def test_a_line_longer_than_any_part_comes_whole(log: Rotated) -> None:
    long = line(uri=b"/" + b"x" * 600_000)
    log.nginx.log(line() + long + line())
    data = b"".join(
        part.data for part, _ in zip(log.proxy.session().follow(oldest=True, seconds=0), range(3), strict=False)
    )
    assert data == line() + long + line()


def test_a_place_that_is_none_is_refused(log: Rotated) -> None:
    with pytest.raises(ProxyFailed, match="no place in the log"):
        next(log.proxy.session().follow({"file": "x"}))


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_in_between_each_line_comes_once_and_in_order(log: Rotated, seed: int) -> None:
    """Writing, rotating, late workers, followers that are replaced by others; the log keeps three files behind."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    session, position = log.proxy.session(), None
    found: list[int] = []
    unread = 0  # rotations since everything was read
    for _ in range(120):
        step = chance.choice(("write", "write", "rotate", "late", "reopen", "follow", "follow", "other"))
        if step == "write":
            log.write(chance.randrange(1, 4))
        elif step == "rotate" and unread < 3 and not log.nginx.writing:
            log.rotate(late=chance.random() < 0.5 and (log.folder / "access.log").exists())
            unread += 1
        elif step == "late" and log.nginx.writing:
            log.write(1, late=True)
        elif step == "reopen":
            log.reopened()
        elif step == "follow":
            more, at = rest(session, position, oldest=True)
            found += more
            position = at.position
            if not log.nginx.writing:
                unread = 0
        elif step == "other":
            session.close()
            session = log.proxy.session()
    log.reopened()
    found += rest(session, position, oldest=True)[0]
    assert sorted(found) == list(range(log.number))
