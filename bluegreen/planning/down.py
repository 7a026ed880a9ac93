"""Taking a project off the engine, and ending what is left of a retired slot's connections."""

from __future__ import annotations

from collections.abc import Sequence

from bluegreen.model.names import Kind, Slot, proxy_container, slot_network
from bluegreen.model.observed import Observed, manifest
from bluegreen.planning.retire import DEFAULT_GRACE, together
from bluegreen.planning.steps import (
    Plan,
    RemoveContainer,
    RemoveImage,
    RemoveNetwork,
    RemoveVolume,
    StartContainer,
    Step,
    StopContainer,
    Together,
)


def plan_down(observed: Observed, volumes: Sequence[str], images: Sequence[str]) -> Plan:
    """Everything of the project goes; the proxy and its volumes last, so that `down` again finds the rest."""
    proxy = proxy_container(observed.project)
    containers: list[Step] = []
    running: list[Step] = []
    for container in observed.containers:
        if container.name == proxy:
            continue
        if container.running:
            running.append(
                StopContainer(
                    name=container.name, id=container.id, grace=_grace(observed, container.name), cause="down"
                )
            )
        containers.append(RemoveContainer(name=container.name, id=container.id, cause="down"))
    steps: list[Step | Together] = []
    itself = observed.proxy_container
    if itself is not None and itself.running:
        steps.append(StopContainer(name=proxy, id=itself.id, grace=DEFAULT_GRACE, cause="no new requests from here on"))
    steps.extend([*together(running), *together(containers)])
    steps.extend(RemoveImage(ref=ref, cause="down") for ref in images)
    if itself is not None:
        steps.append(RemoveContainer(name=proxy, id=itself.id, cause="down"))
    own = {slot_network(observed.project, slot) for slot in Slot}
    networks = [n.name for n in observed.networks if n.name in own or _is_mine(observed, n.labels)]
    steps.extend(RemoveNetwork(name=name, cause="down") for name in sorted(networks))
    steps.extend(RemoveVolume(name=name, cause="down") for name in volumes)
    return Plan(tuple(steps))


def plan_end_connections(observed: Observed, *, only_stopped: bool = False) -> Plan:
    """Restart the idle slot's serving containers one by one: their connections end, and they stand by again.

    ``only_stopped`` starts those again that an interrupted restart has left stopped, and no other.
    """
    steps: list[Step | Together] = []
    for container in observed.stack(observed.idle):
        release = manifest(container)
        definition = release.services.get(container.service) if release else None
        if definition is None or definition.kind not in (Kind.ROUTED, Kind.INTERNAL):
            continue
        if container.running and only_stopped:
            continue
        if container.running:
            grace, cause = definition.stop_grace, "ends its connections"
            steps.append(StopContainer(name=container.name, id=container.id, grace=grace, cause=cause))
        steps.append(StartContainer(name=container.name, restart=definition.restart, cause="stands by again"))
    return Plan(tuple(steps))


def _is_mine(observed: Observed, labels: object) -> bool:
    from bluegreen.model.labels import PROJECT

    return isinstance(labels, dict) and labels.get(PROJECT) == observed.project


def _grace(observed: Observed, name: str) -> float:
    container = observed.named(name)
    release = manifest(container) if container else None
    definition = release.services.get(container.service) if release and container else None
    return definition.stop_grace if definition else DEFAULT_GRACE
