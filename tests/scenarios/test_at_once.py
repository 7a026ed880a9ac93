"""Much at once, and what dies at the worst moment."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from bluegreen.model.errors import Exit
from tests.scenarios.conftest import MakeStack
from tests.scenarios.stack import web, worker

pytestmark = pytest.mark.engine

TWENTY = (*["deploy"] * 6, *["rollback"] * 5, *["status"] * 5, *["switch"] * 2, "prune", "abort")
ENDS = {
    "deploy": {Exit.DONE, Exit.HELD, Exit.REFUSED},
    "rollback": {Exit.DONE, Exit.HELD, Exit.REFUSED},
    "switch": {Exit.DONE, Exit.HELD, Exit.REFUSED},
    "status": {Exit.DONE},
    "prune": {Exit.DONE, Exit.HELD, Exit.REFUSED},
    "abort": {Exit.DONE, Exit.HELD, Exit.REFUSED},
}


def test_twenty_commands_at_once_end_with_one_outcome_each_and_leave_one_whole_release(make_stack: MakeStack) -> None:
    shop = make_stack()
    shop.write({"web": web(shop.image), "worker": worker(shop.image)}, keep=3)
    for tag in ("v1", "v2"):
        shop.deploy(tag).succeeded()
    running = []
    for number, verb in enumerate(TWENTY):
        words = {"deploy": ("deploy", f"t{number}"), "switch": ("switch", "v1")}.get(verb, (verb,))
        running.append((verb, shop.begin("--json", *words)))
    ended = [(verb, command.end()) for verb, command in running]
    codes = Counter((verb, answer.code) for verb, answer in ended)
    for verb, answer in ended:
        assert answer.code in ENDS[verb], f"{answer}\n{codes}"
        assert answer.document["command"] == verb
        assert answer.code == Exit.DONE or answer.errors[0]["next"], answer
    # By the command itself, or, where another took over after the flip, by whoever finished it.
    marks = {r["tag"]: r["mark"] for r in shop.bg("history").succeeded().data["releases"]}
    assert "bad" in marks.values(), f"no rollback went through: {codes}, {marks}"
    status = shop.status()
    assert status["lease"] is None
    assert status["live"]["tag"] == shop.serving
    if status["operation"] is not None:
        shop.bg("abort").succeeded()
    shop.is_clean()


def test_a_candidate_that_dies_between_its_last_proof_and_the_switch_gets_no_traffic(make_stack: MakeStack) -> None:
    shop = make_stack()
    shop.deploy("v1").succeeded()
    with shop.untouched():
        # The proxy learns of a new slot first, and that takes a message of its own.
        deploying = shop.halting(signal.SIGSTOP, "before switch", "deploy", "v2")
        deploying.until_stopped()
        shop.engine.api.kill(f"{shop.name}-green-web-1")
        deploying.send(signal.SIGCONT)
        answer = deploying.end()
        # Refused or not answered: that depends on how soon the kernel forgets where it was.
        answer.failed(Exit.FAILED, answer.errors[0]["code"], "web")
        assert answer.errors[0]["code"] in ("health.refused", "health.timeout"), answer
    shop.is_clean()
    assert "v2" not in {s["tag"] for s in shop.bg("history").succeeded().data["releases"] if s["live_since"]}
