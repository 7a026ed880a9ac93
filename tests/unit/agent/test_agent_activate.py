"""Traffic changes by activation alone, and a crash anywhere in it leaves the parent or the new generation."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bluegreen.agent.nginx import Workers
from bluegreen.model.errors import BluegreenError, Overtaken, ProxyFailed, Stale
from bluegreen.model.names import Slot
from bluegreen.proxy.session import ProxySession
from tests.proxykit import KillAt, Killed, MemoryProxy, both, flip, stack, topology, upload, way_back


def live(proxy: MemoryProxy) -> Slot | None:
    """By a visitor whose bucket no share of these tests reaches."""
    return proxy.nginx.serve(bucket=50)[0]


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def state(proxy: MemoryProxy) -> dict[str, Any]:
    session = proxy.session()
    try:
        return session.run([{"op": "read", "history": True}])[0]
    finally:
        session.close()


def test_before_the_first_switch_the_public_listener_says_that_nothing_is_live(proxy: MemoryProxy) -> None:
    assert proxy.nginx.serve()[1] == 503
    assert (state(proxy)["generation"], state(proxy)["routes"], state(proxy)["compiled"]) == (0, None, "bootstrap-none")
    proxy.holding().run([topology(both(), 0)])
    assert proxy.nginx.serve()[1] == 503


def test_a_flip_moves_every_request_without_waiting_for_a_reload(proxy: MemoryProxy) -> None:
    proxy.nginx.ignores_reload = False
    session = proxy.holding()
    session.run([topology(both(), 0)])
    proxy.nginx.ignores_reload = True
    answer = session.run([flip(both(Slot.BLUE), 1)])[0]
    assert live(proxy) is Slot.BLUE
    assert answer["served"]["generation"] == 2
    assert state(proxy)["compiled"].endswith("-none.2")


def test_the_moment_of_the_rename_is_told_by_whoever_made_it(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    proxy.nginx.clock.pause(5)
    before = proxy.nginx.clock.monotonic()
    session = proxy.holding()
    answer = session.run([way_back(2)])[0]
    assert before <= answer["renamed"] <= proxy.nginx.clock.monotonic()
    again = session.run([way_back(2)])[0]
    assert (again["generation"], "renamed" in again) == (answer["generation"], False)


def test_a_flip_then_has_the_compiled_configuration_say_what_is_live(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    assert proxy.holding().run([way_back(2)])[0]["reloaded"]
    read = state(proxy)
    assert read["compiled"] == read["rendered"] == read["compiled"].partition("-")[0] + "-green2.2"


def test_while_old_workers_drain_the_reload_is_left_to_the_next_activation(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    proxy.nginx.holds_workers = True
    session = proxy.holding()
    assert session.run([way_back(2)])[0]["reloaded"]
    assert not session.run([way_back(3)])[0]["reloaded"]
    assert live(proxy) is Slot.BLUE
    proxy.nginx.finish_drain()
    assert session.run([{"op": "reload"}])[0]["reloaded"]
    assert not session.run([{"op": "reload"}])[0]["reloaded"]
    assert state(proxy)["compiled"] == state(proxy)["rendered"]


def test_a_release_that_is_not_compiled_is_reloaded_for_while_old_workers_drain(proxy: MemoryProxy) -> None:
    """A retired worker's WebSocket may last for days, and the access log would not say so long which release it was."""
    proxy.at_blue()
    proxy.nginx.holds_workers = True
    session = proxy.holding()
    assert session.run([way_back(2)])[0]["reloaded"]
    assert session.run([flip(both(Slot.BLUE, blue=stack(3)), 3)])[0]["reloaded"], "another release than was compiled"
    assert state(proxy)["compiled"].endswith("-blue3.3")
    assert not session.run([way_back(4)])[0]["reloaded"], "both are known"


def test_a_slot_that_is_about_to_be_filled_anew_is_not_compiled_as_live_any_more(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    proxy.nginx.holds_workers = True
    session = proxy.holding()
    session.run([way_back(2)])
    session.run([way_back(3)])
    assert state(proxy)["compiled"] != state(proxy)["rendered"]
    session.run([{"op": "drop_back"}])
    assert state(proxy)["compiled"] == state(proxy)["rendered"]


@pytest.mark.parametrize("under_way", [0.15, 60.0])
def test_a_topology_s_reload_waits_for_one_under_way_and_not_for_ever(
    proxy: MemoryProxy, monkeypatch: pytest.MonkeyPatch, under_way: float
) -> None:
    """Else the first one's workers, which are yet to come, would be nobody's who are to be replaced."""
    proxy.at_blue()
    nginx = proxy.nginx
    until = nginx.clock.monotonic() + under_way
    old: list[int] = []
    ask, load = nginx.workers, nginx.reload

    def workers() -> Workers:
        known = ask()
        return Workers(known.active, 2 if nginx.clock.monotonic() < until else 0, known.draining, known.since)

    def reload() -> None:
        old.append(workers().old)
        load()

    monkeypatch.setattr(nginx, "workers", workers)
    monkeypatch.setattr(nginx, "reload", reload)
    before = nginx.clock.monotonic()
    proxy.holding().run([topology(both(Slot.BLUE, green=stack(3, "10.213.2.17:8000")), 2)])
    assert old == [0 if under_way < 1 else 2]
    assert nginx.clock.monotonic() - before < 1.1


def test_the_way_back_leads_back_and_forth(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    session = proxy.holding()
    for parent, slot in enumerate((Slot.GREEN, Slot.BLUE, Slot.GREEN), 2):
        assert session.run([way_back(parent)])[0]["generation"] == parent + 1
        assert live(proxy) is slot
        assert state(proxy)["back"]["live"] == slot.other


def test_without_a_way_back_it_is_refused_and_nothing_changes(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    session = proxy.holding()
    session.run([{"op": "drop_back"}, {"op": "drop_back"}])
    with pytest.raises(BluegreenError, match="no way back"):
        session.run([way_back(2)])
    assert (state(proxy)["generation"], state(proxy)["back"]) == (2, None)


def test_an_activation_without_a_way_back_leaves_none(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    proxy.holding().run([flip(both(Slot.GREEN), 2, back=None)])
    assert state(proxy)["back"] is None


def test_another_parent_is_stale_and_changes_nothing(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    session = proxy.holding()
    session.run([way_back(2)])
    for op in (way_back(2, operation="other"), flip(both(Slot.BLUE), 1), topology(both(Slot.BLUE), 7)):
        with pytest.raises(Stale, match="generation 3 is current"):
            session.run([op])
    assert state(proxy)["generation"] == 3
    assert not names(proxy.root / "staging")


def test_the_same_activation_again_is_done_already(proxy: MemoryProxy) -> None:
    session = proxy.holding()
    for op in (topology(both(), 0), flip(both(Slot.BLUE), 1), way_back(2)):
        first = session.run([op])[0]["generation"]
        assert session.run([op])[0]["generation"] == first


def test_other_content_under_the_same_operation_and_parent_is_stale(proxy: MemoryProxy) -> None:
    session = proxy.holding()
    session.run([topology(both(), 0)])
    with pytest.raises(Stale):
        session.run([topology(both(green=stack(3)), 0)])


def test_an_overtaken_operation_activates_nothing(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    session = proxy.holding("deploy-1")
    proxy.session().run([{"op": "seize", "operation": "rollback-1", "holder": "me", "seconds": 30}])
    with pytest.raises(Overtaken):
        session.run([flip(both(Slot.GREEN), 2, epoch=2)])
    assert live(proxy) is Slot.BLUE


def test_a_configuration_that_nginx_refuses_changes_nothing(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    proxy.nginx.test_fails = 'unknown directive "nonsense"'
    with pytest.raises(ProxyFailed, match="nonsense"):
        proxy.holding().run([topology(both(Slot.BLUE), 2)])
    assert state(proxy)["generation"] == 2
    assert names(proxy.root / "generations")[-1] == "000002"


def test_a_reload_without_effect_goes_back_to_the_parent(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    proxy.nginx.ignores_reload = True
    with pytest.raises(ProxyFailed, match="did not load it"):
        proxy.holding().run([topology(both(Slot.BLUE, green=stack(3)), 2, back=None)])
    read = state(proxy)
    assert (read["generation"], read["back"]["live"]) == (2, "green")
    assert live(proxy) is Slot.BLUE


def test_topology_and_routes_never_change_in_one_activation(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    with pytest.raises(ProxyFailed, match="never both"):
        proxy.holding().run([topology(both(Slot.GREEN), 2)])


def test_traffic_that_is_not_confirmed_is_said_and_left_where_it_is(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    session = proxy.holding()
    proxy.nginx.stop()
    with pytest.raises(ProxyFailed, match="did not confirm"):
        session.run([way_back(2)])
    proxy.nginx.restart()
    assert live(proxy) is Slot.GREEN


def test_a_share_goes_to_the_lowest_buckets_and_nobody_moves_back_as_it_grows(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    session = proxy.holding()
    candidate: set[int] = set()
    reloads = proxy.nginx.reloads
    for parent, share in enumerate((0, 1, 25, 100), 2):
        session.run([flip(both(Slot.BLUE, share), parent, back=upload(both(Slot.BLUE)))])
        now = {bucket for bucket in range(100) if proxy.nginx.serve(bucket=bucket)[0] is Slot.GREEN}
        assert now == set(range(share))
        assert candidate <= now
        candidate = now
    assert proxy.nginx.reloads == reloads
    session.run([way_back(6)])
    assert {proxy.nginx.serve(bucket=b)[0] for b in range(100)} == {Slot.BLUE}


@pytest.mark.parametrize("share", [-1, 101, "10", 1.5])
def test_a_share_that_is_none_is_refused(proxy: MemoryProxy, share: object) -> None:
    proxy.at_blue()
    op = flip(both(Slot.BLUE), 2)
    op["generation"]["routes"]["share"] = share
    with pytest.raises(ProxyFailed, match="a share is"):
        proxy.holding().run([op])


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".x", "routes.json", "split", "x\n", "generation"])
def test_a_file_of_another_name_is_refused(proxy: MemoryProxy, name: str) -> None:
    op = topology(both(), 0)
    op["generation"]["files"][name] = "x"
    with pytest.raises(ProxyFailed, match="no name for a file"):
        proxy.holding().run([op])


def test_since_says_when_the_live_slot_became_live(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    at_first = state(proxy)["routes"]["since"]
    proxy.nginx.clock.pause(60)
    session = proxy.holding()
    session.run([flip(both(Slot.BLUE, 10), 2)])
    assert state(proxy)["routes"]["since"] == at_first
    session.run([flip(both(Slot.GREEN), 3)])
    assert state(proxy)["routes"]["since"] == state(proxy)["clock"] > at_first


def test_the_preview_shows_the_slot_that_is_not_live(proxy: MemoryProxy) -> None:
    session = proxy.holding()
    session.run([topology(replace(both(), stacks={Slot.BLUE: stack(1)}), 0)])
    assert proxy.nginx.preview()[2] == b"blue"
    session.run([flip(replace(both(Slot.BLUE), stacks={Slot.BLUE: stack(1)}), 1, back=None)])
    assert proxy.nginx.preview()[1] == 503
    session.run([topology(both(Slot.BLUE), 2)])
    assert proxy.nginx.preview()[2] == b"green"
    assert proxy.nginx.preview(token="wrong")[1] == 403


def test_pruning_spares_what_is_needed(proxy: MemoryProxy) -> None:
    proxy.at_blue()
    session = proxy.holding()
    for parent in range(2, 12):
        session.run([way_back(parent)])
    assert session.run([{"op": "prune", "keep": 3}])[0]["removed"] == list(range(10))
    session.run([{"op": "prune", "keep": 1}])
    assert names(proxy.root / "generations") == [
        "000010",
        "000011",
        "000012",
    ]  # current, its parent, where that leads back
    session.run([way_back(12)])
    assert live(proxy) is Slot.GREEN


# -- crashes -----------------------------------------------------------------------------------------------------

PREPARED = {"topology": 2, "flip": 2, "way back": 2}
ACTIVATIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "topology": lambda: topology(both(Slot.BLUE, green=stack(3, "10.213.2.16:8000")), 2, back=None),
    "flip": lambda: flip(both(Slot.GREEN), 2),
    "way back": lambda: way_back(2),
    "share": lambda: flip(both(Slot.BLUE, 10), 2, back=upload(both(Slot.BLUE))),
}
EXPECTED = {"topology": Slot.BLUE, "flip": Slot.GREEN, "way back": Slot.GREEN, "share": Slot.BLUE}


def announcements(kind: str, root: Path) -> int:
    """How many places there are to be killed at."""
    proxy = MemoryProxy(root)
    proxy.at_blue()
    count = KillAt()
    session = proxy.holding("deploy-1", on=count)
    before = len(count.seen)
    session.run([ACTIVATIONS[kind]()])
    return len(count.seen) - before


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_killed_anywhere_it_serves_one_of_the_two_and_the_same_call_again_converges(kind: str, tmp_path: Path) -> None:
    places = announcements(kind, tmp_path)
    assert places > 20
    for place in range(places):
        root = tmp_path / str(place)
        root.mkdir()
        proxy = MemoryProxy(root)
        proxy.at_blue()
        killed = KillAt()
        session = proxy.holding("deploy-1", on=killed)
        killed.at = len(killed.seen) + place
        with pytest.raises(Killed):
            session.run([ACTIVATIONS[kind]()])
        where = killed.seen[-1]

        slot, status, body = proxy.nginx.serve(bucket=50)
        assert (status, body) == (200, str(slot).encode()), where
        read = state(proxy)
        assert read["routes"]["live"] == slot, where
        assert read["generation"] in (2, 3), where
        assert read["journal"] == "ok", where
        proxy.nginx.restart()  # a restart in this state serves the same
        assert live(proxy) is slot, where

        again = proxy.holding("deploy-1")
        answer = again.run([ACTIVATIONS[kind]()])[0]
        assert answer["served"]["generation"] == answer["generation"] == state(proxy)["generation"], where
        assert answer["generation"] in (3, 4), where  # a directory that was renamed and never used is passed over
        assert live(proxy) is EXPECTED[kind], where
        read = state(proxy)
        assert read["compiled"] == read["rendered"], where
        if kind != "topology":
            again.run([way_back(answer["generation"])])
            assert live(proxy) is Slot.BLUE, where
        again.run([{"op": "prune", "keep": 2}])
        assert not names(root / "staging"), where


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_killed_anywhere_a_rollback_by_someone_else_still_works(kind: str, tmp_path: Path) -> None:
    for place in range(announcements(kind, tmp_path)):
        root = tmp_path / str(place)
        root.mkdir()
        proxy = MemoryProxy(root)
        proxy.at_blue()
        killed = KillAt()
        session = proxy.holding("deploy-1", on=killed)
        killed.at = len(killed.seen) + place
        with pytest.raises(Killed):
            session.run([ACTIVATIONS[kind]()])
        before = live(proxy)
        rollback = proxy.session()
        rollback.run([{"op": "seize", "operation": "rollback-1", "holder": "me", "seconds": 30}])
        read = state(proxy)
        if read["back"] is None:
            assert (kind, before) == ("topology", Slot.BLUE), killed.seen[-1]
            continue
        rollback.run([way_back(read["generation"])])
        if kind == "share" and read["generation"] != 2:
            assert {proxy.nginx.serve(bucket=b)[0] for b in (0, 50)} == {Slot.BLUE}, killed.seen[-1]
        else:
            assert live(proxy) is (before.other if before else None), killed.seen[-1]


# -- a full volume -----------------------------------------------------------------------------------------------


def fill(monkeypatch: pytest.MonkeyPatch, root: Path, *, reserve: bool) -> None:
    """Nothing can be written until the reserve (or, without one, nothing at all) gives room."""
    (root / "reserve").write_bytes(b"-" * 10)
    write = os.write

    def full(handle: int, data: bytes) -> int:
        if not reserve or (root / "reserve").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data)

    monkeypatch.setattr("bluegreen.agent.files.os.write", full)


def rollback_on(proxy: MemoryProxy) -> ProxySession:
    session = proxy.session()
    session.run([{"op": "seize", "operation": "rollback-1", "holder": "me", "seconds": 30}])
    return session


def test_on_a_full_volume_a_rollback_takes_the_room_that_was_held_back(
    proxy: MemoryProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.at_blue()
    with monkeypatch.context() as patch:
        fill(patch, proxy.root, reserve=True)
        rollback_on(proxy).run([way_back(2, journal={"step": "switch"})])
    assert live(proxy) is Slot.GREEN
    assert [e["event"] for e in state(proxy)["events"]] == ["intent", "outcome"]
    rollback_on(proxy).run([{"op": "prune", "keep": 3}])
    assert (proxy.root / "reserve").stat().st_size == 1 << 20


def test_on_a_full_volume_an_upload_fails_and_leaves_the_reserve_to_others(
    proxy: MemoryProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.at_blue()
    session = proxy.holding()
    with monkeypatch.context() as patch:
        fill(patch, proxy.root, reserve=True)
        with pytest.raises(ProxyFailed, match="No space left") as refused:
            session.run([flip(both(Slot.GREEN), 2)])
    assert refused.value.code == "proxy.disk-full"
    assert (proxy.root / "reserve").exists()
    assert live(proxy) is Slot.BLUE


def test_an_append_without_room_leaves_no_half_line(proxy: MemoryProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    session = proxy.holding()
    session.run([{"op": "append", "events": [{"event": "one"}]}])
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(
            "bluegreen.agent.files.os.write",
            lambda handle, data: write(handle, data[:7]) if len(data) > 7 else fail(),
        )
        with pytest.raises(ProxyFailed):
            session.run([{"op": "append", "events": [{"event": "two"}]}])
    session.run([{"op": "append", "events": [{"event": "three"}]}])
    assert [e["event"] for e in state(proxy)["events"]] == ["one", "three"]


def fail() -> int:
    raise OSError(errno.ENOSPC, "No space left on device")
