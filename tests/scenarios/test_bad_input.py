"""What a file, a tag or an environment can get wrong while v1 serves: said, and nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bluegreen.model.errors import Exit
from tests.scenarios.conftest import MakeStack
from tests.scenarios.stack import Stack, web

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def live(make_stack: MakeStack) -> Iterator[Stack]:
    """A project with v1 live."""
    stack = make_stack()
    stack.deploy("v1").succeeded()
    yield stack
    assert stack.serving == "v1"


@pytest.fixture
def shop(live: Stack) -> Iterator[Stack]:
    """The same, whose file a test may spoil. Nothing at all may be changed on the engine."""
    with live.unchanged():
        yield live
    live.write()


def test_a_file_that_is_not_there_is_said_by_its_name(shop: Stack) -> None:
    shop.deploy("v2", "--file", "nowhere.yaml").failed(Exit.USAGE, "file-missing", "nowhere.yaml")


def test_a_directory_without_a_file_says_what_was_looked_for(shop: Stack, tmp_path: Path) -> None:
    answer = shop.bg("deploy", "v2", at=tmp_path)
    answer.failed(Exit.USAGE, "file-missing", "compose.yaml", "docker-compose.yml", "--file")


def test_a_file_that_is_not_yaml_is_refused_with_its_line(shop: Stack) -> None:
    shop.write_text("name: shop\nservices:\n  web: [unclosed\n")
    shop.deploy("v2").failed(Exit.USAGE, "file-not-yaml", "compose.yaml:4")


def test_an_empty_file_is_refused(shop: Stack) -> None:
    shop.write_text("")
    shop.deploy("v2").failed(Exit.USAGE, "file-empty", "compose.yaml")


def test_unknown_keys_are_refused_all_at_once_each_with_its_place(shop: Stack) -> None:
    shop.write({"web": web(shop.image, imagee="x", enviroment={})})
    answer = shop.deploy("v2")
    answer.failed(Exit.USAGE, "key-unknown", "services.web.imagee", "compose.yaml:", "image")
    assert len([e for e in answer.errors if e["code"] == "key-unknown"]) == 2, answer


def test_a_cycle_of_dependencies_is_drawn(shop: Stack) -> None:
    a, b = (web(shop.image, depends_on=[name]) for name in ("b", "a"))
    b["x-bluegreen"] = {"internal": True}
    shop.write({"a": a, "b": b})
    shop.deploy("v2").failed(Exit.USAGE, "depends-cycle", "a -> b -> a", "compose.yaml:")


def test_a_project_without_a_routed_service_is_refused(shop: Stack) -> None:
    shop.write({"web": web(shop.image, **{"x-bluegreen": {"internal": True}})})
    shop.deploy("v2").failed(Exit.USAGE, "route-missing", "x-bluegreen: {route: /}")


def test_two_services_on_one_route_are_refused(shop: Stack) -> None:
    shop.write({"web": web(shop.image), "page": web(shop.image)})
    shop.deploy("v2").failed(Exit.USAGE, "route-twice", "web", "page")


@pytest.mark.parametrize("tag", ["", "v2;", "v2\n", "${TAG}", "{v2}", "../v2", "v" * 129])
def test_what_can_not_be_a_tag_is_refused_before_anything_is_read(shop: Stack, tag: str) -> None:
    shop.write_text("not read")
    shop.deploy(tag).failed(Exit.USAGE, "tag.invalid", "TAG")


def test_an_unset_required_variable_is_said_with_its_own_words(shop: Stack) -> None:
    shop.write({"web": web(shop.image, user="${SHOP_USER:?who it runs as}")})
    answer = shop.deploy("v2")
    answer.failed(Exit.USAGE, "variable-required", "SHOP_USER", "who it runs as", "services.web.user", ".env")


def test_an_image_that_nobody_has_is_said_by_its_name(shop: Stack) -> None:
    shop.write({"web": web("localhost:1/nobody/has-this:v2")})
    shop.deploy("v2").failed(Exit.FAILED, "engine.pull-failed", "localhost:1/nobody/has-this:v2")


@pytest.mark.parametrize("form", ["one flow mapping, as JSON is", "with a variable for a name"])
def test_a_file_whose_name_only_yaml_can_tell_is_understood(shop: Stack, form: str) -> None:
    written = yaml.safe_load(shop.file.read_text())
    if form.startswith("one"):
        shop.write_text(json.dumps(written))
    else:
        shop.write_text(yaml.safe_dump({**written, "name": "${SHOP}"}))
    assert shop.bg("status", env={"SHOP": shop.name}).succeeded().data["project"] == shop.name


def test_a_dry_run_changes_nothing_and_prints_the_plan_with_its_reasons(shop: Stack) -> None:
    plan = shop.deploy("v2", "--dry-run").succeeded().data["plan"]
    steps = [step["step"] for step in plan]
    order = ["create", "start", "await", "topology", "settle", "switch", "record"]
    assert [s for i, s in enumerate(steps) if s in order and s not in steps[:i]] == order, steps
    assert all(step["cause"] for step in plan)
