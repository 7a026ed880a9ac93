"""A proof leaves the project as it was: what is live, what stands by, and what was marked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bluegreen.app import prove as proving_app
from bluegreen.app import proving as accompanying
from bluegreen.app.deploy import DeployRequest, deploy
from bluegreen.app.prove import Enough, ProveRequest, ProveResult, prove
from bluegreen.app.proving import Proof
from bluegreen.app.rollback import rollback, switch
from bluegreen.app.site import Site
from bluegreen.engine.behaviour import Behaviour
from bluegreen.model.errors import BluegreenError, Exit, Refused
from bluegreen.model.events import Event
from bluegreen.model.observed import Observed
from bluegreen.model.prove import ProveSettings
from bluegreen.prove.load import Seen
from bluegreen.prove.orders import Orders
from tests.world import World

COUNTERS = {"connections": 0, "resent": 0, "assets": 0, "posts": 0, "uploads": 0, "late": [], "crashed": []}


class Idle:
    """Clients that ask nothing."""

    lost = 0
    finished = False

    def __init__(self, records: Path) -> None:
        self.seen = Seen(records, counters=COUNTERS)

    def finish(self) -> Seen:
        self.finished = True
        return self.seen


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two releases, v2 live and v1 standing by; proofs have no clients and don't wait."""
    made = World()
    records = tmp_path / "records"
    records.touch()

    @contextmanager
    def proving(site: Site, _session: Any, observed: Observed, _settings: Any, **_: Any) -> Iterator[Proof]:
        orders = Orders(("", 0), "run", "", (), {}, "", str(records))
        load: Any = Idle(records)
        yield Proof(site, orders, ProveSettings(), {}, observed.live, load)

    monkeypatch.setattr(proving_app, "proving", proving)
    monkeypatch.setattr(accompanying, "proving", proving)
    monkeypatch.setattr(accompanying, "AFTER", 0.0)
    monkeypatch.setattr(proving_app, "QUIET", 0.0)
    monkeypatch.setattr(proving_app, "BETWEEN", 0.0)
    made.deploy("v1")
    made.deploy("v2")
    yield made
    made.close()


def marks(world: World) -> dict[str, tuple[str | None, str | None]]:
    return {r.tag: (r.mark, r.reason) for r in world.observed().history.releases.values()}


def run(world: World, site: Site | None = None, **request: Any) -> ProveResult:
    return prove(site or world.site(), ProveRequest(**request))


@pytest.mark.parametrize(("asked", "made"), [(1, 2), (4, 4), (5, 6)])
def test_however_many_switches_what_was_live_is_live_again(world: World, asked: int, made: int) -> None:
    before = marks(world)
    result = run(world, switches=asked)
    assert (result.receipt.switches, world.serving()) == (made, "v2")
    assert {m["verb"] for m in result.receipt.moves} == {"rollback", "switch"}
    assert [m["slot"] for m in result.receipt.moves[:2]] == ["blue", "green"]
    assert marks(world) == before
    world.check_clean()


def test_a_standby_that_is_marked_bad_is_switched_to_and_still_marked_afterwards(world: World) -> None:
    rollback(world.site(), reason="it burns")
    before = marks(world)
    assert before["v2"] == ("bad", "it burns")
    result = run(world, switches=3)
    assert [m["verb"] for m in result.receipt.moves] == ["switch", "rollback", "switch", "rollback"]
    assert (marks(world), world.serving()) == (before, "v1")
    with pytest.raises(Refused):  # a rollback goes there as little as before
        rollback(world.site())


def test_whoever_has_had_enough_gets_the_state_from_before(world: World) -> None:
    stop = Enough()
    site = world.site()
    inner = site.emit

    def emit(event: Event) -> None:
        inner(event)
        if event.name == "prove":
            stop.set()

    site.emit = emit
    result = run(world, site, switches=50, stop=stop)
    assert (result.receipt.switches, result.stopped, world.serving()) == (2, True, "v2")


def test_what_somebody_else_moves_meanwhile_stays_where_they_put_it(world: World) -> None:
    site = world.site()
    inner = site.emit
    seen: list[Event] = []

    def emit(event: Event) -> None:
        inner(event)
        seen.append(event)
        if event.name == "prove" and event.data["switches"] == 1:
            switch(Site("shop", world.engine, env={}), "v2")

    site.emit = emit
    result = run(world, site, switches=10)
    assert result.trouble is not None
    assert world.serving() == "v2"
    world.check_clean()


def test_an_unhealthy_release_ends_it_and_is_told(world: World) -> None:
    site = world.site()
    inner = site.emit

    def emit(event: Event) -> None:
        inner(event)
        if event.name == "prove":
            for container in world.engine.containers("shop"):
                if container.name.startswith("shop-green-api"):
                    world.engine.stop(container.name, 0)

    site.emit = emit
    with pytest.raises(BluegreenError) as caught:
        run(world, site, switches=10)
    assert caught.value.exit is Exit.INCOMPLETE
    assert "v1 has the traffic, where v2 had it before" in str(caught.value)
    assert world.serving() == "v1"


def test_without_a_warm_standby_it_is_refused_with_what_would_make_one() -> None:
    fresh = World()
    with pytest.raises(BluegreenError):
        run(fresh)
    fresh.deploy("v1")
    with pytest.raises(Refused) as caught:
        run(fresh)
    assert (caught.value.code, caught.value.problem.next) == (
        "prove.no-standby",
        ("bg deploy TAG    then what is live now stands by",),
    )
    fresh.deploy("v2", stage=True)
    with pytest.raises(Refused) as caught:
        run(fresh)
    assert "v2 is a candidate" in str(caught.value)
    fresh.close()


# -- a deploy ------------------------------------------------------------------------------------------------------


def test_the_proof_of_a_deploy_is_of_its_own_switch(world: World) -> None:
    proof = deploy(world.site(), DeployRequest(load=world.project, tag="v3", prove=True)).proof
    assert proof is not None
    assert [(m["verb"], m["tag"], m["slot"]) for m in proof.moves] == [("deploy", "v3", "blue")]
    assert proof.moves[0]["asked_s"] <= proof.moves[0]["confirmed_s"]
    again = deploy(world.site(), DeployRequest(load=world.project, tag="v2", prove=True))
    assert (again.outcome, [m["tag"] for m in again.proof.moves] if again.proof else None) == ("warm-switched", ["v2"])
    nothing = deploy(world.site(), DeployRequest(load=world.project, tag="v2", prove=True))
    assert (nothing.outcome, nothing.proof) == ("nothing", None)


def test_a_deploy_that_fails_says_what_became_of_the_requests_meanwhile(world: World) -> None:
    world.image("v4", "web", Behaviour(exits=1))
    site = world.site()
    notices: list[str] = []
    inner = site.emit

    def emit(event: Event) -> None:
        inner(event)
        if event.kind == "notice":
            notices.append(event.message)

    site.emit = emit
    with pytest.raises(BluegreenError):
        deploy(site, DeployRequest(load=world.project, tag="v4", prove=True))
    assert "0 requests were made of what was live meanwhile, none of them lost" in notices
    assert world.serving() == "v2"
