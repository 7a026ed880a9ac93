"""An engine may refuse a subnet that no network of its list shows: one under removal, or one that a crash left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bluegreen.app import ground
from bluegreen.model.errors import EngineConflict, Refused
from bluegreen.model.project import Network
from tests.world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def refusing(world: World, monkeypatch: pytest.MonkeyPatch, refused: int) -> list[str]:
    """The engine refuses the first so many subnets that it is asked for, always. The list of what it was asked for."""
    create, asked = world.engine.ensure_network, list[str]()

    def ensure(network: Network, labels: Mapping[str, str]) -> None:
        pools: list[dict[str, Any]] = (network.ipam or {}).get("Config") or []
        if pools and network.name.endswith(("-blue", "-green")):
            subnet = str(pools[0]["Subnet"])
            asked.append(subnet)
            if subnet in list(dict.fromkeys(asked))[:refused]:
                raise EngineConflict("engine.subnet-held", "Pool overlaps with other one on this address space")
        create(network, labels)

    monkeypatch.setattr(world.engine, "ensure_network", ensure)
    return asked


def test_a_subnet_that_the_engine_refuses_is_not_asked_for_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = refusing(world, monkeypatch, 5)
    world.deploy("v1")
    assert len(asked) == len(set(asked)) == 7
    assert world.observed().live_release is not None


def test_an_engine_that_refuses_every_subnet_is_not_asked_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = refusing(world, monkeypatch, 1000)
    with pytest.raises((EngineConflict, Refused)):
        world.deploy("v1")
    assert len(asked) == ground.ATTEMPTS
