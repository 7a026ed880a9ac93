"""Smoke checks that no release carries are not skipped in silence."""

from __future__ import annotations

import contextlib
from typing import Literal

import pytest

from bluegreen.app.recover import resume
from bluegreen.model.project import SmokeCheck
from bluegreen.planning.steps import Step
from tests.strikes import Killed
from tests.world import Kill, World

ONCE = SmokeCheck("GET", "/", headers={"Authorization": "canary"}, once=True)


class KilledBeforeProbe(Kill):
    """When all containers are there, and no check has been run."""

    def __call__(self, when: Literal["before", "after"], step: Step) -> None:
        if step.verb == "probe":
            self.at = self.seen
        super().__call__(when, step)


@pytest.mark.parametrize(("smoke", "said"), [((ONCE,), True), ((), False)])
def test_a_deploy_that_goes_on_without_its_file_says_which_checks_it_lacks(
    smoke: tuple[SmokeCheck, ...], said: bool
) -> None:
    world = World()
    try:
        world.deploy("v1")
        with contextlib.suppress(Killed):
            world.deploy("v2", KilledBeforeProbe(), smoke=smoke)
        site = world.site()
        assert resume(site).outcome == "finished"
        notices = [event.message for event in world.events if event.kind == "notice"]
        assert any("1 smoke checks of v2 are not run now" in message for message in notices) is said, notices
        assert "canary" not in repr(world.observed())
    finally:
        world.close()
