"""Ctrl-C, a second deploy, a rollback in the middle of a deploy, and any signal anywhere in any command.

Where a signal strikes is a sample that changes from run to run; its seed is part of every failure's message, and
BG_SEED repeats it. The whole matrix runs in memory, in tests/unit/app, and on real containers with ``make chaos``.
"""

from __future__ import annotations

import itertools
import os
import random
import secrets
import signal
from collections.abc import Iterator

import httpx
import pytest

from bluegreen.model.errors import Exit
from tests.chaos.cell import SIGNALS, WAYS, Cell, Ground
from tests.chaos.plans import PLANS
from tests.scenarios.conftest import MakeStack
from tests.scenarios.stack import Stack, web, worker

pytestmark = pytest.mark.engine

SEED = int(os.environ.get("BG_SEED") or secrets.randbelow(1_000_000))
NUMBERS = itertools.count(1)
STOP, CONTINUE = signal.SIGSTOP, signal.SIGCONT


@pytest.fixture(scope="module")
def deployed(make_stack: MakeStack) -> Stack:
    stack = make_stack()
    stack.write({"web": web(stack.image), "worker": worker(stack.image)}, keep=2, drain="300s")
    for _ in range(2):
        stack.deploy(_next()).succeeded()
    return stack


@pytest.fixture
def shop(deployed: Stack) -> Iterator[Stack]:
    """A project with a live release and a good one standing by, each with a worker; a test must leave it clean."""
    with deployed.lent(_next, fresh=True) as stack:
        yield stack


# -- Ctrl-C ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("sample", range(3))
def test_ctrl_c_anywhere_in_a_deploy_leaves_traffic_alone_and_the_former_standby_warm(shop: Stack, sample: int) -> None:
    chance = random.Random(f"ctrl-c {SEED} {sample}")  # noqa: S311 - a sample, no secret
    before = shop.status()
    nth = chance.randrange(1, 40)
    with _told(f"Ctrl-C after event {nth}"):
        tag = _next()
        running = shop.begin("--events", "deploy", tag)
        events = list(itertools.islice(running.events(), nth))
        running.send(signal.SIGINT)
        answer = running.end()
        last = f"{events[-1]['kind']} {events[-1]['name']}" if events else "nothing"
        assert answer.code in (Exit.INTERRUPTED, Exit.INCOMPLETE, Exit.DONE), f"after {last}: {answer}"
        after = shop.status()
        assert after["lease"] is None, f"after {last}: {after}"
        # The last look at the public address comes after all is done: interrupted there, it is deployed.
        if answer.code == Exit.INTERRUPTED and after["live"]["tag"] != tag:
            assert after["live"]["release"] == before["live"]["release"], f"after {last}: {after}"
            assert after["standby"]["release"] == before["standby"]["release"], f"after {last}: {after}"
            assert after["operation"] is None, f"after {last}: {after}"
        else:
            assert after["live"]["tag"] == tag, f"after {last}: {after}"
        if answer.code == Exit.INCOMPLETE:
            shop.bg("resume").succeeded()
        shop.is_clean()


def test_ctrl_c_while_connections_drain_does_not_wait_for_them_and_cuts_none(shop: Stack) -> None:
    tag = _next()
    with httpx.stream("GET", f"{shop.url}/stream?parts=2", timeout=60, trust_env=False) as stream:
        lines = stream.iter_lines()
        served = next(lines).split()[0]
        shop.deploy(_next()).succeeded()  # its slot is the standby's now
        running = shop.begin("--events", "deploy", tag)
        running.until("step", "drain")
        running.send(signal.SIGINT)
        running.end().failed(Exit.INTERRUPTED, "deploy.interrupted")
        status = shop.status()
        assert status["standby"]["tag"] == served
        assert status["standby"]["connections"] >= 1
        shop.run_in(f"{status['standby']['slot']}-web-1", "touch", "/tmp/go1")  # noqa: S108 - inside a container
        assert next(lines) == f"{served} 1"


def test_ctrl_c_while_a_release_is_proven_is_said_and_why_tells_it(shop: Stack) -> None:
    tag = _next()
    with shop.untouched():
        running = shop.begin("--events", "deploy", tag, env={"BEFORE": "100"})
        running.until("step", "probe")
        running.send(signal.SIGINT)
        answer = running.end().failed(Exit.INTERRUPTED, "deploy.interrupted", "interrupted")
        assert answer.data["live"]["tag"] == shop.serving
        assert answer.data["standby"] is not None
    assert "interrupted" in shop.bg("why", tag).succeeded().data["why"]["message"]


# -- two at once -------------------------------------------------------------------------------------------
def test_of_two_deploys_at_once_the_second_is_told_who_is_at_it_and_the_first_is_not_disturbed(shop: Stack) -> None:
    first, second = _next(), _next()
    # Where nothing runs side by side: a container that another thread has asked for could still come into being.
    running = shop.halting(STOP, "before switch", "deploy", first)
    running.until_stopped()
    try:
        with shop.unchanged():
            answer = shop.deploy(second)
            shop.deploy(first).failed(Exit.HELD, "operation.held")
        holder = shop.status()["lease"]["holder"]
        answer.failed(Exit.HELD, "operation.held", "deploy", holder, "status")
        assert "is under way" in shop.text("status").out
    finally:
        running.send(CONTINUE)
    running.end().succeeded()
    assert shop.serving == first


@pytest.mark.parametrize("phase", ["drop-back", "keep", "create", "start", "probe", "switch", "stop"])
def test_a_rollback_in_the_middle_of_a_deploy_wins(shop: Stack, phase: str) -> None:
    before = shop.status()
    tag = _next()
    deploying = shop.halting(STOP, f"before {phase}", "deploy", tag)
    deploying.until_stopped()
    try:
        rolling = shop.begin("--events", "rollback")
        rolling.until("step-done", "switch")
        target = shop.serving
    finally:
        deploying.send(CONTINUE)
    moved = rolling.end().succeeded().data
    live_then = tag if phase == "stop" else before["live"]["tag"]
    assert (moved["tag"], moved["previous"]["tag"]) == (target, live_then)
    answer = deploying.end().failed(Exit.HELD, "operation.overtaken", "another operation took over", "status")
    assert answer.document["outcome"] == "overtaken"
    assert shop.serving == target
    if shop.status()["operation"] is not None:
        shop.bg("abort").succeeded()
        assert shop.serving == target


# -- anywhere ----------------------------------------------------------------------------------------------
SAMPLES = 9


class Grounds:
    """The project that cells are played on; another one after a failure, which is not the next cell's."""

    def __init__(self, make_stack: MakeStack) -> None:
        self._make_stack = make_stack
        self._ground: Ground | None = None

    def play(self, cell: Cell) -> None:
        ground = self._ground or Ground(self._make_stack())
        self._ground = None
        try:
            ground.play(cell)
        except BaseException:
            ground.close()
            raise
        self._ground = ground

    def close(self) -> None:
        if self._ground is not None:
            self._ground.close()


@pytest.fixture(scope="module")
def grounds(make_stack: MakeStack) -> Iterator[Grounds]:
    made = Grounds(make_stack)
    yield made
    made.close()


@pytest.mark.parametrize("sample", range(SAMPLES))
def test_struck_anywhere_under_traffic_nothing_is_lost_and_every_way_on_ends_clean(
    grounds: Grounds, sample: int
) -> None:
    cell = _sampled(sample)
    with _told(str(cell)):
        grounds.play(cell)


def _sampled(sample: int) -> Cell:
    """A kind of plan that no other sample of this run has, struck at some checkpoint by some signal."""
    plans = list(PLANS)
    random.Random(f"plans {SEED}").shuffle(plans)  # noqa: S311 - a sample, no secret
    chance = random.Random(f"struck {SEED} {sample}")  # noqa: S311 - as above
    where = chance.randrange(PLANS[plans[sample]].points)
    return Cell(plans[sample], str(where), chance.choice(SIGNALS), WAYS[(SEED + sample) % len(WAYS)])


# -- helpers -----------------------------------------------------------------------------------------------
class _told:  # noqa: N801 - reads as what it does
    """Says with every failure how to have it again."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            error.add_note(f"BG_SEED={SEED}: {self._what}")


def _next() -> str:
    return f"v{next(NUMBERS)}"
