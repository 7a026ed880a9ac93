"""Shifts: giving a candidate a share of the visitors, and taking it back.

Live stays live. The way back that a shift renders beforehand is the same routes with a share of 0, so that taking
visitors back needs no templates and no probes: one message to the proxy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bluegreen.model.errors import Refused
from bluegreen.model.observed import Observed
from bluegreen.model.release import Release, Routes, Stack
from bluegreen.planning import traffic
from bluegreen.planning.proxysteps import Record, Shift
from bluegreen.planning.steps import Plan, Step

MOST = 99
"""Percent. All visitors is what a promotion gives, which moves the workers too and keeps a standby."""


def choose_candidate(observed: Observed, wanted: str = "canary") -> Release:
    """The candidate that may get traffic: whole, and never what was live before. Raises `Refused`."""
    live = observed.live_release
    if live is None and (wanted == "canary" or observed.candidate is None):
        raise Refused(
            f"{wanted}.nothing-live",
            "nothing is live yet, so there are no visitors to share",
            next=("bg promote    what is staged gets all of them" if observed.candidate else "bg deploy TAG",),
        )
    candidate = observed.tried.release if observed.share and observed.tried else observed.candidate
    if candidate is None or observed.was_live(candidate.number):
        standby = observed.standby
        also = f"; {standby.tag} stands by, and has been live before" if standby else ""
        ways = ("bg rollback    goes back to it",) if standby and not observed.history.is_bad(standby.number) else ()
        raise Refused(
            f"{wanted}.no-candidate",
            f"there is no candidate: {live} has all visitors{also}",
            next=("bg deploy TAG --stage    makes one", *ways, "bg status"),
        )
    if not observed.runs_whole(candidate, observed.idle):
        raise Refused(
            f"{wanted}.incomplete",
            f"the candidate {candidate.tag} lacks running containers, so nobody is sent to it",
            next=(f"bg logs {candidate.tag}", "bg abort    removes it", "bg status"),
        )
    return candidate


def plan_shift(observed: Observed, share: int, stack: Stack, reason: str | None = None) -> Plan:
    """The steps to a share of 0 to 99 percent. A candidate is probed before it gets more, never before it gets less.

    ``stack`` is the candidate in the idle slot.
    """
    routes, slot, release = _routes(observed), observed.idle, stack.release
    cause = reason or f"{share} % of visitors to {release.tag}"
    steps: list[Step] = []
    if share > routes.share:
        upstreams = traffic.topology(observed, slot, stack, release.proxy, trial=True)
        steps.extend(upstreams)
        steps.append(traffic.probe_slot(slot, stack, "a candidate that does not answer gets no visitors"))
        # As in a deploy: a plan can't know which generation the step before it makes.
        parent = None if upstreams else routes.generation
        wanted = replace(routes, stacks={**routes.stacks, slot: stack}, trial=True, share=share)
        steps.append(_shift(observed, wanted, stack, parent, share, cause))
    elif share < routes.share:
        steps.append(_less(observed, stack, share, cause))
    steps.extend(_recorded(observed, share, release, reason))
    if share and observed.history.is_bad(release.number):
        steps.append(traffic.marked(release, None, "visitors were sent to it on purpose"))
    return Plan(tuple(steps))


def plan_take_back(observed: Observed, reason: str | None = None, *, mark: bool = False) -> Plan:
    """All visitors to live again, along the way back that was rendered with the share; ``mark`` the candidate bad.

    What of it is done already is not planned.
    """
    tried = observed.tried
    if tried is None:
        return Plan()
    steps: list[Step] = []
    why = reason or "taken back"
    if observed.share:
        steps.append(_less(observed, tried, 0, why))
    steps.extend(_recorded(observed, 0, tried.release, reason))
    if mark and not observed.history.is_bad(tried.release.number):
        steps.append(traffic.marked(tried.release, "bad", reason or "rolled back"))
    return Plan(tuple(steps))


def _less(observed: Observed, stack: Stack, share: int, cause: str) -> Shift:
    routes, back = _routes(observed), observed.proxy.back
    if share == 0 and back is not None and back.live is routes.live and not back.share:
        return Shift(parent=routes.generation, slot=observed.idle, tag=stack.release.tag, share=0, cause=cause)
    return _shift(observed, replace(routes, share=share), stack, routes.generation, share, cause)


def _shift(observed: Observed, wanted: Routes, stack: Stack, parent: int | None, share: int, cause: str) -> Shift:
    return Shift(
        parent=parent,
        routes=wanted,
        back=replace(wanted, share=0) if share else None,
        settings=stack.release.proxy,
        slot=observed.idle,
        tag=stack.release.tag,
        share=share,
        cause=cause,
    )


def _recorded(observed: Observed, share: int, release: Release, reason: str | None) -> list[Step]:
    """What the journal has to be told: nothing where it knows, even if an interrupted run was who moved them."""
    past = observed.history.shifts_of(release.number)
    known = past[-1].share if past else 0
    if known == share and observed.share == share:
        return []
    event: dict[str, Any] = {"event": "shifted", "release": release.number, "share": share, "from": known}
    if observed.share != share:
        event["from"] = observed.share
    if reason:
        event["reason"] = reason
    return [Record(events=(event,), cause="history")]


def _routes(observed: Observed) -> Routes:
    return observed.proxy.routes or Routes(generation=0)
