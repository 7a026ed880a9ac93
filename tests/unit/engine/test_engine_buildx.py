"""The buildx command line, and what its output says, with a docker command of our own."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from bluegreen.engine import buildx
from bluegreen.engine.api import Address
from bluegreen.engine.builder import named
from bluegreen.engine.building import Failure
from bluegreen.engine.protocol import BuildRequest
from bluegreen.model.project import Build

HERE = Address("unix:///x.sock", "test")

FAILED = """\
#0 building with "default" instance using docker driver
#5 [2/3] RUN pip install nothing
#5 0.345 Collecting nothing
#5 0.411 ERROR: No matching distribution found for nothing
#5 ERROR: process "/bin/sh -c pip install nothing" did not complete successfully: exit code: 1
------
 > [2/3] RUN pip install nothing:
0.345 Collecting nothing
0.411 ERROR: No matching distribution found for nothing
------
Dockerfile:2
--------------------
   1 |     FROM x
   2 | >>> RUN pip install nothing
--------------------
ERROR: failed to solve: process "/bin/sh -c pip install nothing" did not complete successfully: exit code: 1
"""


@pytest.fixture
def request_of(tmp_path: Path) -> BuildRequest:
    return BuildRequest(tmp_path, Build(tmp_path), ("shop-web:v1",))


def docker(directory: Path, script: str) -> dict[str, str]:
    """An environment in which this script is the docker command."""
    command = directory / "docker"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    return {"PATH": f"{directory}:{os.environ['PATH']}"}


def run(
    env: dict[str, str], request: BuildRequest, monkeypatch: pytest.MonkeyPatch
) -> tuple[Failure | None, list[str]]:
    monkeypatch.setenv("PATH", env["PATH"])
    lines: list[str] = []
    return buildx.run(HERE, env, request, lines.append), lines


def test_a_failure_has_its_step_and_that_step_s_lines(
    request_of: BuildRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").write_text(FAILED)
    failure, lines = run(docker(tmp_path, f"cat {tmp_path}/out >&2; exit 1"), request_of, monkeypatch)
    assert failure == Failure(
        "exit code 1",
        "RUN pip install nothing",
        ("Collecting nothing", "ERROR: No matching distribution found for nothing"),
    )
    assert "[2/3] RUN pip install nothing" in lines
    assert "Collecting nothing" in lines


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('failed to solve: process "/bin/sh -c x" did not complete successfully: exit code: 127', "exit code 127"),
        ("failed to build: failed to solve: x", "x"),
        ("failed to create LLB definition: dockerfile parse error", "dockerfile parse error"),
        ("executor failed running [/bin/sh -c a]: exit code: 5", "exit code 5"),
        (
            "rpc error: code = Unknown desc = failed to solve with frontend dockerfile.v0: parse error: FROMM",
            "parse error: FROMM",
        ),
        ('failed to compute cache key: failed to calculate checksum of ref a::b: "/z": not found', '"/z": not found'),
    ],
)
def test_the_reason_is_the_last_link_of_the_chain(
    said: str, reason: str, request_of: BuildRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").write_text(f"ERROR: {said}\n")
    failure, _ = run(docker(tmp_path, f"cat {tmp_path}/out >&2; exit 1"), request_of, monkeypatch)
    assert failure == Failure(reason)


def test_a_success_is_none_and_an_inline_dockerfile_is_its_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = BuildRequest(tmp_path, Build(tmp_path, dockerfile_inline="FROM scratch\nENV A=1\n"), ("a:1",))
    failure, lines = run(docker(tmp_path, "cat; echo $DOCKER_HOST $DOCKER_CONTEXT"), request, monkeypatch)
    assert failure is None
    assert lines == ["FROM scratch", "ENV A=1", "unix:///x.sock"]


def test_no_value_can_pass_for_an_option(tmp_path: Path) -> None:
    build = Build(
        tmp_path,
        dockerfile="--file",
        args=(("A", "--x"),),
        target="--target",
        labels=(("l", "-v"),),
        network="--host",
        extra_hosts=("db:10.0.0.1",),
        shm_size=1024,
        pull=True,
        no_cache=True,
    )
    words = buildx.command(BuildRequest(tmp_path, build, ("a:1", "b:1"), {"m": "--n"}))
    assert words == [
        "docker", "buildx", "build", "--load", "--progress=plain", "--tag=a:1", "--tag=b:1", "--build-arg=A=--x",
        "--label=l=-v", "--label=m=--n", "--add-host=db:10.0.0.1", "--target=--target", "--network=--host",
        "--shm-size=1024", "--pull", "--no-cache", f"--file={tmp_path}/--file", "--", str(tmp_path),
    ]  # fmt: skip


def test_a_build_argument_s_value_is_in_no_list_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = (("NPM_TOKEN", "canary-1"), ("http_proxy", "http://u:canary-2@p"), ("HOME", "/other"), ("DOCKER_HOST", "x"))
    request = BuildRequest(tmp_path, Build(tmp_path, args=args), ("a:1",))
    env = docker(tmp_path, 'echo "$@"; echo $NPM_TOKEN $http_proxy $DOCKER_HOST') | {"HOME": "/root"}
    _, (words, seen) = run(env, request, monkeypatch)
    assert "canary" not in words
    assert "--build-arg=NPM_TOKEN --build-arg=http_proxy --build-arg=HOME=/other --build-arg=DOCKER_HOST=x" in words
    assert seen == "canary-1 http://u:canary-2@p unix:///x.sock"
    distant = Address("tcp://x:1", "test")
    assert buildx.unlisted(args, env, distant) == {"NPM_TOKEN": "canary-1"}
    assert buildx.unlisted(args, {"http_proxy": args[1][1]}, distant).keys() == {"NPM_TOKEN", "http_proxy"}


def test_a_build_argument_s_value_is_in_nothing_that_a_build_says() -> None:
    args = (("TOKEN", "canary"), ("MODE", "prod"))
    assert named("[2/3] RUN curl -u x:canary prod", args) == "[2/3] RUN curl -u x:$TOKEN prod"


def test_it_builds_on_the_same_engine(tmp_path: Path) -> None:
    address = Address("tcp://x:1", "test", {"ca": f"{tmp_path}/ca.pem"})
    env = buildx.environment(address, {"DOCKER_CONTEXT": "other", "HTTP_PROXY": "p"})
    assert env["DOCKER_HOST"] == "tcp://x:1"
    assert env["DOCKER_CERT_PATH"] == str(tmp_path)
    assert env["DOCKER_TLS_VERIFY"] == "1"
    assert env["HTTP_PROXY"] == "p"
    assert "DOCKER_CONTEXT" not in env


def test_whether_it_is_there(tmp_path: Path) -> None:
    assert not buildx.there({"PATH": str(tmp_path)})
    assert not buildx.there(docker(tmp_path, "exit 1"))
    assert buildx.there(docker(tmp_path, "exit 0"))


def test_a_build_that_is_stopped_takes_its_process_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    request = BuildRequest(tmp_path, Build(tmp_path), ("a:1",), stop=stop)
    env = docker(tmp_path, "trap 'echo cancelled; exit 130' INT; echo begun; while :; do sleep 0.05; done")
    monkeypatch.setenv("PATH", env["PATH"])
    lines: list[str] = []

    def line(text: str) -> None:
        lines.append(text)
        stop.set()

    assert buildx.run(HERE, env, request, line) == Failure("docker buildx ended with 130")
    assert lines == ["begun", "cancelled"]


def test_an_interrupt_takes_the_process_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = BuildRequest(tmp_path, Build(tmp_path), ("a:1",))
    marker = tmp_path / "cancelled"
    env = docker(tmp_path, f"trap 'touch {marker}; exit 130' INT; echo begun; while :; do sleep 0.05; done")
    monkeypatch.setenv("PATH", env["PATH"])

    def line(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        buildx.run(HERE, env, request, line)
    assert marker.exists()
