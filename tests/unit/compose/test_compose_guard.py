"""``x-bluegreen.guard``: what releases are judged by."""

from __future__ import annotations

from pathlib import Path

import pytest

from bluegreen.compose.digest import release_digest
from bluegreen.compose.render import to_yaml
from bluegreen.model.guard import ALWAYS, GuardCheck, GuardSettings
from bluegreen.model.judging import JudgeSettings
from bluegreen.model.project import Project
from tests.unit.compose.composefile import around, problems, read


def project(directory: Path, block: str) -> Project:
    return read(directory, f"x-bluegreen: {{guard: {block}}}\n" + around(""))


def test_everything_is_read_and_no_part_of_a_releases_identity(tmp_path: Path) -> None:
    found = project(tmp_path, "{after_switch: 1h, alpha: 0.5 %, p_max: 0.01, inconclusive: promote, max_restarts: 0}")
    judge = JudgeSettings(alpha=0.005, p_max=0.01, inconclusive="promote", max_restarts=0)
    assert found.guard == GuardSettings(3600.0, judge)
    plain = project(tmp_path, "{}")
    assert plain.guard == GuardSettings(900.0)
    assert project(tmp_path, "{after_switch: always}").guard == GuardSettings(ALWAYS)
    assert release_digest(found) == release_digest(plain)


def test_checks_stay_in_the_file_and_are_masked_where_the_file_is_shown(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        "{checks: [{name: q, command: ./q s3cret}, {name: p, prometheus: 'http://u:s3cret@h', query: up, least: 1}]}",
    )
    assert found.guard_checks == (
        GuardCheck("q", command="./q s3cret"),
        GuardCheck("p", url="http://u:s3cret@h", query="up", least=1.0),
    )
    assert "s3cret" not in to_yaml(found)
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("{alfa: 1}", ".guard.alfa: unknown key 'alfa'; did you mean 'alpha'?"),
        ("{alpha: 60 %}", ".guard.alpha: 0.6 is not between"),
        ("{alpha: x}", ".guard.alpha: 'x' is no number"),
        ("{tolerated: 0.5}", ".guard.tolerated: 0.5 is not between 1 and 1000"),
        ("{inconclusive: wait}", ".guard.inconclusive: 'wait' is none of"),
        ("{checks: [{command: ./x}]}", "a check needs a name"),
        ("{checks: [{name: a}]}", "is either a command or a prometheus server with a query"),
        ("{checks: [{name: a, prometheus: 'http://h', query: up}]}", "least or most to hold its value against"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, block: str, problem: str) -> None:
    assert problem in "\n".join(problems(tmp_path, f"x-bluegreen: {{guard: {block}}}\n" + around("")))
