"""What `doctor` looks at on the engine and its machine: plugins, disk, memory, the public port, base images."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from bluegreen.app.doctor import Finding
from bluegreen.app.ground import refuse_compose
from bluegreen.engine.ports import listener
from bluegreen.engine.protocol import Engine
from bluegreen.model.containers import EngineInfo
from bluegreen.model.names import Kind, proxy_container
from bluegreen.model.project import Project, Service
from bluegreen.proxy.assets import image_context, image_tag
from bluegreen.proxy.listen import listen_port

DISK_FAIL = 1 << 30
DISK_WARN = 5 << 30
PROXY_MEMORY = 64 << 20
BOTH_SLOTS = (Kind.ROUTED, Kind.INTERNAL)
PLUGIN_SECONDS = 10


def plugins(env: Mapping[str, str], project: Project | None) -> Iterator[Finding]:
    """The docker command's plugins on this machine. Only buildx is of use, and only for some Dockerfiles."""
    builds = project is None or any(s.build for s in project.services.values())
    version = _plugin(env, "buildx")
    if version is not None:
        yield Finding("buildx", "ok", version)
    elif not builds:
        yield Finding("buildx", "ok", "not here, and nothing of this project is built")
    else:
        yield Finding(
            "buildx",
            "warn",
            "docker buildx is not here: images are built by the engine's classic builder, which can't do RUN --mount "
            "and here-documents",
            next=("apt-get install docker-buildx    (docker-buildx-plugin from Docker's own packages)",),
        )
    compose = _plugin(env, "compose")
    yield Finding("compose", "ok", compose or "docker compose is not here, and bluegreen does not need it")


def disk(info: EngineInfo) -> Iterator[Finding]:
    root = Path(info.root or "/")
    if not info.local:
        yield Finding("disk", "ok", f"the engine is on another machine, whose {root} can't be looked at from here")
        return
    while not root.is_dir() and root != root.parent:
        root = root.parent
    usage = shutil.disk_usage(root)
    text = f"{size(usage.free)} free of {size(usage.total)} where the engine keeps images ({info.root})"
    remedy = ("docker system df    what takes the room", "docker builder prune", "bg prune")
    if usage.free < DISK_FAIL:
        yield Finding("disk", "fail", text, next=remedy, code="doctor.disk")
    elif usage.free < DISK_WARN:
        yield Finding("disk", "warn", text, next=remedy)
    else:
        yield Finding("disk", "ok", text)


def memory(engine: Engine, project: Project) -> Iterator[Finding]:
    """What both slots need at once, by the limits in the file, against what the machine has."""
    info = engine.info()
    limited = [s for s in project.services.values() if _limit(s)]
    unlimited = [s.name for s in project.services.values() if not _limit(s) and s.kind is not Kind.JOB]
    slot = sum(_limit(s) * s.replicas for s in limited if s.kind in BOTH_SLOTS)
    once = sum(_limit(s) * s.replicas for s in limited if s.kind not in BOTH_SLOTS)
    needed = 2 * slot + once + PROXY_MEMORY
    more = f"; not counted, because the file sets no limit: {', '.join(unlimited)}" if unlimited else ""
    text = f"two slots take up to {size(needed)} by their limits, the machine has {size(info.memory)}{more}"
    if info.memory and needed > info.memory:
        yield Finding(
            "memory",
            "fail" if not unlimited or slot else "warn",
            text,
            next=("lower mem_limit or deploy.replicas in the file, or use a bigger machine",),
            code="doctor.memory",
        )
        return
    free = _available() if info.local else None
    running = any(c.slot is not None and c.running for c in engine.containers(project.name))
    to_come = slot if running else needed
    if free is not None and to_come > free:
        what = "the next release" if running else "the first release and its standby"
        yield Finding(
            "memory",
            "warn",
            f"{what} may take {size(to_come)}, and {size(free)} are free now{more}",
            next=("docker stats --no-stream    who takes it",),
        )
        return
    yield Finding("memory", "ok", text + (f", {size(free)} free now" if free is not None else ""))


def under_compose(engine: Engine, project: Project) -> Iterator[Finding]:
    """Whether the same project runs under Compose. Raises `Refused`, as a deploy would."""
    refuse_compose(engine, project)
    yield Finding("under compose", "ok", f"nothing of {project.name} runs under Docker Compose")


def port(engine: Engine, project: Project) -> Iterator[Finding]:
    """Who holds the public port."""
    address, number = listen_port(project.proxy.listen)
    if number == 0:
        yield Finding("port", "ok", "the engine chooses the public port")
        return
    other = number + 8000 if number < 8000 else number + 1
    change = f'listen elsewhere: x-bluegreen: {{proxy: {{listen: "{other}"}}}} in the file'
    holder = engine.port_holder(number)
    if holder is not None and holder.name == proxy_container(project.name):
        yield Finding("port", "ok", f"{number} is held by {holder.name}, as it should be")
        return
    if holder is not None:
        owner = f" of the project {holder.project}" if holder.project else ""
        yield Finding(
            "port",
            "fail",
            f"{number} is held by the container {holder.name}{owner}",
            next=(f"docker stop {holder.name}", change),
            code="doctor.port",
        )
        return
    if not engine.info().local:
        yield Finding("port", "ok", f"no container holds {number}")
        return
    process = listener(number)
    if process is not None:
        yield Finding(
            "port",
            "fail",
            f"{number} is held by the process {process.name} ({process.pid}) on this machine",
            next=(f"kill {process.pid}    if it need not run", change),
            code="doctor.port",
        )
    elif _answers(address or "127.0.0.1", number):
        yield Finding(
            "port",
            "fail",
            f"something on this machine listens on {number} already",
            next=(f"sudo ss -ltnp 'sport = :{number}'    who it is", change),
            code="doctor.port",
        )
    else:
        yield Finding("port", "ok", f"{number} is free")


def base_images(engine: Engine, env: Mapping[str, str]) -> Iterator[Finding]:
    """What the proxy's image is made from, unless it is there already."""
    tag = image_tag()
    if engine.image(tag) is not None:
        yield Finding("proxy image", "ok", f"{tag} is on the engine")
        return
    with image_context() as context:
        defaults = dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)", (context / "Dockerfile").read_text(), re.MULTILINE))
    for name, default in sorted(defaults.items()):
        ref = env.get(name) or default
        if engine.image(ref) is not None:
            yield Finding("proxy image", "ok", f"its base {ref} is on the engine")
        else:
            yield Finding(
                "proxy image",
                "warn",
                f"its base {ref} is not on the engine, and will be pulled by the first deploy",
                where=f"{name} in the environment" if env.get(name) else None,
                next=(f"docker pull {ref}    tries it now", f"export {name}=...    another image"),
            )


def size(number: float) -> str:
    for unit in ("B", "kB", "MB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} GB"


def _limit(service: Service) -> int:
    """Bytes; 0: none."""
    return int(service.body.get("HostConfig", {}).get("Memory") or 0)


def _available() -> int | None:
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _answers(address: str, number: int) -> bool:
    host = "127.0.0.1" if address in ("0.0.0.0", "::") else address.strip("[]")  # noqa: S104 - read, not bound
    try:
        with socket.create_connection((host, number), timeout=1):
            return True
    except OSError:
        return False


def _plugin(env: Mapping[str, str], name: str) -> str | None:
    """The plugin's version line; None where the docker command or the plugin isn't here."""
    docker = shutil.which("docker", path=env.get("PATH", os.defpath))
    if docker is None:
        return None
    try:
        done = subprocess.run(
            [docker, name, "version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PLUGIN_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else None
