"""What people, processes and machines do to a project behind its back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bluegreen.agent.jsonl import dumps
from bluegreen.engine.behaviour import Answer, Behaviour
from bluegreen.model.containers import Container
from bluegreen.model.names import log_volume, proxy_container, slot_network, state_volume
from bluegreen.proxy.memory import agent_stream
from bluegreen.proxy.session import ProxySession
from tests.walk.ground import WalkWorld

NAMES = (
    "container dies",
    "container stopped",
    "container removed",
    "container paused",
    "container sick",
    "kept container removed",
    "image untagged",
    "journal torn",
    "journal garbage",
    "journal newer",
    "journal deleted",
    "volume deleted",
    "lease of the dead",
    "engine restarts",
    "proxy dies",
    "proxy stopped",
    "proxy removed",
    "clock back",
    "time passes",
    "connections",
    "connections end",
    "nginx refuses",
    "nginx ignores",
    "workers drain",
    "drain deadline",
    "heal",
)


class Faults:
    """Applied by name, so that a walk reads as what happened. ``which`` chooses among what there is."""

    def __init__(self, world: WalkWorld) -> None:
        self.world = world
        self.sick: set[str] = set()  # ids of containers that don't answer as they should
        self.volume_lost = False  # since the last deploy
        self.stray_workers = False  # somebody started, stopped or killed a worker

    @property
    def nothing_sick(self) -> bool:
        running = {c.id for c in self.world.engine.containers("shop")}
        return not self.sick & running and self.world.nginx.test_fails is None and not self.world.nginx.ignores_reload

    def happen(self, name: str, which: int) -> None:
        acts: dict[str, Callable[[int], None]] = {
            "container dies": lambda n: self._each(n, self._dies),
            "container stopped": lambda n: self._each(n, lambda c: self.world.engine.stop(c.name, 1)),
            "container removed": lambda n: self._each(n, lambda c: self.world.engine.remove(c.name)),
            "container paused": lambda n: self._each(n, self._paused),
            "container sick": lambda n: self._each(n, self._sick),
            "kept container removed": self._kept_removed,
            "image untagged": self._untagged,
            "journal torn": lambda _: self._write('{"v":1,"event":"sw'),
            "journal garbage": self._garbage,
            "journal newer": lambda _: self._write(dumps({"v": 2, "event": "begin"}) + "\n"),
            "journal deleted": lambda _: (self.world.volume / "journal.jsonl").unlink(missing_ok=True),
            "volume deleted": lambda _: self._volume_deleted(),
            "lease of the dead": self._lease,
            "engine restarts": lambda _: self._engine_restarts(),
            "proxy dies": lambda _: self._proxy_dies(),
            "proxy stopped": lambda _: self._proxy(lambda name: self.world.engine.stop(name, 1)),
            "proxy removed": lambda _: self._proxy(self.world.engine.remove),
            "clock back": lambda _: self.world.nginx.clock.set_wall(-3600),  # type: ignore[attr-defined]
            "time passes": lambda _: self.world.nginx.clock.pause(60),
            "connections": self._connections,
            "connections end": lambda _: self.world.nginx.held.clear(),
            "nginx refuses": lambda _: setattr(self.world.nginx, "test_fails", "[emerg] no"),
            "nginx ignores": lambda _: setattr(self.world.nginx, "ignores_reload", True),
            "workers drain": lambda n: setattr(self.world.nginx, "holds_workers", bool(n % 2)),
            "drain deadline": lambda n: setattr(self.world, "drain", (0.0, 5.0, 30.0)[n % 3]),
            "heal": lambda _: self.heal(),
        }
        self.world.journal.read()  # before it can be damaged
        self.world.forgot = self.world.forgot or name.startswith(("journal", "volume"))
        acts[name](which)

    def heal(self) -> None:
        """Everything but what is gone for good is well again."""
        world = self.world
        nginx = world.nginx
        nginx.test_fails, nginx.ignores_reload, nginx.holds_workers = None, False, False
        nginx.finish_drain()
        nginx.held.clear()
        nginx.clock.pause(60)  # any lease has expired
        for found in world.engine._world.containers.values():
            if found.state == "paused":
                found.state = "running"
            if found.id in self.sick:
                found.behaviour = replace(found.behaviour, answer=Answer())
        self.sick.clear()

    # -- containers ----------------------------------------------------------------------------------------
    def _some(self) -> list[Container]:
        found = self.world.engine.containers("shop")
        return [c for c in found if c.role != "proxy" and (c.slot or c.shared)]

    def _each(self, which: int, act: Callable[[Container], None]) -> None:
        chosen = _one(self._some(), which)
        if chosen is not None:
            if chosen.service == "worker":
                self.stray_workers = True
            act(chosen)

    def _dies(self, container: Container) -> None:
        if container.running:
            self.world.engine.kill(container.name, oom=True)

    def _paused(self, container: Container) -> None:
        if container.running:
            self.world.engine._world.find(container.name).state = "paused"

    def _sick(self, container: Container) -> None:
        found = self.world.engine._world.find(container.name)
        live = self.world.live()
        if found.running and container.slot and container.release != live and container.service in ("api", "web"):
            found.behaviour = Behaviour(answer=Answer(500, b"out of memory"))
            self.sick.add(found.id)

    def _kept_removed(self, which: int) -> None:
        chosen = _one([c for c in self.world.engine.containers("shop") if c.kept], which)
        if chosen is not None:
            self.world.engine.remove(chosen.name)

    def _untagged(self, which: int) -> None:
        tags = [t for i in self.world.engine.images("") for t in i.tags if "bluegreen/shop/" in t or "/api:" in t]
        chosen = _one(sorted(set(tags)), which)
        if chosen is not None:
            self.world.engine.remove_image(chosen)

    # -- the journal and the volume ------------------------------------------------------------------------
    def _write(self, text: str) -> None:
        file = self.world.volume / "journal.jsonl"
        if file.exists():
            with file.open("a") as journal:
                journal.write(text)

    def _garbage(self, which: int) -> None:
        """A line in the middle, or the last one."""
        file = self.world.volume / "journal.jsonl"
        if not file.exists():
            return
        lines = file.read_bytes().splitlines(keepends=True)
        at = len(lines) - which % 5 if lines else 0
        lines.insert(max(0, at), b"\x00\xffgarbage\n")
        file.write_bytes(b"".join(lines))
        self.world.journal.renewed()

    def _volume_deleted(self) -> None:
        """Docker removes no volume that is in use: the proxy goes first."""
        engine = self.world.engine
        if state_volume("shop") in engine.volumes():
            engine.remove(proxy_container("shop"))
            engine.remove(f"{proxy_container('shop')}-old")
            engine.remove_volume(state_volume("shop"))
            engine.remove_volume(log_volume("shop"))
            self.volume_lost = True

    def _lease(self, which: int) -> None:
        """Somebody's machine was switched off: its connection, and with it its agent, stay for a while."""
        session = ProxySession(agent_stream(self.world.volume, self.world.nginx))
        session.send([{"op": "acquire", "operation": f"deploy-{which}", "holder": "gone@away", "seconds": 30}])

    # -- machines ------------------------------------------------------------------------------------------
    def _engine_restarts(self) -> None:
        for found in self.world.engine._world.containers.values():
            if found.state == "paused":
                found.state = "running"
        self.world.engine.restart_engine()
        self.world.follow()

    def _proxy_dies(self) -> None:
        self._proxy(self.world.engine.kill)
        self.world.follow()

    def _proxy(self, act: Callable[[str], None]) -> None:
        name = proxy_container("shop")
        if any(c.name == name and c.running for c in self.world.engine.containers("shop")):
            act(name)

    def _connections(self, which: int) -> None:
        """Long-lived ones to a slot's containers."""
        mine = [(c, slot_network("shop", c.slot)) for c in self._some() if c.slot and c.running]
        addresses = sorted(ip for c, network in mine if (ip := c.addresses.get(network)))
        chosen = _one(addresses, which)
        if chosen is not None and self.world.nginx.running:
            self.world.nginx.held[chosen] = 1 + which % 3


def _one(things: Sequence[object], which: int):  # type: ignore[no-untyped-def]
    return things[which % len(things)] if things else None
