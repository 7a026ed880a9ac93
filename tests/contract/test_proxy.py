"""One suite over the proxy in memory and the real one: what may be relied on by those who test with the first."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bluegreen.model.errors import BluegreenError, Held, ProxyFailed, Stale
from bluegreen.model.names import Slot
from bluegreen.model.release import Routes
from bluegreen.proxy.session import ProxySession
from tests.proxyground import RealProxy, real_proxy
from tests.proxykit import BLUE_ADDRESS, GREEN_ADDRESS, MemoryProxy, both, flip, stack, topology, upload, way_back
from tests.support import eventually

PATH_ANSWERS: dict[str, tuple[int, Mapping[str, str], bytes]] = {
    "status": (500, {}, b"oops"),
    "redirect": (301, {"Location": "/login"}, b""),
}


class Ground:
    """A proxy with nothing live, both toys there, and what the two kinds do each in their own way."""

    def __init__(self, proxy: MemoryProxy | RealProxy) -> None:
        self.proxy = proxy
        self._operations = itertools.count(1)
        self._sessions: list[ProxySession] = []

    def close(self) -> None:
        for session in self._sessions:
            session.close()

    @property
    def real(self) -> bool:
        return isinstance(self.proxy, RealProxy)

    def session(self) -> ProxySession:
        self._sessions.append(self.proxy.session())
        return self._sessions[-1]

    def holding(self) -> ProxySession:
        session = self.session()
        name = f"op-{next(self._operations)}"
        session.run([{"op": "seize", "operation": name, "holder": "test", "seconds": 60}])
        return session

    def routes(self, live: Slot | None = None, share: int = 0) -> Routes:
        blue, green = self.addresses()
        return both(live, share, stack(1, blue), stack(2, green))

    def addresses(self) -> tuple[str, str]:
        if isinstance(self.proxy, RealProxy):
            return self.proxy.addresses[Slot.BLUE], self.proxy.addresses[Slot.GREEN]
        return BLUE_ADDRESS, GREEN_ADDRESS

    def ask(self, path: str = "/", visitor: int = 0) -> tuple[int, str]:
        """(status, first word) of a public request; another visitor is another bucket."""
        if isinstance(self.proxy, RealProxy):
            status, _, body = self.proxy.get(path, {"User-Agent": f"visitor {visitor}"})
        else:
            _, status, body = self.proxy.nginx.serve(path, bucket=visitor % 100)
        return status, (body.decode().split() or [""])[0]

    def preview(self, token: str) -> tuple[int, str]:
        if isinstance(self.proxy, RealProxy):
            status, _, body = self.proxy.get("/", {"X-Bluegreen-Token": token}, inside=8081)
        else:
            _, status, body = self.proxy.nginx.preview(token=token)
        return status, (body.decode().split() or [""])[0]

    def restart(self) -> None:
        if isinstance(self.proxy, RealProxy):
            self.proxy.engine.stop(self.proxy.container, 1)
            self.proxy.engine.start(self.proxy.container)
            self.proxy.await_proxy()
        else:
            self.proxy.nginx.restart()

    def break_configuration(self, op: dict[str, Any]) -> None:
        """Have ``nginx -t`` refuse what this activation uploads."""
        op["generation"]["files"]["nginx.conf"] += "\nnonsense;\n"
        if isinstance(self.proxy, MemoryProxy):
            self.proxy.nginx.test_fails = 'unknown directive "nonsense"'

    def at(self, live: Slot) -> ProxySession:
        """A session on a proxy that knows both stacks, with one of them live."""
        session = self.holding()
        first = session.run([topology(self.routes(), 0)])[0]["generation"]
        session.run([{"op": "settle", "gate": 2, "seconds": 10}])
        back = upload(self.routes(live.other))
        session.run([flip(self.routes(live), first, back=back)])
        return session


@pytest.fixture(scope="module")
def real() -> Iterator[RealProxy]:
    with real_proxy() as proxy:
        yield proxy


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.engine)])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    made = _memory(tmp_path) if request.param == "memory" else _real(request.getfixturevalue("real"))
    yield made
    made.close()


def _memory(root: Path) -> Ground:
    memory = MemoryProxy(root)
    memory.answers[BLUE_ADDRESS] = lambda path, headers: _answer(path, headers, b"blue")
    memory.answers[GREEN_ADDRESS] = lambda path, headers: _answer(path, headers, b"green")
    return Ground(memory)


def _real(proxy: RealProxy) -> Ground:
    """As good as new: what is in memory goes with a restart, what is in the volume by hand."""
    proxy.run("sh", "-c", "cd /bg && rm -rf current generations markers staging lease.json failures journal.jsonl")
    proxy.engine.stop(proxy.container, 1)
    proxy.engine.start(proxy.container)
    proxy.await_proxy()
    return Ground(proxy)


def _answer(path: str, headers: Mapping[str, str], colour: bytes = b"") -> tuple[int, Mapping[str, str], bytes]:
    word = path.lstrip("/").partition("/")[0]
    if word == "slow":
        raise TimeoutError
    if word == "host":
        return (200 if headers["Host"] == "localhost" else 400), {}, colour
    return PATH_ANSWERS.get(word, (200, {}, colour + b" " + path.encode()))


# -- traffic ------------------------------------------------------------------------------------------------------


def test_before_anything_is_live_the_answer_is_503(ground: Ground) -> None:
    assert ground.ask()[0] == 503
    session = ground.holding()
    read = session.run([{"op": "read"}])[0]
    assert (read["routes"], read["generation"], read["journal"]) == (None, 0, "ok")
    session.run([topology(ground.routes(), 0)])
    assert ground.ask()[0] == 503


def test_traffic_is_where_the_last_flip_put_it(ground: Ground) -> None:
    session = ground.at(Slot.BLUE)
    assert ground.ask() == (200, "blue")
    parent = 2
    for colour in ("green", "blue", "green"):
        answer = session.run([way_back(parent)])[0]
        parent = answer["generation"]
        assert answer["served"]["generation"] == parent
        assert {ground.ask(visitor=v) for v in range(5)} == {(200, colour)}


def test_a_share_is_the_same_visitors_each_time_and_only_ever_more(ground: Ground) -> None:
    session = ground.at(Slot.BLUE)
    before: set[int] = set()
    for parent, share in enumerate((0, 20, 60, 100), 2):
        session.run([flip(ground.routes(Slot.BLUE, share), parent, back=upload(ground.routes(Slot.BLUE)))])
        now = {v for v in range(100) if ground.ask(visitor=v) == (200, "green")}
        assert now == {v for v in range(100) if ground.ask(visitor=v) == (200, "green")}
        assert before <= now
        assert abs(len(now) - share) <= (15 if ground.real else 0)
        assert len(now) in (range(1, 100) if 0 < share < 100 else (share,))
        before = now
    session.run([way_back(6)])
    assert {ground.ask(visitor=v) for v in range(20)} == {(200, "blue")}


def test_the_compiled_configuration_follows(ground: Ground) -> None:
    session = ground.at(Slot.BLUE)

    def agree() -> bool:
        session.run([{"op": "reload"}])
        read = session.run([{"op": "read"}])[0]
        return bool(read["compiled"] == read["rendered"] and read["workers"]["draining"] == 0)

    eventually(agree, what="what is compiled is what is rendered")
    session.run([way_back(2), {"op": "settle", "gate": 1, "seconds": 5}])
    eventually(agree, what="what is compiled is what is rendered")
    assert session.run([{"op": "read"}])[0]["compiled"].endswith("-green2.2")
    session.run([{"op": "settle", "gate": 3, "seconds": 10}])


def test_a_restarted_proxy_serves_what_was_live(ground: Ground) -> None:
    session = ground.at(Slot.GREEN)
    session.close()
    ground.restart()
    assert ground.ask() == (200, "green")
    read = ground.session().run([{"op": "read"}])[0]
    assert (read["routes"]["live"], read["back"]["live"], read["generation"]) == ("green", "blue", 2)
    assert read["compiled"] == read["rendered"]


def test_the_preview_shows_the_idle_slot_to_who_has_the_token(ground: Ground) -> None:
    session = ground.at(Slot.BLUE)
    token = session.run([{"op": "preview"}])[0]["token"]
    assert ground.preview(token) == (200, "green")
    assert ground.preview("wrong")[0] == 403
    session.run([way_back(2)])
    assert ground.preview(token) == (200, "blue")
    session.run([topology(replace(ground.routes(Slot.GREEN), stacks={Slot.GREEN: stack(2, ground.addresses()[1])}), 3)])
    eventually(lambda: ground.preview(token)[0] == 503, what="no idle slot is shown")


# -- refusals -----------------------------------------------------------------------------------------------------


def test_what_is_refused_changes_nothing(ground: Ground) -> None:
    session = ground.at(Slot.BLUE)
    broken = topology(ground.routes(Slot.BLUE), 2)
    ground.break_configuration(broken)
    for op, kind in (
        (way_back(1), Stale),
        (broken, ProxyFailed),
        (topology(ground.routes(Slot.GREEN), 2), ProxyFailed),
        ({"op": "activate", "generation": "back", "parent": 2, "epoch": 99}, Held),
    ):
        with pytest.raises(kind):
            session.run([op])
        assert ground.ask() == (200, "blue")
        assert session.run([{"op": "read"}])[0]["generation"] == 2
    session.run([{"op": "drop_back"}])
    with pytest.raises(BluegreenError, match="no way back"):
        session.run([way_back(2)])


def test_a_session_that_ends_frees_its_lease(ground: Ground) -> None:
    first = ground.session()
    first.run([{"op": "acquire", "operation": "deploy-1", "holder": "ann", "seconds": 60}])
    second = ground.session()
    wanted = {"op": "acquire", "operation": "deploy-2", "holder": "bob", "seconds": 60}
    with pytest.raises(Held, match="deploy-1 by ann"):
        second.run([wanted])
    first.close()
    assert second.run([{**wanted, "wait": 10}])[0]["epoch"] == 2
    assert [e["event"] for e in second.run([{"op": "read", "history": True}])[0]["events"]] == ["lost"]


def test_what_was_journaled_is_read_back(ground: Ground) -> None:
    session = ground.holding()
    session.run([topology(ground.routes(), 0, journal={"step": "topology"})])
    session.run([{"op": "append", "events": [{"event": "end", "text": "ö\n\u2028"}, {"event": "begin"}]}])
    events = session.run([{"op": "read", "history": True}])[0]["events"]
    assert [e["event"] for e in events] == ["intent", "outcome", "end", "begin"]
    assert session.run([{"op": "read"}])[0]["events"] == events[2:]
    assert events[2]["text"] == "ö\n\u2028"


# -- probes -------------------------------------------------------------------------------------------------------


def test_why_a_container_is_not_healthy(ground: Ground) -> None:
    session = ground.at(Slot.BLUE)
    blue, green = ground.addresses()

    def probe(**request: Any) -> dict[str, Any]:
        wanted = {"name": "web", "target": "slot:blue", "path": "/", "timeout": 2, **request}
        found = session.send([{"op": "probe", "requests": [wanted], "diagnose": True}])[0]["answers"][0]
        assert isinstance(found, dict)
        return found

    assert probe(expect={"body": "blue"})["ok"]
    assert probe(target="slot:green", expect={"body": "green"})["ok"]
    assert probe(target=green, expect={"body": "green"})["ok"]
    for request, why, status in (
        ({"target": blue.replace("8000", "9000")}, "refused", 502),
        ({"path": "/redirect"}, "redirect", 301),
        ({"path": "/status/500"}, "status", 500),
        ({"expect": {"body": "pink"}}, "body", 200),
        ({"path": "/slow", "timeout": 0.5}, "timeout", None),
        ({"path": "/host", "host": "shop.example"}, "host-rejected", 400),
    ):
        found = probe(**request)
        assert (found["why"], found["status"]) == (why, status), request
    assert probe(path="/redirect")["detail"] == "/login"
    assert probe(path="/redirect", expect={"status": [301]})["ok"]


def test_a_slot_without_a_route_for_it_is_not_healthy(ground: Ground) -> None:
    blue, green = ground.addresses()
    session = ground.holding()
    change = topology(both(None, 0, stack(1, blue, web=("/shop/",)), stack(2, green)), 0)
    session.run([change, {"op": "settle", "gate": 2, "seconds": 10}])  # before that an old worker may answer
    requests = [{"name": slot, "target": f"slot:{slot}", "path": "/"} for slot in Slot]
    answers = session.send([{"op": "probe", "requests": requests}])[0]["answers"]
    assert [(a["ok"], a["status"]) for a in answers] == [(False, 404), (True, 200)]


def test_what_is_kept_for_people_comes_back(ground: Ground) -> None:
    session = ground.session()
    session.run([{"op": "put", "path": "deploy-1/web.log", "text": "last words\n", "append": False}])
    assert session.run([{"op": "get", "path": "deploy-1/"}])[0]["list"] == ["web.log"]
    assert session.run([{"op": "get", "path": "deploy-1/web.log"}])[0]["text"] == "last words\n"


def test_what_the_proxy_uses_is_told(ground: Ground) -> None:
    answer = ground.session().run([{"op": "usage"}])[0]
    assert 1 << 20 <= answer["memory"] < 1 << 28
    assert answer["workers"]["active"] >= 1
    assert answer["clock"] > 0
