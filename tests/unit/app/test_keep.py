"""As many releases are kept as the file says, not one more."""

from __future__ import annotations

from bluegreen.app.rollback import rollback
from tests.world import World


def test_a_deploy_leaves_no_more_kept_releases_than_the_file_allows() -> None:
    world = World()
    try:
        for number in range(1, 8):
            world.deploy(f"v{number}")
        kept = {c.release for c in world.observed().kept()}
        assert kept == {3, 4, 5}, "live is 7, 6 stands by, and the file keeps three"
        world.check_clean()
    finally:
        world.close()


def test_an_old_release_that_was_live_again_takes_the_place_of_another_among_the_kept() -> None:
    world = World()
    try:
        for number in range(1, 5):
            world.deploy(f"v{number}")
        rollback(world.site(), "v1")
        for number in range(5, 7):
            world.deploy(f"v{number}")
            assert len({c.release for c in world.observed().kept()}) <= 3
        kept = {c.release for c in world.observed().kept()}
        assert 1 in kept, "it was live last"
        world.check_clean()
    finally:
        world.close()
