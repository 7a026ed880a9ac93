"""A walk: operations with what may befall them, and what must hold after each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

from bluegreen.app.canary import Canary, canary
from bluegreen.app.deploy import DeployRequest, DeployResult, deploy
from bluegreen.app.ground import start_proxy
from bluegreen.app.recover import Recovered, abort, resume
from bluegreen.app.rollback import MoveResult, promote, rollback, switch
from bluegreen.app.site import Site
from bluegreen.app.upgrade import upgrade_proxy
from bluegreen.app.upkeep import Upkeep, down, drain, prune, repair_journal
from bluegreen.model.errors import BluegreenError, Exit, Held, JournalLost, Overtaken, ProxyFailed, Refused
from bluegreen.model.names import proxy_container
from bluegreen.model.observed import Observed
from tests.walk import checks
from tests.walk.doom import Doom, Killed
from tests.walk.faults import Faults
from tests.walk.ground import WalkWorld, Watch

Fate = tuple[str, int, str, int]
"""Kind of doom, at which point, and for ``meanwhile`` which fault to which thing."""

UNHARMED: Fate = ("", 0, "", 0)
UNTOUCHED = (Exit.FAILED, Exit.USAGE, Exit.REFUSED, Exit.VERDICT, Exit.HELD, Exit.UNREACHABLE)
"""Exit codes that say that what serves was not changed."""


@dataclass
class Ended:
    """How an operation ended: a result, an error, or the end of its process."""

    result: Any = None
    error: BaseException | None = None
    before: Observed | None = None
    struck: str = ""
    volume: bool = False  # whether the proxy's volume had anything in it

    @property
    def code(self) -> str:
        return self.error.code if isinstance(self.error, BluegreenError) else type(self.error).__name__

    @property
    def undisturbed(self) -> bool:
        return not self.struck


class Walk:
    """One project's life. Every public method is one step, and checks everything at its end."""

    def __init__(self) -> None:
        self.world = WalkWorld()
        self.faults = Faults(self.world)
        self.conducts: dict[str, str] = {}
        self.steps = 0
        self.log: list[str] = []
        self.tags = 0

    def close(self) -> None:
        self.world.close()

    # -- operations ----------------------------------------------------------------------------------------
    def deploy(self, conduct: str, fate: Fate = UNHARMED, *, stage: bool = False) -> Ended:
        self.tags += 1
        tag = f"v{self.tags}"
        self.conducts[tag] = conduct
        self.world.conduct(tag, conduct)
        return self._deploy(tag, fate, stage=stage)

    def deploy_again(self, which: int, fate: Fate = UNHARMED, *, stage: bool = False, force: bool = False) -> Ended:
        """A tag that was deployed before."""
        if not self.tags:
            return self.deploy("good", fate, stage=stage)
        return self._deploy(f"v{1 + which % self.tags}", fate, stage=stage, force=force)

    def _deploy(self, tag: str, fate: Fate, *, stage: bool = False, force: bool = False) -> Ended:
        request = DeployRequest(load=self.world.project, tag=tag, stage=stage, force=force)
        word = f"deploy {tag} ({self.conducts[tag]}{', stage' if stage else ''}{', force' if force else ''})"
        ended = self._act(word, lambda site: deploy(site, request), fate)
        if isinstance(ended.result, DeployResult):
            checks.deployed(self.world, ended.before, ended.result, tag, stage=stage)
            self.faults.volume_lost = False
            assert self.conducts[tag] == "good" or ended.result.outcome != "switched" or ended.struck, (
                f"{word}: a release that is {self.conducts[tag]} was switched to"
            )
        elif ended.undisturbed and not self._gated(ended, lambda o: o.kind == "deploy" and o.tag == tag):
            assert self.conducts[tag] != "good", f"{word} failed for no reason: {ended.code}: {ended.error}"
        return ended

    def rollback(self, to: int | None, fate: Fate = UNHARMED) -> Ended:
        """``to`` names a release that there was, if it isn't None."""
        known = sorted({c.release for c in self.world.engine.containers("shop") if c.release})
        word = str(known[to % len(known)]) if to is not None and known else None
        expected = checks.expected_rollback(self.world.peek()) if word is None else None
        ended = self._act(f"rollback {word or ''}", lambda site: rollback(site, word, reason="500s"), fate)
        if isinstance(ended.result, MoveResult):
            checks.moved(self.world, ended.before, ended.result)
        if ended.undisturbed and expected is not None and self.faults.nothing_sick:
            checks.as_expected(expected, ended.result, ended.error)
        return ended

    def switch(self, fate: Fate = UNHARMED) -> Ended:
        """Forward, to what is warm in the idle slot."""
        observed = self.world.peek()
        warm = observed.standby or observed.candidate
        ended = self._act("switch", lambda site: switch(site, str(warm.number) if warm else "v1"), fate)
        if isinstance(ended.result, MoveResult):
            checks.moved(self.world, ended.before, ended.result)
        return ended

    def canary(self, share: int, fate: Fate = UNHARMED) -> Ended:
        ended = self._act(f"canary {share}", lambda site: canary(site, share), fate)
        if isinstance(ended.result, Canary):
            checks.shifted(self.world, ended.result, share)
        return ended

    def promote(self, fate: Fate = UNHARMED) -> Ended:
        before = self.world.peek().candidate
        ended = self._act("promote", promote, fate)
        if isinstance(ended.result, MoveResult):
            checks.moved(self.world, ended.before, ended.result)
            assert before is not None, "promoted, and there was no candidate"
            assert ended.result.release.number == before.number, f"{ended.result.release} is not the candidate"
        return ended

    def abort(self, fate: Fate = UNHARMED) -> Ended:
        before = self.world.peek()
        ended = self._act("abort", abort, fate)
        if isinstance(ended.result, Recovered):
            checks.recovered(self.world, ended.result)
            checks.ended(self.world.peek())
        elif ended.undisturbed and before.history.unfinished and not self._gated(ended, lambda _: True):
            raise AssertionError(f"an unfinished {before.history.unfinished} can't be aborted: {ended.error}")
        return ended

    def resume(self, fate: Fate = UNHARMED) -> Ended:
        ended = self._act("resume", resume, fate)
        if isinstance(ended.result, Recovered):
            checks.recovered(self.world, ended.result)
            checks.ended(self.world.peek())
        return ended

    def prune(self, keep: int, fate: Fate = UNHARMED) -> Ended:
        ended = self._act(f"prune {keep}", lambda site: prune(site, keep), fate)
        if isinstance(ended.result, Upkeep) and ended.undisturbed:
            kept = {c.release for c in self.world.peek().kept()} - checks.in_slots(self.world.peek())
            assert len(kept) <= keep, f"prune {keep} leaves {kept}"
        return ended

    def drain(self, *, now: bool, fate: Fate = UNHARMED) -> Ended:
        ended = self._act(f"drain{' --now' if now else ''}", lambda site: drain(site, now=now), fate, may_cut=now)
        if isinstance(ended.result, Upkeep) and ended.undisturbed and now:
            left = checks.connections_to_idle(self.world)
            assert not left, f"drain --now leaves {left} connections"
        return ended

    def proxy_upgrade(self, fate: Fate = UNHARMED) -> Ended:
        ended = self._act("proxy upgrade", upgrade_proxy, fate)
        if ended.error is None:
            self.world.forgot = False
            names = {c.name for c in self.world.engine.containers("shop") if c.role == "proxy"}
            assert names == {proxy_container("shop")}, names
        return ended

    def proxy_start(self, fate: Fate = UNHARMED) -> Ended:
        return self._act("proxy start", start_proxy, fate)

    def proxy_repair(self, fate: Fate = UNHARMED) -> Ended:
        return self._act("proxy repair", repair_journal, fate)

    def down(self, *, volumes: bool, fate: Fate = UNHARMED) -> Ended:
        ended = self._act("down", lambda site: down(site, volumes=volumes), fate, free=True)
        if isinstance(ended.result, Upkeep):
            checks.gone(self.world, volumes=volumes)
        return ended

    def dry_run(self, what: str) -> Ended:
        """What only plans changes nothing."""
        if not self.tags:
            return Ended()
        before = self.world.engine.state(), self.world.live()
        request = DeployRequest(load=self.world.project, tag=f"v{self.tags}", dry_run=True)
        acts: dict[str, Callable[[Site], object]] = {
            "deploy": lambda site: deploy(site, request),
            "rollback": lambda site: rollback(site, dry_run=True),
            "prune": lambda site: prune(site, 1, dry_run=True),
            "down": lambda site: down(site, dry_run=True),
        }
        ended = self._act(f"{what} --dry-run", acts[what], UNHARMED)
        if self.world.nginx.running:  # else a rollback's dry run may have brought the proxy back
            assert (self.world.engine.state(), self.world.live()) == before, f"{what} --dry-run changed something"
        return ended

    # -- faults --------------------------------------------------------------------------------------------
    def fault(self, name: str, which: int) -> None:
        with self.world.hand():
            self.faults.happen(name, which)
        self.log.append(f"fault: {name} {which}")
        self._check(f"fault {name} {which}")

    # -- at the end ----------------------------------------------------------------------------------------
    def settle(self) -> None:
        """Whatever happened, a few commands lead to a clean state, and there is a way back again."""
        with self.world.hand():
            self.faults.heal()
        if self.world.peek().live_release is None and not self.world.engine.containers("shop"):
            return
        self._needs(self.proxy_start())
        if self.world.peek().proxy.journal != "ok":
            self._needs(self.proxy_repair())
        if self.world.peek().history.unfinished is not None:
            self._needs(self.abort())
        if self.world.peek().share:
            self._needs(self.abort())
        self._needs(self.deploy("good"))
        self._needs(self.deploy("good"))
        checks.clean(self.world)
        self._needs(self.rollback(None))
        checks.clean(self.world)
        self._needs(self.down(volumes=True))

    def _needs(self, ended: Ended) -> None:
        assert ended.error is None, f"{ended.code}: {ended.error}"

    # -- inside --------------------------------------------------------------------------------------------
    def _act(
        self, word: str, act: Callable[[Site], Any], fate: Fate, *, free: bool = False, may_cut: bool = False
    ) -> Ended:
        world = self.world
        kind, at, fault, which = fate
        doom = Doom(kind, at)  # type: ignore[arg-type]
        second = Second(self, fault, which)
        doom.meanwhile = second
        ended = Ended(before=world.peek(), volume=(world.volume / "current").is_symlink())
        world.journal.forget()
        world.journal.complaints.clear()
        world.watch = Watch(word, free=free, may_cut=may_cut)
        world.watch.lives.append(world.live())
        world.watch.shares.append(world.shared_with())
        state = world.engine.state()
        try:
            ended.result = act(world.site(doom))
        except (BluegreenError, Killed, KeyboardInterrupt) as error:
            ended.error = error
        finally:
            doom.dead = doom.dead or isinstance(ended.error, KeyboardInterrupt)
            second.over()
        ended.struck = doom.struck
        watch, world.watch = world.watch, Watch()
        told = _told(ended.result) if ended.error is None else f"{ended.code}: {ended.error}"
        where = f"{word}{f', {kind} {fault} at {doom.struck}' if doom.struck else ''} -> {told}"
        self.log.append(where)
        world.journal.read()
        complaints = [*watch.complaints, *world.journal.complaints]
        assert not complaints, "\n".join([where, *complaints[:5]])
        self._may_have_moved(where, watch, ended)
        if isinstance(ended.error, BluegreenError):
            self._is_honest(where, ended, state)
        self._check(where)
        return ended

    def _may_have_moved(self, where: str, watch: Watch, ended: Ended) -> None:
        """Traffic is where it was, or where the operation was taking it."""
        targets = {e.get("release") for e in self.world.journal.begun if not e.get("stage")}
        targets.add(watch.lives[0])
        if ended.before is not None and ended.before.history.unfinished is not None:
            targets.add(ended.before.history.unfinished.release)
        if self.faults.volume_lost and ended.before is not None:  # then containers say what serves
            targets |= {None, *checks.in_slots(ended.before)}
        if "down" in watch.name:
            targets.add(None)
        lives = [*watch.lives, self.world.live()] if self.world.nginx.running else watch.lives
        strange = set(lives) - targets
        assert not strange, f"{where}: traffic went from {watch.lives[0]} over {lives}, and only {targets} was wanted"
        asked = {(int(e.get("share") or 0), e.get("release")) for e in self.world.journal.begun}
        unfinished = ended.before.history.unfinished if ended.before is not None else None
        if unfinished is not None and unfinished.share is not None:
            asked.add((unfinished.share, unfinished.release))
        odd = {(share, release) for share, release in watch.shares if share} - asked - set(watch.shares[:1])
        assert not odd, f"{where}: {odd} had visitors, and only {asked} was asked for"

    def _is_honest(self, where: str, ended: Ended, state: dict[str, Any]) -> None:
        """An error's exit code says what was changed, and the error what to do next."""
        error = ended.error
        assert isinstance(error, BluegreenError)
        if isinstance(error, Refused | Held | ProxyFailed):  # to the others the command line adds it
            assert all(p.next for p in error.problems), f"{where}: nothing says what to do next"
        assert error.code, where
        world, before = self.world, ended.before
        if before is None or "meanwhile" in world.doom.kind or not world.nginx.running or self.faults.volume_lost:
            return
        was = before.live_release.number if before.live_release else None
        overtaken = isinstance(error, Overtaken)
        if error.exit in UNTOUCHED and not overtaken:
            assert world.live() == was, f"{where}: exit code {error.exit.name}, and release {world.live()} is live"
        if error.exit is Exit.ROLLED_BACK:
            assert world.live() == was, f"{where}: {was} was live, and {world.live()} is"
        if error.exit is Exit.INCOMPLETE:
            assert world.live() != was or before.history.unfinished, f"{where}: nothing was switched"
        if isinstance(error, Refused) and ended.undisturbed:
            assert checks.but_the_proxy(world.engine.state()) == checks.but_the_proxy(state), (
                f"{where}: refused, and something was changed"
            )

    def _gated(self, ended: Ended, but: Callable[[Any], bool]) -> bool:
        """Whether what was there before is why it was not even begun."""
        before, error = ended.before, ended.error
        if before is None:
            return False
        if before.proxy.journal != "ok" and ended.volume:
            assert isinstance(error, JournalLost), f"the journal is {before.proxy.journal}: {ended.code}: {error}"
            return True
        unfinished = before.history.unfinished
        if before.proxy.lease is not None and isinstance(error, Held):
            return True
        if before.share and ended.code == "canary.has-traffic":
            return True
        if not self.faults.nothing_sick:
            return True
        if unfinished is not None and not but(unfinished):
            assert isinstance(error, Refused), f"{unfinished} is unfinished: {ended.code}: {error}"
            return True
        # Not running, and a command that doesn't start it says so.
        return ended.code == "proxy.not-running" and not (before.proxy_container and before.proxy_container.running)

    def _check(self, where: str) -> None:
        self.steps += 1
        try:
            checks.everything(self.world)
        except AssertionError as error:
            raise AssertionError(f"after {where}: {error}") from error


def _told(result: Any) -> str:
    return " ".join(str(getattr(result, name)) for name in ("outcome", "how", "release") if hasattr(result, name))


class Second:
    """What somebody else does at one point of an operation: a fault, or a rollback of their own.

    Where the rollback waits for the operation, that goes on, and the rollback does when it is over: one at a time,
    so that a walk can be repeated.
    """

    def __init__(self, walk: Walk, name: str, which: int) -> None:
        self.walk = walk
        self.name = name
        self.which = which
        self.error: BaseException | None = None
        self.thread: Thread | None = None
        self._turn = Event()
        self._over = Event()

    def __call__(self) -> None:
        if self.name != "rollback":
            with self.walk.world.hand():
                self.walk.faults.happen(self.name, self.which)
            return
        self.thread = Thread(target=self._roll_back, daemon=True)
        self.thread.start()
        assert self._turn.wait(30)

    def over(self) -> None:
        self._over.set()
        if self.thread is not None:
            self.thread.join(30)
        if self.error is not None:
            raise self.error

    def _roll_back(self) -> None:
        world = self.walk.world
        site = world.site()
        site.by = "second@elsewhere"
        site.pause = self._pause
        try:
            rollback(site, reason="500s")
        except Refused as error:
            if not error.problem.next:
                self.error = AssertionError(f"nothing says what to do next: {error}")
        except BluegreenError:
            pass  # what it may do and say is checked as the first one's is
        except BaseException as error:
            self.error = error
        finally:
            self._turn.set()

    def _pause(self, seconds: float) -> None:
        self.walk.world.clock.pause(seconds)
        self._turn.set()
        self._over.wait(30)
