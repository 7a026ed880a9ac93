"""`deploy TAG --canary` at a command line: its plan, and the code it ends with."""

from __future__ import annotations

from pathlib import Path

import pytest

from bluegreen.model.errors import Exit
from tests.unit.cli.conftest import Program
from tests.world import World


@pytest.mark.parametrize(
    ("then", "code", "outcome", "share"),
    [("rollback", Exit.VERDICT, "verdict", 0), ("hold", Exit.INCONCLUSIVE, "inconclusive", 5), ("promote", 0, "", 0)],
)
def test_what_follows_a_step_without_a_verdict_is_what_the_code_tells(
    bg: Program, world: World, file: Path, then: str, code: int, outcome: str, share: int
) -> None:
    """Taken back is 5, whoever asks: `wait` says so too."""
    text = file.read_text()
    file.write_text(text.replace("  source: tree\n", f"  source: tree\n  guard: {{inconclusive: {then}}}\n"))
    bg("deploy", "v1")
    answer = bg("deploy", "v2", "--canary", "5", "--hold", "50ms", "--json")
    assert (answer.code, world.check_clean().share) == (code, share), answer
    assert (world.observed().history.is_bad(2), answer.document["outcome"]) == (
        then == "rollback",
        outcome or "promoted",
    )
    if then == "rollback":
        (error,) = answer.document["errors"]
        assert error["code"] == "canary.taken-back"
        assert "v2 was taken back, v1 has all visitors: no verdict in time" in error["message"]


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
