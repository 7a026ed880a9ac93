"""What commands tell the proxy of testers and of pages of the former release, in a world in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bluegreen.app.canary import canary
from bluegreen.app.deploy import DeployRequest, deploy
from bluegreen.app.recover import abort
from bluegreen.app.rollback import promote, rollback
from bluegreen.model.project import Force, ProxySettings
from bluegreen.planning.traffic import topology
from tests.world import World

PROTECTED: dict[str, Any] = {"proxy": ProxySettings(skew=60.0)}
SECRET = "0123456789-abcdef_XYZ"  # noqa: S105 - guards nothing


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def kept(world: World) -> list[str]:
    """The slots at which calls of pages are kept."""
    folder = world.nginx.root / "current" / "skew"
    return [entry.name for entry in folder.iterdir()] if folder.exists() else []


def test_a_deploy_keeps_pages_calls_at_the_former_release_and_a_rollback_ends_it(world: World) -> None:
    world.deploy("v1", **PROTECTED)
    assert kept(world) == []
    world.deploy("v2", **PROTECTED)
    assert kept(world) == ["blue"]
    rollback(world.site())
    assert kept(world) == []
    world.deploy("v3", **PROTECTED)
    assert kept(world) == ["blue"]
    world.deploy("v4")
    assert kept(world) == [], "by the settings of what is live"


@pytest.mark.parametrize(("settings", "steps"), [(PROTECTED["proxy"], 2), (ProxySettings(), 0)])
def test_nginx_knows_a_release_s_pages_before_it_gets_the_traffic(
    world: World, settings: ProxySettings, steps: int
) -> None:
    """The same addresses would need no new topology otherwise."""
    for tag in ("v1", "v2"):
        world.deploy(tag, proxy=settings)
    observed = world.observed()
    assert observed.proxy.routes is not None
    there = observed.proxy.routes.stacks[observed.idle]
    next_ = replace(there, release=replace(there.release, number=3))
    assert len(topology(observed, observed.idle, next_, settings)) == steps
    assert topology(observed, observed.idle, there, settings) == []


def test_a_promotion_is_a_switch_forward_and_a_candidate_keeps_nothing(world: World) -> None:
    world.deploy("v1", **PROTECTED)
    world.deploy("v2", **PROTECTED)
    world.deploy("v3", stage=True, **PROTECTED)
    assert kept(world) == []
    canary(world.site(), 25)
    assert kept(world) == []
    promote(world.site())
    assert kept(world) == ["green"]


def test_testers_may_choose_the_candidate_of_the_file_that_names_them(world: World) -> None:
    rules = Path(world.nginx.root) / "force.conf"
    world.deploy("v1")
    world.deploy("v2", stage=True)
    assert not rules.exists()
    abort(world.site())
    _stage(world, "v3", Force(secret=SECRET))
    assert SECRET in rules.read_text()
    canary(world.site(), 10)
    promote(world.site())
    assert SECRET in rules.read_text(), "without a candidate nobody reads it"
    assert SECRET not in (world.nginx.root / "journal.jsonl").read_text()
    assert SECRET not in str(world.engine.containers(world.name))
    _stage(world, "v4", Force())
    assert not rules.exists()


def _stage(world: World, tag: str, force: Force) -> None:
    """``World.deploy`` has another meaning for the name."""
    deploy(world.site(), DeployRequest(load=partial(world.project, force=force), tag=tag, stage=True))
