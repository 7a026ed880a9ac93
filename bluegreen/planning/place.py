"""Putting a release into a slot, from a Compose file or from kept containers: one way for both.

Planned against what is there: a container that already has the release's number and networks is not made
again, one that runs is not started again. So the plan after a crash is the rest of the plan before it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from bluegreen import __version__
from bluegreen.model import labels
from bluegreen.model.codec import encode
from bluegreen.model.containers import Attachment, CloneSpec, Container, ContainerSpec
from bluegreen.model.errors import EngineConflict, Refused
from bluegreen.model.names import Kind, Slot, kept_container, slot_container, slot_network
from bluegreen.model.observed import Observed
from bluegreen.model.project import Project
from bluegreen.model.release import Release, ServiceRelease, Stack
from bluegreen.planning.ground import addresses
from bluegreen.planning.retire import together
from bluegreen.planning.steps import (
    AwaitReady,
    CloneContainer,
    CreateContainer,
    KeepContainer,
    ProbeReplicas,
    RemoveContainer,
    RunJob,
    StartContainer,
    Step,
    Together,
)

READY_DEADLINE = 120.0
"""Seconds for a service without a health request of its own to be running and healthy by Docker's check."""

JOB_TIMEOUT = 1800.0

LEAVING_GRACE = 3.0
"""Seconds for a container that a deploy was stopping already, when a rollback wants its place."""

Creator = Callable[[str, int, str, tuple[Attachment, ...], Mapping[str, str]], Step]
"""(service, replica, container name, networks, labels) -> the step that makes the container."""


def place(
    observed: Observed, release: Release, slot: Slot, create: Creator, *, jobs: bool = True
) -> list[Step | Together]:
    """Create, start and prove a release's containers in a slot. Workers are created and not started.

    ``jobs`` False leaves jobs out: they run once per release, and never again on the way back.
    """
    services = {n: s for n, s in release.services.items() if jobs or s.kind is not Kind.JOB}
    where = slot_addresses(observed, release, slot)
    text = json.dumps(encode(release), sort_keys=True, separators=(",", ":"))
    creates: list[Step] = []
    for name, service in services.items():
        for replica in range(1, service.replicas + 1):
            container = slot_container(observed.project, slot, name, replica)
            networks = _networks(observed.project, slot, name, service, where[name, replica])
            if not _made(observed.named(container), release, networks):
                creates.append(
                    create(
                        name,
                        replica,
                        container,
                        networks,
                        _labels(observed.project, slot, name, replica, release, text),
                    )
                )
    steps: list[Step | Together] = together(creates)
    for level in dependency_levels(services):
        steps.extend(_wait_for_dependencies(observed, release, slot, level, services))
        steps.extend(together(_starts(observed, release, slot, level, services)))
        for name in level:
            if services[name].kind is Kind.JOB:
                steps.extend(_job(observed, release, slot, name))
    steps.extend(together(_proofs(observed, release, slot, services, where)))
    return steps


def from_project(project: Project, release: Release, digests: Mapping[str, str]) -> Creator:
    """Containers as the Compose file has them, on the release's images."""

    def create(
        service: str, _replica: int, name: str, networks: tuple[Attachment, ...], mine: Mapping[str, str]
    ) -> Step:
        definition = project.services[service]
        return CreateContainer(
            spec=ContainerSpec(
                name=name,
                image=release.services[service].image,
                body=definition.body,
                labels={**mine, labels.CONFIG: digests[service]},
                networks=networks,
                restart="no" if definition.kind in (Kind.WORKER, Kind.JOB) else definition.restart,
                files=definition.files,
            ),
            cause=f"{release.tag} of {service}",
        )

    return create


def from_kept(observed: Observed, release: Release) -> Creator:
    """Containers recreated from the release's kept ones: no file, no build, no registry."""

    def create(
        service: str, replica: int, name: str, networks: tuple[Attachment, ...], mine: Mapping[str, str]
    ) -> Step:
        source = observed.named(kept_container(observed.project, release.number, service, replica))
        if source is None:
            raise Refused(
                "release.not-kept",
                f"container {kept_container(observed.project, release.number, service, replica)}, which holds the "
                f"configuration of {release.tag}, is no longer on the engine",
                next=(f"bg deploy {release.tag}", "bg history"),
            )
        definition = release.services[service]
        return CloneContainer(
            spec=CloneSpec(
                name=name,
                source=source.name,
                labels=mine,
                networks=networks,
                restart="no" if definition.kind in (Kind.WORKER, Kind.JOB) else definition.restart,
            ),
            cause=f"{release.tag} of {service}, as it was kept",
        )

    return create


def as_kept(observed: Observed, release: Release, slot: Slot) -> tuple[list[Step | Together], Observed]:
    """What is still in the slot of a release that was leaving it, kept first; and the picture after that.

    Once the way back is dropped a deploy may be stopping these containers at this very moment, even one that was
    killed: the engine goes on with a stop. They run and answer, and can't be relied on. So they are not
    taken as they are but recreated, as if they had been kept already.
    """
    back = observed.proxy.back.live_release if observed.proxy.back else None
    if back is not None and back.number == release.number:
        return [], observed
    steps: list[Step] = []
    after: list[Container] = []
    for container in observed.containers:
        kept = kept_container(observed.project, release.number, container.service, container.replica)
        service = release.services.get(container.service)
        if container.slot is not slot or container.release != release.number or observed.named(kept) is not None:
            after.append(container)
        elif service is None or service.kind is Kind.JOB:
            steps.append(RemoveContainer(name=container.name, id=container.id, cause="not needed again"))
        else:
            grace = min(service.stop_grace, LEAVING_GRACE)
            cause = "it was leaving its slot: it is recreated"
            steps.append(KeepContainer(name=container.name, id=container.id, new=kept, grace=grace, cause=cause))
            after.append(replace(container, name=kept, state="exited"))
    return together(steps), replace(observed, containers=tuple(after))


def only_existing(release: Release) -> Creator:
    """For a resume without a file: everything must have been created before."""

    def create(
        _service: str, _replica: int, name: str, _networks: tuple[Attachment, ...], _mine: Mapping[str, str]
    ) -> Step:
        raise Refused(
            "resume.needs-file",
            f"the deploy of {release.tag} stopped before {name} was created, and creating it needs the Compose file",
            next=(f"bg --file FILE deploy {release.tag}", "bg abort"),
        )

    return create


def stack_of(observed: Observed, release: Release, slot: Slot) -> Stack:
    """What the proxy is to know of the release in this slot."""
    where = slot_addresses(observed, release, slot)
    return Stack(
        release=release,
        upstreams={
            name: tuple(f"{where[name, r]}:{service.port}" for r in range(1, service.replicas + 1))
            for name, service in release.services.items()
            if service.kind is Kind.ROUTED
        },
    )


def slot_addresses(observed: Observed, release: Release, slot: Slot) -> dict[tuple[str, int], str]:
    subnet = observed.subnet(slot_network(observed.project, slot))
    if subnet is None:
        raise EngineConflict(
            "network.gone", f"network {slot_network(observed.project, slot)} is gone", next=("bg deploy",)
        )
    return addresses(subnet, release.services)


def dependency_levels(services: Mapping[str, ServiceRelease]) -> list[tuple[str, ...]]:
    """Services in start order; those of one level don't depend on each other. The loader refused cycles."""
    left = dict(services)
    levels: list[tuple[str, ...]] = []
    while left:
        level = tuple(
            sorted(n for n, s in left.items() if not any(d.service in left and d.service != n for d in s.depends_on))
        ) or tuple(sorted(left))
        levels.append(level)
        for name in level:
            del left[name]
    return levels


def _networks(project: str, slot: Slot, name: str, service: ServiceRelease, ip: str) -> tuple[Attachment, ...]:
    own = Attachment(slot_network(project, slot), ip, (name, *service.aliases))
    return (own, *(Attachment(n) for n in service.networks))


def _labels(project: str, slot: Slot, name: str, replica: int, release: Release, text: str) -> dict[str, str]:
    service = release.services[name]
    return {
        labels.PROJECT: project,
        labels.ROLE: "slot",
        labels.SERVICE: name,
        labels.SLOT: slot,
        labels.REPLICA: str(replica),
        labels.RELEASE: str(release.number),
        labels.IMAGE: service.image,
        labels.RESTART: service.restart,
        labels.MANIFEST: text,
        labels.VERSION: __version__,
    }


def _made(container: Container | None, release: Release, networks: tuple[Attachment, ...]) -> bool:
    return (
        container is not None
        and container.release == release.number
        and all(n.network in container.addresses for n in networks)
    )


def _starts(
    observed: Observed, release: Release, slot: Slot, level: tuple[str, ...], services: Mapping[str, ServiceRelease]
) -> list[Step]:
    out: list[Step] = []
    for name in level:
        service = services[name]
        if service.kind in (Kind.WORKER, Kind.JOB):
            continue
        for replica in range(1, service.replicas + 1):
            container = slot_container(observed.project, slot, name, replica)
            there = observed.named(container)
            made = there is not None and there.release == release.number
            if there is None or not made or not there.running:
                restart = service.restart if made else None
                out.append(StartContainer(name=container, restart=restart, cause=f"{release.tag} of {name}"))
    return out


def _wait_for_dependencies(
    observed: Observed, release: Release, slot: Slot, level: tuple[str, ...], services: Mapping[str, ServiceRelease]
) -> list[Step]:
    wanted = sorted(
        {
            d.service
            for name in level
            for d in services[name].depends_on
            if d.condition == "service_healthy" and d.service in services and services[d.service].kind is not Kind.JOB
        }
    )
    return [_await(observed, release, slot, name, f"{', '.join(level)} depends on it") for name in wanted]


def _await(observed: Observed, release: Release, slot: Slot, name: str, cause: str) -> AwaitReady:
    service = release.services[name]
    return AwaitReady(
        service=name,
        names=tuple(slot_container(observed.project, slot, name, r) for r in range(1, service.replicas + 1)),
        deadline=service.health.deadline if service.health else READY_DEADLINE,
        cause=cause,
    )


def _job(observed: Observed, release: Release, slot: Slot, name: str) -> list[Step]:
    container = slot_container(observed.project, slot, name, 1)
    there = observed.named(container)
    if there is not None and there.release == release.number and there.state == "exited" and there.exit_code == 0:
        return []
    return [RunJob(name=container, service=name, timeout=JOB_TIMEOUT, cause="runs once per release")]


def _proofs(
    observed: Observed,
    release: Release,
    slot: Slot,
    services: Mapping[str, ServiceRelease],
    where: Mapping[tuple[str, int], str],
) -> list[Step]:
    out: list[Step] = []
    for name, service in services.items():
        if service.kind in (Kind.ROUTED, Kind.INTERNAL):
            out.append(_await(observed, release, slot, name, "running, and healthy where it defines a check"))
        if service.kind is Kind.ROUTED and service.health is not None:
            out.append(
                ProbeReplicas(
                    service=name,
                    targets={
                        slot_container(observed.project, slot, name, r): f"{where[name, r]}:{service.port}"
                        for r in range(1, service.replicas + 1)
                    },
                    health=service.health,
                    routes=service.routes,
                    cause=f"{service.health.path} must answer {service.health.rise} times in a row",
                )
            )
    return out
