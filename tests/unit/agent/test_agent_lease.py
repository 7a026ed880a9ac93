"""One operation at a time, and a rollback that never waits."""

from __future__ import annotations

from typing import Any

import pytest

from bluegreen.model.errors import Held, Overtaken, ProxyFailed
from bluegreen.proxy.memory import MemoryClock
from tests.proxykit import KillAt, Killed, MemoryProxy, both, topology


def acquire(operation: str = "deploy-2", **more: Any) -> dict[str, Any]:
    return {"op": "acquire", "operation": operation, "holder": "you", "seconds": 30, **more}


def events(proxy: MemoryProxy) -> list[dict[str, Any]]:
    found = proxy.session().run([{"op": "read", "history": True}])[0]["events"]
    assert isinstance(found, list)
    return found


def test_a_held_lease_is_refused_with_its_holder(proxy: MemoryProxy) -> None:
    proxy.holding("deploy-1")
    with pytest.raises(Held, match="deploy-1 by test"):
        proxy.session().run([acquire()])


def test_waiting_for_a_lease_ends_when_it_expires(proxy: MemoryProxy) -> None:
    proxy.holding("deploy-1")
    assert proxy.session().run([acquire(wait=60)])[0]["epoch"] == 2
    assert proxy.nginx.clock.monotonic() == pytest.approx(1030, abs=1)


def test_a_waiting_operation_keeps_its_own_lease(proxy: MemoryProxy) -> None:
    proxy.nginx.held["10.0.0.1"] = 1
    session = proxy.holding("deploy-1")
    session.run([{"op": "drain", "addresses": ["10.0.0.1"], "seconds": 300}])
    with pytest.raises(Held):
        proxy.session().run([acquire()])


def test_every_holder_raises_the_epoch_and_the_one_before_can_do_nothing_more(proxy: MemoryProxy) -> None:
    first = proxy.holding("deploy-1")
    taken = proxy.session().run([{"op": "seize", "operation": "rollback-1", "holder": "me", "seconds": 30}])[0]
    assert taken["epoch"] == 2
    assert taken["lease"]["operation"] == "deploy-1"
    for op in (
        {"op": "append", "events": [{"event": "x"}]},
        topology(both(), 0),
        {"op": "drop_back"},
        {"op": "prune", "keep": 1},
    ):
        with pytest.raises(Overtaken):
            first.run([{**op, "epoch": 1}])
    with pytest.raises(Overtaken):
        first.run([{"op": "renew", "operation": "deploy-1"}])


def test_renewing_works_after_it_expired_as_long_as_nobody_took_it(proxy: MemoryProxy) -> None:
    session = proxy.holding("deploy-1")
    proxy.nginx.clock.pause(100)
    session.run([{"op": "renew", "operation": "deploy-1"}])
    with pytest.raises(Held):
        proxy.session().run([acquire()])
    proxy.nginx.clock.pause(31)
    proxy.session().run([acquire()])
    with pytest.raises(Overtaken):
        session.run([{"op": "renew", "operation": "deploy-1"}])


def test_releasing_is_idempotent_and_leaves_anothers_lease_alone(proxy: MemoryProxy) -> None:
    session = proxy.holding("deploy-1")
    session.run([{"op": "release", "operation": "deploy-1"}] * 2)
    proxy.session().run([acquire()])
    session.run([{"op": "release", "operation": "deploy-1"}])
    with pytest.raises(Held):
        proxy.session().run([acquire("deploy-3")])


def test_the_end_of_a_session_frees_its_lease_and_says_so(proxy: MemoryProxy) -> None:
    proxy.holding("deploy-1").close()
    assert [(e["event"], e["op"]) for e in events(proxy)] == [("lost", "deploy-1")]
    assert proxy.session().run([acquire()])[0]["epoch"] == 2


def test_the_end_of_a_session_that_released_or_lost_its_lease_says_nothing(proxy: MemoryProxy) -> None:
    session = proxy.holding("deploy-1")
    session.run([{"op": "release", "operation": "deploy-1"}])
    session.close()
    overtaken = proxy.holding("deploy-2")
    rollback = proxy.session()
    rollback.run([{"op": "seize", "operation": "rollback-1", "holder": "me", "seconds": 30}])
    overtaken.close()
    assert events(proxy) == []
    with pytest.raises(Held, match="rollback-1"):
        proxy.session().run([acquire()])


def test_the_lease_of_a_killed_agent_is_free_at_once(proxy: MemoryProxy) -> None:
    killed = KillAt()
    session = proxy.holding("deploy-1", on=killed)
    killed.at = len(killed.seen) + 4
    with pytest.raises(Killed):
        session.run([topology(both(), 0)])
    assert proxy.session().run([acquire()])[0]["epoch"] == 2


def test_a_restart_of_the_proxy_voids_leases(proxy: MemoryProxy) -> None:
    proxy.holding("deploy-1")
    proxy.nginx.restart()
    assert proxy.session().run([acquire()])[0]["epoch"] == 2


def test_a_clock_put_back_an_hour_keeps_no_lease_alive(proxy: MemoryProxy) -> None:
    proxy.holding("deploy-1")
    assert isinstance(proxy.nginx.clock, MemoryClock)
    proxy.nginx.clock.set_wall(-3600)
    proxy.nginx.clock.pause(31)
    assert proxy.session().run([acquire()])[0]["epoch"] == 2


def test_an_unreadable_lease_file_never_lets_an_old_holder_go_on(proxy: MemoryProxy) -> None:
    session = proxy.holding("deploy-1")
    (proxy.root / "lease.json").write_text("{oops")
    with pytest.raises(Overtaken):
        session.run([{"op": "drop_back", "epoch": 1}])
    assert proxy.session().run([acquire()])[0]["epoch"] > 1_000_000


def test_a_rollback_goes_on_without_a_journal_where_others_stop(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    (proxy.root / "journal.jsonl").unlink()
    with pytest.raises(ProxyFailed, match="the journal is gone"):
        proxy.session().run([{"op": "append", "events": [{"event": "begin"}]}])
    rollback = proxy.session()
    rollback.run([{"op": "seize", "operation": "rollback-1", "holder": "me", "seconds": 30}])
    rollback.run([{"op": "append", "events": [{"event": "begin"}]}])
    assert [e["event"] for e in events(proxy)] == ["journal-lost", "begin"]


def test_a_broken_journal_is_put_aside_for_a_new_one(proxy: MemoryProxy) -> None:
    journal = proxy.root / "journal.jsonl"
    journal.write_text("oops\n")
    kept = proxy.session().run([{"op": "begin_journal", "events": [{"event": "begin"}]}])[0]["kept"]
    assert (proxy.root / kept).read_text() == "oops\n"
    assert [e["event"] for e in events(proxy)] == ["begin"]
