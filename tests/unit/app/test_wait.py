"""`wait`: what became of a release, also where that was decided before anybody waited."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bluegreen.app.canary import canary
from bluegreen.app.recover import abort
from bluegreen.app.rollback import promote, rollback, switch
from bluegreen.app.site import Site
from bluegreen.app.waiting import Waited, wait
from bluegreen.model.errors import Refused
from bluegreen.model.guard import GuardSettings
from tests.visitors import Visitors
from tests.world import World

GUARDED = GuardSettings().after_switch


@pytest.fixture
def world() -> Iterator[World]:
    """v2 is live in green, and has been for longer than it is guarded; v3 is the candidate in blue."""
    with World.with_candidate(settled=True) as made:
        yield made


def waited(
    world: World, name: str | None = None, *, at: Callable[[Site], object] | None = None, timeout: float = 10.0
) -> Waited:
    """Wait, while after three seconds something is done."""
    visitors = Visitors(world, a_second=0)
    if at is not None:
        visitors.at[3.0] = lambda: at(world.site())
    site = visitors.site()
    site.pause = visitors._pause
    return wait(site, name, timeout)


def alarmed(world: World, release: int, cause: str = "release") -> None:
    """A guard gave an alarm, and took nothing back."""
    event = {"event": "verdict", "release": release, "did": "alarm", "cause": cause, "reason": "it fails"}
    with world.site().session() as session:
        session.run([{"op": "append", "events": [event]}])


def later(world: World, seconds: float) -> None:
    world.nginx.clock.pause(seconds)


# -- while it waits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "act", "outcome"),
    [
        (25, promote, "promoted"),
        (25, lambda site: rollback(site, reason="no"), "taken-back"),
        (25, abort, "ended"),
        (25, lambda site: canary(site, 0), "undecided"),
        (25, str, "undecided"),
        (0, promote, "promoted"),
        (0, abort, "ended"),
        (0, str, "undecided"),
    ],
)
def test_it_says_what_became_of_a_candidate(
    world: World, share: int, act: Callable[[Site], object], outcome: str
) -> None:
    if share:
        canary(world.site(), share)
    found = waited(world, at=act)
    assert (found.outcome, found.release, found.tag) == (outcome, 3, "v3")


def test_a_release_is_good_when_its_guarded_time_is_over_and_not_when_a_canary_begins(world: World) -> None:
    abort(world.site())
    world.deploy("v4")
    assert waited(world, at=lambda _: later(world, GUARDED)).outcome == "good"

    world.deploy("v5")

    def try_another(_: Site) -> None:
        world.deploy("v6", stage=True)
        canary(world.site(), 10)

    assert waited(world, at=try_another).outcome == "undecided"
    found = waited(world, "v5", at=promote)
    assert (found.outcome, found.live) == ("ended", "v6"), "its guarded time was not over"


def test_an_alarm_that_comes_while_it_waits_ends_it(world: World) -> None:
    canary(world.site(), 25)
    found = waited(world, at=lambda _: alarmed(world, 3, "live"))
    assert (found.outcome, found.reason) == ("alarmed", "it fails")


@pytest.mark.parametrize(("after", "to"), [(lambda site: canary(site, 50), None), (promote, None), (promote, "v1")])
def test_at_no_step_of_a_rollback_it_takes_it_for_an_end_without_a_verdict(
    world: World, after: Callable[[Site], object], to: str | None
) -> None:
    after(world.site())
    seen: list[str] = []
    site = world.site(lambda _when, _step: seen.append(wait(world.site(), "v3", 0.0).outcome))
    rollback(site, to, reason="it fails")
    assert (seen[0], seen[-1], set(seen)) == ("undecided", "taken-back", {"undecided", "taken-back"})


# -- before it waited ---------------------------------------------------------------------------------------------


def test_a_candidate_that_was_taken_back_before_was_taken_back(world: World) -> None:
    canary(world.site(), 50)
    rollback(world.site(), reason="it fails")
    for _ in range(2):
        found = waited(world)
        assert (found.outcome, found.tag, found.live, found.reason) == ("taken-back", "v3", "v2", "it fails")
        if world.observed().candidate is not None:
            abort(world.site())  # nothing is left of it but the journal's word


def test_a_release_that_was_taken_back_after_its_switch_was_taken_back(world: World) -> None:
    promote(world.site())
    rollback(world.site(), reason="it fails")
    assert (waited(world).outcome, waited(world, "v3").outcome) == ("taken-back", "taken-back")
    later(world, 1000)
    assert waited(world).outcome == "taken-back"
    world.deploy("v4")
    assert (waited(world).outcome, waited(world).tag) == ("undecided", "v4")


def test_a_candidate_that_was_removed_before_ended_without_a_verdict(world: World) -> None:
    canary(world.site(), 10)
    abort(world.site())
    assert (waited(world).outcome, waited(world).tag) == ("ended", "v3")


def test_an_alarm_that_was_given_before_is_one_as_long_as_the_release_is_what_it_was(world: World) -> None:
    canary(world.site(), 25)
    later(world, 1)
    alarmed(world, 3, "live")
    assert waited(world).outcome == "alarmed"
    later(world, 1)
    promote(world.site())
    assert waited(world).outcome == "undecided", "that was about a candidate"
    alarmed(world, 3)
    assert waited(world).outcome == "alarmed"
    later(world, GUARDED)
    assert waited(world).outcome == "alarmed", "a guarded time with an alarm is no good one"


def test_who_goes_to_a_bad_release_on_purpose_waits_for_it_again(world: World) -> None:
    promote(world.site())
    rollback(world.site(), reason="it fails")
    switch(world.site(), "v3")
    assert (waited(world).outcome, waited(world).tag) == ("undecided", "v3")


def test_a_release_that_has_been_live_for_long_is_good(world: World) -> None:
    abort(world.site())
    assert (waited(world).outcome, waited(world).tag) == ("good", "v2")


def test_without_any_release_there_is_nothing_to_wait_for() -> None:
    world = World()
    try:
        world.deploy("v1", stage=True)
        abort(world.site())
        assert (waited(world).outcome, waited(world).tag) == ("nothing", None)
    finally:
        world.close()


# -- which one ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "outcome"),
    [("v3", "undecided"), ("3", "undecided"), ("v2", "good"), ("2", "good"), ("v1", "ended")],
)
def test_a_release_is_named_by_its_tag_or_its_number(world: World, name: str, outcome: str) -> None:
    found = waited(world, name)
    assert (found.outcome, str(found.release) in (name, name[1:])) == (outcome, True)


def test_one_that_was_replaced_after_its_guarded_time_was_good(world: World) -> None:
    promote(world.site())
    assert (waited(world, "v2").outcome, waited(world, "v3").outcome) == ("good", "undecided")


def test_of_two_with_one_tag_the_newer_is_meant(world: World) -> None:
    canary(world.site(), 50)
    rollback(world.site(), reason="it fails")
    world.deploy("v3", stage=True, force=True)
    assert (waited(world, "v3").outcome, waited(world, "v3").release) == ("undecided", 4)
    assert waited(world, "3").outcome == "taken-back"


def test_a_release_that_nobody_knows_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="v9") as refused:
        waited(world, "v9")
    assert refused.value.code == "wait.unknown"


def test_where_nothing_of_the_project_is_it_says_so() -> None:
    world = World()
    try:
        with pytest.raises(Refused) as refused:
            wait(world.site(), None, 1.0)
        assert refused.value.code == "project.not-here"
    finally:
        world.close()
