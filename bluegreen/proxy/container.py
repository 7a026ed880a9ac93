"""The proxy's container: what it may do, and what it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bluegreen import __version__
from bluegreen.model import labels
from bluegreen.model.containers import Attachment, ContainerSpec
from bluegreen.model.names import Slot, log_volume, proxy_container, slot_network, state_volume
from bluegreen.model.project import ProxySettings
from bluegreen.proxy.listen import listen_port

PUBLIC, PREVIEW = 8080, 8081
"""Ports inside of the container."""

USER = 10101
"""As the Dockerfile creates it: the volumes and /run are this user's."""

STOP_GRACE = 10
"""Seconds for running requests when the proxy itself is stopped."""


def proxy_spec(project: str, settings: ProxySettings, image: str, addresses: Mapping[Slot, str]) -> ContainerSpec:
    """``image`` is its id; ``addresses`` are the proxy's own in the slot networks."""
    return ContainerSpec(
        name=proxy_container(project),
        image=image,
        body=_body(project, settings),
        labels={
            labels.PROJECT: project,
            labels.ROLE: "proxy",
            labels.IMAGE: image,
            labels.VERSION: __version__,
        },
        networks=tuple(Attachment(slot_network(project, slot), addresses[slot]) for slot in Slot if slot in addresses),
        restart="unless-stopped",
    )


def _body(project: str, settings: ProxySettings) -> dict[str, Any]:
    return {
        "ExposedPorts": {f"{PUBLIC}/tcp": {}, f"{PREVIEW}/tcp": {}},
        "StopTimeout": STOP_GRACE,
        "HostConfig": {
            "PortBindings": {
                f"{PUBLIC}/tcp": [_binding(settings.listen)],
                f"{PREVIEW}/tcp": [_binding(settings.preview)],
            },
            "Mounts": [
                {"Type": "volume", "Source": state_volume(project), "Target": "/bg"},
                {"Type": "volume", "Source": log_volume(project), "Target": "/var/log/bluegreen"},
            ],
            "ReadonlyRootfs": True,
            "Tmpfs": {"/run": f"rw,nosuid,nodev,noexec,size=64m,mode=0700,uid={USER},gid={USER}"},
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        },
    }


def _binding(listen: str) -> dict[str, str]:
    """For ``[ADDRESS:]PORT``; port 0 lets the engine choose."""
    address, port = listen_port(listen)
    return {"HostIp": address.strip("[]"), "HostPort": str(port) if port else ""}
