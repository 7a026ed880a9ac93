"""Which engine is meant, and what is said when none answers."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bluegreen.engine.api import Address
from bluegreen.engine.connect import connect, resolve
from bluegreen.model.errors import EngineUnreachable, Exit


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".docker").mkdir()
    return tmp_path


def context(home: Path, name: str, host: str, *, tls: bool = False) -> None:
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = home / ".docker" / "contexts" / "meta" / digest
    meta.mkdir(parents=True)
    endpoint = {"Host": host, "SkipTLSVerify": False}
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    if tls:
        material = home / ".docker" / "contexts" / "tls" / digest / "docker"
        material.mkdir(parents=True)
        for file in ("ca.pem", "cert.pem", "key.pem"):
            (material / file).write_text("x")


def current(home: Path, name: str) -> None:
    (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))


def test_the_option_wins_then_the_host_then_the_context_then_the_current_one(home: Path) -> None:
    context(home, "named", "tcp://named:1")
    context(home, "current", "tcp://current:1")
    current(home, "current")
    env = {"HOME": str(home), "DOCKER_HOST": "tcp://host:1", "DOCKER_CONTEXT": "named"}
    assert resolve("unix:///x.sock", env) == Address("unix:///x.sock", "--engine")
    assert resolve(None, env) == Address("tcp://host:1", "DOCKER_HOST")
    del env["DOCKER_HOST"]
    assert resolve(None, env).url == "tcp://named:1"
    assert "DOCKER_CONTEXT" in resolve(None, env).origin
    del env["DOCKER_CONTEXT"]
    assert resolve(None, env).url == "tcp://current:1"
    assert "'current'" in resolve(None, env).origin
    current(home, "default")
    assert resolve(None, env) == Address("unix:///var/run/docker.sock", "the default socket")


def test_the_configuration_can_be_elsewhere_and_broken(home: Path) -> None:
    context(home, "there", "tcp://there:1")
    current(home, "there")
    assert resolve(None, {"HOME": "/nowhere", "DOCKER_CONFIG": str(home / ".docker")}).url == "tcp://there:1"
    (home / ".docker" / "config.json").write_text("{")
    assert resolve(None, {"HOME": str(home)}).origin == "the default socket"


def test_a_context_that_does_not_exist_is_named_with_its_origin(home: Path) -> None:
    with pytest.raises(EngineUnreachable, match=r"'gone' \(from DOCKER_CONTEXT\)") as caught:
        resolve(None, {"HOME": str(home), "DOCKER_CONTEXT": "gone"})
    assert caught.value.code == "engine.no-context"


@pytest.mark.parametrize("address", ["docker", "ftp://x", "tcp://", "unix://"])
def test_what_is_no_address_is_said(address: str) -> None:
    with pytest.raises(EngineUnreachable) as caught:
        resolve(address, {})
    assert caught.value.code == "engine.bad-address"


def test_a_path_is_a_socket() -> None:
    assert resolve("/run/x.sock", {}).url == "unix:///run/x.sock"


def test_tls_material_comes_from_the_environment_or_the_context(home: Path) -> None:
    for file in ("ca.pem", "cert.pem", "key.pem"):
        (home / file).write_text("x")
    env = {"DOCKER_CERT_PATH": str(home), "DOCKER_TLS_VERIFY": "1"}
    found = resolve("tcp://x:1", env)
    assert (set(found.tls), found.verify) == ({"ca", "cert", "key"}, True)
    assert not resolve("tcp://x:1", {"DOCKER_CERT_PATH": str(home)}).verify
    assert resolve("unix:///x", env).tls == {}
    context(home, "secure", "tcp://x:1", tls=True)
    found = resolve(None, {"HOME": str(home), "DOCKER_CONTEXT": "secure"})
    assert (set(found.tls), found.verify) == ({"ca", "cert", "key"}, True)


@pytest.mark.parametrize(
    ("url", "host", "local"),
    [
        ("unix:///var/run/docker.sock", "", True),
        ("tcp://localhost:2375", "localhost", True),
        ("tcp://127.0.0.1:2375", "127.0.0.1", True),
        ("tcp://10.0.0.5:2376", "10.0.0.5", False),
        ("ssh://me@shop.example:2222", "shop.example", False),
    ],
)
def test_an_address_knows_its_machine(url: str, host: str, local: bool) -> None:
    address = Address(url, "test")
    assert (address.host, address.local) == (host, local)


# -- nobody answers ----------------------------------------------------------------------------------------
def failure(address: str) -> EngineUnreachable:
    with pytest.raises(EngineUnreachable) as caught:
        connect(address, os.environ)
    assert address in str(caught.value)
    assert "(from --engine)" in str(caught.value)
    assert caught.value.exit is Exit.UNREACHABLE
    assert caught.value.problem.next
    return caught.value


def test_no_socket(tmp_path: Path) -> None:
    error = failure(f"unix://{tmp_path}/none.sock")
    assert "there is no such socket" in str(error)
    assert "docker" in error.problem.next[0].lower()


def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "x.sock"))
    assert "no engine listens on it" in str(failure(f"unix://{tmp_path}/x.sock"))


def test_a_port_that_nobody_listens_on() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    assert "connection refused" in str(failure(f"tcp://127.0.0.1:{port}"))


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_self: socket.socket, _address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", denied)
    error = failure(f"unix://{tmp_path}/x.sock")
    assert "permission denied" in str(error)
    assert "usermod -aG docker" in error.problem.next[0]


@contextmanager
def answering(directory: Path, answer: bytes) -> Iterator[str]:
    """Something that answers every connection with these bytes."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(directory / "x.sock"))
        sock.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = sock.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    if connection.recv(65536):
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"unix://{directory}/x.sock"
        finally:
            sock.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def http(body: str, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", body]
    return "\r\n".join(lines).encode()


def test_an_engine_too_old_is_told_with_both_versions(tmp_path: Path) -> None:
    old = http("OK", "Api-Version: 1.40", "Server: Docker/19.03.15 (linux)")
    said = r"19\.03\.15 with API 1\.40; bluegreen needs API 1\.41"
    with answering(tmp_path, old) as address, pytest.raises(EngineUnreachable, match=said) as caught:
        connect(address, {})
    assert caught.value.code == "engine.too-old"


def test_newer_engines_are_asked_in_words_that_we_know(tmp_path: Path) -> None:
    with answering(tmp_path, http("OK", "Api-Version: 1.99", "Server: Docker/40.0.0 (linux)")) as address:
        engine = connect(address, {})
        assert engine._api.version == "1.44"
        engine.close()


def test_what_is_no_engine_is_said(tmp_path: Path) -> None:
    with answering(tmp_path, http("hello")) as address:
        assert "no Docker engine that can be used" in str(failure(address))


def test_an_engine_that_wants_tls_is_said(tmp_path: Path) -> None:
    body = "Client sent an HTTP request to an HTTPS server.\n"
    with answering(tmp_path, http(body, status="400 Bad Request")) as address:
        assert "it wants TLS" in str(failure(address))


def test_an_answer_cut_short_is_no_answer(tmp_path: Path) -> None:
    with answering(tmp_path, b"HTTP/1.1 200 OK\r\nContent-Le") as address:
        assert failure(address).code == "engine.unreachable"
    (tmp_path / "x.sock").unlink()
    with answering(tmp_path, b"") as address:
        assert failure(address).code == "engine.unreachable"
