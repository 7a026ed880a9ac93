"""Who takes over is told of; a canary whose own guard takes the candidate back takes over from nobody else."""

from __future__ import annotations

import pytest

from bluegreen.app.ramp import ramp
from bluegreen.app.rollback import rollback
from bluegreen.model.errors import Overtaken
from bluegreen.model.names import Slot
from tests.visitors import Visitors
from tests.world import World


@pytest.mark.parametrize("by_hand", [False, True], ids=["its own verdict", "somebody"])
def test_who_takes_over_from_itself_does_not_say_so(by_hand: bool) -> None:
    world = World()
    try:
        world.deploy("v1")
        candidate = world.deploy("v2", stage=True).release
        visitors = Visitors(world)
        site = visitors.site()
        if by_hand:
            visitors.at[1.0] = lambda: rollback(world.site(), reason="I do not like it")
            with pytest.raises(Overtaken):
                ramp(site, candidate, (10, 50))
        else:
            visitors.failing[Slot.GREEN] = 0.3
            ramp(site, candidate, (10, 50))
        notices = [e.message for e in world.events if e.kind == "notice"]
        assert any("took over from canary-" in notice for notice in notices) == by_hand
        assert world.check_clean().history.is_bad(2)
    finally:
        world.close()
