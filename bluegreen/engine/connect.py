"""Finding the engine: the option, the environment, the docker contexts, the default socket."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bluegreen.engine.api import Address, Api
from bluegreen.engine.docker import DockerEngine
from bluegreen.engine.errors import cause_of
from bluegreen.model.errors import EngineUnreachable

DEFAULT = "unix:///var/run/docker.sock"


def connect(address: str | None, env: Mapping[str, str]) -> DockerEngine:
    """The engine that ``address``, else ``env`` and the docker configuration name; see `resolve`.

    Raises `EngineUnreachable` with the address tried, where it came from, and why nothing answered.
    """
    found = resolve(address, env)
    try:
        return DockerEngine(Api(found, env), env)
    except EngineUnreachable as error:
        if error.code not in ("engine.unreachable", "engine.timeout"):
            raise
        raise _unreachable(found, error) from error


def resolve(address: str | None, env: Mapping[str, str]) -> Address:
    """As the docker command does it: option, DOCKER_HOST, DOCKER_CONTEXT, current context, default socket.

    Reads only. Raises `EngineUnreachable` (code ``engine.bad-address`` or ``engine.no-context``).
    """
    if address:
        return _checked(address, "--engine", env)
    if env.get("DOCKER_HOST"):
        return _checked(env["DOCKER_HOST"], "DOCKER_HOST", env)
    directory = _config_directory(env)
    name = env.get("DOCKER_CONTEXT")
    origin = "DOCKER_CONTEXT"
    if not name:
        name = str(_json(directory / "config.json").get("currentContext") or "")
        origin = f"the current docker context in {directory / 'config.json'}"
    if name and name != "default":
        return _of_context(directory, name, origin)
    return _checked(DEFAULT, "the default socket", env)


def _checked(url: str, origin: str, env: Mapping[str, str]) -> Address:
    if url.startswith("/"):
        url = f"unix://{url}"
    parts = urlsplit(url)
    if parts.scheme not in ("unix", "tcp", "http", "https", "ssh") or not (parts.netloc or parts.path):
        raise EngineUnreachable(
            "engine.bad-address",
            f"{url!r} (from {origin}) is no engine address; expected unix://PATH, tcp://HOST:PORT or ssh://USER@HOST",
        )
    if parts.scheme in ("tcp", "https") and (env.get("DOCKER_TLS_VERIFY") or env.get("DOCKER_CERT_PATH")):
        directory = Path(env.get("DOCKER_CERT_PATH") or _config_directory(env))
        return Address(url, origin, _material(directory), verify=bool(env.get("DOCKER_TLS_VERIFY")))
    return Address(url, origin)


def _of_context(directory: Path, name: str, origin: str) -> Address:
    import hashlib

    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = _json(directory / "contexts" / "meta" / digest / "meta.json")
    endpoint = (meta.get("Endpoints") or {}).get("docker") or {}
    if not endpoint.get("Host"):
        raise EngineUnreachable(
            "engine.no-context",
            f"the docker context {name!r} (from {origin}) does not exist or names no engine",
            next=("docker context ls", "docker context use default"),
        )
    return Address(
        str(endpoint["Host"]),
        f"the docker context {name!r} ({origin})",
        _material(directory / "contexts" / "tls" / digest / "docker"),
        verify=not endpoint.get("SkipTLSVerify", False),
    )


def _material(directory: Path) -> dict[str, str]:
    return {kind: str(file) for kind in ("ca", "cert", "key") if (file := directory / f"{kind}.pem").is_file()}


def _config_directory(env: Mapping[str, str]) -> Path:
    if env.get("DOCKER_CONFIG"):
        return Path(env["DOCKER_CONFIG"])
    return Path(env.get("HOME") or Path.home()) / ".docker"


def _json(file: Path) -> dict[str, Any]:
    try:
        read = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}  # as the docker command: a broken configuration is no configuration
    return read if isinstance(read, dict) else {}


def _unreachable(address: Address, error: EngineUnreachable) -> EngineUnreachable:
    place = f"{address} (from {address.origin})"
    cause = cause_of(error.__cause__ or error)
    start = "open -a Docker" if sys.platform == "darwin" else "systemctl start docker"
    why = error.problem.message
    steps: tuple[str, ...] = ("bg doctor",)
    if address.scheme == "unix":
        if isinstance(cause, FileNotFoundError):
            why, steps = "there is no such socket, so no engine is running there", (start, "bg doctor")
        elif isinstance(cause, PermissionError):
            why = "permission denied: this user may not use the socket"
            steps = ("sudo usermod -aG docker $USER  # then log in again", "bg doctor")
        elif isinstance(cause, ConnectionRefusedError):
            why, steps = "the socket is there, but no engine listens on it", (start, "bg doctor")
    elif address.scheme == "ssh":
        why = f"the ssh connection, or the docker command on the other side, failed: {why}"
        steps = (f"ssh {address.host} docker version", "bg doctor")
    elif isinstance(cause, ConnectionRefusedError):
        why = "connection refused"
    return EngineUnreachable(
        error.code,
        f"no Docker engine answers at {place}: {why}",
        next=steps,
    )
