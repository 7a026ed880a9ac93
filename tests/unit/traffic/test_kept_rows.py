"""Rows are kept once, whoever records them; a day of them, within bounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bluegreen.agent import rows as kept
from bluegreen.agent.files import Files
from bluegreen.model.errors import ProxyFailed
from bluegreen.proxy.memory import MemoryClock
from tests.proxykit import MemoryProxy


@pytest.fixture
def proxy(tmp_path: Path) -> MemoryProxy:
    made = MemoryProxy(tmp_path / "volume")
    made.nginx.logs.mkdir()
    return made


def place(offset: int) -> dict[str, Any]:
    return {"file": 1, "first": "aa", "offset": offset, "at": offset}


def record(proxy: MemoryProxy, since: dict[str, Any] | None, until: dict[str, Any], *rows: list[Any]) -> Any:
    return proxy.session().send([{"op": "record", "since": since, "until": until, "rows": list(rows)}])[0]


def entries(proxy: MemoryProxy) -> list[Any]:
    session = proxy.session()
    hours = session.run([{"op": "rows"}])[0]["hours"]
    pages = [session.run([{"op": "rows", "hour": hour}])[0]["data"] for hour in hours]
    return [json.loads(one) for page in pages for one in page.splitlines()]


def test_only_who_read_on_from_the_last_rows_may_add_some(proxy: MemoryProxy) -> None:
    assert record(proxy, None, place(10), [1])["ok"]
    assert record(proxy, place(10), place(20), [2])["ok"]
    late = record(proxy, place(10), place(25), [3])
    assert (late["ok"], late["code"], late["recorded"]) == (False, "stale", place(20))
    assert record(proxy, None, place(5))["code"] == "stale"
    assert [entry["rows"] for entry in entries(proxy)] == [[[1]], [[2]]]


def test_rows_that_a_crash_tore_off_were_never_recorded(proxy: MemoryProxy) -> None:
    record(proxy, None, place(10), [1])
    (file,) = [path for path in (proxy.nginx.logs / "rows").iterdir() if path.name.isdigit()]
    with file.open("a") as torn:
        torn.write('{"until":{"file"')
    assert record(proxy, place(10), place(20), [2])["ok"]
    assert [entry["rows"] for entry in entries(proxy)] == [[[1]], [[2]]]


def test_a_day_is_kept(proxy: MemoryProxy) -> None:
    since = None
    for hour in range(30):
        assert record(proxy, since, place(hour), [hour])["ok"]
        since = place(hour)
        proxy.nginx.clock.pause(3600)
    assert [entry["rows"][0][0] for entry in entries(proxy)] == list(range(5, 30))


def test_a_clock_that_was_set_back_does_not_change_what_came_last(proxy: MemoryProxy) -> None:
    record(proxy, None, place(10), [1])
    assert isinstance(proxy.nginx.clock, MemoryClock)
    proxy.nginx.clock.set_wall(-7200)
    assert record(proxy, place(10), place(20), [2])["ok"]
    assert record(proxy, place(20), place(30), [3])["ok"]
    assert [entry["rows"] for entry in entries(proxy)] == [[[1]], [[2]], [[3]]]


def test_the_oldest_go_early_where_there_is_too_much(proxy: MemoryProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_BYTES", 3000)
    since = None
    for hour in range(8):
        record(proxy, since, place(hour), [hour, "x" * 800])
        since = place(hour)
        proxy.nginx.clock.pause(3600)
    assert [entry["rows"][0][0] for entry in entries(proxy)] == [5, 6, 7]


def test_a_long_hour_is_read_in_pages(proxy: MemoryProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "PAGE", 300)
    since = None
    for number in range(20):
        record(proxy, since, place(number), [number, "x" * (500 if number == 7 else 50)])
        since = place(number)
    session = proxy.session()
    hour = session.run([{"op": "rows"}])[0]["hours"][0]
    data, offset = b"", 0
    while page := session.run([{"op": "rows", "hour": hour, "offset": offset}])[0]["data"]:
        data += page
        offset += len(page)
    assert [json.loads(one)["rows"][0][0] for one in data.splitlines()] == list(range(20))


def test_a_full_volume_of_the_log_takes_no_generation_away(proxy: MemoryProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy.at_blue()
    before = sorted((proxy.root / "generations").iterdir())

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Files, "append", full)
    with pytest.raises(ProxyFailed, match="volume of the access log is full"):
        proxy.session().run([{"op": "record", "since": None, "until": place(1), "rows": []}])
    assert sorted((proxy.root / "generations").iterdir()) == before
