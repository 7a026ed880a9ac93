"""What a project's own checks say: a command's exit code, a Prometheus server's value."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bluegreen.app import facts
from bluegreen.app.facts import ask
from bluegreen.model.guard import GuardCheck
from tests.support import eventually


@pytest.mark.parametrize(("command", "ok"), [("exit 0", True), ("exit 7", False), ("no-such-command", False)])
def test_a_command_says_no_by_its_exit_code(command: str, ok: bool) -> None:
    assert ask(GuardCheck("c", command=command), {"PATH": "/usr/bin:/bin"})[0] is ok


@pytest.mark.parametrize("command", ["sleep 60", "sleep 60; true", "sleep 60 & wait"])
def test_a_command_that_does_not_end_says_no_and_leaves_nothing_running(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile nothing is guarded; how seldom it is asked has nothing to do with it."""
    monkeypatch.setattr(facts, "MOST_SECONDS", 0.2)
    pipe = tmp_path / "held-open"
    os.mkfifo(pipe)
    check = GuardCheck("c", command=f"exec 9<>{pipe}; {command}", every=3600.0)
    began = time.monotonic()
    assert ask(check, {"PATH": "/usr/bin:/bin"}) == (False, "did not end within 0.2 s")
    assert time.monotonic() - began < 20
    eventually(lambda: not _held(pipe), what="the end of all that the command has started")


def _held(pipe: Path) -> bool:
    """Whether somebody has its other end open."""
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


@pytest.fixture
def prometheus() -> Iterator[tuple[str, dict[str, object]]]:
    """Its URL, and what it answers."""
    result: dict[str, object] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/api/v1/query?query=up%7Bjob%3D%22a%22%7D"
            body = json.dumps({"status": "success", "data": result}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", result
        server.shutdown()


@pytest.mark.parametrize(
    ("data", "ok", "said"),
    [
        ({"resultType": "vector", "result": [{"metric": {}, "value": [1, "3"]}]}, True, "3"),
        ({"resultType": "scalar", "result": [1, "3"]}, True, "3"),
        ({"resultType": "vector", "result": [{"metric": {}, "value": [1, "9"]}]}, False, "9, at most 5"),
        ({"resultType": "vector", "result": [{"metric": {}, "value": [1, "0"]}]}, False, "0, at least 1"),
        ({"resultType": "vector", "result": []}, False, "no value: IndexError"),
    ],
)
def test_a_query_says_no_by_its_value(
    prometheus: tuple[str, dict[str, object]], data: dict[str, object], ok: bool, said: str
) -> None:
    url, result = prometheus
    result.update(data)
    check = GuardCheck("p", url=url, query='up{job="a"}', least=1.0, most=5.0)
    assert ask(check, {}) == (ok, said)


def test_a_server_that_does_not_answer_says_no_and_its_address_is_not_told() -> None:
    check = GuardCheck("p", url="http://user:s3cret@127.0.0.1:1", query="up", least=1.0)
    ok, said = ask(check, {})
    assert not ok
    assert "s3cret" not in said
