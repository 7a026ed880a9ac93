"""`canary --explain` names what it goes by."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Program
from tests.visitors import LINE
from tests.world import World


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(
    ("minutes", "said"),
    [(50, "BASIS 1800 requests of the last 30m00s"), (10, "BASIS 600 requests of the last 10m00s")],
    ids=["it looks back for half an hour", "the log begins later"],
)
def test_what_is_explained_names_its_requests_and_how_long_it_looked_back(
    bg: Program, world: World, minutes: int, said: str
) -> None:
    bg("deploy", "v1")
    now = world.nginx.clock.now()
    lines = [LINE % (now - second, "blue", 7, 200, 200, second, 1) for second in range(minutes * 60, 0, -1)]
    world.nginx.log("".join(lines).encode())
    answer = bg("canary", "10", "--explain")
    assert said in " ".join(answer.out.split())
    assert "; at 1 new clients a second and" in " ".join(answer.out.split())
    assert not answer.wide
