"""A release that nobody has visited yet is neither good nor bad, and what became of a bad one is told afterwards."""

from __future__ import annotations

import pytest

from bluegreen.model.errors import Exit
from tests.scenarios.stack import Stack

pytestmark = pytest.mark.engine


def test_what_the_tool_itself_asks_for_after_a_switch_is_no_visitor_to_a_guard(stack: Stack) -> None:
    for tag in ("v1", "v2"):
        deployed = stack.deploy(tag).succeeded()
        assert deployed.data["public"]["status"] == 200
    watched = stack.bg("watch", "--for", "1s")
    assert (watched.code, watched.data["requests"]) == (Exit.INCONCLUSIVE, 2)
    assert watched.data["verdict"]["reason"] == "v2 has answered nobody since the switch"
