"""An engine that isn't there, is too old or full; a port that someone else holds; a source that can't be built."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import httpx
import pytest
from testcontainers.core.container import DockerContainer

from bluegreen.model.errors import Exit
from tests.scenarios.conftest import MakeStack
from tests.scenarios.stack import Stack, web
from tests.support import eventually

pytestmark = pytest.mark.engine


# -- the engine --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("command", [("deploy", "v1"), ("rollback",), ("status",), ("down", "--yes")])
def test_without_an_engine_every_command_says_where_it_looked(stack: Stack, command: tuple[str, ...]) -> None:
    nobody = f"unix://{stack.directory}/nobody.sock"
    answer = stack.bg(*command, env={"DOCKER_HOST": nobody})
    answer.failed(Exit.UNREACHABLE, "engine.unreachable", nobody, "DOCKER_HOST", "doctor")


def test_an_engine_too_old_says_its_version_and_the_oldest_that_will_do(stack: Stack, tmp_path: Path) -> None:
    with old_engine(tmp_path / "old.sock") as address:
        answer = stack.deploy("v1", "--engine", address)
    answer.failed(Exit.UNREACHABLE, "engine.too-old", "1.39", "1.41")


# -- the public port ---------------------------------------------------------------------------------------
def test_a_port_held_by_a_process_is_said_with_its_name_and_nothing_half_made_is_left(stack: Stack) -> None:
    with closing(socket.create_server(("127.0.0.1", stack.port))):
        answer = stack.deploy("v1")
        answer.failed(Exit.FAILED, "engine.port-held", str(stack.port), f"pid {os.getpid()}")
        assert not stack.containers()
    stack.deploy("v1").succeeded()
    assert stack.serving == "v1"


def test_a_port_held_by_a_container_is_said_with_its_name_and_the_container_is_left_alone(stack: Stack) -> None:
    holder = DockerContainer(stack.image).with_env("TAG", "other").with_bind_ports(8000, stack.port)
    with holder:
        eventually(lambda: _answers(stack) == "other", what="the other container answering")
        name = holder.get_wrapped_container().name
        answer = stack.deploy("v1")
        answer.failed(Exit.FAILED, "engine.port-held", str(stack.port), f"the container {name}", "docker stop")
        assert stack.serving == "other"
        assert not stack.containers()


def test_a_project_that_runs_under_compose_is_left_to_it_and_both_ways_are_said(stack: Stack) -> None:
    composed = DockerContainer(stack.image).with_kwargs(labels={"com.docker.compose.project": stack.name})
    with composed:
        name = composed.get_wrapped_container().name
        answer = stack.deploy("v1")
        answer.failed(Exit.REFUSED, "engine.compose-runs", str(name), f"docker compose -p {stack.name} down")
        assert not stack.containers()
        found = [f for f in stack.bg("doctor").data["findings"] if f["check"] == "under compose"]
        assert [(f["level"], f["next"][0].partition("    ")[0]) for f in found] == [
            ("fail", f"docker compose -p {stack.name} down")
        ]
    stack.deploy("v1").succeeded()


# -- what an image is built from ---------------------------------------------------------------------------
@pytest.fixture(scope="module")
def built(make_stack: MakeStack) -> Stack:
    """A project in a git repository, whose one image is built; v1 is tagged and live."""
    stack = make_stack()
    (stack.directory / "page").write_text("first\n")
    _dockerfile(stack)
    _write(stack, "git")
    _git(stack, "init", "--quiet")
    _commit(stack, "v1")
    stack.deploy("v1").succeeded()
    return stack


@pytest.fixture
def repository(built: Stack) -> Iterator[Stack]:
    """The same. Whatever is tried, v1's containers serve on; the tree is clean again afterwards."""
    with built.untouched():
        yield built
    _git(built, "reset", "--quiet", "--hard", "v1")


def test_a_ref_that_does_not_exist_is_refused_and_names_the_tree(repository: Stack) -> None:
    with repository.unchanged():
        repository.deploy("v9").failed(Exit.REFUSED, "source.no-such-ref", "v9", "git tag", "--source tree")


def test_a_dockerfile_that_fails_shows_its_step_and_its_last_lines(repository: Stack) -> None:
    _dockerfile(repository, "RUN echo the compiler says no; exit 7")
    _commit(repository, "broken")
    answer = repository.deploy("broken")
    answer.failed(Exit.FAILED, "build.failed", "RUN echo the compiler says no; exit 7", "exit code", "7", "Dockerfile")
    assert answer.data["log"][-1].endswith("the compiler says no"), answer
    assert answer.data["live"]["tag"] == "v1"
    assert answer.data["candidate"] is None


def test_a_disk_that_is_full_while_building_is_said_to_be_full(repository: Stack) -> None:
    # /dev/shm is a file system of its own, and a small one: what writes there is told the same as on a full disk.
    _dockerfile(repository, "RUN dd if=/dev/zero of=/dev/shm/big bs=1M count=1000")
    _commit(repository, "big")
    answer = repository.deploy("big")
    answer.failed(Exit.FAILED, "build.disk-full", "disk is full", "RUN dd", "docker system df", "prune")
    assert any("No space left on device" in line for line in answer.data["log"]), answer


def test_a_used_tag_with_other_content_is_refused(repository: Stack) -> None:
    (repository.directory / "page").write_text("moved\n")
    _commit(repository, "v1-moved")
    _git(repository, "tag", "--force", "v1-again", "v1-moved")
    repository.deploy("v1", "--source", "tree").failed(Exit.REFUSED, "source.tag-used", "v1", "--rebuild")


def test_changes_that_are_not_committed_stay_out_of_a_release_that_is_built_from_git(make_stack: MakeStack) -> None:
    stack = make_stack()
    (stack.directory / "page").write_text("committed\n")
    _dockerfile(stack)
    _write(stack, "git")
    _git(stack, "init", "--quiet")
    _commit(stack, "v1")
    (stack.directory / "page").write_text("secret draft\n")
    (stack.directory / "new").write_text("untracked\n")

    answer = stack.deploy("v1").succeeded()
    assert "without the uncommitted changes" in answer.notices
    assert "page" in answer.notices
    assert stack.get("/file?path=/page").text == "committed\n"
    release = stack.bg("history").succeeded().data["releases"][0]
    assert (release["dirty"], release["subject"]) == (False, "commit of v1")

    stack.deploy("draft", "--source", "tree").succeeded()
    assert stack.get("/file?path=/page").text == "secret draft\n"
    assert stack.bg("history").succeeded().data["releases"][0]["dirty"] is True
    assert "draft (dirty)" in stack.text("history").out


# -- helpers -----------------------------------------------------------------------------------------------
def _answers(stack: Stack) -> str:
    try:
        return stack.serving
    except (httpx.HTTPError, AssertionError):  # not yet
        return ""


def _write(stack: Stack, source: str) -> None:
    service = web(stack.image)
    del service["image"]
    stack.write({"web": {"build": ".", **service}}, source=source)


def _dockerfile(stack: Stack, *lines: str) -> None:
    text = "\n".join([f"FROM {stack.image}", "COPY page /page", *lines])
    (stack.directory / "Dockerfile").write_text(f"{text}\n")


def _git(stack: Stack, *words: str) -> None:
    settings = ("-c", "user.name=Test", "-c", "user.email=test@shop.example", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *settings, *words], cwd=stack.directory, check=True, capture_output=True)


def _commit(stack: Stack, tag: str) -> None:
    _git(stack, "add", "--all")
    _git(stack, "commit", "--quiet", "--message", f"commit of {tag}")
    _git(stack, "tag", tag)


@contextmanager
def old_engine(path: Path) -> Iterator[str]:
    """Something that answers as engine 18.09 did."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"Version": "18.09.9", "ApiVersion": "1.39", "MinAPIVersion": "1.12"}'
            body = b"OK" if self.path.endswith("/_ping") else body
            self.send_response(200)
            self.send_header("Api-Version", "1.39")
            self.send_header("Server", "Docker/18.09.9 (linux)")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def address_string(self) -> str:
            return "unix"

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingUnixStreamServer(str(path), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()
            thread.join()
