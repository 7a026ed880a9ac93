"""What a project gathers in its life costs no more room and no more time than it must."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.agent.agent import GENERATIONS_KEPT
from bluegreen.agent.files import Files
from bluegreen.agent.journal import BLOCK, Journal
from bluegreen.model.history import History, fold
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

    def counted(handle: int, size: int, at: int) -> bytes:
        read.append(size)
        return pread(handle, size, at)

    monkeypatch.setattr(os, "pread", counted)
    answer = session.run([{"op": "read", "history": False}])[0]
    assert [event["event"] for event in answer["events"]] == ["end"]
    assert sum(read) <= BLOCK


OUTCOMES = st.sampled_from(["done", "failed", "aborted", None])  # None: interrupted
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["deploy", "rollback", "switch", "prune"]), st.integers(1, 5), st.integers(0, 4), OUTCOMES
    ),
    max_size=8,
)


@given(OPERATIONS, st.booleans())
def test_a_history_without_steps_is_the_same_history_and_far_shorter(
    operations: list[tuple[str, int, int, str | None]], begun_anew: bool
) -> None:
    events = list(_journal(operations, begun_anew=begun_anew))
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        book = Journal(Files(directory, sync=False))
        whole, told = book.read(history=True), book.read(history=True, steps=False)
    assert (whole[:2], whole[2]) == (("ok", ""), events)
    assert told[:2] == ("ok", "")
    assert _known(fold(told[2])) == _known(fold(events))
    last = max((n for n, event in enumerate(told[2]) if event["event"] == "end"), default=-1)
    assert not [event for event in told[2][: last + 1] if event["event"] in ("intent", "outcome")]
    assert sum(bool((event.get("snapshot") or {}).get("releases")) for event in told[2]) <= 1


def _known(history: History) -> History:
    """Where an operation was when it ended is of no use to anyone."""
    if history.operation is None or history.operation.unfinished:
        return history
    return replace(history, operation=replace(history.operation, last_step=None))


def _journal(operations: list[tuple[str, int, int, str | None]], *, begun_anew: bool) -> list[dict[str, Any]]:
    """What so many operations leave: (kind, release, steps, outcome). ``begun_anew``: an earlier journal was lost, and
    a snapshot is all that is known of its time."""
    events: list[dict[str, Any]] = []
    if begun_anew:
        known = fold([{"event": "released", "release": {"number": 1, "tag": "v1"}}], History())
        events.append({"v": 1, "event": "end", "op": "repair", "outcome": "done", "snapshot": known.snapshot()})
    for number, (kind, release, steps, outcome) in enumerate(operations):
        mine: dict[str, Any] = {"v": 1, "op": f"{kind}-{number}", "t": f"t{number}"}
        events.append({**mine, "event": "begin", "kind": kind, "release": release, "live": 1, "tag": f"v{release}"})
        if kind == "deploy":
            events.append({**mine, "event": "released", "release": {"number": release, "tag": f"v{release}"}})
        for step in range(steps):
            events += [{**mine, "event": event, "step": f"step-{step}"} for event in ("intent", "outcome")]
        if outcome == "failed":
            events.append({**mine, "event": "failed", "release": release, "message": "no", "code": "x"})
        elif kind in ("rollback", "switch"):
            events.append({**mine, "event": "switched", "to": release, "from": 1, "kind": kind})
            events.append({**mine, "event": "marked", "release": 1, "mark": "bad", "reason": "slow"})
        if outcome is not None:
            snapshot = fold(events).snapshot()
            events.append({**mine, "event": "end", "outcome": outcome, "snapshot": snapshot})
    return events
