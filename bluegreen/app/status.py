"""`status`: what is live, what stands by, and everything that is not as it should be. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bluegreen.app.opening import Opening
from bluegreen.app.site import Site, not_here
from bluegreen.app.tools import public_url
from bluegreen.model.containers import Container
from bluegreen.model.errors import ProxyFailed
from bluegreen.model.history import Operation
from bluegreen.model.names import Kind, Slot, slot_container
from bluegreen.model.observed import Observed, manifest
from bluegreen.model.release import Release
from bluegreen.model.value import dataclass

LITTLE_ROOM = 1 << 18
"""Bytes. A deploy's generations and events take less than this."""


@dataclass(frozen=True, slots=True)
class Place:
    """A release in a slot. ``running`` and ``wanted`` count its serving containers.

    ``since`` is when live became live, or when a candidate's share became what it is.
    """

    slot: Slot
    release: int
    tag: str
    at: str
    since: str
    running: int
    wanted: int
    workers: int
    connections: int
    mark: str | None = None
    share: int = 0  # percent of the visitors


@dataclass(frozen=True, slots=True)
class Kept:
    """A release kept for a cold rollback. ``whole`` says that everything it needs is there."""

    release: int
    tag: str
    whole: bool
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    code: str
    message: str
    next: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    project: str
    url: str | None
    generation: int | None
    live: Place | None
    standby: Place | None
    candidate: Place | None
    kept: tuple[Kept, ...]
    shared: Mapping[str, str]  # service -> state
    operation: Operation | None  # unfinished
    lease: Mapping[str, Any] | None
    journal: str
    troubles: tuple[Trouble, ...]


def status(site: Site, opening: Opening | None = None) -> Status:
    """The truth about a project, from one look at the engine and one at the proxy: those of ``opening`` where they
    were asked for already.

    Raises `Refused` where nothing of the project is on the engine. A proxy that does not run is a finding.
    """
    answer: Mapping[str, Any] = {}
    trouble: Trouble | None = None
    with opening or Opening(site) as begun:
        containers = begun.containers
        try:
            _, answer = begun.read()
        except ProxyFailed as error:
            trouble = Trouble(error.code, error.problem.message, error.problem.next)
    if not containers:
        raise not_here(site)
    observed = site.picture(answer, containers, images=any(c.kept for c in containers))
    from bluegreen.app.wounds import wounds

    return report(observed, site.engine.public, *([trouble] if trouble else []), *wounds(site.engine, observed))


def report(observed: Observed, public_host: str, *more: Trouble) -> Status:
    """The status of a picture, with what else has been found. Pure."""
    live, standby = observed.live_release, observed.standby
    candidate = observed.tried.release if observed.share and observed.tried else observed.candidate
    unfinished = observed.history.unfinished
    return Status(
        project=observed.project,
        url=public_url(observed.proxy_container, public_host),
        generation=observed.proxy.routes.generation if observed.proxy.routes else None,
        live=_place(observed, live, observed.live),
        standby=_place(observed, standby, observed.idle),
        candidate=_place(observed, candidate, observed.idle),
        kept=tuple(_kept(observed)),
        shared={c.service: c.state for c in observed.shared},
        operation=unfinished,
        lease=observed.proxy.lease,
        journal=observed.proxy.journal,
        troubles=(*more, *_troubles(observed, unfinished)),
    )


def _place(observed: Observed, release: Release | None, slot: Slot | None) -> Place | None:
    if release is None or slot is None:
        return None
    stack = [c for c in observed.stack(slot) if c.release == release.number]
    serving = {n for n, s in release.services.items() if s.kind in (Kind.ROUTED, Kind.INTERNAL)}
    record = observed.history.releases.get(release.number)
    is_live = slot is observed.live
    share = 0 if release is observed.standby else 100 - observed.share if is_live else observed.share
    return Place(
        slot=slot,
        release=release.number,
        tag=release.tag,
        at=release.at,
        since=_since(observed, release, is_live=is_live),
        running=sum(1 for c in stack if c.running and c.service in serving),
        wanted=sum(s.replicas for n, s in release.services.items() if n in serving),
        workers=sum(1 for c in stack if c.running and c.service in release.of_kind(Kind.WORKER)),
        connections=sum(observed.proxy.connections.get(ip, 0) for c in stack for ip in c.addresses.values() if ip),
        mark=record.mark if record else None,
        share=share,
    )


def _since(observed: Observed, release: Release, *, is_live: bool) -> str:
    if is_live:
        return (observed.proxy.routes.since if observed.proxy.routes else "") or ""
    shifts = observed.history.shifts_of(release.number)
    tried = observed.tried
    return shifts[-1].at if shifts and tried is not None and tried.release.number == release.number else ""


def _kept(observed: Observed) -> list[Kept]:
    out: list[Kept] = []
    for number in sorted({c.release for c in observed.kept()}, reverse=True):
        release = observed.release(number)
        record = observed.history.releases.get(number)
        tag = release.tag if release else f"#{number}"
        whole = release is not None and observed.kept_whole(release)
        out.append(Kept(number, tag, whole, record.mark if record else None))
    return out


def _troubles(observed: Observed, unfinished: Operation | None) -> list[Trouble]:
    out: list[Trouble] = []
    live, slot = observed.live_release, observed.live
    if live is not None and slot is not None and not observed.runs_whole(live, slot):
        missing = _missing(observed, live, slot)
        out.append(
            Trouble(
                "live.incomplete",
                f"live {live.tag} lacks running containers: {', '.join(missing)}",
                ("bg rollback", f"bg deploy {live.tag} --force    starts a whole new stack"),
            )
        )
    out.extend(_candidate_troubles(observed))
    out.extend(_proxy_troubles(observed))
    if unfinished is None and live is not None and slot is not None:
        out.extend(_worker_troubles(observed, live, slot))
    back = observed.proxy.back
    former = back.live_release if back is not None and back.live is not slot else None
    if former is not None and observed.standby is None and unfinished is None:
        out.append(_standby_trouble(observed, former))
    if unfinished is not None and observed.proxy.lease is None:
        safe = f" ends it at {min(unfinished.share or 0, observed.share)} %, its last safe state"
        out.append(
            Trouble(
                "operation.unfinished",
                f"an operation was interrupted: {unfinished}, last step: {unfinished.last_step or 'none'}",
                (f"bg resume   {safe}" if unfinished.kind == "canary" else "bg resume", "bg abort", "bg rollback"),
            )
        )
    for container in observed.containers:
        if container.role == "shared" and not container.running:
            out.append(
                Trouble(
                    "shared.stopped",
                    f"the shared service {container.service} is {container.state}",
                    ("bg logs " + container.service,),
                )
            )
        if container.health == "unhealthy":
            out.append(
                Trouble(
                    "container.unhealthy",
                    f"{container.name} is unhealthy by its own healthcheck",
                    (f"bg logs {container.service}",),
                )
            )
    for kept in _kept(observed):
        if not kept.whole:
            out.append(
                Trouble(
                    "kept.incomplete",
                    f"kept release {kept.release} ({kept.tag}) is no longer whole{_lacking(observed, kept.release)}: "
                    f"a cold rollback to it won't work",
                    ("bg prune    removes what is of no use",),
                )
            )
    return out


def _candidate_troubles(observed: Observed) -> list[Trouble]:
    """A candidate that has visitors and can't answer all of them."""
    tried = observed.tried
    if tried is None or not observed.share or observed.runs_whole(tried.release, observed.idle):
        return []
    tag, missing = tried.release.tag, ", ".join(_missing(observed, tried.release, observed.idle))
    return [
        Trouble(
            "candidate.incomplete",
            f"the candidate {tag} has {observed.share} % of visitors and lacks running containers: {missing}",
            ("bg rollback    takes them back at once", f"bg logs {tag}"),
        )
    ]


def _proxy_troubles(observed: Observed) -> list[Trouble]:
    """What is wrong with the proxy's volume."""
    out: list[Trouble] = []
    if trouble := _forgotten(observed):
        out.append(trouble)
    if observed.proxy.disk_free is not None and observed.proxy.disk_free < LITTLE_ROOM:
        out.append(
            Trouble(
                "proxy.disk-full",
                f"the proxy's volume is full ({observed.proxy.disk_free} bytes are left): a rollback still finds room, "
                f"a deploy may not",
                ("docker system df", "bg prune"),
            )
        )
    if observed.proxy.journal != "ok" and observed.proxy_container is not None and observed.proxy.routes is not None:
        out.append(
            Trouble(
                f"journal.{observed.proxy.journal}",
                f"the journal is {observed.proxy.journal}: {observed.proxy.journal_detail}",
                ("bg proxy repair", "bg rollback    works all the same"),
            )
        )
    return out


def _worker_troubles(observed: Observed, live: Release, slot: Slot) -> list[Trouble]:
    """Workers run in the live slot, and nowhere else: work would be left undone, or done twice."""
    out: list[Trouble] = []
    for name in live.of_kind(Kind.WORKER):
        for replica in range(1, live.services[name].replicas + 1):
            container = slot_container(observed.project, slot, name, replica)
            there = observed.named(container)
            if there is None or not there.running:
                again = f"bg deploy {live.tag} --force    starts a whole new stack"
                state, way = (there.state, (f"docker start {container}", again)) if there else ("gone", (again,))
                out.append(Trouble("worker.stopped", f"the worker {container} of live {live.tag} is {state}", way))
    for found in observed.containers:
        release = manifest(found)
        is_worker = release is not None and found.service in release.of_kind(Kind.WORKER)
        if is_worker and found.running and found.slot is not slot:
            message = f"the worker {found.name} runs, and {slot} is live: its work may be done twice"
            out.append(Trouble("worker.elsewhere", message, (f"docker stop {found.name}",)))
    return out


def _forgotten(observed: Observed) -> Trouble | None:
    proxy = observed.proxy_container
    if proxy is None or not proxy.running or not observed.forgotten:
        return None
    running = ", ".join(f"{release} in {slot}" for slot, release in observed.whole.items())
    return Trouble(
        "proxy.forgotten",
        f"the proxy knows of no release, and there is {running}: the proxy's volume was lost, and from its next "
        f"restart on, if not now, nobody is served",
        ("bg proxy start    tells the proxy again what there is", "bg rollback    does so too, and goes back"),
    )


def _lacking(observed: Observed, number: int) -> str:
    return " (an image of it is gone)" if number in observed.imageless else ""


def _standby_trouble(observed: Observed, former: Release) -> Trouble:
    lacks = f"the standby {former.tag} lacks running containers: "
    lacks += ", ".join(_missing(observed, former, observed.idle))
    if observed.kept_whole(former):
        return Trouble(
            "standby.incomplete", f"{lacks}; a rollback to it would be cold", (f"bg rollback --to {former.tag}",)
        )
    older = [k for k in _kept(observed) if k.whole and k.mark != "bad"]
    return Trouble(
        "standby.incomplete",
        f"{lacks}; it can't be gone back to",
        (*(f"bg rollback --to {k.tag}    cold" for k in older[:1]), "bg deploy TAG    has a standby again"),
    )


def _missing(observed: Observed, release: Release, slot: Slot) -> list[str]:
    there: dict[tuple[str, int], Container] = {
        (c.service, c.replica): c for c in observed.stack(slot) if c.release == release.number
    }
    out: list[str] = []
    for name, service in release.services.items():
        if service.kind not in (Kind.ROUTED, Kind.INTERNAL):
            continue
        for replica in range(1, service.replicas + 1):
            found = there.get((name, replica))
            if found is None:
                out.append(f"{name}-{replica} (gone)")
            elif not found.running:
                out.append(f"{name}-{replica} ({found.state})")
    return out
