"""What a project gathers in its life costs no more room and no more time than it must."""

from __future__ import annotations

import os

import pytest

from bluegreen.agent.agent import GENERATIONS_KEPT
from bluegreen.agent.journal import BLOCK
from tests.proxykit import MemoryProxy, both, topology, way_back


def test_a_hundred_rollbacks_leave_no_more_generations_than_are_kept(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    for number in range(2, 102):
        session = proxy.session()
        session.run([{"op": "seize", "operation": f"rollback-{number}", "holder": "test", "seconds": 30}])
        session.run([way_back(number), {"op": "release", "operation": f"rollback-{number}"}])
        session.close()
        kept = [int(entry.name) for entry in (proxy.root / "generations").iterdir()]
        assert len(kept) <= GENERATIONS_KEPT + 1
        assert {number, number + 1} <= set(kept), "the way back has gone"


def test_an_upload_under_way_stays_when_somebody_else_is_done(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    (proxy.root / "staging" / "deploy-1.7.0").mkdir(parents=True)
    proxy.holding("switch-1").run([{"op": "release", "operation": "switch-1"}])
    assert (proxy.root / "staging" / "deploy-1.7.0").is_dir()


@pytest.mark.parametrize("events", [0, 100_000])
def test_the_journals_tail_is_read_alike_however_long_the_journal_is(
    proxy: MemoryProxy, monkeypatch: pytest.MonkeyPatch, events: int
) -> None:
    with (proxy.root / "journal.jsonl").open("a") as journal:
        for _ in range(events // 5):
            journal.write('{"v":1,"event":"begin","op":"a"}\n' + '{"v":1,"event":"intent","op":"a","step":"x"}\n' * 3)
            journal.write('{"v":1,"event":"end","op":"a"}\n')
    session = proxy.holding("deploy-1")
    session.run([topology(both(), 0), {"op": "append", "events": [{"event": "end", "op": "deploy-1"}]}])
    session.run([{"op": "release", "operation": "deploy-1"}])
    read: list[int] = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda handle, size, at: (read.append(size), pread(handle, size, at))[1])
    answer = session.run([{"op": "read", "history": False}])[0]
    assert [event["event"] for event in answer["events"]] == ["end"]
    assert sum(read) <= BLOCK
