"""`deploy TAG --canary` at a command line: its plan, and the code it ends with."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Program


@pytest.mark.usefixtures("file")
def test_the_plan_of_a_canary_has_its_steps(bg: Program) -> None:
    bg("deploy", "v1")
    answer = bg("deploy", "v2", "--canary", "25,50", "--hold", "60s", "--dry-run")
    said = " ".join(answer.out.split())
    for step in (
        "shift 25 % of visitors to v2",
        "hold 50 % (until a verdict; without one after 60 s: hold)",
        "promote",
    ):
        assert step in said
    assert (answer.code, answer.wide) == (0, [])
