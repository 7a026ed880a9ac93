"""Two people at once: a rollback goes through at every moment of a deploy, and the deploy stops where it is."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Thread
from typing import Literal

import pytest

from bluegreen.app.recover import abort
from bluegreen.app.rollback import rollback
from bluegreen.model.errors import BluegreenError, Held, Overtaken, Refused
from bluegreen.planning.steps import Step
from tests.world import Kill, World


class Meanwhile:
    """At one checkpoint of a deploy, somebody else does something."""

    def __init__(self, world: World, at: int | None) -> None:
        self.world = world
        self.at = at
        self.seen = 0
        self.refused: BluegreenError | None = None
        self.went_to: str | None = None
        self.thread: Thread | None = None
        self.at_rest = Event()

    def __call__(self, when: Literal["before", "after"], step: Step) -> None:
        del when, step
        self.seen += 1
        if self.at is not None and self.seen == self.at + 1:
            self.thread = Thread(target=self._roll_back)
            self.thread.start()
            # The deploy goes on when the rollback is done, or waits for what the deploy is doing right now.
            assert self.at_rest.wait(20)

    def _roll_back(self) -> None:
        site = self.world.site(Kill())
        site.by = "second@elsewhere"
        site.pause = self._pause
        try:
            self.went_to = rollback(site, reason="500s").release.tag
        except BluegreenError as error:
            self.refused = error
        finally:
            self.at_rest.set()

    def _pause(self, seconds: float) -> None:
        self.world.clock.pause(seconds / 100)
        self.at_rest.set()
        Event().wait(0.002)

    def over(self) -> None:
        if self.thread is not None:
            self.thread.join(30)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def deploy_while(world: World, tag: str, at: int | None) -> Meanwhile:
    meanwhile = Meanwhile(world, at)
    world.deploy(tag, meanwhile)
    return meanwhile


def test_a_rollback_at_any_moment_of_a_deploy_wins_and_what_is_left_can_be_ended() -> None:
    world = World()
    try:
        for tag in ("v1", "v2"):
            world.deploy(tag)
        total = deploy_while(world, "v3", None).seen
    finally:
        world.close()
    ended: set[str] = set()
    for at in range(total):
        world = World()
        try:
            for tag in ("v1", "v2"):
                world.deploy(tag)
            meanwhile = Meanwhile(world, at)
            try:
                world.deploy("v3", meanwhile)
                ended.add("done")
                outcome = "done"
            except Overtaken:
                ended.add("overtaken")
                outcome = "overtaken"
            except BluegreenError as error:  # a container it was starting was taken away under it
                ended.add("failed")
                outcome = f"failed: {error}"
            meanwhile.over()
            where = f"rollback at checkpoint {at} of {total}: {outcome}, {meanwhile.refused or meanwhile.went_to}"
            try:
                world.check()
                assert meanwhile.refused is None or isinstance(meanwhile.refused, Refused)
                if meanwhile.refused is None and outcome != "done":
                    assert world.serving() == meanwhile.went_to, f"{world.serving()} serves"
                if world.observed().history.unfinished is not None:
                    abort(world.site())
                world.check_clean()
            except (AssertionError, BluegreenError) as error:
                raise AssertionError(f"{where}: {error}") from error
        finally:
            world.close()
    assert "overtaken" in ended


def test_a_second_deploy_is_refused_and_says_who_holds_the_lease(world: World) -> None:
    world.deploy("v1")
    found: list[BluegreenError] = []

    def second(when: Literal["before", "after"], step: Step) -> None:
        if when == "before" and step.verb == "probe" and not found:
            with pytest.raises(BluegreenError) as caught:
                world.deploy("v3")
            found.append(caught.value)

    world.deploy("v2", second)
    assert isinstance(found[0], Held | Refused)
    assert "test@here" in str(found[0])
    assert world.serving() == "v2"
    world.check_clean()


def test_a_rollback_that_another_one_overtakes_says_who_and_where_the_traffic_is(world: World) -> None:
    for tag in ("v1", "v2"):
        world.deploy(tag)
    site = world.site(Meanwhile(world, at=1))
    with pytest.raises(Overtaken) as caught:
        rollback(site)
    assert str(caught.value).endswith("it has ended, and v1 has the traffic")
    assert world.serving() == "v1"
