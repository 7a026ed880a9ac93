"""The plan of `deploy TAG --canary N,N --dry-run` goes on to the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bluegreen.app.deploy import DeployRequest, deploy
from bluegreen.app.ramp import HOLD
from tests.world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def planned(world: World, tag: str, hold: float | None = None) -> list[tuple[str, str, str]]:
    request = DeployRequest(world.project, tag, stage=True, dry_run=True, canary=(25, 50), hold=hold)
    plan = deploy(world.site(), request).plan
    assert all(step.keys() == {"step", "subject", "cause", "phase"} for step in plan)
    return [(step["step"], step["subject"], step["cause"]) for step in plan]


def test_each_share_its_hold_and_the_promotion_follow_the_stage(world: World) -> None:
    world.deploy("v1")
    world.image("v2")
    steps = planned(world, "v2", 60)
    assert steps[-5:] == [
        ("shift", "25 % of visitors to v2 in green", "25 %"),
        ("hold", "25 %", "until a verdict; without one after 60 s: hold"),
        ("shift", "50 % of visitors to v2 in green", "50 %"),
        ("hold", "50 %", "until a verdict; without one after 60 s: hold"),
        ("promote", "all traffic to v2 in green", "every share has passed"),
    ]
    assert not {"shift", "hold", "promote", "switch"} & {step for step, _, _ in steps[:-5]}
    assert f"after {HOLD:g} s: hold" in planned(world, "v2")[-2][2]
    assert world.observed().candidate is None


def test_a_first_release_is_promoted_at_once(world: World) -> None:
    world.image("v1")
    steps = planned(world, "v1")
    assert steps[-1] == ("promote", "all traffic to v1 in blue", "nothing is live to compare it with")
    assert "hold" not in {step for step, _, _ in steps}


def test_where_nothing_has_changed_there_is_nothing_to_shift(world: World) -> None:
    world.deploy("v1")
    assert planned(world, "v1") == []
