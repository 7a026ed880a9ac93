"""Digests of what runs: two equal ones mean that nothing would change.

SHA-256 over canonical JSON. Independent of the order of keys in the file and of where secrets and env files
were read from; a bind's host path is part of what runs, so it counts.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from bluegreen.model.codec import encode
from bluegreen.model.names import Kind
from bluegreen.model.project import File, Project, Service


def config_digest(service: Service) -> str:
    """Of one service's definition: all of it but the build, which its image's id stands for."""
    return _digest(_definition(service))


def release_digest(project: Project) -> str:
    """Of everything that a release carries: the slot services, the smoke checks and the drain deadline."""
    return _digest(
        {
            "services": {s.name: _definition(s) for s in project.services.values() if s.kind is not Kind.SHARED},
            "smoke": [encode(check) for check in project.smoke],
            "smoke_commands": [command.text for command in project.smoke_commands],
            "drain": project.drain,
        }
    )


def file_digest(file: File) -> str:
    return hashlib.sha256(file.content).hexdigest()


def _definition(service: Service) -> dict[str, Any]:
    return {
        "name": service.name,
        "kind": service.kind.value,
        "image": service.image,
        "body": encode(service.body),
        "files": {path: [file_digest(file), file.mode, file.uid, file.gid] for path, file in service.files.items()},
        "replicas": service.replicas,
        "depends_on": sorted((encode(d) for d in service.depends_on), key=_canonical),
        "routes": sorted(str(route) for route in service.routes),
        "port": service.port,
        "health": encode(service.health),
        "restart": service.restart,
        "stop_grace": service.stop_grace,
        "networks": sorted((encode(use) for use in service.networks), key=_canonical),
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(_canonical(value).encode()).hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
