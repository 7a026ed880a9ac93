"""The invariants, each as what can be seen from outside: the engine, the proxy's files, who answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bluegreen.app.canary import Canary
from bluegreen.app.deploy import DeployResult
from bluegreen.app.recover import Recovered
from bluegreen.app.rollback import MoveResult
from bluegreen.app.status import Status, report
from bluegreen.engine.refs import full_ref
from bluegreen.model.containers import Container
from bluegreen.model.errors import BluegreenError, Refused
from bluegreen.model.names import kept_image, proxy_container
from bluegreen.model.observed import Observed, manifest
from bluegreen.planning.rollback import choose

if TYPE_CHECKING:
    from tests.walk.ground import WalkWorld

SERVING = {"api": 2, "web": 1, "cache": 1}
FOR_RECORD = {**SERVING, "worker": 1}
"""What a kept release needs: its job never runs again."""


def everything(world: WalkWorld) -> None:
    """After every step."""
    world.look_at_traffic("afterwards")
    complaints, world.watch.complaints = world.watch.complaints, []
    assert not complaints, "; ".join(complaints)
    observed = world.peek()
    accounted_for(world, observed)
    if not world.engine.containers("shop"):
        return
    if not world.nginx.running:
        return
    found = report(observed, "localhost")
    status_is_true(world, observed, found)
    way_back(observed)
    workers(observed, found)


# -- what there is -----------------------------------------------------------------------------------------------


def accounted_for(world: WalkWorld, observed: Observed) -> None:
    """Everything that bears the project's name has its place."""
    for container in observed.containers:
        known = container.slot or container.kept or container.shared or container.name == proxy_container("shop")
        # With its journal an upgrade that was cut off is forgotten; the next one removes what it left.
        unfinished = observed.history.unfinished is not None or world.forgot
        upgrading = container.role == "proxy" and unfinished
        assert known or upgrading, f"{container.name} is unaccounted for"
    names = {n.name for n in observed.networks}
    assert names <= {"shop-blue", "shop-green", "shop_default"}, names
    mounted = {m for c in observed.containers for m in world.engine.container(c.id).mounts}
    volumes = set(world.engine.volumes()) - mounted
    assert volumes <= {"shop-bluegreen", "shop-bluegreen-log", "shop_data"}, f"unaccounted: {volumes}"
    for release, count in world.jobs.items():
        assert count <= 1, f"the job of release {release} ran {count} times"


def workers(observed: Observed, found: Status) -> None:
    """A worker runs in the live slot only; where one does not, or elsewhere too, `status` says so."""
    running = {c.slot for c in observed.containers if c.service == "worker" and c.running}
    troubles = {t.code for t in found.troubles}
    live = observed.live
    if live is None:
        return
    excused = bool(troubles & {"operation.unfinished", "worker.elsewhere", "worker.stopped"}) or found.lease
    if running != {live}:
        assert excused, f"workers run in {running}, {live} is live, and status says {troubles or 'nothing'}"


def in_slots(observed: Observed) -> set[int]:
    return {c.release for c in observed.containers if c.slot}


# -- status ------------------------------------------------------------------------------------------------------


def status_is_true(world: WalkWorld, observed: Observed, found: Status) -> None:
    troubles = {t.code: t.message for t in found.troubles}
    _live_is_true(world, found, troubles)
    _idle_is_true(world, observed, found, troubles)
    for kept in found.kept:
        assert kept.whole == _whole(observed, kept.release), f"{kept}"
        assert kept.whole or "kept.incomplete" in troubles, troubles
    assert {k.release for k in found.kept} == {c.release for c in observed.containers if c.kept}
    for name, state in found.shared.items():
        assert state == "running" or name in troubles.get("shared.stopped", ""), f"{name} is {state}: {troubles}"
    if found.journal != "ok" and (world.volume / "current" / "routes.json").is_file():
        assert f"journal.{found.journal}" in troubles, troubles
    if found.operation is not None and found.lease is None:
        assert "operation.unfinished" in troubles, troubles
    assert all(t.next for t in found.troubles), found.troubles


def _live_is_true(world: WalkWorld, found: Status, troubles: dict[str, str]) -> None:
    served, live = world.served(), world.live()
    share = world.shared_with()[0]
    assert (found.candidate.share if found.candidate else 0) == share, f"{found.candidate}, and {share} % in truth"
    assert found.live is None or found.live.share == 100 - share
    assert (found.live.release if found.live else None) == live, f"status: {found.live}, truth: {live}"
    if found.live is not None:
        assert found.live.slot is served.slot, f"status says {found.live.slot}, {served.slot} answers"
        hurt = world.hurt(found.live.release, served.slot)
        assert found.live.running == found.live.wanted - len(hurt), f"{found.live} and {hurt} does not run"
        for name in hurt:
            assert name in troubles.get("live.incomplete", ""), f"{name} of live does not run: {troubles}"


def _idle_is_true(world: WalkWorld, observed: Observed, found: Status, troubles: dict[str, str]) -> None:
    live = world.live()
    way = observed.proxy.back
    back = way.live_release if way is not None and way.live is observed.idle else None
    warm = back is not None and live is not None and not world.hurt(back.number, observed.idle)
    assert (found.standby is not None) == warm, f"status: {found.standby}, the way back: {back}, warm: {warm}"
    if back is not None and not warm and found.operation is None:
        assert "standby.incomplete" in troubles, troubles
    fresh = {c.release for c in observed.containers if _idle(c, observed) and manifest(c)}
    if fresh - ({back.number} if back else set()):
        assert found.candidate is not None, f"{fresh} stands in the idle slot, and status knows of no candidate"


def _whole(observed: Observed, release: int) -> bool:
    there = {
        (c.service, c.replica) for c in observed.containers if c.release == release and (c.kept or _idle(c, observed))
    }
    return {(s, n) for s, count in FOR_RECORD.items() for n in range(1, count + 1)} <= there


def _idle(container: Container, observed: Observed) -> bool:
    return container.slot is observed.idle


# -- the way back ------------------------------------------------------------------------------------------------


def way_back(observed: Observed) -> None:
    """Where a warm standby is, a rollback goes to it, whatever the journal. Else it says what would work."""
    expected = expected_rollback(observed)
    try:
        target = choose(observed)
    except Refused as refusal:
        if isinstance(expected, int) or not refusal.problem.next:
            raise AssertionError(f"{expected} could be gone back to: {refusal.problem}") from refusal
        return
    if isinstance(expected, int):
        assert target.release.number == expected, f"it goes to {target}, and should to {expected}"


def expected_rollback(observed: Observed) -> int | str | None:
    """The release that a rollback goes to; "canary" where a candidate loses its share; "finish" for a rollback that is
    to be ended; None for none."""
    live = observed.live_release
    if live is None:
        return None
    unfinished = observed.history.unfinished
    if observed.share:
        return "canary"
    if unfinished is not None and unfinished.kind == "rollback" and unfinished.release == live.number:
        return "finish"
    routes = observed.proxy.routes
    tried = routes.stacks.get(observed.idle) if routes and routes.trial else None
    if unfinished is None and tried is not None and observed.history.is_bad(tried.release.number):
        return None  # it was taken back already: the release that was spared is not taken back by typing it twice
    back = observed.proxy.back.live_release if observed.proxy.back else None
    if back is not None:
        running = [c for c in observed.containers if c.slot is observed.idle and c.release == back.number and c.running]
        counts = {name: sum(1 for c in running if c.service == name) for name in SERVING}
        if counts == SERVING:
            return None if observed.history.is_bad(back.number) else back.number
    kept = {c.release for c in observed.containers if c.kept}
    leaving = {c.release for c in observed.containers if _idle(c, observed) and observed.was_live(c.release)}
    good = [n for n in kept | leaving if _whole(observed, n) and n != live.number and not observed.history.is_bad(n)]
    return max(good, default=None)


def as_expected(expected: int | str | None, result: Any, error: BaseException | None) -> None:
    if isinstance(expected, int):
        assert isinstance(result, MoveResult), f"{expected} could be gone back to: {error!r}"
        assert result.release.number == expected, f"it went to {result.release.number}, not {expected}"
    elif expected == "canary":
        assert isinstance(result, MoveResult), f"the candidate's visitors could be taken back: {error!r}"
        assert result.how == "canary", f"a candidate had visitors, and it went to {result.release}"
    elif expected is None:
        assert isinstance(error, BluegreenError), f"there was nowhere to go, and it says {result}"


# -- reports -----------------------------------------------------------------------------------------------------


def deployed(world: WalkWorld, before: Observed | None, result: DeployResult, tag: str, *, stage: bool) -> None:
    """What the deploy said is what there is."""
    assert result.release.tag == tag
    assert before is not None
    was = before.live_release.number if before.live_release else None
    live, number = world.live(), result.release.number
    if not world.nginx.running:
        return
    after = result.after
    if after is not None:
        assert (after.live.release if after.live else None) == live
    if result.outcome in ("switched", "warm-switched"):
        assert live == number, f"said {number} was switched to, and {live} is live"
        assert world.served().releases <= {number}
        if before.proxy.routes is not None:  # else the proxy was told only now what served
            assert (result.previous.number if result.previous else None) == was
    elif result.outcome == "staged":
        assert stage
        assert live == was
        observed = world.peek()
        assert observed.candidate is not None or observed.standby is not None
    elif result.outcome == "nothing":
        assert live == was == number


def moved(world: WalkWorld, before: Observed | None, result: MoveResult) -> None:
    assert before is not None
    if not world.nginx.running:
        return
    live = world.live()
    assert live == result.release.number, f"said {result.release.number} has the traffic, and {live} has"
    assert world.served().releases <= {live}
    assert world.served().slot in (result.slot, None)
    observed = world.peek()
    assert world.shared_with() == (0, None)
    if result.how != "canary":
        assert result.since == (observed.proxy.routes.since if observed.proxy.routes else "")
    left = result.previous
    if result.kind == "rollback" and left is not None and left.number != live and observed.proxy.journal == "ok":
        assert observed.history.is_bad(left.number), f"{left} was rolled back, and isn't bad"


def shifted(world: WalkWorld, result: Canary, share: int) -> None:
    """What it says of the visitors is what they get."""
    if not world.nginx.running:
        return
    assert (result.share, result.outcome in ("shifted", "nothing")) == (share, True), result
    candidate = result.candidate.number if result.candidate and share else None
    assert world.shared_with() == (share, candidate), f"said {share} % are on {candidate}: {world.shared_with()}"


def recovered(world: WalkWorld, result: Recovered) -> None:
    if world.nginx.running:
        assert (result.live.number if result.live else None) == world.live()


def ended(observed: Observed) -> None:
    assert observed.history.unfinished is None, f"{observed.history.unfinished} is still unfinished"


def gone(world: WalkWorld, *, volumes: bool) -> None:
    """Nothing is left but what people would miss."""
    assert world.engine.containers("shop") == []
    left = {"shop_data"} if not volumes else set()
    assert set(world.engine.volumes("shop")) <= left, world.engine.volumes("shop")
    assert not [n for n in world.engine.networks() if n.name.startswith("shop")]
    assert not [t for i in world.engine.images("bluegreen/shop/") for t in i.tags if "bluegreen/shop/" in t]


def but_the_proxy(state: dict[str, Any]) -> dict[str, Any]:
    """A command may bring back the proxy, and the ground that it stands on, before it refuses."""
    containers = {n: c for n, c in state["containers"].items() if n != proxy_container("shop")}
    return {"containers": containers, "images": state["images"]}


def connections_to_idle(world: WalkWorld) -> int:
    observed = world.peek()
    addresses = {ip for c in observed.containers if c.slot is observed.idle for ip in c.addresses.values()}
    return sum(count for ip, count in world.nginx.held.items() if ip in addresses)


def clean(world: WalkWorld) -> None:
    """Nothing is unfinished, held, left over or in trouble; what has been live is warm or kept, and no more."""
    observed = world.peek()
    found = report(observed, "localhost")
    assert found.operation is None, found.operation
    assert found.lease is None, found.lease
    troubles = [t for t in found.troubles if t.code != "kept.incomplete"]
    assert not troubles, troubles
    assert found.live is not None
    assert found.live.running == found.live.wanted
    assert found.live.workers == 1, found.live
    assert found.standby is not None, found
    assert found.candidate is None
    assert {c.slot for c in observed.containers if c.service == "worker" and c.running} == {observed.live}
    assert len([k for k in found.kept if k.whole]) <= 3, found.kept
    known = {c.release for c in observed.containers if c.release}
    held = {full_ref(kept_image("shop", s, n)) for s in (*FOR_RECORD, "migrate") for n in known}
    tags = {t for i in world.engine.images("bluegreen/shop/") for t in i.tags if "bluegreen/shop/" in t}
    assert tags <= held, f"tags of releases that are gone: {sorted(tags - held)}"
    generations = list((world.volume / "generations").iterdir())
    assert len(generations) <= 30, len(generations)
