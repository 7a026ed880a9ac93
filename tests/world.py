"""A world in memory: an engine, a proxy with the real agent in it, and a project to deploy.

What the commands do here they do through the same code as on a real engine, up to the two adapters at the edge.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from bluegreen.app.deploy import DeployRequest, DeployResult, deploy
from bluegreen.app.site import Site
from bluegreen.engine.behaviour import Behaviour
from bluegreen.engine.memory import MemoryEngine
from bluegreen.engine.protocol import Stream
from bluegreen.execution.executor import Checkpoint
from bluegreen.model.containers import Container
from bluegreen.model.events import Event
from bluegreen.model.names import Kind, Slot, proxy_container
from bluegreen.model.observed import Observed, manifest
from bluegreen.model.project import HealthCheck, Network, NetworkUse, Project, Route, Service, Volume
from bluegreen.planning.steps import Step
from bluegreen.probes.public import Look
from bluegreen.proxy.assets import image_tag
from bluegreen.proxy.memory import MemoryNginx, agent_stream

MEMORY = Path("/dev/shm")  # noqa: S108 - the matrix makes thousands of these worlds
"""Where the volume lies, where there is such a place."""


class Killed(BaseException):
    """The process was killed with SIGKILL here: nothing of it runs any more."""


@dataclass(slots=True)
class Kill:
    """Kill the process at the ``at``-th checkpoint (0..), just before or after the effect; None: never."""

    at: int | None = None
    seen: int = 0
    passed: list[str] = field(default_factory=list)
    dead: bool = False

    def __call__(self, when: Literal["before", "after"], step: Step) -> None:
        self.passed.append(f"{when} {step.verb} {step.subject}")
        if self.dead:
            raise Killed
        if self.at is not None and self.seen == self.at:
            self.dead = True
            raise Killed
        self.seen += 1


def _copy(source: str, target: str) -> str:
    """Generations and markers never change once they have their place; what is appended to is copied."""
    if "/generations/" in source or "/markers/" in source:
        os.link(source, target)
        return target
    return str(shutil.copy2(source, target))


class DyingStream:
    """A stream that is cut when its process dies: the agent sees the end of its input, the process nothing."""

    def __init__(self, inner: Stream, kill: Kill) -> None:
        self._inner = inner
        self._kill = kill

    def send(self, line: bytes) -> None:
        self._check()
        self._inner.send(line)

    def receive(self, timeout: float | None = None) -> bytes:
        self._check()
        return self._inner.receive(timeout)

    def errors(self) -> str:
        return self._inner.errors()

    def close(self) -> None:
        self._inner.close()

    def _check(self) -> None:
        if self._kill.dead:
            raise Killed


class Clock:
    """Time that passes when somebody waits, and a little with every look."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


class World:
    """One engine with one project, ``shop``: two backends, a page, a worker, an internal cache, a shared store."""

    def __init__(self, *, name: str = "shop", workers: bool = True) -> None:
        self.name = name
        self.workers = workers
        self.engine = MemoryEngine()
        self.directory = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.volume = Path(self.directory.name) / "volume"
        self.volume.mkdir()
        self.nginx = MemoryNginx(self.volume, self._fetch)
        self.kill = Kill()
        self.events: list[Event] = []
        self.clock = Clock()
        self.engine.add_image(image_tag())
        self.engine.add_image("store:1")
        self.engine.on_exec(lambda c, _argv: c.name == proxy_container(name), self._agent)

    def close(self) -> None:
        self.directory.cleanup()

    def move_volume(self) -> None:
        """Go on with a copy of the volume: for a forked process, which has its own engine already."""
        copy = Path(tempfile.mkdtemp(dir=self.directory.name)) / "volume"
        shutil.copytree(self.volume, copy, symlinks=True, copy_function=_copy)
        self.volume = copy
        self.nginx.root = copy

    def _agent(self, _container: Container) -> Stream:
        return DyingStream(agent_stream(self.volume, self.nginx), self.kill)

    def _fetch(self, *args: Any, **kwargs: Any) -> Any:
        return self.engine.fetch(*args, **kwargs)

    def site(self, kill: Checkpoint | None = None) -> Site:
        """A new process: alive, with its own place to die."""
        checkpoint = kill or Kill()
        if isinstance(checkpoint, Kill):
            self.kill = checkpoint
        self.events = []
        return Site(
            self.name,
            self.engine,
            emit=self.events.append,
            by="test@here",
            env={},
            checkpoint=checkpoint,
            pause=self.clock.pause,
            clock=self.clock,
            look=lambda url: Look(url, self.nginx.serve("/")[1], 1.0),
        )

    def image(self, tag: str, service: str = "api", behaviour: Behaviour | None = None) -> None:
        self.engine.add_image(f"{service}:{tag}", behaviour)

    def project(self, tag: str | None, **changes: Any) -> Project:
        """The project as its file has it for a tag."""
        tag = tag or "none"
        for service in ("api", "web"):
            if self.engine.image(f"{service}:{tag}") is None:
                self.engine.add_image(f"{service}:{tag}")
        default = (NetworkUse(f"{self.name}_default"),)
        health = HealthCheck(path="/health", rise=2, interval=0.1, deadline=5)
        services = [
            Service(
                "api",
                Kind.ROUTED,
                f"api:{tag}",
                None,
                {"Env": [f"TAG={tag}"]},
                replicas=2,
                routes=(Route("/api/"),),
                port=8000,
                health=health,
                networks=default,
            ),
            Service(
                "web",
                Kind.ROUTED,
                f"web:{tag}",
                None,
                {},
                routes=(Route("/"),),
                port=80,
                health=replace(health, path="/"),
                networks=default,
            ),
            Service("cache", Kind.INTERNAL, "store:1", None, {}, networks=default),
            Service("store", Kind.SHARED, "store:1", None, {}, networks=default),
        ]
        if self.workers:
            services.append(Service("worker", Kind.WORKER, f"api:{tag}", None, {}, networks=default))
        return Project(
            name=self.name,
            file=Path("compose.yaml"),
            directory=Path(self.directory.name),
            services={s.name: s for s in services},
            networks={f"{self.name}_default": Network(f"{self.name}_default")},
            volumes={f"{self.name}_data": Volume(f"{self.name}_data")},
            source="tree",
            keep=3,
            drain=0.0,
            **changes,
        )

    def deploy(
        self, tag: str, kill: Checkpoint | None = None, *, stage: bool = False, force: bool = False, **changes: Any
    ) -> DeployResult:
        request = DeployRequest(load=partial(self.project, **changes), tag=tag, stage=stage, force=force)
        return deploy(self.site(kill), request)

    # -- what must always hold -----------------------------------------------------------------------------
    def observed(self) -> Observed:
        site = self.site()
        proxy = next((c for c in self.engine.containers(self.name) if c.role == "proxy"), None)
        if proxy is None or not proxy.running:  # killed before the ground was laid
            return Observed(self.name, tuple(self.engine.containers(self.name)))
        with site.session() as session:
            return site.observe(session, history=True)

    def serving(self) -> str | None:
        """The tag whose containers answer the public listener, by what they are, not by what is said of them."""
        slot, status, _ = self.nginx.serve("/api/health")
        if slot is None:
            return None
        assert status == 200, f"the public listener answers {status}"
        return next(
            (m.tag for c in self.engine.containers(self.name) if c.slot is Slot(slot) and (m := manifest(c))), None
        )

    def check(self) -> None:
        """The invariants of DESIGN section 2 that can be seen from outside."""
        observed = self.observed()
        live = observed.live_release
        if live is not None:
            assert observed.live is not None
            assert observed.runs_whole(live, observed.live), "live lacks containers"
            assert self.serving() == live.tag, "status says one thing, traffic another"
        running = {c.slot for c in observed.containers if c.service == "worker" and c.running}
        assert len(running) <= 1, f"a worker runs in {running}"
        assert all(c.slot or c.kept or c.shared or c.role == "proxy" for c in observed.containers), (
            f"unaccounted: {[c.name for c in observed.containers if not (c.slot or c.kept or c.shared)]}"
        )

    def check_clean(self) -> None:
        """Nothing is unfinished, nobody holds the lease, and what is not live is either whole or not there."""
        self.check()
        observed = self.observed()
        assert observed.history.unfinished is None, observed.history.unfinished
        assert observed.proxy.lease is None, observed.proxy.lease
        live = observed.live_release
        if live is not None:
            workers = [c for c in observed.stack(observed.live) if c.service == "worker"]  # type: ignore[arg-type]
            assert all(c.running for c in workers), "the live slot's worker does not run"
        idle = observed.stack(observed.idle)
        if idle:
            assert observed.standby is not None or observed.candidate is not None, [c.name for c in idle]
