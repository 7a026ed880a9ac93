"""The resolved project as plain data, for `bg config`: what a deploy would carry out, with secrets masked."""

from __future__ import annotations

import re
from typing import Any

from bluegreen.compose.digest import config_digest, file_digest, release_digest
from bluegreen.model.codec import encode
from bluegreen.model.guard import GuardCheck
from bluegreen.model.project import Build, Force, Project, Service, SmokeCheck

MASK = "********"
_URL_PASSWORD = re.compile(r"(?<=://)([^:/?#\s@]*):([^\s@]+)@")


def to_data(project: Project, *, reveal: bool = False) -> dict[str, Any]:
    """Plain data that JSON and YAML can hold. Files appear by digest and size, never by content.

    Values of the environment, of build arguments and of smoke checks' headers, and passwords in URLs anywhere, are
    masked unless ``reveal``: no name says for sure what is a secret.
    """
    return {
        "name": project.name,
        "file": str(project.file),
        "digest": release_digest(project),
        "source": project.source,
        "keep": project.keep,
        "drain": project.drain,
        "proxy": encode(project.proxy) | {"force": _force(project.force, reveal)},
        "smoke": [
            *(_smoke(check, reveal) for check in project.smoke),
            *({"command": c.text if reveal else _without_passwords(c.written, reveal)} for c in project.smoke_commands),
        ],
        "prove": encode(project.prove),
        "guard": encode(project.guard) | {"checks": [_check(check, reveal) for check in project.guard_checks]},
        "services": {name: _service(service, reveal) for name, service in project.services.items()},
        "networks": {name: encode(network) for name, network in project.networks.items()},
        "volumes": {name: encode(volume) for name, volume in project.volumes.items()},
    }


def to_yaml(project: Project, *, reveal: bool = False) -> str:
    import yaml

    data = to_data(project, reveal=reveal)
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100, default_flow_style=False)
    return text


def _force(force: Force, reveal: bool) -> dict[str, str] | None:
    return None if not force.secret else {**encode(force), "secret": force.secret if reveal else MASK}


def _check(check: GuardCheck, reveal: bool) -> dict[str, Any]:
    data: dict[str, Any] = encode(check)
    return data if reveal else data | {key: MASK for key in ("command", "url") if data.get(key)}


def _smoke(check: SmokeCheck, reveal: bool) -> dict[str, Any]:
    data: dict[str, Any] = encode(check)
    return data if reveal else data | {"headers": dict.fromkeys(check.headers, MASK)}


def _service(service: Service, reveal: bool) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": service.kind.value, "digest": config_digest(service)}
    if service.image is not None:
        data["image"] = service.image
    if service.build is not None:
        data["build"] = _build(service.build, reveal)
    if service.routes:
        data["routes"] = [str(route) for route in service.routes]
        data["port"] = service.port
        data["health"] = encode(service.health)
    data |= {
        "replicas": service.replicas,
        "restart": service.restart,
        "stop_grace": service.stop_grace,
        "depends_on": {d.service: {"condition": d.condition, "required": d.required} for d in service.depends_on},
        "networks": {use.network: {"aliases": list(use.aliases)} for use in service.networks},
    }
    if service.files:
        data["files"] = {
            path: {
                "sha256": file_digest(file),
                "size": len(file.content),
                "mode": f"{file.mode:04o}",
                "uid": file.uid,
                "gid": file.gid,
            }
            for path, file in service.files.items()
        }
    container = _without_passwords(encode(service.body), reveal)
    if "Env" in container:
        pairs = (entry.partition("=") for entry in service.body["Env"])
        container["Env"] = [_masked(key, value, reveal) for key, _, value in pairs]
    data["container"] = container
    return data


def _build(build: Build, reveal: bool) -> dict[str, Any]:
    data: dict[str, Any] = {"context": str(build.context), "dockerfile": build.dockerfile}
    if build.args:
        data["args"] = [_masked(key, value, reveal) for key, value in build.args]
    for key in ("dockerfile_inline", "target", "network", "shm_size"):
        if (value := getattr(build, key)) is not None:
            data[key] = value
    if build.labels:
        data["labels"] = dict(build.labels)
    if build.extra_hosts:
        data["extra_hosts"] = list(build.extra_hosts)
    return data | {key: True for key in ("pull", "no_cache") if getattr(build, key)}


def _masked(name: str, value: str, reveal: bool) -> str:
    return f"{name}={value if reveal or not value else MASK}"


def _without_passwords(data: Any, reveal: bool) -> Any:
    """The same data with the passwords in its URLs masked."""
    if reveal:
        return data
    if isinstance(data, str):
        return _URL_PASSWORD.sub(rf"\1:{MASK}@", data)
    if isinstance(data, dict):
        return {key: _without_passwords(value, reveal) for key, value in data.items()}
    if isinstance(data, list):
        return [_without_passwords(value, reveal) for value in data]
    return data
