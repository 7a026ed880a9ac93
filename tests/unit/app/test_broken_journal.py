"""What is past a broken line is not forgotten: neither marks nor numbers, and nobody goes on without them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bluegreen.app.rollback import rollback
from bluegreen.app.upkeep import repair_journal
from bluegreen.model.errors import JournalLost
from tests.world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def breaks(world: World) -> None:
    with (world.volume / "journal.jsonl").open("a") as journal:
        journal.write("garbage\n")


def test_a_rollback_over_a_broken_journal_leaves_it_broken_for_all_others(world: World) -> None:
    for tag in ("v1", "v2"):
        world.deploy(tag)
    breaks(world)
    rollback(world.site(), reason="500s")
    assert world.serving() == "v1"
    with pytest.raises(JournalLost):
        world.deploy("v3")


def test_an_operation_in_which_the_journal_breaks_does_not_hide_it_behind_what_is_left(world: World) -> None:
    world.deploy("v1")

    def breaking(when: str, step: object) -> None:
        if when == "before" and getattr(step, "verb", "") == "probe" and not broken:
            breaks(world)
            broken.append(step)

    broken: list[object] = []
    world.deploy("v2", breaking)
    with pytest.raises(JournalLost):
        world.deploy("v3")
    repair_journal(world.site())
    assert world.deploy("v3").release.number == 3
    world.check_clean()
