"""Plans made from any picture of the engine, however damaged, keep the invariants of DESIGN section 2."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluegreen.model import labels
from bluegreen.model.codec import encode
from bluegreen.model.containers import Container, NetworkInfo
from bluegreen.model.errors import Refused
from bluegreen.model.history import History, ReleaseRecord
from bluegreen.model.names import Kind, Slot, kept_container, slot_container, slot_network
from bluegreen.model.observed import Observed, ProxyState
from bluegreen.model.project import HealthCheck, Route
from bluegreen.model.release import Release, Routes, ServiceRelease, Stack
from bluegreen.planning import proxysteps
from bluegreen.planning import steps as kinds
from bluegreen.planning.deploy import Deployment, plan_deploy
from bluegreen.planning.place import from_kept
from bluegreen.planning.restore import plan_restore
from bluegreen.planning.rollback import choose, plan_rollback
from bluegreen.planning.steps import CreateContainer, Plan, Step

PROJECT = "shop"
NETWORKS = tuple(
    NetworkInfo(slot, slot_network(PROJECT, slot), {}, (f"10.213.{n}.0/24",)) for n, slot in enumerate(Slot)
)


def release(number: int, replicas: int = 1, *, worker: bool = True) -> Release:
    web = ServiceRelease(
        Kind.ROUTED, f"sha256:web{number}", replicas, (Route("/"),), 80, HealthCheck(rise=1), restart="always"
    )
    services = {"web": web}
    if worker:
        services["worker"] = ServiceRelease(Kind.WORKER, f"sha256:worker{number}")
    return Release(number, f"v{number}", f"config{number}", services)


def container(found: Release, service: str, replica: int, place: Slot | None, state: str) -> Container:
    name = (
        slot_container(PROJECT, place, service, replica)
        if place
        else kept_container(PROJECT, found.number, service, replica)
    )
    return Container(
        id=name,
        name=name,
        image=found.services[service].image,
        state=state,
        labels={
            labels.PROJECT: PROJECT,
            labels.ROLE: "slot",
            labels.SERVICE: service,
            labels.REPLICA: str(replica),
            labels.RELEASE: str(found.number),
            labels.IMAGE: found.services[service].image,
            labels.MANIFEST: json.dumps(encode(found)),
        },
        addresses={slot_network(PROJECT, place): "10.213.0.16"} if place else {},
        exit_code=0 if state == "exited" else None,
    )


@st.composite
def stacks(draw: st.DrawFn, place: Slot | None, found: Release) -> list[Container]:
    """Some of a release's containers, in any state."""
    out = []
    for name, service in found.services.items():
        for replica in range(1, service.replicas + 1):
            state = draw(st.sampled_from(["running", "running", "exited", "created", "gone"]))
            if state != "gone":
                out.append(container(found, name, replica, place, "exited" if place is None else state))
    return out


@st.composite
def pictures(draw: st.DrawFn) -> Observed:
    """Any picture: with or without something live, a way back, a standby, leftovers, kept releases."""
    known = {n: release(n, draw(st.integers(1, 2))) for n in range(1, 6)}
    live_slot = draw(st.none() | st.sampled_from(Slot))
    found: list[Container] = []
    in_slots: dict[Slot, Stack] = {}
    for slot, numbers in zip(Slot, ((1, 2), (3, 4)), strict=True):
        number = draw(st.sampled_from(numbers))
        if live_slot is slot or draw(st.booleans()):
            found += draw(stacks(slot, known[number]))
            in_slots[slot] = Stack(
                known[number],
                {"web": tuple(f"10.213.0.{16 + r}:80" for r in range(known[number].services["web"].replicas))},
            )
            if draw(st.booleans()):  # a leftover of another release
                found += [c for c in draw(stacks(slot, known[5])) if c.name not in {f.name for f in found}]
    for number in draw(st.sets(st.integers(1, 5), max_size=3)):
        found += draw(stacks(None, known[number]))
    routes = Routes(7, 6, live_slot, 0, in_slots, since="2026-01-01T00:00:00+00:00") if live_slot or in_slots else None
    back = None
    if routes is not None and live_slot and live_slot.other in in_slots and draw(st.booleans()):
        back = replace(routes, live=live_slot.other)
    marks = {
        n: ReleaseRecord(
            n,
            f"v{n}",
            went_live=draw(st.sampled_from([None, "2026-01-01T00:00:00+00:00"])),
            mark=draw(st.sampled_from([None, None, "bad"])),
        )
        for n in draw(st.sets(st.integers(1, 5)))
    }
    return Observed(PROJECT, tuple(found), ProxyState(routes, back), History(marks, last_number=5), NETWORKS)


def create(service: str, replica: int, name: str, networks: object, mine: object) -> Step:
    from bluegreen.model.containers import ContainerSpec

    del service, replica, networks, mine
    return CreateContainer(spec=ContainerSpec(name, "sha256:new", {}, {}, ()))


def touched(step: Step) -> str | None:
    """The container that a step stops, renames or removes."""
    if isinstance(step, kinds.StopContainer | kinds.KeepContainer | kinds.RemoveContainer):
        return step.name
    return None


def check(observed: Observed, plan: Plan) -> None:
    flat = plan.flat()
    flips = [n for n, s in enumerate(flat) if isinstance(s, proxysteps.Flip)]
    live = {c.name for c in observed.stack(observed.live)} if observed.live else set()
    live_number = observed.live_release.number if observed.live_release else None
    serving = {
        c.name for c in observed.containers if c.name in live and c.service != "worker" and c.release == live_number
    }
    for n, step in enumerate(flat):
        name = touched(step)
        assert name not in serving, f"{step} touches what serves"
        if name in live and name is not None and observed.named(name).release == live_number:  # type: ignore[union-attr]
            assert flips, f"{step} stops a worker of the live slot, and traffic does not move"
            assert n > flips[0], f"{step} before the flip"
    assert len(flips) <= 1
    if flips:
        before = flat[: flips[0]]
        assert any(isinstance(s, proxysteps.ProbeSlot) for s in before), "no flip without a proof"
        topology = [n for n, s in enumerate(flat) if isinstance(s, proxysteps.ActivateTopology)]
        assert all(n < flips[0] for n in topology), "topology first, then routes"
    drops = [n for n, s in enumerate(flat) if isinstance(s, proxysteps.DropBack)]
    if observed.proxy.back is not None:
        for n, step in enumerate(flat):
            way_back, there = observed.proxy.back.live, observed.proxy.back.live_release
            found = observed.named(touched(step) or "")
            if found is None or found.service == "worker" or flips:
                continue
            if found.slot is way_back and there and found.release == there.number:
                assert drops, f"{step} though the way back leads there"
                assert drops[0] < n, f"{step} though the way back leads there"
    starts = [n for n, s in enumerate(flat) if isinstance(s, kinds.StartWorker)]
    stops = [n for n, s in enumerate(flat) if isinstance(s, kinds.StopContainer)]
    assert not starts or all(n < min(starts) for n in stops), "a worker starts before the other one is stopped"


@settings(max_examples=300, deadline=None)
@given(pictures(), st.booleans(), st.integers(1, 2))
def test_a_deploy_never_touches_what_serves(observed: Observed, stage: bool, replicas: int) -> None:
    new = release(6, replicas)
    plan = plan_deploy(observed, Deployment(new, observed.idle, "op", create, stage=stage))
    check(observed, plan)
    assert any(isinstance(s, proxysteps.Flip) for s in plan.flat()) is not stage


@settings(max_examples=300, deadline=None)
@given(pictures(), st.none() | st.sampled_from(["v1", "v3", "2", "4", "v9"]))
def test_a_rollback_goes_to_a_good_release_or_says_what_would_work(observed: Observed, to: str | None) -> None:
    try:
        target = choose(observed, to)
    except Refused as refusal:
        assert refusal.problem.next  # noqa: PT017 - most pictures have a target and are checked below
        return
    assert observed.live_release is not None
    assert target.release.number != observed.live_release.number
    assert target.slot is observed.idle
    if not (to or "").isdecimal():
        assert not observed.history.is_bad(target.release.number)
    if target.how == "warm":
        assert observed.runs_whole(target.release, target.slot)
    deploy = Deployment(target.release, target.slot, "op", from_kept(observed, target.release), kind="rollback")
    try:
        plan = plan_rollback(observed, target, deploy)
    except Refused:
        pytest.fail("a target was chosen that can't be planned")
    check(observed, plan)
    marks = [s for s in plan.flat() if isinstance(s, proxysteps.Record) and s.events[0]["event"] == "marked"]
    assert [m.events[0]["release"] for m in marks] == [observed.live_release.number]


@settings(max_examples=300, deadline=None)
@given(pictures(), st.none() | st.integers(1, 5))
def test_a_restore_leaves_live_alone_and_the_slot_as_it_was(observed: Observed, standby: int | None) -> None:
    slot = observed.idle
    plan = plan_restore(observed, slot, 5, standby, "op")
    check(observed, plan)
    assert not any(isinstance(s, proxysteps.Flip) for s in plan.flat())
    gone = {touched(s) for s in plan.flat()}
    for found in observed.stack(slot):
        assert found.release == standby or found.name in gone
