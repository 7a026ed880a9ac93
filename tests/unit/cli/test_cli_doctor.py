"""`doctor`: each thing it looks at, well and unwell, and that it never fails itself."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from bluegreen.app import doctor_engine, doctor_proxy, doctor_shell
from bluegreen.app.doctor import Finding
from bluegreen.engine.memory import MemoryEngine
from bluegreen.model import labels
from bluegreen.model.containers import ContainerSpec
from tests.unit.cli.conftest import Program
from tests.world import World

Usage = namedtuple("Usage", "total used free")


def _levels(findings: Any) -> dict[str, str]:
    return {f.check: f.level for f in findings}


@pytest.fixture(autouse=True)
def _this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine where all is well: what the real one has must not decide a test."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(100 << 30, 50 << 30, 50 << 30))
    monkeypatch.setattr(doctor_engine, "listener", lambda _port: None)
    monkeypatch.setattr(doctor_engine, "_answers", lambda _address, _port: False)
    monkeypatch.setattr(doctor_engine, "_available", lambda: 8 << 30)
    monkeypatch.setattr(doctor_engine, "_plugin", lambda _env, name: f"docker {name} 1.0")


@pytest.mark.usefixtures("file")
def test_all_is_well(bg: Program, world: World) -> None:
    bg("deploy", "v1")
    answer = bg("doctor")
    assert answer.code == 0, answer.out
    assert not [line for line in answer.wide if "compose.yaml" not in line]  # a path is not broken
    assert answer.out.endswith("All is well.\n") or "Nothing keeps a deploy from working" in answer.out
    document = bg("doctor", "--json").document
    assert set(document["data"]) == {"findings", "notices"}
    assert set(document["data"]["findings"][0]) == {"check", "level", "message", "where", "next"}
    checks = {f["check"] for f in document["data"]["findings"]}
    assert checks >= {"file", "engine", "buildx", "compose", "disk", "memory", "port", "proxy image", "proxy", "shell"}
    assert checks >= {"state", "journal", "releases"}
    del world


def test_no_engine_is_a_finding_and_exit_8(nowhere: Program) -> None:
    answer = nowhere("doctor")
    assert answer.code == 8
    assert "fail     engine: no Docker engine answers" in answer.out
    document = nowhere("doctor", "--json").document
    assert document["outcome"] == "unreachable"
    assert [e["code"] for e in document["errors"]] == ["engine.unreachable"]


def test_every_problem_of_the_file_is_a_finding(bg: Program, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("name: shop\nservices:\n  a: {imgae: x}\n  b: {image: y, nope: 1}\n")
    answer = bg("doctor", "--json")
    assert answer.code == 1
    found = [f for f in answer.data["findings"] if f["check"] == "file"]
    assert len(found) > 2
    assert {f["level"] for f in found} == {"fail"}


@pytest.mark.usefixtures("file")
def test_a_port_held_by_a_container(bg: Program, world: World) -> None:
    world.engine.add_image("toy:1")
    image = world.engine.image("toy:1")
    assert image is not None
    body = {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "80"}]}}, "ExposedPorts": {"80/tcp": {}}}
    world.engine.create(ContainerSpec("other-web", image.id, body, {labels.PROJECT: "other"}, ()))
    world.engine.start("other-web")
    answer = bg("doctor")
    assert answer.code == 1
    assert "fail     port: 80 is held by the container other-web of the project other" in answer.out
    assert "docker stop other-web" in answer.out


@pytest.mark.usefixtures("file")
def test_a_port_held_by_a_process(bg: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    from bluegreen.engine.ports import Process

    monkeypatch.setattr(doctor_engine, "listener", lambda _port: Process(4711, "nginx"))
    assert "fail     port: 80 is held by the process nginx (4711)" in bg("doctor").out
    monkeypatch.setattr(doctor_engine, "listener", lambda _port: None)
    monkeypatch.setattr(doctor_engine, "_answers", lambda _address, _port: True)
    assert "fail     port: something on this machine listens on 80 already" in bg("doctor").out


def test_disk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    info = world.engine.info()
    for free, level in ((50 << 30, "ok"), (2 << 30, "warn"), (1 << 20, "fail")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _path, free=free: Usage(100 << 30, 0, free))
        assert _levels(doctor_engine.disk(info)) == {"disk": level}


def test_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(limit: int) -> Finding:
        project = world.project("v1")
        services = {
            name: _with_memory(service, limit) if service.routes else service
            for name, service in project.services.items()
        }
        from dataclasses import replace

        return next(iter(doctor_engine.memory(world.engine, replace(project, services=services))))

    monkeypatch.setattr(doctor_engine, "_available", lambda: 1 << 30)
    total = world.engine.info().memory
    assert found(1 << 20).level == "ok"
    assert "not counted, because the file sets no limit" in found(1 << 20).message
    assert found(400 << 20).level == "warn"
    assert found(total).level == "fail"


def test_buildx_is_missed_only_where_something_is_built(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_engine, "_plugin", lambda _env, _name: None)
    assert _levels(doctor_engine.plugins({}, world.project("v1"))) == {"buildx": "ok", "compose": "ok"}
    assert _levels(doctor_engine.plugins({}, None)) == {"buildx": "warn", "compose": "ok"}


def test_base_images(world: World) -> None:
    assert _levels(doctor_engine.base_images(world.engine, {})) == {"proxy image": "ok"}
    empty = MemoryEngine()
    missing = list(doctor_engine.base_images(empty, {"NGINX_IMAGE": "mine/nginx:1"}))
    assert {f.level for f in missing} == {"warn"}
    assert "mine/nginx:1" in " ".join(f.message for f in missing)


def test_the_proxy_stopped_and_deleted(world: World) -> None:
    assert [f.check for f in doctor_proxy.findings(world.site())] == ["project"]
    world.deploy("v1")
    assert _levels(doctor_proxy.findings(world.site()))["proxy"] == "ok"
    world.engine.stop("shop-proxy", 1)
    assert _levels(doctor_proxy.findings(world.site()))["proxy"] == "fail"
    world.engine.remove("shop-proxy")
    stopped = next(iter(doctor_proxy.findings(world.site())))
    assert stopped.message == "there is no shop-proxy: nobody reaches this project"
    assert "bg proxy start" in stopped.next


def test_a_live_container_that_is_gone_is_found(world: World) -> None:
    world.deploy("v1")
    world.engine.remove("shop-blue-api-2")
    found = [f for f in doctor_proxy.findings(world.site()) if f.check == "releases"]
    assert [f.level for f in found] == ["fail"]
    assert "api-2 (gone)" in found[0].message


@pytest.mark.parametrize(
    ("said", "level"),
    [("bg () { BLUEGREEN_SHELL=1 command bluegreen; }", "ok"), ("bg not found", "warn"), (None, "warn")],
)
def test_the_shells_function(monkeypatch: pytest.MonkeyPatch, said: str | None, level: str) -> None:
    monkeypatch.setattr(doctor_shell, "_ask", lambda *_: said)
    (found,) = doctor_shell.findings({"SHELL": "/usr/bin/zsh"})
    assert found.level == level


def test_a_shell_without_an_answer_is_waited_for_in_vain_only_so_long(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slow = tmp_path / "bash"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(doctor_shell, "SECONDS", 0.2)
    (found,) = doctor_shell.findings({"SHELL": str(slow), "PATH": "/usr/bin:/bin"})
    assert "did not answer" in found.message


def _with_memory(service: Any, limit: int) -> Any:
    from dataclasses import replace

    return replace(service, body={**service.body, "HostConfig": {"Memory": limit}})
