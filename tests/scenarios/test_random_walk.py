"""A random walk on real containers: operations, kills and damage in any order, and traffic that must not notice.

The walk changes from run to run: its seed and every step are part of a failure's message, and BG_SEED repeats it.
The long one, in memory, is tests/unit/app/test_statemachine.py; ``make walk`` runs both for longer.
"""

from __future__ import annotations

import http.client
import os
import random
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bluegreen.model.errors import Exit
from tests.scenarios.stack import Answer, Stack, other, serving_tags, web, worker
from tests.support import eventually

pytestmark = pytest.mark.engine

SEED = int(os.environ.get("BG_SEED") or secrets.randbelow(1_000_000))
STEPS = int(os.environ.get("BG_WALK_STEPS") or 10)
HONEST = {Exit.DONE, Exit.FAILED, Exit.REFUSED, Exit.VERDICT, Exit.HELD, Exit.INCOMPLETE}


class Visitors:
    """One after the other, all the time. What they get is a release's answer, but where that is excused."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.served = 0
        self.complaints: list[str] = []
        self._excused = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._come, daemon=True)

    @contextmanager
    def excused(self) -> Iterator[None]:
        """The gap of a proxy that is replaced or restarted, or a live container that somebody hurts."""
        self._excused.set()
        yield
        self._excused.clear()

    def __enter__(self) -> Visitors:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join(20)

    def _come(self) -> None:
        while not self._over.wait(0.01):
            begun_excused = self._excused.is_set()
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                connection.request("GET", "/")
                answer = connection.getresponse()
                said = None if answer.status == 200 and b'"tag": "v' in answer.read() else f"status {answer.status}"
                connection.close()
            except (OSError, http.client.HTTPException) as error:
                said = repr(error)
            if said is None:
                self.served += 1
            elif not begun_excused and not self._excused.is_set():
                self.complaints.append(said)


class RealWalk:
    def __init__(self, stack: Stack, visitors: Visitors, seed: int) -> None:
        self.stack = stack
        self.visitors = visitors
        self.chance = random.Random(f"walk {seed}")  # noqa: S311 - a sample, no secret
        self.number = 0
        self.done: list[str] = []
        self.steps: list[Callable[[], None]] = [
            *(self.deploy, self.deploy, self.failing, self.stage, self.roll_back, self.roll_back, self.roll_back_to),
            *(
                self.canary,
                self.canary,
                self.promote,
                self.switch,
                self.abort,
                self.resume,
                self.prune,
                self.drain,
                self.killed,
                self.killed,
                self.killed,
            ),
            *(self.upgrade, self.proxy_restarts, self.standby_hurt, self.kept_removed, self.journal_torn),
        ]

    def step(self) -> None:
        self.chance.choice(self.steps)()
        self.coherent()

    # -- operations ----------------------------------------------------------------------------------------
    def bg(self, *words: str, **env: str) -> Answer:
        self.done.append(" ".join(words))
        before = self.stack.serving
        answer = self.stack.bg(*words, env=env)
        self.done[-1] += f" -> {answer.code}"
        assert answer.code in HONEST, answer
        if answer.code in (Exit.FAILED, Exit.REFUSED, Exit.VERDICT, Exit.HELD):
            assert self.stack.serving == before, f"traffic moved, and it says that nothing did: {answer}"
            assert answer.errors[0]["next"], answer
        return answer

    def next(self) -> str:
        self.number += 1
        return f"v{self.number}"

    def deploy(self) -> None:
        tag = self.next()
        if self.bg("deploy", tag).code == Exit.DONE:
            assert self.stack.serving == tag

    def failing(self) -> None:
        answer = self.bg("deploy", self.next(), STATUS="500", DEADLINE="1s")
        assert answer.code != Exit.DONE, answer

    def stage(self) -> None:
        self.bg("deploy", "--stage", self.next())

    def roll_back(self) -> None:
        """Where a standby is warm and not bad, it is gone to."""
        status = self.stack.status()
        standby = status["standby"]
        answer = self.bg("rollback")
        finishing = status["operation"] is not None
        if standby is not None and standby["mark"] != "bad" and not finishing:
            assert answer.code == Exit.DONE, answer
            assert self.stack.serving == standby["tag"], answer
        if answer.code == Exit.DONE:
            assert answer.data["tag"] == self.stack.serving, answer

    def roll_back_to(self) -> None:
        kept = [k["release"] for k in self.stack.status()["kept"] if k["whole"]]
        if kept:
            answer = self.bg("rollback", "--to", str(self.chance.choice(kept)))
            assert answer.code != Exit.DONE or answer.data["tag"] == self.stack.serving, answer

    def switch(self) -> None:
        status = self.stack.status()
        warm = status["standby"] or status["candidate"]
        if warm is not None:
            self.bg("switch", str(warm["release"]))

    def canary(self) -> None:
        """Of a candidate, which is made where there is none."""
        if self.stack.status()["candidate"] is None:
            self.stage()
        self.bg("canary", str(self.chance.choice((0, 20, 50, 99))))

    def promote(self) -> None:
        answer = self.bg("promote")
        assert answer.code != Exit.DONE or answer.data["tag"] == self.stack.serving, answer

    def abort(self) -> None:
        self.bg("abort")

    def resume(self) -> None:
        self.bg("resume")

    def prune(self) -> None:
        self.bg("prune", "--keep", str(self.chance.randrange(3)))

    def drain(self) -> None:
        self.bg("drain", "--now")

    def upgrade(self) -> None:
        with self.visitors.excused():
            self.bg("proxy", "upgrade")

    def killed(self) -> None:
        """Any of these, with SIGKILL at any of its checkpoints."""
        words = self.chance.choice(
            (
                ["deploy", self.next()],
                ["deploy", "--stage", self.next()],
                ["canary", "30"],
                ["promote"],
                ["rollback"],
                ["abort"],
            )
        )
        at = self.chance.randrange(30)
        self.done.append(f"{' '.join(words)} killed at {at}")
        self.stack.halting(signal.SIGKILL, str(at), *words).end()

    # -- what people and machines do -----------------------------------------------------------------------
    def proxy_restarts(self) -> None:
        self.done.append("proxy restarts")
        with self.visitors.excused():
            self.stack.engine.api.restart(f"{self.stack.name}-proxy", timeout=2)
            eventually(lambda: self._answered(), what="the proxy answers again")

    def standby_hurt(self) -> None:
        status = self.stack.status()
        if status["live"]["share"] < 100:
            return  # what stands there has visitors, who would notice
        idle = self.stack.running(slot=other(status["live"]["slot"]), service="web")
        for name in sorted(idle)[:1]:
            how = self.chance.choice(("kill", "stop", "remove"))
            self.done.append(f"{how} {name}")
            api, container = self.stack.engine.api, f"{self.stack.name}-{name}"
            if how == "kill":
                api.kill(container)
            elif how == "stop":
                api.stop(container, timeout=1)
            else:
                api.remove_container(container, force=True, v=True)

    def kept_removed(self) -> None:
        kept = sorted(n for n in self.stack.containers() if n[0] == "r" and n[1].isdecimal())
        if kept:
            name = self.chance.choice(kept)
            self.done.append(f"remove {name}")
            self.stack.engine.api.remove_container(f"{self.stack.name}-{name}", force=True, v=True)

    def journal_torn(self) -> None:
        self.done.append("journal torn")
        self.stack.run_in("proxy", "sh", "-c", 'printf \'{"v":1,"event":"sw\' >> /bg/journal.jsonl')

    # -- what must hold ------------------------------------------------------------------------------------
    def coherent(self) -> None:
        """One whole release answers, status says which, and no worker runs twice."""
        stack = self.stack
        status = eventually(lambda: found if (found := stack.status())["lease"] is None else {}, what="the lease's end")
        assert stack.serving in serving_tags(status), status
        assert status["live"]["running"] == status["live"]["wanted"], status
        assert len({n.partition("-")[0] for n in stack.running(service="worker")}) <= 1, status
        codes = {t["code"] for t in status["troubles"]}
        assert ("operation.unfinished" in codes) is (status["operation"] is not None), status
        assert not self.visitors.complaints, self.visitors.complaints[:5]

    def settle(self) -> None:
        """Whatever happened, a few commands lead to a clean state with a way back."""
        if self.stack.status()["operation"] is not None:
            self.stack.bg("abort").succeeded()
        if self.stack.status()["live"]["share"] < 100:
            self.stack.bg("abort").succeeded()
        self.deploy()
        self.stack.bg("prune").succeeded()
        assert self.stack.is_clean()["standby"] is not None
        self.stack.bg("rollback").succeeded()
        self.stack.is_clean()

    def _answered(self) -> bool:
        try:
            return self.stack.get().status_code == 200
        except OSError:
            return False
        except Exception as error:  # httpx has its own
            return not type(error).__module__.startswith("http")


def test_a_random_walk_loses_no_request_and_can_always_be_ended(stack: Stack) -> None:
    stack.write({"web": web(stack.image), "worker": worker(stack.image)}, keep=2)
    stack.deploy("v0").succeeded()
    with Visitors(stack.port) as visitors:
        walk = RealWalk(stack, visitors, SEED)
        try:
            for _ in range(STEPS):
                walk.step()
            walk.settle()
        except AssertionError as error:
            error.add_note(f"BG_SEED={SEED} BG_WALK_STEPS={STEPS}: {'; '.join(walk.done)}")
            raise
    assert not visitors.complaints, visitors.complaints[:5]
    assert visitors.served > STEPS
