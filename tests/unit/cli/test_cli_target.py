"""Which project is meant: said, the file's, or the only one on the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from bluegreen.engine.memory import MemoryEngine
from bluegreen.model import labels
from bluegreen.model.containers import ContainerSpec
from tests.unit.cli.conftest import Program
from tests.world import World


def _project(engine: MemoryEngine, name: str) -> None:
    engine.add_image("toy:1")
    found = engine.image("toy:1")
    assert found is not None
    engine.create(ContainerSpec(f"{name}-proxy", found.id, {}, {labels.PROJECT: name, labels.ROLE: "proxy"}, ()))


def test_the_only_project_is_meant_and_said(bg: Program, world: World) -> None:
    world.deploy("v1")
    answer = bg("status")
    assert answer.code == 0
    assert "project shop: the only one on this engine" in answer.err


def test_of_several_none_is_guessed(bg: Program, world: World) -> None:
    _project(world.engine, "one")
    _project(world.engine, "two")
    answer = bg("rollback")
    assert answer.code == 3
    assert "the engine has 2 projects: one, two" in answer.err
    assert "NEXT     bluegreen rollback -p one" in answer.err


def test_a_directorys_name_is_a_project_where_the_engine_has_it(
    bg: Program, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deploy("v1")
    _project(world.engine, "two")
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    assert bg("status", "--json").data["project"] == "shop"


def test_none_on_the_engine(bg: Program) -> None:
    answer = bg("status")
    assert answer.code == 3
    assert "no project of bluegreen's on this engine" in " ".join(answer.err.split())


def test_the_order_is_option_environment_file(bg: Program, world: World, tmp_path: Path) -> None:
    world.deploy("v1")
    (tmp_path / "compose.yaml").write_text("name: from-file\nservices: {}\n")
    assert "a project from-file" in bg("status").err
    bg.env["BG_PROJECT"] = "from-env"
    assert "a project from-env" in bg("status").err
    assert "a project from-option" in bg("status", "-p", "from-option").err


def test_a_broken_file_does_not_keep_a_rollback(bg: Program, world: World, tmp_path: Path) -> None:
    world.deploy("v1")
    world.deploy("v2")
    (tmp_path / "compose.yaml").write_text("name: shop\nservices: {{{ this is no YAML\n")
    assert bg("rollback").code == 0


def test_a_file_that_was_named_must_be_there(bg: Program) -> None:
    answer = bg("rollback", "--file", "nope.yaml")
    assert answer.code == 2
    assert "there is no file nope.yaml" in answer.err


@pytest.mark.parametrize("name", ["Shop", "a b", "-x", "a" * 42, "a/b", "a\n"])
def test_a_name_that_can_be_none_is_refused(nowhere: Program, name: str) -> None:
    answer = nowhere("status", f"--project={name}", "--json")
    assert answer.code == 2
    assert answer.document["errors"][0]["code"] == "project.name"


def test_nothing_is_asked(bg: Program, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only `down` asks; a prompt anywhere else blows up."""

    def prompt(*_: object, **__: object) -> None:
        raise AssertionError("a prompt")

    for name in ("click.prompt", "click.confirm", "builtins.input"):
        monkeypatch.setattr(name, prompt)
    world.deploy("v1")
    world.deploy("v2")
    bg.terminal = True
    for words in (["rollback"], ["status"], ["history"], ["prune"], ["drain"], ["abort"], ["resume"]):
        assert bg(*words).code in (0, 3)
