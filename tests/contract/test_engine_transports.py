"""The real engine over TCP, TLS and ssh: what differs from a unix socket is hidden, execs included."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bluegreen.engine.connect import connect, resolve
from bluegreen.engine.docker import DockerEngine
from bluegreen.model import labels
from bluegreen.model.containers import ContainerSpec
from bluegreen.model.errors import EngineFailed, EngineUnreachable
from tests.contract.conftest import clean
from tests.support import eventually, unique

pytestmark = pytest.mark.engine


@pytest.fixture(params=["tcp", "tls", "ssh"])
def far(request: pytest.FixtureRequest, tmp_path: Path, docker_engine: DockerEngine) -> Iterator[DockerEngine]:
    """The engine of this machine, reached the long way."""
    unix = resolve(str(docker_engine.info().host), os.environ).url.removeprefix("unix://")
    if request.param == "ssh":
        engine = connect("ssh://me@far.example:2222", ssh_to(unix, tmp_path))
        yield engine
        engine.close()
        return
    context = certificates(tmp_path) if request.param == "tls" else None
    env = {"DOCKER_CERT_PATH": str(tmp_path), "DOCKER_TLS_VERIFY": "1"} if context else {}
    with forwarding(unix, context) as port:
        engine = connect(f"tcp://localhost:{port}", env)
        yield engine
        engine.close()


def ssh_to(unix: str, directory: Path) -> dict[str, str]:
    """An environment whose ssh runs the remote command here, and notes each login."""
    script = directory / "ssh"
    script.write_text(
        f'#!/bin/sh\necho "$@" >>{directory}/logins\nwhile [ "$1" != -- ]; do shift; done\nshift 2\nexec "$@"\n'
    )
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}", "DOCKER_HOST": f"unix://{unix}"}


def certificates(directory: Path) -> ssl.SSLContext:
    """An authority, with a server's and a client's certificate; answers the server's side."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-subj", "/CN=authority")  # fmt: skip
    (directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name, cert, key in (("server", "server.pem", "server.key"), ("client", "cert.pem", "key.pem")):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", "request.pem", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
                cert, "-days", "2", "-extfile", "names")  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem", directory / "server.key")
    context.load_verify_locations(directory / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@contextmanager
def forwarding(unix: str, context: ssl.SSLContext | None) -> Iterator[int]:
    """A port that leads to a unix socket, as an engine that listens on TCP would."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve(near: socket.socket) -> None:
        with suppress(OSError), near, socket.socket(socket.AF_UNIX) as engine:
            wrapped = context.wrap_socket(near, server_side=True) if context else near
            engine.connect(unix)
            back = threading.Thread(target=copy, args=(engine, wrapped), daemon=True)
            back.start()
            copy(wrapped, engine)
            back.join(30)
            wrapped.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(near,), daemon=True))
                threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(5)
        for thread in threads:
            thread.join(5)


@pytest.fixture
def container(docker_engine: DockerEngine, toy_image: str) -> Iterator[str]:
    project = unique()
    spec = ContainerSpec(project, toy_image, {"Cmd": ["sleep", "1000"]}, {labels.PROJECT: project}, ())
    try:
        docker_engine.create(spec)
        docker_engine.start(project)
        yield project
    finally:
        clean(docker_engine, project)


def test_containers_are_listed(far: DockerEngine, container: str) -> None:
    assert [c.name for c in far.containers(container)] == [container]
    assert far.image("nothing:at-all") is None


def test_an_exec_speaks_both_ways_and_sees_the_end_of_its_input(far: DockerEngine, container: str) -> None:
    stream = far.exec_stream(container, ["sh", "-c", "echo early; echo oops >&2; cat; touch /tmp/ended"])
    assert stream.receive(20) == b"early"
    for line in (b"one", b"y" * 100_000):
        stream.send(line + b"\n")
        assert stream.receive(20) == line
    with pytest.raises(EngineFailed) as caught:
        stream.receive(0.1)
    assert caught.value.code == "engine.timeout"
    assert stream.errors() == "oops\n"
    stream.close()

    def ended() -> bool:
        check = far.exec_stream(container, ["sh", "-c", "test -e /tmp/ended && echo yes || echo no"])
        answer = check.receive(20)
        check.close()
        return answer == b"yes"

    eventually(ended, what="the end of its input")


def test_what_is_said_at_once_is_not_lost(far: DockerEngine, container: str) -> None:
    for _ in range(5):
        stream = far.exec_stream(container, ["echo", "hello"])
        assert stream.receive(20) == b"hello"
        assert stream.receive(20) == b""
        stream.close()


def test_waiting_has_its_deadline(far: DockerEngine, container: str) -> None:
    with pytest.raises(EngineFailed) as caught:
        far.wait(container, 0.3)
    assert caught.value.code == "engine.timeout"
    assert [c.name for c in far.containers(container)] == [container]


def test_over_ssh_requests_share_a_login(docker_engine: DockerEngine, tmp_path: Path, container: str) -> None:
    unix = docker_engine.info().host.removeprefix("unix://")
    engine = connect("ssh://me@far.example:2222", ssh_to(unix, tmp_path))
    try:
        for _ in range(5):
            engine.containers(container)
        stream = engine.exec_stream(container, ["echo", "hello"])
        assert stream.receive(20) == b"hello"
        stream.close()
        assert engine.public == "far.example"
        assert not engine.info().local
    finally:
        engine.close()
    logins = (tmp_path / "logins").read_text().splitlines()
    assert 2 <= len(logins) <= 3
    assert set(logins) == {"-o ConnectTimeout=30 -T -l me -p 2222 -- far.example docker system dial-stdio"}


def test_what_ssh_says_is_passed_on(tmp_path: Path) -> None:
    env = refusing_ssh(tmp_path, "echo 'me@far.example: Permission denied (publickey).' >&2; exit 255")
    with pytest.raises(EngineUnreachable, match=r"Permission denied \(publickey\)") as caught:
        connect("ssh://me@far.example", env)
    assert caught.value.problem.next[0] == "ssh far.example docker version"


def test_without_an_ssh_command_it_is_said(tmp_path: Path) -> None:
    shell = shutil.which("sh")
    assert shell is not None
    (tmp_path / "sh").symlink_to(shell)
    with pytest.raises(EngineUnreachable, match="ssh: not found"):
        connect("ssh://far.example", {"PATH": str(tmp_path)})


def refusing_ssh(directory: Path, script: str) -> Mapping[str, str]:
    (directory / "ssh").write_text(f"#!/bin/sh\n{script}\n")
    (directory / "ssh").chmod(0o755)
    return {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}
