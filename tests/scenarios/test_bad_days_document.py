"""docs/bad-days.md names tests that are there, and every code in it is one that some test expects."""

from __future__ import annotations

import re

from tests.support import ROOT

TESTS = "\n".join(file.read_text() for file in (ROOT / "tests" / "scenarios").glob("test_*.py"))
ROWS = [line for line in (ROOT / "docs" / "bad-days.md").read_text().splitlines() if line.startswith("| ")]


def test_every_row_names_a_test() -> None:
    named = {name for row in ROWS for name in re.findall(r"\btest_\w+", row)}
    there = set(re.findall(r"^def (test_\w+)\(", TESTS, re.MULTILINE))
    assert named
    assert named <= there, named - there


def test_every_code_is_expected_by_a_test() -> None:
    codes = {code for row in ROWS for code in re.findall(r"`([a-z]+(?:[.-][a-z]+)+)`", row)}
    # Those of a parametrized test are made up of its cases.
    made_up = {"journal.corrupt", "journal.missing", "journal.schema", "rollback.incomplete", "deploy.incomplete"}
    missing = {code for code in codes - made_up if f'"{code}"' not in TESTS}
    assert codes
    assert not missing
