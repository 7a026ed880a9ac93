"""A proxy whose volume was lost is told again what there is; a first deploy is never taken for that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bluegreen.app.ground import start_proxy
from bluegreen.app.rollback import rollback, switch
from bluegreen.app.upkeep import repair_journal
from bluegreen.model.names import state_volume
from tests.strikes import Killed, Strike
from tests.world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def lose_volume(world: World) -> None:
    world.engine.remove("shop-proxy")
    world.engine.remove_volume(state_volume("shop"))


def notices(world: World) -> str:
    return "\n".join(e.message for e in world.events if e.kind == "notice")


@pytest.mark.parametrize("back", [False, True], ids=["newest live", "older live"])
def test_what_serves_is_the_release_whose_workers_run(world: World, back: bool) -> None:
    for tag in ("v1", "v2", "v3"):
        world.deploy(tag)
    if back:
        rollback(world.site())
    before = world.observed()
    assert before.live_release
    assert before.standby
    lose_volume(world)
    start_proxy(world.site())
    assert "its workers run" in notices(world)
    assert world.serving() == before.live_release.tag
    world.check_clean()
    after = world.observed()
    assert str(after.standby) == str(before.standby)
    assert {c.name for c in after.kept()} == {c.name for c in before.kept()}
    # Nobody knows of the mark any more.
    switch(world.site(), before.standby.tag)
    assert world.serving() == before.standby.tag
    world.check_clean()


@pytest.mark.parametrize("tag", [None, "v4"])
def test_a_rollback_and_a_deploy_put_it_together_first_and_lose_nothing_that_was_kept(
    world: World, tag: str | None
) -> None:
    for earlier in ("v1", "v2", "v3"):
        world.deploy(earlier)
    lose_volume(world)
    if tag is None:
        rollback(world.site())
        assert "volume was lost" in notices(world)
        assert world.serving() == "v2"
    else:
        world.deploy(tag)
        assert "volume was lost" in notices(world)
        assert world.serving() == tag
        assert world.observed().standby
        numbers = {c.release for c in world.observed().kept()}
        assert numbers == {1, 2}
    world.check_clean()


def test_killed_anywhere_in_between_the_same_command_goes_on(world: World) -> None:
    for tag in ("v1", "v2"):
        world.deploy(tag)
    lose_volume(world)
    whole = Strike()
    world.struck(whole, lambda: start_proxy(world.site()))
    for at in range(1, len(whole.effects) + 1):
        lose_volume(world)
        with pytest.raises(Killed):
            world.struck(Strike(at), lambda: start_proxy(world.site()))
        start_proxy(world.site())
        assert world.serving() == "v2", whole.effects[at - 1]
        world.check_clean()


def test_a_first_release_that_is_only_staged_is_not_taken_for_a_live_one_after_a_repair(world: World) -> None:
    world.deploy("v1", stage=True)
    (world.volume / "journal.jsonl").write_text("garbage\n")
    repair_journal(world.site())
    assert world.observed().history.operation
    assert not world.observed().forgotten
    start_proxy(world.site())
    assert world.serving() is None


def test_a_first_deploy_that_was_killed_anywhere_is_not_taken_for_a_lost_volume() -> None:
    at, struck = 0, True
    while struck:
        at += 1
        world = World()
        try:
            strike = Strike(at)
            try:
                world.struck(strike, lambda world=world: world.deploy("v1"))  # type: ignore[misc]  # bound right away
            except Killed:
                assert not world.observed().forgotten, strike.where
            struck = strike.struck
        finally:
            world.close()
    assert at > 10
