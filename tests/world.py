"""A world in memory: an engine, a proxy with the real agent in it, and a project to deploy.

What the commands do here they do through the same code as on a real engine, up to the two adapters at the edge.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from bluegreen.app.deploy import DeployRequest, DeployResult, deploy
from bluegreen.app.site import Site
from bluegreen.app.status import Trouble, report
from bluegreen.engine.behaviour import Behaviour
from bluegreen.engine.memory import MemoryEngine
from bluegreen.engine.protocol import Stream
from bluegreen.execution.executor import Checkpoint
from bluegreen.model.containers import Container
from bluegreen.model.events import Event
from bluegreen.model.names import Kind, Slot, kept_image, log_volume, proxy_container, slot_network, state_volume
from bluegreen.model.observed import Observed, manifest
from bluegreen.model.project import HealthCheck, Network, NetworkUse, Project, Route, Service, Volume
from bluegreen.planning.steps import Step
from bluegreen.probes.public import Look
from bluegreen.proxy.assets import image_tag
from bluegreen.proxy.memory import TOKEN, MemoryNginx, agent_stream
from tests.strikes import Killed, Strike, StruckStream

MEMORY = Path("/dev/shm")  # noqa: S108 - the matrix makes thousands of these worlds
"""Where the volume lies, where there is such a place."""


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

    def check(self) -> None:
        if self.dead:
            raise Killed


def _call(method: str, args: tuple[Any, ...]) -> str:
    """A call of the engine in words, such as "stop shop-proxy"."""
    what = [str(getattr(arg, "name", arg)) for arg in args if isinstance(arg, str) or hasattr(arg, "name")]
    return " ".join([method, *what])


def _copy(source: str, target: str) -> str:
    """Generations and markers never change once they have their place; what is appended to is copied."""
    if "/generations/" in source or "/markers/" in source:
        os.link(source, target)
        return target
    return str(shutil.copy2(source, target))


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
        self.engine.before_call = self._before
        self.engine.after_call = self._after
        self.strike = Strike()
        self._proxy: str | None = None  # since when it runs

    def close(self) -> None:
        self.directory.cleanup()

    def move_volume(self) -> None:
        """Go on with a copy of the volume: for a forked process, which has its own engine already."""
        copy = Path(tempfile.mkdtemp(dir=self.directory.name)) / "volume"
        shutil.copytree(self.volume, copy, symlinks=True, copy_function=_copy)
        self.volume = copy
        self.nginx.root = copy

    def _agent(self, _container: Container) -> Stream:
        return StruckStream(agent_stream(self.volume, self.nginx), self.strike, self.kill.check)

    def struck(self, strike: Strike, act: Callable[[], object]) -> object:
        """Let a process do something that is struck meanwhile. What comes after it is another process's."""
        self.strike = strike
        try:
            return act()
        finally:
            self.strike = Strike()

    def _before(self, method: str, args: tuple[Any, ...]) -> None:
        self.strike.before(_call(method, args))

    def _after(self, method: str, args: tuple[Any, ...]) -> None:
        self._follow(method)
        self.strike.after(_call(method, args))

    def _follow(self, method: str) -> None:
        """nginx runs while the proxy's container does; the volume's content goes with the volume."""
        if method in ("start", "stop", "remove", "rename"):
            found = [c for c in self.engine.containers(self.name) if c.role == "proxy" and c.running]
            since = self.engine.container(found[0].id).started_at if found else None
            if since != self._proxy:
                self._proxy = since
                self.nginx.restart() if since else self.nginx.stop()
            there = {ip for c in self.engine.containers(self.name) for ip in c.addresses.values()}
            self.nginx.held = {ip: count for ip, count in self.nginx.held.items() if ip in there}
        elif method == "remove_volume" and state_volume(self.name) not in self.engine.volumes():
            shutil.rmtree(self.volume)
            self.volume.mkdir()

    def _fetch(self, *args: Any, **kwargs: Any) -> Any:
        return self.engine.fetch(*args, **kwargs)

    @classmethod
    @contextmanager
    def with_candidate(cls, *, settled: bool = False) -> Iterator[World]:
        """v2 is live in green; v3 is the candidate in blue, where v1 had stood by. ``settled``: v2 has been live for
        longer than it is guarded."""
        made = cls()
        try:
            for tag in ("v1", "v2"):
                made.deploy(tag)
            if settled:
                made.nginx.clock.pause(1000)
            made.deploy("v3", stage=True)
            yield made
        finally:
            made.close()

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
            look=self._look,
        )

    def _look(self, url: str, token: str | None = None) -> Look:
        slot, status, _ = self.nginx.serve("/")
        return Look(url, status, 1.0, slot=slot if token == TOKEN else None)

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
                # A cache that nobody names: gone with its container.
                {"Env": [f"TAG={tag}"], "HostConfig": {"Mounts": [{"Type": "volume", "Target": "/cache"}]}},
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
        """The tag whose containers answer the public listener, by what they are, not by what is said of them; with the
        share of a candidate, as "v1, 10 % v2"."""
        if not self.nginx.running:
            return None
        live, share = self._answering(99), self.shared()
        return f"{live}, {share} % {self._answering(0)}" if share else live

    def shared(self) -> int:
        """The percentage of visitors that are not where the last of them are, by who answers."""
        last = self.nginx.serve("/api/health", bucket=99)[0]
        return bisect_left(range(100), True, key=lambda b: self.nginx.serve("/api/health", bucket=b)[0] == last)

    def _answering(self, bucket: int) -> str | None:
        slot, status, _ = self.nginx.serve("/api/health", bucket=bucket)
        stack = [c for c in self.engine.containers(self.name) if c.slot is slot]
        if slot is None or (status != 200 and not (stack and all(c.running for c in stack))):
            return None
        assert status == 200, f"the public listener answers {status}"
        return next((m.tag for c in stack if (m := manifest(c))), None)

    def check(self) -> Observed:
        """The invariants of DESIGN section 2 that can be seen from outside; answers what was seen."""
        observed = self.observed()
        live = observed.live_release
        if live is not None:
            assert observed.live is not None
            assert observed.runs_whole(live, observed.live), "live lacks containers"
            candidate = f", {observed.share} % {observed.tried.release}" if observed.share and observed.tried else ""
            assert self.serving() == f"{live}{candidate}", "status says one thing, traffic another"
            assert not candidate or observed.candidate is not None, "a candidate with visitors has no containers"
        running = {c.slot for c in observed.containers if c.service == "worker" and c.running}
        assert len(running) <= 1, f"a worker runs in {running}"
        troubles = self._troubles(observed)
        unfinished = observed.history.unfinished is not None and observed.proxy.lease is None
        assert ("operation.unfinished" in {t.code for t in troubles}) is unfinished, troubles
        return observed

    def _troubles(self, observed: Observed) -> tuple[Trouble, ...]:
        return report(observed, self.engine.public).troubles

    def check_clean(self) -> Observed:
        """Nothing is unfinished, nobody holds the lease, what is not live is either whole or not there, status finds
        nothing wrong, and everything on the engine is accounted for."""
        observed = self.check()
        assert observed.history.unfinished is None, observed.history.unfinished
        assert observed.proxy.lease is None, observed.proxy.lease
        live = observed.live_release
        if live is not None:
            workers = [c for c in observed.stack(observed.live) if c.service == "worker"]  # type: ignore[arg-type]
            assert all(c.running for c in workers), "the live slot's worker does not run"
        idle = observed.stack(observed.idle)
        if idle:
            assert observed.standby is not None or observed.candidate is not None, [c.name for c in idle]
        troubles = self._troubles(observed)
        assert not troubles, troubles
        self.check_accounted()
        return observed

    def check_accounted(self) -> None:
        """Whatever is on the engine is there for something."""
        containers = self.engine.containers(self.name)
        strange = [c.name for c in containers if not (c.slot or c.kept or c.shared)]
        assert set(strange) <= {proxy_container(self.name)}, f"unaccounted: {strange}"
        numbers = {c.release for c in containers if c.release}
        wanted = {kept_image(self.name, service, n) for n in numbers for service in ("api", "web", "cache", "worker")}
        prefix = f"bluegreen/{self.name}/"
        tags = {t for image in self.engine.images(prefix) for t in image.tags if t.startswith(prefix)}
        assert tags <= wanted, f"unaccounted: {sorted(tags - wanted)}"
        networks = {n.name for n in self.engine.networks()}
        networks -= {f"{self.name}_default", *(slot_network(self.name, slot) for slot in Slot)}
        assert not networks, f"unaccounted: {networks}"
        mounted = {m for c in containers for m in self.engine.container(c.id).mounts}
        named = {f"{self.name}_data", state_volume(self.name), log_volume(self.name)}
        volumes = set(self.engine.volumes()) - named - mounted
        assert not volumes, f"unaccounted: {volumes}"

    def check_gone(self, *, volumes: bool = False) -> None:
        """Nothing of the project is left; the file's own volumes are unless ``volumes``."""
        left = self.engine.state()
        kept = [] if volumes else [f"{self.name}_data"]
        assert not left["containers"], left["containers"]
        assert not left["networks"], left["networks"]
        assert left["volumes"] in ([], kept), left["volumes"]
        assert not self.engine.images(f"bluegreen/{self.name}/")
