"""A world in memory whose every effect is watched: who answers, what is touched, what the journal says first."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from bluegreen.agent.jsonl import loads
from bluegreen.app.site import Site
from bluegreen.engine.behaviour import Answer, Behaviour
from bluegreen.engine.protocol import Stream
from bluegreen.execution.executor import Checkpoint
from bluegreen.model import labels
from bluegreen.model.containers import Container
from bluegreen.model.errors import NotFound
from bluegreen.model.names import Kind, Slot, proxy_container, state_volume
from bluegreen.model.observed import Observed
from bluegreen.model.project import Project, Service, SmokeCheck
from bluegreen.proxy.memory import AgentStream, agent_stream
from bluegreen.proxy.session import ProxySession
from tests.walk.doom import AgentKilled, Doom
from tests.walk.journal import JournalWatch
from tests.world import World

PATHS = {"/": "web", "/api/x": "api"}
BUCKETS = (0, 99)
"""The first place, which a candidate's visitors have, and the last, which is live's whatever its share."""
INTENT_OF = ("create", "clone", "start", "stop", "remove", "rename", "set_restart", "tag", "remove_image")
"""Calls that change something an operation journals first."""


@dataclass(frozen=True, slots=True)
class Served:
    """What visitors get. ``releases`` are those that answered: more than one is what must never be.

    ``tried`` is what those get who are on a candidate.
    """

    up: bool
    slots: frozenset[Slot | None] = frozenset()
    releases: frozenset[int] = frozenset()
    statuses: tuple[tuple[str, int], ...] = ()
    tried: Served | None = None

    @property
    def slot(self) -> Slot | None:
        return next(iter(self.slots), None)


class DoomedStream:
    """A conversation whose process may be killed, or whose agent."""

    def __init__(self, inner: AgentStream, doom: Doom) -> None:
        self._inner = inner
        self._doom = doom

    def send(self, line: bytes) -> None:
        self._doom.point("before a message")
        try:
            self._inner.send(line)
        except AgentKilled:
            return  # the answer never comes
        self._doom.point("after a message")

    def receive(self, timeout: float | None = None) -> bytes:
        self._doom.point("before an answer")
        return self._inner.receive(timeout)

    def errors(self) -> str:
        return self._inner.errors()

    def close(self) -> None:
        self._inner.close()

    def end(self) -> None:
        """The container in which the agent runs has ended."""
        self._inner.end()


@dataclass
class Watch:
    """What is seen while one operation runs. Complaints are collected: the agent catches what is raised in it."""

    name: str = ""
    free: bool = True  # nothing is under way, or what may touch anything: `down`
    may_cut: bool = False  # `drain --now`
    lives: list[int | None] = field(default_factory=list)  # releases that had the traffic, in order
    shares: list[tuple[int, int | None]] = field(default_factory=list)  # of candidates, and which, in order
    complaints: list[str] = field(default_factory=list)


class WalkWorld(World):
    """The project also has a job, a smoke check and a drain deadline."""

    def __init__(self) -> None:
        self.answered: Container | None = None
        self.doom = Doom()
        self.talking = self.doom  # whose conversations begin now
        self.watch = Watch()
        super().__init__()
        self.nginx.stop()
        self._proxy_since: str | None = None
        self.drain = 0.0
        self.flipped_at = 0.0
        self.by_hand = False
        self.forgot = False  # whether a journal was damaged since the last upgrade: nobody knows of one cut off then
        self.jobs: dict[str, int] = {}  # times that a release's job ran to its end
        self.journal = JournalWatch(self.volume / "journal.jsonl")
        self.engine.before_call = self._before
        self.engine.after_call = self._after
        self.generation: int | None = None

    # -- the project ---------------------------------------------------------------------------------------
    def project(self, tag: str | None, **changes: Any) -> Project:
        made = super().project(tag)
        if self.engine.image(f"job:{tag}") is None:
            self.engine.add_image(f"job:{tag}", Behaviour(exits=0))
        job = Service("migrate", Kind.JOB, f"job:{tag}", None, {}, restart="no")
        smoke = (SmokeCheck("GET", "/smoke"),)
        services = {**made.services, "migrate": job}
        return replace(made, services=services, smoke=smoke, drain=self.drain, **changes)

    def conduct(self, tag: str, conduct: str) -> None:
        """The images of a tag, and how they behave once and for all."""
        broken = Answer(500, b"broken")
        behaviours = {
            "500": ("api", Behaviour(answer=broken)),
            "exits": ("web", Behaviour(exits=1, logs=("no database URL was given",))),
            "cannot start": ("api", Behaviour(cannot_start="exec: no such file")),
            "hangs": ("web", Behaviour(hangs=True)),
            "job": ("job", Behaviour(exits=3)),
            "smoke": ("web", Behaviour(answers={"/smoke": broken})),
        }
        for service in ("api", "web", "job"):
            where, behaviour = behaviours.get(conduct, ("", None))
            default = Behaviour(exits=0) if service == "job" else None
            self.engine.add_image(f"{service}:{tag}", behaviour if where == service else default)

    def site(self, kill: Checkpoint | None = None) -> Site:
        doom = kill if isinstance(kill, Doom) else Doom()
        if isinstance(kill, Doom):
            self.doom = doom
        self.talking = doom
        return super().site(doom)

    # -- truth ---------------------------------------------------------------------------------------------
    def peek(self) -> Observed:
        """What is there, with a proxy or without: the agent reads the volume, whoever runs."""
        inner = agent_stream(self.volume, self.nginx)
        session = ProxySession(inner)
        try:
            answer = session.run([{"op": "read", "history": False}])[0]
        finally:
            session.close()
        site = Site(self.name, self.engine, by="test@here", env={})
        return site.picture(answer, self.engine.containers(self.name), networks=True)

    def served(self) -> Served:
        if not self.nginx.running:
            return Served(up=False)
        share = self.shared_with()[0]
        tried = self._served([b for b in BUCKETS if b < share])
        return replace(self._served([b for b in BUCKETS if b >= share]), tried=tried if share else None)

    def _served(self, buckets: list[int]) -> Served:
        slots: set[Slot | None] = set()
        releases: set[int] = set()
        statuses = []
        for path in PATHS:
            for bucket in buckets:
                self.answered = None  # `_fetch` says who it was
                slot, status, _ = self.nginx.serve(path, bucket=bucket)
                slots.add(slot)
                statuses.append((path, status))
                answered: Container | None = self.answered
                if answered is not None and status == 200:
                    releases.add(answered.release)
        return Served(True, frozenset(slots), frozenset(releases), tuple(statuses))

    def live(self) -> int | None:
        """The release that has the traffic, by the proxy's own files; None where nothing has."""
        routes = self._routes()
        live = routes.get("live")
        return int(routes["stacks"][live]["release"]["number"]) if live else None

    def shared_with(self) -> tuple[int, int | None]:
        """The share of a candidate, and its release, by the same files."""
        routes = self._routes()
        share, live = int(routes.get("share") or 0), routes.get("live")
        if not share or not live:
            return 0, None
        return share, int(routes["stacks"][Slot(live).other]["release"]["number"])

    def _routes(self) -> dict[str, Any]:
        text = self.volume / "current" / "routes.json"
        found: dict[str, Any] = loads(text.read_text()) if text.is_file() else {}
        return found

    def hurt(self, release: int, slot: Slot | None) -> set[str]:
        """Containers that should serve this release and don't run."""
        found = self.engine.containers(self.name)
        there = {(c.service, c.replica) for c in found if c.slot is slot and c.release == release and c.running}
        wanted = {("api", 1), ("api", 2), ("web", 1), ("cache", 1)}
        return {f"{service}-{replica}" for service, replica in wanted - there}

    # -- what happens in it --------------------------------------------------------------------------------
    @contextmanager
    def hand(self) -> Iterator[None]:
        """Somebody does something to the engine by hand: nobody's intent, nobody's fault."""
        before, self.by_hand = self.by_hand, True
        try:
            yield
        finally:
            self.by_hand = before

    def complain(self, text: str) -> None:
        where = f" (struck {self.doom.struck})" if self.doom.struck else ""
        self.watch.complaints.append(f"{self.watch.name}{where}: {text}")

    def look_at_traffic(self, when: str) -> None:
        """One coherent release answers, or what is hurt does not."""
        found = self.served()
        if not found.up:
            return
        live = self.live()
        if not self.watch.lives or self.watch.lives[-1] != live:
            if self.watch.lives:
                self.flipped_at = self.nginx.clock.monotonic()
            self.watch.lives.append(live)
        share, candidate = self.shared_with()
        if not self.watch.shares or self.watch.shares[-1] != (share, candidate):
            if self.watch.shares:
                self.flipped_at = self.nginx.clock.monotonic()
            self.watch.shares.append((share, candidate))
        self._look_at_tried(when, found)
        if len(found.slots) > 1 or len(found.releases) > 1:
            self.complain(f"{when}: visitors are of several releases: {found}")
        if live is None:
            if found.slots != {None}:
                self.complain(f"{when}: nothing is live and {found.slot} answers")
            return
        if found.releases - {live}:
            self.complain(f"{when}: release {live} is live and {set(found.releases)} answers")
        hurt = self.hurt(live, found.slot)
        for path, status in found.statuses:
            if status != 200 and not any(name.startswith(PATHS[path]) for name in hurt):
                self.complain(f"{when}: {path} is answered {status} by release {live}, of which nothing is hurt")

    def _look_at_tried(self, when: str, found: Served) -> None:
        """A candidate's visitors are answered by it, and by nothing else."""
        tried, (share, candidate) = found.tried, self.shared_with()
        if tried is None or found.slot is None or candidate is None:
            return
        if tried.slots != {found.slot.other} or tried.releases - {candidate}:
            self.complain(f"{when}: {share} % are for release {candidate}, and get {tried}")
        hurt = self.hurt(candidate, found.slot.other) | self.sick_of(candidate)
        for path, status in tried.statuses:
            if status != 200 and not any(name.startswith(PATHS[path]) for name in hurt):
                self.complain(f"{when}: {path} is answered {status} by candidate {candidate}, of which nothing is hurt")

    def sick_of(self, release: int) -> set[str]:
        """Containers of a release that run and do not answer as they should."""
        found = [c for c in self.engine.containers(self.name) if c.release == release and c.running and c.slot]
        details = {c.name: self.engine._world.find(c.name).behaviour for c in found}
        return {f"{c.service}-{c.replica}" for c in found if details[c.name] and details[c.name].answer.status != 200}

    # -- hooks ---------------------------------------------------------------------------------------------
    def _agent(self, _container: Container) -> Stream:
        doom = self.talking

        def on(event: str) -> None:
            if event.startswith(("before", "after")) and self.watch.name:
                doom.agent(event)
            if event == "after rename current":
                self._moved()

        return DoomedStream(agent_stream(self.volume, self.nginx, on), doom)

    def _moved(self) -> None:
        """`current` is another generation: it follows from the one before, and changes one thing."""
        generations = self.volume / "generations"
        new = int((self.volume / "current").resolve().name)
        old, self.generation = self.generation, new
        routes = loads((generations / f"{new:06d}" / "routes.json").read_text())
        self.look_at_traffic(f"generation {new}")
        if old is None or new < old:  # back to the parent: nginx did not load it
            return
        if int(routes.get("parent") or 0) != old:
            self.complain(f"generation {new} follows {routes.get('parent')}, and {old} was current")
        text = generations / f"{old:06d}" / "routes.json"
        before = loads(text.read_text()) if text.is_file() else {}
        moved = any((before.get(key) or None) != (routes.get(key) or None) for key in ("live", "share"))
        if moved and _upstreams(before) != _upstreams(routes):
            self.complain(f"generation {new} changes topology and routes")

    def _fetch(self, *args: Any, **kwargs: Any) -> Any:
        ip = args[0]
        found = next((c for c in self.engine.containers(self.name) if ip in c.addresses.values()), None)
        if found is not None and found.state == "paused":
            raise TimeoutError("paused")
        answer = self.engine.fetch(*args, **kwargs)
        self.answered = found
        return answer

    def _named(self, given: object) -> Container | None:
        try:
            return self.engine.container(str(given)).container
        except NotFound:
            return None

    def _before(self, method: str, args: tuple[Any, ...]) -> None:
        if self.by_hand:
            return
        self.doom.before_call(method)
        if self.watch.free or method not in INTENT_OF:
            return
        subject = getattr(args[0], "name", str(args[0]))
        container = self._named(subject)
        if container is None and method in ("start", "stop", "remove", "rename", "set_restart"):
            return  # somebody has removed it meanwhile; nothing will happen
        if container is not None and method in ("stop", "remove", "rename"):
            self._may_be_taken(method, container)
        names = {subject, container.name if container else subject}
        if method == "tag":
            names = {str(args[1])}
        if method == "rename":
            names.add(str(args[1]))
        if any(name.startswith(proxy_container(self.name)) for name in names):
            return  # the ground, which lies outside of the journal
        if not self.journal.open_intent(names):
            self.complain(f"{method} of {subject} without an intent in the journal")

    def _may_be_taken(self, method: str, container: Container) -> None:
        live = self.live()
        slot = self.served().slot if self.nginx.running else None
        if live is not None and container.slot is slot and container.release == live and container.service != "worker":
            self.complain(f"{method} of {container.name}, which has the traffic")
        share, candidate = self.shared_with()
        if share and container.slot is not slot and container.release == candidate and container.service != "worker":
            self.complain(f"{method} of {container.name}, which has {share} % of visitors")
        held = sum(self.nginx.held.get(ip, 0) for ip in container.addresses.values() if ip)
        waited = self.nginx.clock.monotonic() - self.flipped_at
        if held and not self.watch.may_cut and waited < self.drain:
            self.complain(f"{method} of {container.name} cuts {held} connections {waited:g} s after the flip")

    def _after(self, method: str, args: tuple[Any, ...]) -> None:
        subject = getattr(args[0], "name", str(args[0])) if args else ""
        if method in ("start", "stop", "remove", "rename"):
            self.follow()
        elif method == "remove_volume" and state_volume(self.name) not in self.engine.volumes():
            self._wipe()
        if method == "start" and (job := self._named(subject)) is not None and job.service == "migrate":
            which = job.labels[labels.MANIFEST]
            self.jobs[which] = self.jobs.get(which, 0) + (job.exit_code == 0)
        if self.by_hand:
            return
        if not self.watch.free:
            self.look_at_traffic(f"{method} {subject}")
        self.doom.after_call(method)

    def follow(self) -> None:
        """nginx runs while the proxy's container does; connections last while both their ends do."""
        found = [c for c in self.engine.containers(self.name) if c.role == "proxy" and c.running]
        since = self.engine.container(found[0].id).started_at if found else None
        if since != self._proxy_since:
            self._proxy_since = since
            self.nginx.stop()
            if since is not None:
                self.nginx.restart()
                self.journal.renewed()
        there = {ip for c in self.engine.containers(self.name) if c.running for ip in c.addresses.values()}
        self.nginx.held = {ip: count for ip, count in self.nginx.held.items() if ip in there}

    def _wipe(self) -> None:
        """The state volume is gone."""
        shutil.rmtree(self.volume)
        self.volume.mkdir()
        self.journal.renewed()
        self.generation = None
        self.jobs.clear()


def _upstreams(routes: dict[str, Any]) -> dict[str, Any]:
    return {slot: stack["upstreams"] for slot, stack in (routes.get("stacks") or {}).items()}
