"""What the pages say about exit codes and JSON is what the program does."""

from __future__ import annotations

import json
import re

from bluegreen.cli.problems import outcome_of
from bluegreen.cli.program import COMMANDS
from bluegreen.model.errors import BluegreenError, Exit
from tests.support import ROOT

EXIT_CODES = (ROOT / "docs" / "exit-codes.md").read_text()
JSON = (ROOT / "docs" / "json.md").read_text()


def test_the_table_of_exit_codes_is_the_enum() -> None:
    rows = re.findall(r"^\| (\d+) \| (?:`([a-z-]+)`)? ?\|", EXIT_CODES, re.MULTILINE)
    assert [int(code) for code, _ in rows] == [int(code) for code in Exit]
    for code, word in rows:
        if int(code) != Exit.DONE:
            assert word == outcome_of(BluegreenError("x", "y", exit=Exit(int(code))))


def test_every_command_has_its_data_described() -> None:
    described = set(re.findall(r"`([a-z-]+)`", "".join(re.findall(r"^\| ([^|]*) \|", JSON, re.MULTILINE))))
    assert set(COMMANDS) - described == set()


def test_the_examples_are_json() -> None:
    for block in re.findall(r"```json\n(.*?)```", JSON, re.DOTALL):
        for line in block.splitlines():
            assert json.loads(line)["schema"] == 1
