"""Whoever watches counts the log into rows; together they count each line once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bluegreen.app.traffic import RowKeeper, read_rows, record_rows
from bluegreen.proxy.session import ProxySession
from bluegreen.traffic.lines import parse
from tests.proxykit import MemoryProxy
from tests.unit.traffic.logs import line


@pytest.fixture
def proxy(tmp_path: Path) -> MemoryProxy:
    return MemoryProxy(tmp_path / "volume")


def write(proxy: MemoryProxy, count: int, second: int = 0) -> None:
    proxy.nginx.log(line(msec=b"%d.500" % (1763850000 + second)) * count)


def requests(session: ProxySession, since: float = 0.0) -> list[tuple[int, int]]:
    return [(row.second - 1763850000, row.requests) for row in read_rows(session, since)[0]]


def test_what_is_recorded_is_what_was_asked_for(proxy: MemoryProxy) -> None:
    session = proxy.session()
    assert record_rows(session).requests == 0
    write(proxy, 3)
    write(proxy, 2, second=1)
    assert (record_rows(session).requests, record_rows(session).requests) == (5, 0)
    write(proxy, 4, second=1)
    assert record_rows(proxy.session()).rows == 1
    assert requests(session) == [(0, 3), (1, 6)]
    assert requests(session, 1763850001) == [(1, 6)]


def test_two_watchers_count_each_line_once(proxy: MemoryProxy) -> None:
    one, other = proxy.session(), proxy.session()
    for second in range(12):
        write(proxy, second + 1, second)
        for session in ((one, other), (other, one), (one,))[second % 3]:
            record_rows(session)
    assert requests(one) == [(second, second + 1) for second in range(12)]


def test_who_is_overtaken_while_counting_adds_nothing(proxy: MemoryProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    write(proxy, 5)
    slow, quick = proxy.session(), proxy.session()
    send = slow.send

    def late(ops: list[dict[str, object]]) -> list[dict[str, object]]:
        if ops[0]["op"] == "record":
            assert record_rows(quick).requests == 5
        return send(ops)

    monkeypatch.setattr(slow, "send", late)
    assert record_rows(slow).requests == 0
    assert requests(quick) == [(0, 5)]


def test_what_was_removed_before_anybody_counted_it_is_told(proxy: MemoryProxy) -> None:
    session = proxy.session()
    write(proxy, 1)
    record_rows(session)
    session.close()
    write(proxy, 2)
    log = proxy.nginx.logs / "access.log"
    (proxy.nginx.logs / "removed").write_text(str(log.stat().st_size))
    log.unlink()
    write(proxy, 3, second=9)
    found = record_rows(proxy.session())
    assert (found.requests, found.missed) == (3, 2 * len(line(msec=b"1763850000.500")))
    assert read_rows(proxy.session())[1] == found.missed


class Watcher:
    """Follows the log from its oldest line, as `bg watch` does."""

    def __init__(self, proxy: MemoryProxy) -> None:
        self.session = proxy.session()
        self.keeper = RowKeeper(self.session)
        self._parts = self.session.follow(None, oldest=True, seconds=0)

    def look(self) -> None:
        part = next(self._parts)
        self.keeper.count(parse(part.data).hits)
        self.keeper.read(part)


def test_who_follows_the_log_anyway_counts_with_what_it_reads(
    proxy: MemoryProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(proxy, 5)
    record_rows(proxy.session())
    write(proxy, 4, second=1)
    watcher = Watcher(proxy)
    watcher.look()  # the last rows ended within this part
    monkeypatch.setattr("bluegreen.app.traffic.record_rows", None)  # it does not read the log a second time
    watcher.keeper.keep()
    assert requests(watcher.session) == [(0, 5), (1, 4)]
    for second in (2, 3):
        write(proxy, second, second)
        watcher.look()
        watcher.keeper.keep()
    watcher.keeper.keep()
    assert requests(watcher.session) == [(0, 5), (1, 4), (2, 2), (3, 3)]


@given(
    st.lists(st.sampled_from(["write", "one looks", "other looks", "one keeps", "other keeps", "record"]), max_size=40)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_watchers_that_come_and_look_and_keep_at_any_time_count_each_line_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    proxy = MemoryProxy(tmp_path_factory.mktemp("log") / "volume")
    one, other, written = Watcher(proxy), Watcher(proxy), 0
    for step in steps:
        if step == "write":
            written += 1
            write(proxy, 3, written)
        elif step == "record":
            record_rows(proxy.session())
        else:
            watcher = one if step.startswith("one") else other
            watcher.look() if step.endswith("looks") else watcher.keeper.keep()
    for watcher in (one, other):
        watcher.look()
    record_rows(proxy.session())
    assert requests(one.session) == [(second, 3) for second in range(1, written + 1)]
