"""Generations: what the proxy is told, and when. Topology and routes never change in one activation.

Topology first, then routes: workers that don't know the new upstreams yet see the rename too, and would
answer 502 (FINDINGS measured 35 to 61 of them, every time).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bluegreen.model.names import Kind, Slot
from bluegreen.model.observed import Observed
from bluegreen.model.project import Force, HealthCheck, ProxySettings, Route
from bluegreen.model.release import Release, Routes, Stack
from bluegreen.planning.proxysteps import ActivateTopology, Flip, ProbeSlot, Record, Settle
from bluegreen.planning.steps import Step

SETTLE_SECONDS = 10.0


def topology(
    observed: Observed,
    slot: Slot,
    stack: Stack | None,
    settings: ProxySettings,
    *,
    back: bool = False,
    trial: bool = False,
    force: bool = False,
    testers: Force | None = None,
    cause: str = "",
) -> list[Step]:
    """Tell the proxy what the slot holds; nothing where it already knows. No traffic moves.

    ``back`` says that the slot's stack is a standby: the way back leads to it. ``trial``: it is a candidate that may
    get a share of the visitors. ``force`` activates in any case (changed settings).
    ``testers`` may choose the candidate from then on; None: whoever could before.
    """
    routes = observed.proxy.routes or Routes(generation=0)
    stacks = {s: k for s, k in routes.stacks.items() if s is not slot}
    if stack is not None:
        stacks[slot] = stack
    wanted = replace(routes, stacks=stacks, trial=trial)
    way_back = replace(wanted, live=slot) if back and stack is not None else None
    has_way = observed.proxy.back is not None and observed.proxy.back.live is slot
    if not force and (way_back is None or has_way) and _same_upstreams(routes, wanted) and _same_trial(routes, wanted):
        return []
    return [
        ActivateTopology(
            parent=routes.generation,
            routes=wanted,
            back=way_back,
            settings=settings,
            testers=testers,
            cause=cause or f"the proxy does not know these containers of {slot} yet",
        ),
        Settle(gate=2, seconds=SETTLE_SECONDS, cause="no worker may accept with the old topology"),
    ]


def flip(
    observed: Observed,
    slot: Slot,
    stack: Stack,
    settings: ProxySettings,
    kind: str,
    operation: str,
    parent: int | None,
    reason: str | None = None,
) -> list[Step]:
    """Move all traffic to a slot whose upstreams the proxy knows, and record it."""
    routes = observed.proxy.routes or Routes(generation=0)
    stacks = {**routes.stacks, slot: stack}
    wanted = replace(routes, live=slot, share=0, trial=False, stacks=stacks)
    back = replace(routes, share=0, trial=False, stacks=stacks) if routes.live and routes.live is not slot else None
    return [
        Flip(
            parent=parent,
            routes=wanted,
            back=back,
            settings=settings,
            slot=slot,
            tag=stack.release.tag,
            cause=f"{stack.release.tag} has been proven",
        ),
        switched(observed, stack.release, kind, operation, reason),
        probe_slot(slot, stack, "every route is answered by the new release"),
    ]


def flip_back(
    observed: Observed, stack: Stack, slot: Slot, kind: str, operation: str, reason: str | None, mark: Release | None
) -> list[Step]:
    """Move all traffic along the way back that was rendered beforehand: one message to the proxy.

    ``mark`` is the release that is marked bad for it.
    """
    routes = observed.proxy.routes or Routes(generation=0)
    release = stack.release
    steps: list[Step] = [
        probe_slot(slot, stack, "a standby that does not answer gets no traffic"),
        Flip(parent=routes.generation, slot=slot, tag=release.tag, cause=reason or f"{kind} to {release.tag}"),
        switched(observed, release, kind, operation, reason),
    ]
    if mark is not None:
        steps.append(marked(mark, "bad", reason or "rolled back"))
    return steps


def switched(observed: Observed, release: Release, kind: str, operation: str, reason: str | None) -> Record:
    live = observed.live_release
    event: dict[str, Any] = {"event": "switched", "op": operation, "to": release.number, "kind": kind}
    if live is not None and live.number != release.number:
        event["from"] = live.number
    if reason:
        event["reason"] = reason
    return Record(events=(event,), cause="history")


def marked(release: Release, mark: str | None, reason: str) -> Record:
    return Record(
        events=({"event": "marked", "release": release.number, "mark": mark, "reason": reason},),
        cause="a rollback never goes by itself to a release marked bad" if mark else "someone went to it on purpose",
    )


def probe_slot(slot: Slot, stack: Stack, cause: str) -> ProbeSlot:
    return ProbeSlot(slot=slot, requests=tuple(slot_requests(slot, stack)), cause=cause)


def slot_requests(slot: Slot, stack: Stack) -> list[dict[str, Any]]:
    """One health request per routed service, as the agent's ``probe`` takes them.

    Forced to the slot through the routes where the health path is below one of the service's; else to its
    first replica, since the routes would give that path to another service.
    """
    return [
        health_request(
            f"slot:{slot}" if _below(service.health.path, service.routes) else stack.upstreams[name][0],
            name,
            service.health,
            service.routes,
        )
        for name, service in stack.release.services.items()
        if service.kind is Kind.ROUTED and service.health is not None
    ]


def _below(path: str, routes: tuple[Route, ...]) -> bool:
    return any(path.startswith(route.prefix) and not (route.host or "").startswith("*") for route in routes)


def health_request(target: str, name: str, health: HealthCheck, routes: tuple[Route, ...] = ()) -> dict[str, Any]:
    """A service's health request. It is sent to the service itself, whether or not its path is below a route."""
    host = health.host or next((r.host for r in routes if r.host and not r.host.startswith("*")), None)
    expect: dict[str, Any] = {"status": list(health.status)}
    if health.body is not None:
        expect["body"] = health.body
    request: dict[str, Any] = {
        "name": name,
        "target": target,
        "service": name,
        "method": "GET",
        "path": health.path,
        "timeout": health.timeout,
        "expect": expect,
    }
    if host:
        request["host"] = host
    return request


def _same_trial(one: Routes, other: Routes) -> bool:
    """Whether visitors keep their places, or none has one. Where they do, each candidate draws them anew."""
    return one.trial == other.trial and (not one.trial or one.salt == other.salt)


def _same_upstreams(one: Routes, other: Routes) -> bool:
    return _upstreams(one.stacks) == _upstreams(other.stacks)


def _upstreams(stacks: Mapping[Slot, Stack]) -> dict[Slot, Any]:
    """What the rendered upstreams depend on: addresses and route tables, seldom the release."""
    return {
        slot: (
            dict(stack.upstreams),
            {n: (s.routes, s.port) for n, s in stack.release.services.items() if s.kind is Kind.ROUTED},
            stack.release.number if stack.release.proxy.skew else 0,  # pages are known by it
        )
        for slot, stack in stacks.items()
    }
