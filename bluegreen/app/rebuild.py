"""After the proxy's volume was lost: what serves, put together from what containers say of themselves."""

from __future__ import annotations

import json
from dataclasses import replace

from bluegreen.app.site import Site, lease, operation_id
from bluegreen.app.tools import rendering
from bluegreen.app.upkeep import what_is_known
from bluegreen.model.errors import BluegreenError
from bluegreen.model.names import Kind, Slot, proxy_container
from bluegreen.model.observed import Observed
from bluegreen.model.release import Release, Routes
from bluegreen.planning.place import stack_of
from bluegreen.planning.proxysteps import ActivateTopology, Flip, Settle
from bluegreen.planning.steps import Plan, Step
from bluegreen.planning.traffic import SETTLE_SECONDS
from bluegreen.proxy.session import ProxySession

LOG_LINES = "200"


def rebuild(site: Site, session: ProxySession) -> None:
    """Give the traffic to the release that most likely had it, and say why that one, and what is lost.

    Where nobody is served, it is better to serve what may be the wrong one of two than neither: the other stands by.
    """
    observed = site.observe(session)
    releases = observed.whole
    live, why = _most_likely(site, observed, releases)
    stacks = {slot: stack_of(observed, release, slot) for slot, release in releases.items()}
    there = Routes(generation=0, stacks=stacks)
    wanted = replace(there, live=live)
    back = replace(there, live=live.other) if live.other in stacks else None
    release = releases[live]
    name = operation_id("repair")
    site.notice(_said(release, live, why, releases.get(live.other)))
    steps: list[Step] = [
        ActivateTopology(
            parent=observed.proxy.routes.generation if observed.proxy.routes else 0,
            routes=there,
            back=None,
            settings=release.proxy,
            cause="the proxy's volume was lost",
        ),
        Settle(gate=2, seconds=SETTLE_SECONDS, cause="no worker may accept with the old topology"),
        Flip(
            parent=None,
            routes=wanted,
            back=back,
            settings=release.proxy,
            slot=live,
            tag=release.tag,
            cause=f"{why}",
        ),
    ]
    as_it_will_be = replace(observed, proxy=replace(observed.proxy, routes=wanted, back=back))
    with lease(site, session, name, seize=True) as epoch:
        if observed.proxy.journal == "missing":  # emptied while it runs: what is made at its start is gone too
            session.run([{"op": "preview", "renew": True, "epoch": epoch}])
        session.run([{"op": "begin_journal", "events": what_is_known(as_it_will_be, name)}])
        site.executor(session, epoch, render=rendering(site)).run(Plan(tuple(steps)))


def rebuild_where_forgotten(site: Site) -> None:
    """Look, and rebuild where that is due."""
    with site.session() as session:
        if site.observe(session, networks=False).forgotten:
            rebuild(site, session)


def _said(release: Release, live: Slot, why: str, other: Release | None) -> str:
    known = f"{release.tag} in {live} has the traffic ({why})"
    standby = f", {other.tag} stands by: bg rollback goes there" if other else ""
    lost = "who switched when, the reasons, and which releases were marked bad"
    return f"the proxy's volume was lost. What containers say of themselves: {known}{standby}. Lost are {lost}"


def _most_likely(site: Site, observed: Observed, releases: dict[Slot, Release]) -> tuple[Slot, str]:
    """The slot that had the traffic, and what says so."""
    if len(releases) == 1:
        return next(iter(releases)), "nothing else runs whole"
    working = {
        slot
        for slot, release in releases.items()
        for c in observed.stack(slot)
        if c.running and c.service in release.of_kind(Kind.WORKER)
    }
    if len(working) == 1:
        return working.pop(), "its workers run"
    last = _last_served(site)
    if last in releases:
        return last, "it answered the last requests in the access log"
    newest = max(releases, key=lambda slot: releases[slot].number)
    return newest, "it is the newer one, and nothing else could tell"


def _last_served(site: Site) -> Slot | None:
    """The slot of the newest request in the access log, which has a volume of its own."""
    try:
        stream = site.engine.exec_stream(
            proxy_container(site.name), ("tail", "-n", LOG_LINES, "/var/log/bluegreen/access.log")
        )
    except BluegreenError:
        return None
    found: Slot | None = None
    try:
        while line := stream.receive(5.0):
            try:
                found = Slot(json.loads(line)["slot"])
            except (ValueError, KeyError, TypeError):
                continue  # answered by neither
    except BluegreenError:
        return found
    finally:
        stream.close()
    return found
