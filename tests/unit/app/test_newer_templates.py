"""A newer version renders another configuration of the same stacks; what an older one left does not keep it waiting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bluegreen.proxy import render
from tests.world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def test_deploys_go_on_while_a_connection_holds_workers_of_an_older_versions_configuration(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deploy("v1")
    world.nginx.holds_workers = True  # as a WebSocket does, for hours
    world.deploy("v2")
    texts = render._texts
    monkeypatch.setattr(render, "_texts", lambda values: {n: f"{t}# newer\n" for n, t in texts(values).items()})
    world.deploy("v3")
    world.deploy("v4")
    assert world.serving() == "v4"
    world.check_clean()
