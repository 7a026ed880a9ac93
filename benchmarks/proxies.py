"""Proxies to compare: each running before the same two containers, with a way to switch between them."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.containers import address, container, docker, said
from benchmarks.errors import BenchmarkFailed
from benchmarks.processes import Timing, timed
from benchmarks.project import Project, quiet_environment

CONFIGURATIONS = Path(__file__).parent / "peers"
BINARIES = Path(__file__).parent.parent / ".state" / "peers"
SLOTS = ("blue", "green")
START_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Behind:
    """What is behind every one of them. ``names`` are what the containers answer, by slot as the addresses."""

    project: Project
    addresses: Mapping[str, str]
    names: Mapping[str, str]

    @property
    def networks(self) -> tuple[str, ...]:
        return tuple(self.project.network(slot) for slot in SLOTS)


class Proxy:
    """``slot`` has the traffic."""

    def __init__(self, name: str, version: str, container: str, url: str, slot: str) -> None:
        self.name = name
        self.version = version
        self.container = container
        self.url = url
        self.slot = slot

    def back(self) -> Timing:
        """A rollback: one whole process, which ends once the proxy has answered from the other container."""
        raise NotImplementedError

    def forward(self) -> Timing:
        """The way forward again, for the next rollback."""
        return self.back()


class Bluegreen(Proxy):
    def __init__(self, behind: Behind, version: str) -> None:
        here = behind.project
        container = f"{here.name}-proxy"
        url = f"http://{address(container, here.network(here.live))}:8080/"
        super().__init__("bluegreen", version, container, url, here.live)
        self._project = here
        self._newest = here.last_tag

    def back(self) -> Timing:
        return self._moved(self._project.bg("rollback"))

    def forward(self) -> Timing:
        return self._moved(self._project.bg("switch", self._newest))

    def _moved(self, timing: Timing) -> Timing:
        self.slot = _other(self.slot)
        return timing


class Peer(Proxy):
    """Another proxy, and the script in ``peers/`` that switches it."""

    def __init__(self, name: str, version: str, container: str, url: str, behind: Behind, control: Path) -> None:
        super().__init__(name, version, container, url, SLOTS[0])
        self._behind = behind
        self._control = control

    def back(self) -> Timing:
        self.slot = _other(self.slot)
        env = {
            **quiet_environment(),
            "CONTROL": str(self._control),
            "PEERS": str(BINARIES),
            "TARGET": self.slot,
            "ADDRESS": self._behind.addresses[self.slot],
            "EXPECTED": self._behind.names[self.slot],
            "URL": self.url,
        }
        return timed([str(CONFIGURATIONS / f"switch-{self.name.lower()}")], env)


def behind(here: Project) -> Behind:
    addresses = {slot: f"{address(f'{here.name}-{slot}-web-1', here.network(slot))}:8000" for slot in SLOTS}
    names = {slot: docker("exec", f"{here.name}-{slot}-web-1", "hostname") for slot in SLOTS}
    return Behind(here, addresses, names)


@contextlib.contextmanager
def proxies(behind: Behind, image: str, version: str) -> Iterator[list[Proxy]]:
    """All of them, running. Raises `BenchmarkFailed` where one is not there."""
    for name in ("haproxy/run", "bin/caddy", "bin/traefik"):
        if not (BINARIES / name).exists():
            raise BenchmarkFailed("the other proxies are not here; scripts/bench-tools peers gets them")
    with contextlib.ExitStack() as running:
        found: list[Proxy] = [Bluegreen(behind, version)]
        for name, start in STARTS.items():
            found.append(running.enter_context(_peer(behind, image, name, start)))
        yield found


@contextlib.contextmanager
def _peer(behind: Behind, image: str, name: str, command: Sequence[str]) -> Iterator[Peer]:
    control = Path(tempfile.mkdtemp(prefix="bgbench-"))
    try:
        _configure(behind, control)
        with container(
            f"{behind.project.name}-{name.lower()}",
            image,
            ("sh", "-c", f"umask 0; exec {' '.join(command)}"),
            behind.networks,
            env={"GOMAXPROCS": "2", "XDG_DATA_HOME": "/tmp", "XDG_CONFIG_HOME": "/tmp"},  # noqa: S108 - the container's
            mounts={control: "/control", BINARIES: "/peers"},
        ) as ip:
            peer = Peer(
                name,
                _version(behind, name),
                f"{behind.project.name}-{name.lower()}",
                f"http://{ip}:8080/",
                behind,
                control,
            )
            _await(peer, behind.names[peer.slot])
            yield peer
    finally:
        shutil.rmtree(control, ignore_errors=True)


def _configure(behind: Behind, control: Path) -> None:
    """All configurations, whichever is used: with the first slot live."""
    live = behind.addresses[SLOTS[0]]
    for name in ("haproxy.cfg", "Caddyfile", "traefik.yaml"):
        text = (CONFIGURATIONS / name).read_text()
        for slot in SLOTS:
            text = text.replace(f"ADDRESS_{slot.upper()}", behind.addresses[slot])
        (control / name).write_text(text)
    (control / "live.map").write_text(f"live {SLOTS[0]}\n")
    (control / "live.caddy").write_text(f"reverse_proxy {live}\n")
    (control / "live").mkdir()
    (control / "live" / "live.yaml").write_text(
        'http:\n  routers: {app: {rule: "PathPrefix(`/`)", service: live}}\n'
        f'  services: {{live: {{loadBalancer: {{servers: [{{url: "http://{live}"}}]}}}}}}\n'
    )


def _version(behind: Behind, name: str) -> str:
    said = docker("exec", f"{behind.project.name}-{name.lower()}", *VERSIONS[name])
    found = re.search(r"\d+\.\d+\.\d+", said)
    return found.group() if found else said.splitlines()[0]


def _await(peer: Peer, name: str) -> None:
    """Until it answers with that name."""
    answered = ""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        curl = subprocess.run(["curl", "-sS", "--max-time", "2", peer.url], capture_output=True, text=True, check=False)
        answered = curl.stdout.strip() or curl.stderr.strip()
        if answered == name:
            return
        time.sleep(0.05)
    raise BenchmarkFailed(f"{peer.name} answers {answered!r} where {name} was expected:\n{said(peer.container)}")


def _other(slot: str) -> str:
    return SLOTS[1 - SLOTS.index(slot)]


STARTS: Mapping[str, Sequence[str]] = {
    "HAProxy": ("/peers/haproxy/run", "-db", "-f", "/control/haproxy.cfg", ">/logs/access.log"),
    "Caddy": ("/peers/bin/caddy", "run", "--config", "/control/Caddyfile", "--adapter", "caddyfile"),
    "Traefik": ("/peers/bin/traefik", "--configfile=/control/traefik.yaml"),
}
VERSIONS: Mapping[str, Sequence[str]] = {
    "HAProxy": ("/peers/haproxy/run", "-v"),
    "Caddy": ("/peers/bin/caddy", "version"),
    "Traefik": ("/peers/bin/traefik", "version"),
}
