"""An engine that answers slowly, hangs, or drops connections: every command ends in time and says what is true.

The faults are injected by a proxy in front of the engine's socket; see `tests.scenarios.faultproxy`.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from bluegreen.engine.connect import resolve
from bluegreen.model.errors import Exit
from tests.scenarios.conftest import MakeStack
from tests.scenarios.faultproxy import FaultProxy, Manner
from tests.scenarios.stack import Answer, Stack
from tests.support import eventually

pytestmark = pytest.mark.engine

NUMBERS = itertools.count(1)
PATIENCE = 4.0
"""Seconds that an engine may be silent here; 60 where nothing else is said."""

ANYTHING = "."
FLIP = '"settle":"verified"'
"""What only the message that moves all traffic has in it."""


@pytest.fixture(scope="module")
def front() -> Iterator[FaultProxy]:
    engine = urlsplit(resolve(None, os.environ).url)
    assert engine.scheme == "unix", f"these tests put a proxy in front of the engine's unix socket, not of {engine}"
    with FaultProxy(engine.path) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def deployed(make_stack: MakeStack) -> Stack:
    stack = make_stack()
    stack.env["TIMEOUT"] = "1s"
    stack.deploy(_next()).succeeded()
    return stack


@pytest.fixture
def shop(deployed: Stack) -> Iterator[Stack]:
    """A project with a live release and a good standby; a test must leave it clean."""
    with deployed.lent(_next) as stack:
        yield stack


# -- slow, silent, deaf ------------------------------------------------------------------------------------
def test_with_an_engine_that_is_slow_everything_works_slowly(shop: Stack, front: FaultProxy) -> None:
    tag = _next()
    with front.having("^(GET|POST|PUT|DELETE) ", "slow", seconds=0.1) as fault:
        _through(front, shop, "deploy", tag, patience=60).succeeded()
        assert shop.serving == tag
        _through(front, shop, "rollback", patience=60).succeeded()
        assert _through(front, shop, "status", patience=60).succeeded().data["standby"]["tag"] == tag
    assert fault.struck > 20


@pytest.mark.parametrize("manner", ["hang", "drop"])
def test_an_engine_that_never_answers_is_said_by_every_command_in_time(
    shop: Stack, front: FaultProxy, manner: Manner
) -> None:
    commands = [("deploy", "v9"), ("rollback",), ("status",), ("down", "--yes"), ("proxy", "start"), ("history",)]
    code = {"hang": "engine.timeout", "drop": "engine.unreachable"}[manner]
    with shop.unchanged(), front.having(ANYTHING, manner, for_good=True):
        begun = time.monotonic()
        env = {"BG_ENGINE_TIMEOUT": str(PATIENCE)}
        running = [shop.begin("--json", "--engine", front.address, *words, env=env) for words in commands]
        for command in running:
            command.end().failed(Exit.UNREACHABLE, code, front.address, "doctor")
        assert time.monotonic() - begun < PATIENCE + 20


# -- in the middle of a deploy -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("where", "manner", "code"),
    [
        ("^POST .*/containers/create", "hang", "engine.timeout"),
        ("^POST .*/containers/create", "drop-answer", "engine.unreachable"),
        ("^POST .*/start", "drop", "engine.unreachable"),
    ],
)
def test_a_call_that_is_lost_in_the_middle_of_a_deploy_is_said_and_the_deploy_put_back(
    shop: Stack, front: FaultProxy, where: str, manner: Manner, code: str
) -> None:
    before = shop.status()
    with shop.untouched(), front.having(where, manner, after=where.endswith("start")) as fault:
        _through(front, shop, "deploy", _next()).failed(Exit.UNREACHABLE, code)
        assert fault.struck
    after = shop.status()
    assert after["standby"]["release"] == before["standby"]["release"]
    assert after["candidate"] is None


def test_an_engine_that_is_lost_in_the_middle_of_a_deploy_leaves_it_to_be_resumed_or_aborted(
    shop: Stack, front: FaultProxy
) -> None:
    tag = _next()
    with shop.untouched(), front.having("^POST .*/containers/create", "drop", for_good=True):
        answer = _through(front, shop, "deploy", tag)
        answer.failed(Exit.UNREACHABLE, "deploy.cut-off", "No traffic was moved", "status", "resume", "abort")
    _unheld(shop)
    assert "operation.unfinished" in {t["code"] for t in shop.status()["troubles"]}
    shop.deploy(tag).succeeded()  # the same command goes on
    assert shop.serving == tag


# -- at the switch -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("command", "manner"), [("rollback", "hang-answer"), ("rollback", "drop-answer"), ("deploy", "drop-answer")]
)
def test_where_the_answer_to_the_switch_gets_lost_the_proxy_is_asked_again_and_what_serves_is_said(
    shop: Stack, front: FaultProxy, command: str, manner: Manner
) -> None:
    target = shop.status()["standby"]["tag"] if command == "rollback" else _next()
    words = ("rollback",) if command == "rollback" else ("deploy", target)
    with front.having(FLIP, manner):
        answer = _through(front, shop, *words)
        answer.failed(Exit.INCOMPLETE, f"{command}.incomplete", f"{target} has the traffic", "resume")
        assert shop.serving == target
    _unheld(shop)
    shop.bg("resume").succeeded()
    assert shop.serving == target


def test_a_switch_that_got_lost_on_its_way_did_not_happen_and_is_said_not_to_have(
    shop: Stack, front: FaultProxy
) -> None:
    with shop.untouched(), front.having(FLIP, "drop"):
        _through(front, shop, "rollback").failed(Exit.FAILED, "rollback.failed", "no traffic was moved", "rollback")
    shop.bg("rollback").succeeded()


@pytest.mark.parametrize("manner", ["hang-answer", "drop-answer"])
def test_where_the_engine_is_lost_with_the_answer_to_the_switch_nobody_claims_to_know(
    shop: Stack, front: FaultProxy, manner: Manner
) -> None:
    target = shop.status()["standby"]["tag"]
    with front.having(FLIP, manner, for_good=True):
        begun = time.monotonic()
        answer = _through(front, shop, "rollback")
        answer.failed(Exit.UNKNOWN, "rollback.unknown", target, "not known", "status")
        assert answer.document["outcome"] == "unknown"
        assert time.monotonic() - begun < 3 * PATIENCE + 20
    assert shop.serving == target
    _unheld(shop)
    status = shop.status()
    assert status["live"]["tag"] == target
    assert "operation.unfinished" in {t["code"] for t in status["troubles"]}
    shop.bg("resume").succeeded()


def test_a_patience_that_makes_no_sense_is_refused(shop: Stack) -> None:
    answer = shop.bg("status", env={"BG_ENGINE_TIMEOUT": "soon"})
    answer.failed(Exit.UNREACHABLE, "engine.bad-timeout", "soon", "unset BG_ENGINE_TIMEOUT")


# -- helpers -----------------------------------------------------------------------------------------------
def _next() -> str:
    return f"v{next(NUMBERS)}"


def _through(front: FaultProxy, shop: Stack, *words: str, patience: float = PATIENCE) -> Answer:
    """A command that reaches the engine through the proxy with the faults."""
    return shop.bg("--engine", front.address, *words, env={"BG_ENGINE_TIMEOUT": str(patience)})


def _unheld(shop: Stack) -> None:
    """The agent has noticed that its client is gone."""
    eventually(lambda: shop.status()["lease"] is None, 40, "the lease's end")
