"""Top-level ``networks`` and ``volumes``, under the names that Compose gives them on the engine."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bluegreen.compose import keys, values
from bluegreen.compose.tree import Node, Table
from bluegreen.model.names import Slot, log_volume, slot_network, state_volume
from bluegreen.model.project import Network, Volume

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_DEFINING = ("driver", "driver_opts", "internal", "attachable", "labels", "ipam")


@dataclass(slots=True)
class Declared:
    """What the file calls it, and what it is on the engine."""

    networks: dict[str, Network]
    volumes: dict[str, Volume]
    places: dict[tuple[str, str], Node]  # by ("networks" or "volumes", key)

    def notice_unused(self, networks: Iterable[str], volumes: Iterable[str]) -> None:
        used = {*(("networks", key) for key in networks), *(("volumes", key) for key in volumes)}
        for place, node in self.places.items():
            if place not in used:
                node.notice(f"no service uses it, so it is not created: {place[1]}")


def read_declared(top: Table, project: str) -> Declared:
    declared = Declared({}, {}, {})
    for section in ("networks", "volumes"):
        node = top.get(section)
        for key, definition in values.table(node) if node is not None else ():
            place = values.table(node).at(key) if node is not None else definition
            if not _NAME.fullmatch(key):
                place.error("name-form", f"{values.shown(key)} is no name for one of the {section}")
                continue
            declared.places[section, key] = place
            if section == "networks":
                declared.networks[key] = _network(key, definition, project)
            else:
                declared.volumes[key] = _volume(key, definition, project)
    if "default" not in declared.networks:
        declared.networks["default"] = Network(f"{project}_default")
    return declared


def _network(key: str, node: Node, project: str) -> Network:
    fields = values.fields(node, keys.NETWORK, known=keys.NETWORK_KNOWN)
    external, name = _name(key, fields, project)
    if name in (slot_network(project, Slot.BLUE), slot_network(project, Slot.GREEN)):
        fields.error("name-reserved", f"{name} is the network of one of the project's slots")
    entry = fields.get
    return Network(
        name=name,
        external=external,
        driver=values.text(n) if (n := entry("driver")) else None,
        options=_pairs(entry("driver_opts")),
        internal=bool(values.boolean(n)) if (n := entry("internal")) else False,
        attachable=bool(values.boolean(n)) if (n := entry("attachable")) else False,
        labels=_pairs(entry("labels")),
        ipam=_ipam(n) if (n := entry("ipam")) else None,
    )


def _volume(key: str, node: Node, project: str) -> Volume:
    fields = values.fields(node, keys.VOLUME)
    external, name = _name(key, fields, project)
    if name in (state_volume(project), log_volume(project)):
        fields.error("name-reserved", f"{name} is the volume of the project's proxy")
    return Volume(
        name=name,
        external=external,
        driver=values.text(n) if (n := fields.get("driver")) else None,
        options=_pairs(fields.get("driver_opts")),
        labels=_pairs(fields.get("labels")),
    )


def _name(key: str, fields: Table, project: str) -> tuple[bool, str]:
    """Whether it is external, and its name on the engine."""
    node, external, name = fields.get("external"), False, None
    if isinstance(node, Table):  # the form of Compose files before version 3.5
        external = True
        if (n := values.fields(node, ("name",)).get("name")) is not None:
            name = values.matching(n, _NAME, "name of a network or volume")
    elif node is not None:
        external = values.boolean(node) is True
    if external:
        for other in _DEFINING:
            if fields.get(other) is not None:
                fields.at(other).error("external-form", f"is external, so it has no {other!r} here")
    if (n := fields.get("name")) is not None:
        name = values.matching(n, _NAME, "name of a network or volume")
    return external, name or (key if external else f"{project}_{key}")


def _ipam(node: Node) -> dict[str, Any]:
    """The Engine API's IPAM object."""
    fields = values.fields(node, keys.IPAM)
    ipam: dict[str, Any] = {"Driver": (values.text(n) if (n := fields.get("driver")) else None) or "default"}
    if (n := fields.get("config")) is not None:
        ipam["Config"] = [_pool(item) for item in values.items(n)]
    if (n := fields.get("options")) is not None:
        ipam["Options"] = _pairs(n)
    return ipam


def _pool(node: Node) -> dict[str, Any]:
    fields = values.fields(node, keys.IPAM_CONFIG)
    pool: dict[str, Any] = {}
    for key, field, parse in (
        ("subnet", "Subnet", ipaddress.ip_network),
        ("ip_range", "IPRange", ipaddress.ip_network),
        ("gateway", "Gateway", ipaddress.ip_address),
    ):
        if (n := fields.get(key)) is None or (written := values.text(n)) is None:
            continue
        try:
            parse(written)
        except ValueError:
            n.error("value-form", f"{values.shown(written)} is no {'address' if key == 'gateway' else 'network'}")
        pool[field] = written
    if (n := fields.get("aux_addresses")) is not None:
        pool["AuxiliaryAddresses"] = _pairs(n)
    return pool


def _pairs(node: Node | None) -> dict[str, str]:
    found = values.pairs(node) if node is not None else []
    return {key: value or "" for key, value, _ in sorted(found, key=lambda pair: pair[0])}
