"""What a session does with operations: in order, recorded, and never ended by a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bluegreen.agent import shelf
from bluegreen.agent.clock import parse_rfc3339, rfc3339
from bluegreen.agent.files import Files
from bluegreen.model.errors import ProxyFailed
from bluegreen.model.names import Slot
from tests.proxykit import MemoryProxy, both, flip, topology


def test_operations_run_in_order_and_stop_at_the_first_that_fails(proxy: MemoryProxy) -> None:
    session = proxy.holding()
    results = session.send([topology(both(), 0), topology(both(), 9), {"op": "hello"}])
    assert [r.get("code", "ok") for r in results] == ["ok", "stale"]


def test_a_bad_operation_is_answered_and_the_session_goes_on(proxy: MemoryProxy) -> None:
    session = proxy.session()
    for op, code in (
        ({"op": "nonsense"}, "unknown"),
        ({"op": "renew"}, "failed"),
        ({}, "unknown"),
        ({"op": "activate", "generation": 3}, "invalid"),
        ({"op": "settle", "gate": "x"}, "failed"),
    ):
        assert session.send([op])[0]["code"] == code
    assert session.hello()["version"] == "memory"


def test_the_intent_comes_before_the_effect_and_the_outcome_after_it(proxy: MemoryProxy) -> None:
    session = proxy.holding("deploy-7")
    session.send([topology(both(), 0, journal={"step": "topology"}, epoch=1)])
    session.send([flip(both(Slot.BLUE), 5, journal={"step": "switch"}, epoch=1)])
    session.send([flip(both(Slot.BLUE), 1, journal={"step": "switch"}, epoch=99)])
    found = session.run([{"op": "read", "history": True}])[0]["events"]
    assert [(e["event"], e["step"], e.get("ok"), e.get("code")) for e in found] == [
        ("intent", "topology", None, None),
        ("outcome", "topology", True, None),
        ("intent", "switch", None, None),
        ("outcome", "switch", False, "stale"),
    ]
    assert {(e["v"], e["op"], e["epoch"]) for e in found} == {(1, "deploy-7", 1)}


def test_gates_open_one_after_the_other(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    session = proxy.holding()
    proxy.nginx.holds_workers = True
    session.run([topology(both(Slot.BLUE), 2)])
    proxy.nginx.reload()
    session.run([{"op": "settle", "gate": 1, "seconds": 0}])
    with pytest.raises(ProxyFailed, match="gate 2"):
        session.run([{"op": "settle", "gate": 2, "seconds": 1}])
    session.run([{"op": "settle", "gate": 2, "seconds": 10}])  # what they keep alive has ended
    with pytest.raises(ProxyFailed, match="gate 3"):
        session.run([{"op": "settle", "gate": 3, "seconds": 60}])
    proxy.nginx.finish_drain()
    session.run([{"op": "settle", "gate": 3, "seconds": 0}])


def test_draining_waits_for_the_last_connection_or_the_deadline(proxy: MemoryProxy) -> None:
    session = proxy.holding()
    clock = proxy.nginx.clock
    drain = {"op": "drain", "addresses": ["10.0.0.1"], "seconds": 20}
    assert session.run([drain])[0] == {"ok": True, "left": 0, "waited": 0.05, "took": 50.0}
    proxy.nginx.held = {"10.0.0.1": 2, "10.0.0.2": 1}
    assert session.run([drain])[0]["left"] == 2
    soon = rfc3339(clock.now() + 3)
    assert session.run([{**drain, "until": soon}])[0]["waited"] == pytest.approx(3, abs=0.1)
    past = rfc3339(clock.now() - 3)
    assert session.run([{**drain, "until": past}])[0]["waited"] == 0


def test_what_is_kept_for_people_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "FILE_LIMIT", 10)
    monkeypatch.setattr(shelf, "TOTAL_LIMIT", 25)
    files = Files(str(tmp_path), sync=False)
    for number in range(5):
        shelf.put(files, f"deploy-{number}/web.log", "0123456789abc", append=False)
        newest = tmp_path / f"failures/deploy-{number}/web.log"
        assert newest.read_text() == "3456789abc"
        newest.touch()
    assert sum(1 for _ in tmp_path.glob("failures/*/*.log")) == 2
    shelf.put(files, "deploy-4/web.log", "XY", append=True)
    assert shelf.get(files, "deploy-4/web.log") == {"text": "56789abcXY"}


@pytest.mark.parametrize("path", ["../lease.json", "/etc/passwd", "a/../../b", "", "a//b", "a\nb", ".x"])
def test_nothing_else_is_read_or_written(proxy: MemoryProxy, path: str) -> None:
    session = proxy.session()
    assert session.send([{"op": "get", "path": path}])[0]["code"] == "invalid"
    assert session.send([{"op": "put", "path": path, "text": "x"}])[0]["code"] == "invalid"


def test_what_is_kept_can_be_listed_and_read(proxy: MemoryProxy) -> None:
    session = proxy.session()
    session.run([{"op": "put", "path": "deploy-1/web.log", "text": "ö", "append": False}])
    session.run([{"op": "put", "path": "deploy-1/web.log", "text": "!", "append": True}])
    assert session.run([{"op": "get", "path": "/"}])[0]["list"] == ["deploy-1"]
    assert session.run([{"op": "get", "path": "deploy-1/"}])[0]["list"] == ["web.log"]
    assert session.run([{"op": "get", "path": "deploy-1/web.log"}])[0]["text"] == "ö!"
    assert session.send([{"op": "get", "path": "deploy-1"}])[0]["code"] == "missing"
    assert session.send([{"op": "get", "path": "deploy-2/web.log"}])[0]["code"] == "missing"


@pytest.mark.parametrize(
    "text",
    [
        "1970-01-01T00:00:00Z",
        "2024-02-29T23:59:59.5+00:00",
        "2026-11-22T16:33:11.123456+02:30",
        "2100-03-01T00:00:00-11:00",
    ],
)
def test_moments_are_read_as_by_the_standard_library(text: str) -> None:
    from datetime import datetime

    assert parse_rfc3339(text) == pytest.approx(datetime.fromisoformat(text).timestamp())
