"""`prune`, `drain`, `preview`, `proxy repair` and `down`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bluegreen.app.canary import refuse_while_shared
from bluegreen.app.site import Site, begin, describe, end, lease, need_ended, need_journal, operation_id, still
from bluegreen.app.tools import preview_url
from bluegreen.model import labels
from bluegreen.model.errors import BluegreenError, Exit, ProxyFailed, Refused
from bluegreen.model.history import Operation, fold
from bluegreen.model.names import log_volume, state_volume
from bluegreen.model.observed import Observed
from bluegreen.planning.down import plan_down, plan_end_connections
from bluegreen.planning.retire import prune as plan_prune
from bluegreen.planning.steps import Plan
from bluegreen.proxy.session import ProxySession


@dataclass(frozen=True, slots=True)
class Upkeep:
    """``outcome``: done, nothing, planned. ``removed`` counts containers, images, networks, volumes."""

    outcome: str
    plan: tuple[Mapping[str, str], ...] = ()
    connections: int = 0


@dataclass(frozen=True, slots=True)
class Preview:
    url: str
    token: str
    tag: str | None  # what stands in the idle slot


def prune(site: Site, keep: int | None, *, dry_run: bool = False) -> Upkeep:
    """Remove kept releases beyond the newest ``keep`` (the live release's own setting where None), and broken ones."""
    with site.session() as session:
        observed = site.observe(session)
        need_journal(observed)
        need_ended(observed, but=lambda o: o.kind == "prune")
        live = observed.live_release
        count = keep if keep is not None else (live.keep if live else 5)
        plan = _plan_prune(observed, count)
        if dry_run:
            return Upkeep("planned", tuple(describe(plan)))
        name = operation_id("prune")
        with lease(site, session, name) as epoch:
            plan = _plan_prune(still(site, session, observed), count)
            begin(session, epoch, Operation(id=name, kind="prune", by=site.by, keep=count))
            site.executor(session, epoch).run(plan)
            end(session, epoch, name, "done")
    return Upkeep("done" if len(plan.flat()) > 1 else "nothing", tuple(describe(plan)))


def finish_upkeep(
    site: Site, session: ProxySession, epoch: int, observed: Observed, operation: Operation, *, abort: bool = False
) -> None:
    """Go on with a prune or a drain that was interrupted; or, to ``abort`` it, end only what it had begun."""
    if operation.kind == "prune":
        every = len(observed.containers)
        plan = _plan_prune(observed, every if abort or operation.keep is None else operation.keep)
    else:
        plan = plan_end_connections(observed, only_stopped=abort)
    site.executor(session, epoch).run(plan)
    end(session, epoch, operation.id, "aborted" if abort else "done")


def _plan_prune(observed: Observed, keep: int) -> Plan:
    in_use = frozenset(c.release for c in observed.containers if c.slot is not None)
    return Plan(tuple(plan_prune(observed, keep, in_use, broken=True)))


def drain(site: Site, *, now: bool = False, seconds: float = 300.0) -> Upkeep:
    """Wait until the slot that lost its traffic has no connection left; ``now`` ends them.

    Ending them restarts the standby's containers one by one: it is warm again a moment later.
    """
    with site.session() as session:
        observed = site.observe(session, networks=False)
        need_journal(observed)
        if observed.live is None:
            raise Refused("drain.nothing", "nothing is live, so nothing drains", next=("bg status",))
        refuse_while_shared(observed, "its connections are not those of a release that has lost its traffic")
        unfinished = observed.history.unfinished
        interrupted = unfinished if now and unfinished and unfinished.kind == "drain" else None
        addresses = [ip for c in observed.stack(observed.idle) if c.running for ip in c.addresses.values() if ip]
        open_now = sum(observed.proxy.connections.get(ip, 0) for ip in addresses)
        if not open_now and interrupted is None:
            return Upkeep("nothing")
        if not now:
            answer = session.run([{"op": "drain", "addresses": addresses, "until": None, "seconds": seconds}])[0]
            return Upkeep("done" if not answer.get("left") else "nothing", connections=int(answer.get("left", 0)))
        need_ended(observed, but=lambda o: o.kind == "drain")
        operation = interrupted or Operation(id=operation_id("drain"), kind="drain", by=site.by)
        with lease(site, session, operation.id) as epoch:
            observed = still(site, session, observed)
            if interrupted is None:
                begin(session, epoch, operation)
            finish_upkeep(site, session, epoch, observed, operation)
    return Upkeep("done", connections=open_now)


def preview(site: Site, *, renew: bool = False) -> Preview:
    """Where the idle slot can be looked at, and the token that opens it.

    ``renew`` makes another token, and answers when the former opens nothing any more. Raises `Held` while another
    operation is under way.
    """
    with site.session() as session:
        observed = site.observe(session, networks=False)
        if renew:
            with lease(site, session, operation_id("preview")) as epoch:
                new, _ = session.run(
                    [{"op": "preview", "renew": True, "epoch": epoch}, {"op": "settle", "gate": 2, "seconds": 30}]
                )
                token = str(new["token"])
        else:
            token = str(session.run([{"op": "preview"}])[0]["token"])
    idle = observed.candidate or observed.standby
    return Preview(preview_url(site), token, idle.tag if idle else None)


def down(site: Site, *, volumes: bool = False, images: bool = False, dry_run: bool = False) -> Upkeep:
    """Remove the project from the engine: everything that carries its label, the proxy and its state last.

    Named volumes of the Compose file stay unless ``volumes``. Idempotent: run again, it removes what is left.
    """
    observed = Observed(
        site.name,
        tuple(site.engine.containers(site.name)),
        networks=tuple(site.engine.networks()),
    )
    there = set(site.engine.volumes())
    owned = [v for v in (state_volume(site.name), log_volume(site.name)) if v in there]
    data = [v for v in site.engine.volumes(site.name) if v not in owned] if volumes else []
    refs = [
        t
        for i in site.engine.images(f"bluegreen/{site.name}/")
        for t in i.tags
        if t.startswith(f"bluegreen/{site.name}/")
    ]
    if images:
        # By label, not by name: the images of shop-x are not the project shop's.
        built = [i for i in site.engine.images("") if i.labels.get(labels.BUILT_FOR) == site.name]
        refs.extend(tag for image in built for tag in image.tags)
    plan = plan_down(observed, [*data, *owned], sorted(set(refs)))
    if dry_run:
        return Upkeep("planned", tuple(describe(plan)))
    if not plan.steps:
        return Upkeep("nothing")
    try:
        with site.session() as session, lease(site, session, operation_id("down")) as epoch:
            # From here on the proxy and with it the journal go: `down` again is the way to go on.
            session.run([{"op": "append", "epoch": epoch, "events": [{"event": "note", "message": "down"}]}])
    except ProxyFailed:
        site.notice("the proxy is not running: taking down what is there")
    try:
        site.executor(None, None).run(plan)
    except KeyboardInterrupt as error:
        options = f"{' --volumes' if volumes else ''}{' --images' if images else ''}"
        raise BluegreenError(
            "down.interrupted",
            f"interrupted: part of {site.name} may be gone from this engine already",
            next=(f"bg down{options} --yes    removes the rest", "bg deploy TAG    starts it again", "bg status"),
            exit=Exit.INTERRUPTED,
        ) from error
    return Upkeep("done", tuple(describe(plan)))


def repair_journal(site: Site) -> Mapping[str, Any]:
    """Start a new journal from what the engine and the routes know; the old one is kept beside it.

    Lost are who and when of what is no longer on the engine, and marks. Refused while the journal is sound.
    """
    with site.session() as session:
        observed = site.observe(session, networks=False, history=True)  # a tail may be sound again after a rollback
        if observed.proxy.journal == "ok":
            raise Refused("proxy.journal-sound", "the journal is sound: nothing to repair", next=("bg status",))
        name = operation_id("repair")
        with lease(site, session, name):
            events = what_is_known(observed, name)
            kept = session.run([{"op": "begin_journal", "events": events}])[0].get("kept")
    releases = [e["release"]["number"] for e in events if e["event"] == "released"]
    return {"kept": kept, "releases": releases}


def what_is_known(observed: Observed, operation: str) -> list[dict[str, Any]]:
    """Events that tell a new journal what can still be known: releases, and which of them were live."""
    numbers = sorted({c.release for c in observed.containers if c.release})
    found = [r for n in numbers if (r := observed.release(n)) is not None]
    events: list[dict[str, Any]] = [{"event": "begin", "op": operation, "kind": "repair"}]
    for release in found:
        record = {"number": release.number, "tag": release.tag, "at": release.at, "by": release.by}
        record |= {"revision": release.revision, "subject": release.subject, "dirty": release.dirty}
        events.append({"event": "released", "op": operation, "release": record})
    live, standby = observed.live_release, observed.standby
    once = [r for r in found if observed.kept(r.number) or (standby is not None and r.number == standby.number)]
    for release in [*once, *([live] if live else [])]:
        events.append({"event": "switched", "op": operation, "to": release.number, "kind": "repair"})
    if (tried := observed.tried) is not None:  # when it last lost visitors is not known: from now on they drain
        share = {"release": tried.release.number, "share": observed.share}
        events.append({"event": "shifted", "op": operation, **share})
    events.append({"event": "end", "op": operation, "outcome": "done", "snapshot": fold(events).snapshot()})
    return events
