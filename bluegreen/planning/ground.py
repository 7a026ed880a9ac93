"""Networks, subnets and addresses: where containers of a slot live.

A container's address follows from slot, service and replica. A restart can't hand one service's address to
another, and a deploy of the same services leaves the proxy's upstreams as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, ip_network

from bluegreen import __version__
from bluegreen.model import labels
from bluegreen.model.containers import ContainerSpec
from bluegreen.model.errors import Refused
from bluegreen.model.names import Slot, log_volume, proxy_container, slot_network, state_volume
from bluegreen.model.observed import Observed
from bluegreen.model.project import Network, Project, Volume
from bluegreen.model.release import ServiceRelease
from bluegreen.planning.steps import CreateContainer, EnsureNetwork, EnsureVolume, Plan, StartContainer, Step

POOLS = (ip_network("10.213.0.0/16"), ip_network("10.214.0.0/16"), ip_network("172.29.0.0/16"))
"""Where slot networks are looked for. Ranges Docker's own default pools do not hand out."""

PREFIX = 24
PROXY_HOST = 2
FIRST_HOST = 16
"""Host numbers below are the gateway's, the proxy's, and room to add."""


def plan_ground(observed: Observed, proxy: ContainerSpec, project: Project | None) -> Plan:
    """What every operation stands on: slot networks, volumes, the proxy. Idempotent and outside the journal."""
    name = observed.project
    mine = {labels.PROJECT: name, labels.VERSION: __version__}
    subnets = slot_subnets(observed)
    steps: list[Step] = [
        EnsureNetwork(
            network=Network(slot_network(name, slot), ipam={"Config": [{"Subnet": subnets[slot]}]}),
            labels={**mine, labels.ROLE: "slot", labels.SLOT: slot},
            cause=f"the {slot} stack's own network",
        )
        for slot in Slot
        if observed.subnet(slot_network(name, slot)) is None
    ]
    there = {n.name for n in observed.networks}
    for network in project.networks.values() if project else ():
        if network.name not in there or network.external:
            steps.append(
                EnsureNetwork(network=network, labels={**mine, labels.ROLE: "shared"}, cause="in the Compose file")
            )
    for volume in project.volumes.values() if project else ():
        steps.append(EnsureVolume(volume=volume, labels={**mine, labels.ROLE: "data"}, cause="in the Compose file"))
    container = observed.proxy_container
    if container is None:
        for volume_name in (state_volume(name), log_volume(name)):
            steps.append(
                EnsureVolume(
                    volume=Volume(volume_name),
                    labels={**mine, labels.ROLE: "state"},
                    cause="generations and journal" if volume_name == state_volume(name) else "the access log",
                )
            )
        steps.append(CreateContainer(spec=proxy, cause="the project has no proxy"))
    if container is None or not container.running:
        steps.append(
            StartContainer(name=proxy_container(name), restart="unless-stopped", cause="the proxy is not running")
        )
    return Plan(tuple(steps))


def slot_subnets(observed: Observed) -> dict[Slot, str]:
    """The subnets of the slot networks: those that exist, else free ones of the engine's others."""
    taken = [s for n in observed.networks for s in n.subnets]
    out: dict[Slot, str] = {}
    for slot in Slot:
        subnet = observed.subnet(slot_network(observed.project, slot)) or choose_subnet(taken)
        taken.append(subnet)
        out[slot] = subnet
    return out


def choose_subnet(taken: Iterable[str]) -> str:
    """The first free subnet of the pools. Raises `Refused` when every one overlaps with a taken one."""
    used = [ip_network(s) for s in taken if ":" not in s]
    for pool in POOLS:
        for subnet in pool.subnets(new_prefix=PREFIX):
            if not any(subnet.overlaps(u) for u in used if isinstance(u, IPv4Network)):
                return str(subnet)
    raise Refused(
        "network.no-subnet",
        f"no free /{PREFIX} is left in {', '.join(map(str, POOLS))} for the slot's network",
        next=("docker network prune",),
    )


def proxy_address(subnet: str) -> str:
    return str(ip_network(subnet)[PROXY_HOST])


def addresses(subnet: str, services: Mapping[str, ServiceRelease]) -> dict[tuple[str, int], str]:
    """The address of each (service, replica), from their order alone. Raises `Refused` when they don't fit."""
    network = ip_network(subnet)
    out: dict[tuple[str, int], str] = {}
    number = FIRST_HOST
    for name in sorted(services):
        for replica in range(1, services[name].replicas + 1):
            if number >= network.num_addresses - 1:
                raise Refused(
                    "network.full",
                    f"{sum(s.replicas for s in services.values())} containers don't fit into its network {subnet}",
                )
            out[name, replica] = str(network[number])
            number += 1
    return out
