"""The Makefile and the scripts in `scripts/`, with a docker client made of a few lines of shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

NASTY_TAGS = ["v1.0.0", "a;touch pwned", "$(touch pwned)", "`touch pwned`", "$(shell touch pwned)", 'a"b', "-h", "x\ny"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout's Makefile and scripts, with a tool that only prints its arguments."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    _executable(tmp_path / ".venv/bin/bluegreen", 'printf "%s|" "$@"\necho "on $NGINX_IMAGE"')
    (tmp_path / ".venv/.installed").touch()
    return tmp_path


@pytest.mark.parametrize("tag", NASTY_TAGS)
def test_a_tag_reaches_the_tool_as_it_was_typed(tree: Path, tag: str) -> None:
    _engine_and_bases_are_there(tree)
    done = _run(tree, "make", "deploy", f"TAG={tag}")
    assert done.stdout == f"--file|compose/tokenlab/compose.yaml|deploy|--|{tag}|on some/nginx:1\n"
    assert not (tree / "pwned").exists()


@pytest.mark.parametrize("tag", NASTY_TAGS)
def test_a_tag_from_the_environment_reaches_the_tool_unchanged(tree: Path, tag: str) -> None:
    _engine_and_bases_are_there(tree)
    done = _run(tree, "make", "deploy", env={"TAG": tag})
    assert done.stdout == f"--file|compose/tokenlab/compose.yaml|deploy|--|{tag}|on some/nginx:1\n"
    assert not (tree / "pwned").exists()


def test_a_deploy_without_a_tag_leaves_the_choice_to_the_tool(tree: Path) -> None:
    _engine_and_bases_are_there(tree)
    assert _run(tree, "make", "deploy").stdout == "--file|compose/tokenlab/compose.yaml|deploy|on some/nginx:1\n"


def test_a_rollback_calls_the_tool_and_nothing_before_it(tree: Path) -> None:
    _executable(tree / "scripts/engine", "touch called")
    _executable(tree / "scripts/base-images", "touch called")
    assert _run(tree, "make", "rollback").stdout == "--file|compose/tokenlab/compose.yaml|rollback|on \n"
    assert not (tree / "called").exists()


def test_a_rollback_without_the_tool_names_the_command_that_installs_it(tree: Path) -> None:
    shutil.rmtree(tree / ".venv")
    done = _run(tree, "make", "rollback", fails=True)
    assert "make setup" in done.stderr


def test_an_engine_that_was_chosen_and_does_not_answer_is_not_replaced(tree: Path) -> None:
    _docker(tree, 'case $1 in version) exit 1 ;; context) echo "$DOCKER_HOST" ;; esac')
    done = _run(tree, "scripts/engine", env={"DOCKER_HOST": "tcp://192.0.2.1:2375"}, fails=True)
    assert "tcp://192.0.2.1:2375 does not answer" in done.stderr
    assert "DOCKER_HOST" in done.stderr


def test_an_engine_that_answers_is_used_and_named(tree: Path) -> None:
    _docker(tree, "case $1 in version) echo 1.41 ;; context) echo unix:///there ;; esac")
    assert "unix:///there answers; using it" in _run(tree, "scripts/engine").stderr
    assert _run(tree, "scripts/engine", "up", "--quiet").stderr == ""


def test_stop_leaves_a_process_alone_that_only_has_the_recorded_number(tree: Path) -> None:
    (tree / "run").mkdir()
    with subprocess.Popen(["sleep", "60"]) as other:
        (tree / "run/dockerd.pid").write_text(f"{other.pid} 1:another-boot\n")
        done = _run(tree, "scripts/engine", "stop", env={"BG_ENGINE_RUN": str(tree / "run")})
        assert "nothing to stop" in done.stderr
        assert other.poll() is None
        other.kill()


def test_base_images_come_from_a_registry_that_answers(tree: Path) -> None:
    _docker(tree, "case $1-$2 in image-inspect) exit 1 ;; pull-*) echo Pulling from there ;; esac")
    _run(tree, "scripts/base-images")
    assert _chosen(tree) == {
        "NGINX_IMAGE": "nginx:1.30-trixie",
        "PYTHON_IMAGE": "python:3.13-slim-bookworm",
    }


def test_base_images_already_chosen_cost_one_call_of_docker(tree: Path) -> None:
    _docker(tree, "true")
    _run(tree, "scripts/base-images")
    (tree / "calls").unlink()
    assert _run(tree, "scripts/base-images").stderr == ""
    assert len((tree / "calls").read_text().splitlines()) == 1


def test_base_images_named_for_one_run_are_not_the_choice_for_the_next(tree: Path) -> None:
    _docker(tree, "true")
    _run(tree, "scripts/base-images", env={"NGINX_IMAGE": "mine:1"})
    assert _chosen(tree)["NGINX_IMAGE"] == "mine:1"
    _run(tree, "scripts/base-images")
    assert _chosen(tree)["NGINX_IMAGE"] == "nginx:1.30-trixie"


def test_a_silent_registry_is_asked_once_and_given_up_on(tree: Path) -> None:
    _docker(tree, "case $1-$2 in image-inspect) exit 1 ;; image-ls) ;; pull-*) exec sleep 60 ;; esac")
    began = time.monotonic()
    named = {"BG_REGISTRY_TIMEOUT": "1", "NGINX_IMAGE": "mine:1"}
    done = _run(tree, "scripts/base-images", env=named, fails=True)
    assert time.monotonic() - began < 10
    assert "no answer within 1 s" in done.stderr
    assert "mine:1" in done.stderr
    assert "docker load" in done.stderr
    assert (tree / "calls").read_text().count("pull ") == 1
    assert not (tree / ".state").exists()


def _engine_and_bases_are_there(tree: Path) -> None:
    _executable(tree / "scripts/engine", "true")
    _executable(
        tree / "scripts/base-images",
        "mkdir -p .state && printf 'NGINX_IMAGE=some/nginx:1\\nPYTHON_IMAGE=some/python:1\\n' >.state/base-images.env",
    )


def _docker(tree: Path, script: str) -> None:
    _executable(tree / "bin/docker", f'echo "$@" >>"{tree}/calls"\n{script}')


def _executable(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _run(
    tree: Path, *command: str, env: Mapping[str, str] | None = None, fails: bool = False
) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "MAKE", "BG_"))}
    for name in ("TAG", "NGINX_IMAGE", "PYTHON_IMAGE", "MFLAGS"):
        inherited.pop(name, None)
    done = subprocess.run(
        command,
        cwd=tree,
        env={**inherited, "PATH": f"{tree}/bin:{os.environ['PATH']}", **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stderr
    return done


def _chosen(tree: Path) -> dict[str, str]:
    lines = (tree / ".state/base-images.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)
