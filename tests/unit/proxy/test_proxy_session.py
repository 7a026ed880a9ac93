"""The conversation with the agent, when it goes well and when it breaks off."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from bluegreen.model.errors import EngineFailed, Held, JournalLost, Overtaken, ProxyFailed, Stale
from bluegreen.model.names import Slot
from bluegreen.model.project import ProxySettings
from bluegreen.proxy.container import proxy_spec
from bluegreen.proxy.session import ProxySession, refusal
from tests.proxykit import MemoryProxy


class Script:
    """A stream whose other side says what a test wants."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.sent: list[Any] = []
        self.closed = 0

    def send(self, line: bytes) -> None:
        self.sent.append(json.loads(line))

    def receive(self, timeout: float | None = None) -> bytes:
        self.timeout = timeout
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return (
            answer if isinstance(answer, bytes) else json.dumps({"id": self.sent[-1]["id"], "results": answer}).encode()
        )

    def errors(self) -> str:
        return "Traceback: the agent's last words"

    def close(self) -> None:
        self.closed += 1


def test_results_come_back_in_order() -> None:
    stream = Script([{"ok": True, "a": 1}, {"ok": True, "a": 2}])
    assert [r["a"] for r in ProxySession(stream).run([{"op": "x"}, {"op": "y"}])] == [1, 2]
    assert stream.sent == [{"id": 1, "do": [{"op": "x"}, {"op": "y"}]}]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "last words"),
        (b"not json", "it answered b'not json'"),
        (b'{"id": 9, "results": []}', "it answered 9 to 1"),
        (EngineFailed("engine.timeout", "no answer within 30 s"), "no answer within"),
    ],
)
def test_a_session_that_broke_off_says_why_and_is_not_used_again(answer: Any, words: str) -> None:
    session = ProxySession(Script(answer, [{"ok": True}]))
    for _ in range(2):
        with pytest.raises(ProxyFailed, match=words):
            session.send([{"op": "x"}])
    with pytest.raises(ProxyFailed, match=words):
        session.run([])


def test_fewer_results_than_operations_are_an_error_only_where_none_says_no() -> None:
    assert len(ProxySession(Script([{"ok": False, "code": "stale"}])).send([{"op": "x"}, {"op": "y"}])) == 1
    with pytest.raises(ProxyFailed, match="answered less"):
        ProxySession(Script([{"ok": True}])).run([{"op": "x"}, {"op": "y"}])


def test_refusals_are_the_errors_they_are() -> None:
    lease = {"operation": "deploy-1", "holder": "ann@laptop", "expires": "2026-01-01T00:00:30Z"}
    for result, kind, words in (
        ({"code": "overtaken"}, Overtaken, "took over"),
        ({"code": "stale", "message": "generation 4 is current"}, Stale, "generation 4"),
        ({"code": "held", "lease": lease}, Held, "deploy-1 by ann@laptop, until 2026"),
        ({"code": "journal-missing", "message": "the journal is gone"}, JournalLost, "gone"),
        ({"code": "invalid", "message": "no such thing"}, ProxyFailed, "activate: no such thing"),
        ({"code": "unknown", "protocol": 0}, ProxyFailed, "older than this tool"),
        ({"code": "unknown", "protocol": 7}, ProxyFailed, "newer than this tool"),
    ):
        error = refusal(result, "activate")
        assert type(error) is kind
        assert words in str(error)
        assert error.problem.next


def test_waiting_operations_are_waited_for() -> None:
    stream = Script([{"ok": True}] * 3)
    ProxySession(stream).run([{"op": "drain", "seconds": 300}, {"op": "settle", "seconds": 10}, {"op": "hello"}])
    assert stream.timeout == 340


def test_the_lease_is_renewed_until_it_is_told_to_stop(tmp_path: Path) -> None:
    proxy = MemoryProxy(tmp_path)
    session = proxy.holding("deploy-1")
    renewed = threading.Event()
    send = session.send

    def watch(ops: Any) -> list[dict[str, Any]]:
        results = send(ops)
        renewed.set()
        return results

    session.send = watch  # type: ignore[method-assign]  # to see that it happens
    proxy.nginx.clock.pause(29)
    session.start_renewing("deploy-1", 0.04)
    assert renewed.wait(5)
    session.stop_renewing()
    session.stop_renewing()
    proxy.nginx.clock.pause(29)
    with pytest.raises(Held):
        proxy.session().run([{"op": "acquire", "operation": "deploy-2", "holder": "x", "seconds": 30}])
    session.close()
    session.close()


def test_a_rollback_imports_nothing_that_it_does_not_need() -> None:
    code = "import sys, bluegreen.proxy.session; print(*sorted({n.partition('.')[0] for n in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"jinja2", "httpx", "docker", "yaml", "rich", "click", "requests"}


def test_the_agent_alone_imports_neither_json_nor_socket() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import agent.__main__; "
        "print(*sorted({n.partition('.')[0] for n in sys.modules}))"
    )
    package = Path(__file__).parents[3] / "bluegreen"
    done = subprocess.run([sys.executable, "-IS", "-c", code, package], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"json", "socket", "re", "typing", "dataclasses", "pathlib", "subprocess", "enum", "bluegreen"}


def test_the_container_has_no_more_than_it_needs() -> None:
    spec = proxy_spec(
        "shop", ProxySettings(listen="127.0.0.1:8080"), "sha256:i", {Slot.BLUE: "10.0.0.2", Slot.GREEN: "10.0.1.2"}
    )
    host = spec.body["HostConfig"]
    assert (spec.name, spec.restart, [n.network for n in spec.networks]) == (
        "shop-proxy",
        "unless-stopped",
        ["shop-blue", "shop-green"],
    )
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["PortBindings"] == {
        "8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
        "8081/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
    }
    assert {m["Source"]: m["Target"] for m in host["Mounts"]} == {
        "shop-bluegreen": "/bg",
        "shop-bluegreen-log": "/var/log/bluegreen",
    }
