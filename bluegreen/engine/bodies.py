"""The bodies of requests that create containers, networks and volumes. Pure."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from bluegreen.model import labels
from bluegreen.model.containers import Attachment, CloneSpec, ContainerSpec
from bluegreen.model.project import Network


def create_body(spec: ContainerSpec) -> dict[str, Any]:
    """What POST /containers/create wants for a specification."""
    body: dict[str, Any] = copy.deepcopy(dict(spec.body))
    own = dict(spec.labels)
    if spec.files:
        own[labels.FILES] = json.dumps(sorted(spec.files))
    body["Image"] = spec.image
    body["Labels"] = {**(body.get("Labels") or {}), **own}
    host = body.setdefault("HostConfig", {})
    if spec.files:
        volumes = volumes_for(spec.files, host)
        body["Volumes"] = {**(body.get("Volumes") or {}), **{directory: {} for directory in volumes}}
    return _placed(body, host, spec.networks, spec.restart)


def clone_body(spec: CloneSpec, source: Mapping[str, Any]) -> dict[str, Any]:
    """The same from an inspection of the container to copy: configuration, environment, limits, mounts.

    Not copied is what belongs to one container: its generated host name, addresses, and what the
    specification decides (labels laid over, networks, restart policy).
    """
    body: dict[str, Any] = copy.deepcopy(dict(source["Config"]))
    host: dict[str, Any] = copy.deepcopy(dict(source["HostConfig"]))
    # The image by id: its name may mean another one by now.
    body["Image"] = source["Image"]
    body["Labels"] = {**(body.get("Labels") or {}), **spec.labels}
    if body.get("Hostname") == source["Id"][:12]:
        del body["Hostname"]
    body.pop("MacAddress", None)
    # An empty entry point in an inspection means "none", in a request "the image's"; [""] means none there.
    if not body.get("Entrypoint"):
        body["Entrypoint"] = [""]
    # Engines report these without accepting them from everyone: null means "as by default" in both directions.
    for key in ("MaskedPaths", "ReadonlyPaths", "OomKillDisable", "MemorySwappiness", "PidsLimit"):
        if host.get(key) is None:
            host.pop(key, None)
    for key in ("ContainerIDFile", "ConsoleSize", "Links"):
        host.pop(key, None)
    return _placed(body, host, spec.networks, spec.restart)


def endpoint(attachment: Attachment) -> dict[str, Any]:
    """The engine's EndpointConfig of one attachment."""
    config: dict[str, Any] = {}
    if attachment.ip:
        config["IPAMConfig"] = {"IPv4Address": attachment.ip}
    if attachment.aliases:
        config["Aliases"] = list(attachment.aliases)
    return config


def restart_policy(policy: str) -> dict[str, Any]:
    """The engine's RestartPolicy for Compose's word: no, always, unless-stopped, on-failure[:N]."""
    name, _, count = policy.partition(":")
    return {"Name": name, "MaximumRetryCount": int(count) if count else 0}


def restart_word(policy: Mapping[str, Any]) -> str:
    """The inverse of `restart_policy`."""
    name, count = policy.get("Name") or "no", policy.get("MaximumRetryCount") or 0
    return f"{name}:{count}" if count else str(name)


def network_body(network: Network, own: Mapping[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "Name": network.name,
        "CheckDuplicate": True,  # engines before 25 would otherwise make a second one of the same name
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Options": dict(network.options),
        "Labels": {**network.labels, **own},
    }
    if network.driver:
        body["Driver"] = network.driver
    if network.ipam is not None:
        body["IPAM"] = dict(network.ipam)
    return body


def volumes_for(files: Iterable[str], host: Mapping[str, Any]) -> list[str]:
    """Directories that need an anonymous volume, for files to get into them and to be seen there.

    The engine puts no files into a read-only root, and a tmpfs mounted at the start hides what was put
    beneath it. A volume of the container's own is neither, and goes and is cloned with the container.
    """
    mounted = mount_points({"HostConfig": host})
    hidden = {str(m.get("Target")) for m in host.get("Mounts") or [] if m.get("Type") == "tmpfs"}
    hidden |= set(host.get("Tmpfs") or {})
    needed = set()
    for file in files:
        directory = PurePosixPath(file).parent
        above = [str(p) for p in (directory, *directory.parents)]
        nearest = next((p for p in above if p in mounted or p in hidden), None)
        if nearest in hidden or (nearest is None and host.get("ReadonlyRootfs")):
            needed.add(directory)
    return sorted(str(d) for d in needed if not needed & set(d.parents))


def mount_points(body: Mapping[str, Any]) -> set[str]:
    """Where a container of this body has volumes or bind mounts."""
    host = body.get("HostConfig") or {}
    points = {str(m.get("Target")) for m in host.get("Mounts") or [] if m.get("Type") != "tmpfs"}
    points |= {parts[1] for bind in host.get("Binds") or [] if len(parts := str(bind).split(":")) > 1}
    return points | set(body.get("Volumes") or {})


def _placed(
    body: dict[str, Any], host: dict[str, Any], networks: tuple[Attachment, ...], restart: str
) -> dict[str, Any]:
    """Restart policy and first network; engines before 25 take one network at creation."""
    host["RestartPolicy"] = restart_policy(restart)
    if networks:
        first = networks[0]
        host["NetworkMode"] = first.network
        body["NetworkingConfig"] = {"EndpointsConfig": {first.network: endpoint(first)}}
    body["HostConfig"] = host
    return body
