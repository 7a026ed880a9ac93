"""Making room in a slot, keeping what has been live, and letting go of what is older than is kept."""

from __future__ import annotations

from bluegreen.model.containers import Container
from bluegreen.model.names import Kind, Slot, kept_container, kept_image, release_of_image, slot_container, slot_network
from bluegreen.model.observed import Observed, manifest
from bluegreen.model.release import Release
from bluegreen.planning.proxysteps import Drain, DropBack, PruneGenerations
from bluegreen.planning.steps import (
    AwaitOvertaken,
    KeepContainer,
    Plan,
    RemoveContainer,
    RemoveImage,
    StartWorker,
    Step,
    StopContainer,
    Together,
)

DEFAULT_GRACE = 10.0
OVERTAKEN_SECONDS = 15.0
"""How long a rollback, its traffic moved, waits for the last effect of what it took over from."""

GENERATIONS_KEPT = 20


def retire(observed: Observed, slot: Slot, staying: int, *, drain: float) -> list[Step | Together]:
    """Empty a slot of every release but ``staying``: what has been live is kept, other leftovers go.

    While connections drain, the way back stands: a rollback is warm and an interrupted deploy leaves things as they
    were. It is dropped before the first container is stopped, so that nobody rolls back to one that is stopping.
    """
    leaving = [c for c in observed.stack(slot) if c.release != staying]
    steps: list[Step | Together] = []
    network = slot_network(observed.project, slot)
    addresses = tuple(sorted(ip for c in leaving if c.running and (ip := c.addresses.get(network))))
    if addresses:
        steps.append(
            Drain(
                slot=slot,
                addresses=addresses,
                since=observed.left_at(slot),
                deadline=drain,
                cause="no connection is cut before the drain deadline",
            )
        )
    back = observed.proxy.back
    former = back.live_release if back is not None and back.live is slot else None
    if former is not None and (leaving or former.number != staying):
        steps.append(DropBack(slot=slot, cause="its slot is being reused; rollback is cold until the switch"))
    steps.extend(together([_leave(observed, c) for c in leaving]))
    for number in sorted({c.release for c in leaving if not _worth_keeping(observed, c)}):
        steps.extend(let_go_of_images(observed, number, "left over from a release that was never live"))
    return steps


def _worth_keeping(observed: Observed, container: Container) -> bool:
    unknown = observed.proxy.journal != "ok" and not observed.history.releases
    return unknown or observed.was_live(container.release)


def _leave(observed: Observed, container: Container) -> Step:
    release = manifest(container)
    definition = release.services.get(container.service) if release else None
    name = kept_container(observed.project, container.release, container.service, container.replica)
    if not _worth_keeping(observed, container):
        return RemoveContainer(
            name=container.name, id=container.id, cause="left over from a release that was never live"
        )
    if definition is not None and definition.kind is Kind.JOB:
        return RemoveContainer(name=container.name, id=container.id, cause="a job runs once per release")
    if observed.named(name) is not None:
        return RemoveContainer(name=container.name, id=container.id, cause=f"already kept as {name}")
    return KeepContainer(
        name=container.name,
        id=container.id,
        new=name,
        grace=definition.stop_grace if definition else DEFAULT_GRACE,
        cause="kept for a cold rollback",
    )


def workers(observed: Observed, slot: Slot, release: Release, *, overtaken: str | None = None) -> list[Step | Together]:
    """Workers run in the slot that is live and nowhere else: stopped there first, then started here.

    ``overtaken`` is the operation that is being taken over from while its process is at it: its last effect may be
    the stop or start of a worker. That is waited for, and what was observed of them is not relied on.
    """
    first: list[Step | Together] = []
    if overtaken is not None and (release.of_kind(Kind.WORKER) or _worker_containers(observed)):
        cause = "what it was doing last may concern a worker"
        first.append(AwaitOvertaken(operation=overtaken, seconds=OVERTAKEN_SECONDS, cause=cause))
    stops: list[Step] = []
    for container in observed.containers:
        found = manifest(container)
        definition = found.services.get(container.service) if found else None
        elsewhere = container.slot is not slot and (container.slot is not None or container.kept)
        if definition is None or definition.kind is not Kind.WORKER or not elsewhere:
            continue
        if overtaken is not None or container.state in ("running", "restarting", "paused"):
            stops.append(
                StopContainer(
                    name=container.name,
                    id=container.id,
                    grace=definition.stop_grace,
                    cause="a worker runs in the live slot only",
                )
            )
    starts: list[Step] = []
    for name, service in release.services.items():
        for replica in range(1, service.replicas + 1) if service.kind is Kind.WORKER else ():
            container_name = slot_container(observed.project, slot, name, replica)
            there = observed.named(container_name)
            if overtaken is not None or there is None or there.release != release.number or not there.running:
                starts.append(StartWorker(name=container_name, restart=service.restart, cause="its slot is live"))
    return [*first, *together(stops), *together(starts)]


def _worker_containers(observed: Observed) -> bool:
    found = ((m, c) for c in observed.containers if (m := manifest(c)))
    return any(c.service in m.of_kind(Kind.WORKER) for m, c in found)


def prune(
    observed: Observed,
    keep: int,
    protect: frozenset[int],
    *,
    retiring: frozenset[int] = frozenset(),
    broken: bool = False,
) -> list[Step | Together]:
    """Remove kept releases beyond the newest ``keep``; those in ``protect`` count as in use and stay.

    ``retiring`` are those that this very plan keeps: they count already, and stay. ``broken`` removes those that
    are no longer whole too: nobody can go back to them.

    Marked bad goes before good of the same age only by its number: age alone decides, so that the rule can be
    said in one sentence.
    """
    numbers = sorted({c.release for c in observed.kept()} - protect | retiring, reverse=True)
    useless = [n for n in numbers if broken and (r := observed.release(n)) and not observed.kept_whole(r)]
    others = [n for n in numbers if n not in useless and n not in retiring]
    leaving = dict.fromkeys(others[max(0, keep - len(retiring)) :], f"older than the {keep} releases kept")
    leaving |= dict.fromkeys(useless, "no longer whole, so nobody can go back to it")
    containers: list[Step] = []
    images = left_over_images(observed, protect | retiring)
    for number, cause in sorted(leaving.items(), reverse=True):
        containers.extend(RemoveContainer(name=c.name, id=c.id, cause=cause) for c in observed.kept(number))
        images.extend(let_go_of_images(observed, number, cause))
    return [
        *together(containers),
        *together(images),
        PruneGenerations(keep=GENERATIONS_KEPT, cause="older generations are of no use"),
    ]


def left_over_images(observed: Observed, protect: frozenset[int]) -> list[Step]:
    """Remove tags of releases of which nothing else is there: a deploy was stopped between these and its first
    container, by a rollback that took over."""
    known = {c.release for c in observed.containers} | protect
    found = [tag for tag in observed.kept_tags if (number := release_of_image(tag)) is None or number not in known]
    return [RemoveImage(ref=tag, cause="left over from a deploy that was stopped") for tag in sorted(found)]


def plan_tidy(observed: Observed) -> Plan:
    """Remove what an interrupted operation has left of kept releases that it was removing, since nobody can go back
    to them, and the tags of those of which nothing else is there."""
    numbers = sorted({c.release for c in observed.kept()})
    broken = [n for n in numbers if (r := observed.release(n)) and not observed.kept_whole(r)]
    cause = "what removed it was interrupted"
    containers: list[Step] = [
        RemoveContainer(name=c.name, id=c.id, cause=cause) for n in broken for c in observed.kept(n)
    ]
    images = [step for n in broken for step in let_go_of_images(observed, n, cause)]
    images += left_over_images(observed, frozenset())
    return Plan((*together([*containers, *never_started(observed), *spare_proxies(observed)]), *together(images)))


def spare_proxies(observed: Observed) -> list[Step]:
    """Remove what an interrupted replacement of the proxy has left."""
    cause = "left of a replacement of the proxy"
    return [RemoveContainer(name=c.name, id=c.id, cause=cause) for c in observed.spare_proxies]


def never_started(observed: Observed) -> list[Step]:
    """Remove shared containers that an interrupted deploy made and did not get to start."""
    made = [c for c in observed.shared if c.state == "created"]
    return [RemoveContainer(name=c.name, id=c.id, cause="it was made and never started") for c in made]


def let_go_of_images(observed: Observed, number: int, cause: str) -> list[Step]:
    """Remove the tags that held a release's images. An image that something else holds stays on the engine."""
    release = observed.release(number)
    refs = [kept_image(observed.project, name, number) for name in release.services] if release else []
    # A deploy that failed early has tags and no containers that would tell its services.
    found = {*refs, *(tag for tag in observed.kept_tags if release_of_image(tag) == number)}
    return [RemoveImage(ref=ref, cause=cause) for ref in sorted(found)]


def together(steps: list[Step]) -> list[Step | Together]:
    """Steps that don't depend on each other, side by side where there are several."""
    return list(steps) if len(steps) < 2 else [Together(tuple(steps))]
