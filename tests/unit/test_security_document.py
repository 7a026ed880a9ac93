"""docs/security.md names tests that are there."""

from __future__ import annotations

import re

from tests.support import ROOT

TESTS = "\n".join(file.read_text() for file in (ROOT / "tests" / "scenarios").glob("test_*.py"))
PAGE = (ROOT / "docs" / "security.md").read_text()


def test_every_boundary_names_a_test_that_is_there() -> None:
    named = set(re.findall(r"\btest_\w+", PAGE))
    there = set(re.findall(r"^def (test_\w+)\(", TESTS, re.MULTILINE))
    assert named
    assert named <= there, named - there


def test_every_row_about_who_can_reach_what_names_its_test() -> None:
    section = PAGE.split("## What is not\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 5
    for row in rows:
        assert "test_" in row, row


def test_every_test_of_who_is_kept_out_is_named() -> None:
    files = ("test_security.py", "test_hostile_clients.py", "test_canaries.py")
    texts = ((ROOT / "tests" / "scenarios" / name).read_text() for name in files)
    there = {name for text in texts for name in re.findall(r"^def (test_\w+)\(", text, re.MULTILINE)}
    assert there - set(re.findall(r"\btest_\w+", PAGE)) <= {"test_every_canary_reached_the_place_that_it_is_for"}
