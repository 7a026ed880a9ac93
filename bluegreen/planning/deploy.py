"""Deploy: put a release into the idle slot, prove it, move traffic to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from bluegreen import __version__
from bluegreen.model import labels
from bluegreen.model.containers import Attachment, ContainerSpec
from bluegreen.model.names import Kind, Slot, kept_image, shared_container
from bluegreen.model.observed import Observed
from bluegreen.model.project import Project, ProxySettings, Service
from bluegreen.model.release import Release, ServiceRelease
from bluegreen.model.value import dataclass
from bluegreen.planning import place as placing
from bluegreen.planning import traffic
from bluegreen.planning.proxysteps import ProbeSlot, Smoke
from bluegreen.planning.retire import prune, retire, together, workers
from bluegreen.planning.steps import (
    AwaitReady,
    CreateContainer,
    KeepImage,
    Plan,
    RemoveContainer,
    SmokeCommand,
    StartContainer,
    Step,
    Together,
)


@dataclass(frozen=True, slots=True)
class Deployment:
    """Everything a deploy's plan depends on beyond what is observed.

    ``create`` makes a container of the release: from the Compose file, or only those that exist (a resume
    without a file). ``project`` is None then.
    """

    release: Release
    slot: Slot
    operation: str
    create: placing.Creator
    kind: str = "deploy"
    project: Project | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    shared_images: Mapping[str, str] = field(default_factory=dict)
    stage: bool = False
    reason: str | None = None
    jobs: bool = True
    overtaken: str | None = None  # the operation that a rollback takes over from, while it is under way


def draft(
    project: Project,
    number: int,
    tag: str,
    config: str,
    images: Mapping[str, str],
    *,
    revision: str | None = None,
    subject: str | None = None,
    dirty: bool = False,
    by: str = "",
    at: str = "",
) -> Release:
    """The release that deploying the project as it is now would make."""
    return Release(
        number=number,
        tag=tag,
        config=config,
        services={
            s.name: _service_release(s, images[s.name], project)
            for s in project.services.values()
            if s.kind is not Kind.SHARED
        },
        smoke=tuple(check for check in project.smoke if not check.once),
        smoke_of_deploys=sum(check.once for check in project.smoke) + len(project.smoke_commands),
        revision=revision,
        subject=subject,
        dirty=dirty,
        by=by,
        at=at,
        drain=project.drain,
        proxy=project.proxy,
        keep=project.keep,
        guard=project.guard,
    )


def _service_release(service: Service, image: str, project: Project) -> ServiceRelease:
    return ServiceRelease(
        kind=service.kind,
        image=image,
        replicas=service.replicas,
        routes=service.routes,
        port=service.port,
        health=service.health,
        depends_on=tuple(
            d
            for d in service.depends_on
            if d.service in project.services and project.services[d.service].kind is not Kind.SHARED
        ),
        restart=service.restart,
        stop_grace=service.stop_grace,
        networks=tuple(n.network for n in service.networks),
        aliases=tuple(dict.fromkeys(a for n in service.networks for a in n.aliases)),
    )


def plan_deploy(observed: Observed, deploy: Deployment) -> Plan:
    """The steps from what is there to the release being live (or staged).

    Planned again after an interruption, it is the rest of the same plan.
    """
    release, slot = deploy.release, deploy.slot
    steps: list[Step | Together] = []
    notices: list[str] = []
    if not (observed.live is slot and _is_live(observed, release)):
        if deploy.project is not None:
            shared, notices = plan_shared(observed, deploy.project, deploy.shared_images, deploy.digests)
            steps.extend(shared)
        steps.extend(retire(observed, slot, release.number, drain=_drain(observed, slot)))
        steps.extend(keep_images(observed.project, release))
        steps.extend(placing.place(observed, release, slot, deploy.create, jobs=deploy.jobs))
        steps.extend(_move(observed, deploy))
    elif not _recorded(observed, deploy):
        steps.append(traffic.switched(observed, release, deploy.kind, deploy.operation, deploy.reason))
    if not deploy.stage:
        steps.extend(workers(observed, slot, release, overtaken=deploy.overtaken))
        retiring = frozenset(
            c.release for c in observed.stack(slot) if c.release != release.number and observed.was_live(c.release)
        )
        interrupted = observed.history.unfinished is not None  # it may have left a kept release half removed
        in_use = _in_use(observed, release)
        steps.extend(prune(observed, release.keep, in_use, retiring=retiring, broken=interrupted))
    return Plan(tuple(steps), tuple(notices))


def _move(observed: Observed, deploy: Deployment) -> list[Step | Together]:
    """Topology, proof through the proxy, smoke, flip: in that order and never two of them at once."""
    release, slot = deploy.release, deploy.slot
    stack = placing.stack_of(observed, release, slot)
    live = observed.live_release
    tried = observed.tried is not None and observed.tried.release.number == release.number  # the proxy has its settings
    changed = live is not None and not tried and _rendered(live.proxy) != _rendered(release.proxy)
    upstreams = traffic.topology(
        observed,
        slot,
        stack,
        release.proxy,
        trial=observed.live is not None and (deploy.stage or tried),
        force=changed,
        testers=deploy.project.force if deploy.project else None,
    )
    steps: list[Step | Together] = [*upstreams]
    steps.append(traffic.probe_slot(slot, stack, "every new upstream answers through the proxy before it gets traffic"))
    if checks := deploy.project.smoke if deploy.project else release.smoke:
        steps.append(Smoke(slot=slot, tag=release.tag, checks=checks, cause="the project's own checks"))
    for command in deploy.project.smoke_commands if deploy.project else ():
        steps.append(SmokeCommand(command=command, slot=slot, cause="the project's own check"))
    if not deploy.stage:
        if not isinstance(steps[-1], ProbeSlot):
            steps.append(traffic.probe_slot(slot, stack, "it must still answer at the moment of the switch"))
        # The executor knows which generation the topology step made; a plan can't: parent None is "that one".
        parent = None if upstreams else (observed.proxy.routes.generation if observed.proxy.routes else 0)
        steps.extend(
            traffic.flip(observed, slot, stack, release.proxy, deploy.kind, deploy.operation, parent, deploy.reason)
        )
    return steps


def keep_images(project: str, release: Release) -> list[Step | Together]:
    return together(
        [
            KeepImage(image=service.image, ref=kept_image(project, name, release.number), cause="kept against pruning")
            for name, service in release.services.items()
        ]
    )


def plan_shared(
    observed: Observed, project: Project, images: Mapping[str, str], digests: Mapping[str, str]
) -> tuple[list[Step | Together], list[str]]:
    """Start shared services that do not run, in dependency order; never restart one that does."""
    steps: list[Step | Together] = []
    notices: list[str] = []
    services = {s.name: s for s in project.of_kind(Kind.SHARED)}
    needed_healthy = {
        d.service
        for s in project.services.values()
        for d in s.depends_on
        if d.condition == "service_healthy" and d.service in services
    }
    for name in _order(services):
        service = services[name]
        container = shared_container(project.name, name)
        there = observed.named(container)
        changed = there is not None and there.labels.get(labels.CONFIG) != digests[name]
        if there is not None and there.running and changed:
            notices.append(
                f"{name} runs with an older definition and is not restarted unasked; "
                f"to apply the new one: docker rm -f {container}, then deploy again"
            )
        if there is None or (changed and not there.running):
            if there is not None:
                steps.append(
                    RemoveContainer(name=container, id=there.id, cause="stopped, and its definition has changed")
                )
            steps.append(
                CreateContainer(
                    spec=_shared_spec(project, service, images[name], digests[name]), cause="shared, not there yet"
                )
            )
        if there is None or not there.running:
            steps.append(StartContainer(name=container, restart=service.restart, cause="shared, not running"))
        if name in needed_healthy:
            steps.append(
                AwaitReady(
                    service=name, names=(container,), deadline=placing.READY_DEADLINE, cause="others depend on it"
                )
            )
    return steps, notices


def _shared_spec(project: Project, service: Service, image: str, digest: str) -> ContainerSpec:
    return ContainerSpec(
        name=shared_container(project.name, service.name),
        image=image,
        body=service.body,
        labels={
            labels.PROJECT: project.name,
            labels.ROLE: "shared",
            labels.SERVICE: service.name,
            labels.REPLICA: "1",
            labels.IMAGE: image,
            labels.CONFIG: digest,
            labels.RESTART: service.restart,
            labels.VERSION: __version__,
        },
        networks=tuple(
            Attachment(n.network, None, tuple(dict.fromkeys((service.name, *n.aliases)))) for n in service.networks
        ),
        restart=service.restart,
        files=service.files,
    )


def _order(services: Mapping[str, Service]) -> list[str]:
    done: list[str] = []
    while len(done) < len(services):
        ready = [
            n
            for n, s in services.items()
            if n not in done and all(d.service in done or d.service not in services for d in s.depends_on)
        ]
        done.extend(sorted(ready) or sorted(set(services) - set(done)))
    return done


def _is_live(observed: Observed, release: Release) -> bool:
    live = observed.live_release
    return live is not None and live.number == release.number


def _recorded(observed: Observed, deploy: Deployment) -> bool:
    return any(s.operation == deploy.operation and s.to == deploy.release.number for s in observed.history.switches)


def _rendered(settings: ProxySettings) -> ProxySettings:
    """The settings that stand in the configuration; the others are the container's."""
    return replace(settings, listen="", preview="", log_limit=0)


def _drain(observed: Observed, slot: Slot) -> float:
    """The deadline of the release that is leaving, as it was deployed."""
    routes = observed.proxy.routes
    stack = routes.stacks.get(slot) if routes else None
    return stack.release.drain if stack else 0.0


def _in_use(observed: Observed, release: Release) -> frozenset[int]:
    numbers = {c.release for c in observed.containers if c.slot is not None}
    return frozenset({*numbers, release.number})
