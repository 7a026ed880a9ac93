"""The look at the public address: what a person gets, and never an exception."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from bluegreen.probes.public import look
from tests.support import free_port


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response({"/": 200, "/moved": 302}.get(self.path, 404))
        self.send_header("Location", "/")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("", 200), ("/moved", 302), ("/none", 404)])
def test_the_status_is_what_the_address_itself_answers(address: str, path: str, status: int) -> None:
    found = look(address + path)
    assert (found.status, found.problem) == (status, None)
    assert found.ms > 0


def test_proxies_of_the_environment_are_not_asked(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert look(address).status == 200


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/", "http://name.invalid/", "http://127.0.0.1:99999/"])
def test_no_answer_is_a_finding_with_its_reason(url: str) -> None:
    found = look(url.format(port=free_port()), timeout=1.0)
    assert found.status is None
    assert found.problem
