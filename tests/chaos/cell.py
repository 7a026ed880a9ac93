"""One cell of the matrix: a command, struck at one place by one signal, and one way on from what that leaves."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

import httpx

from bluegreen.model.errors import Exit
from tests.chaos.ledger import Ledger
from tests.chaos.plans import PLANS, Command, Plan, look, write
from tests.chaos.traffic import Gaps, Traffic
from tests.scenarios.stack import Answer, Stack, serving_tags
from tests.support import eventually

SIGNALS = ("SIGKILL", "SIGINT", "SIGTERM")
WAYS = ("resume", "abort", "again", "rollback")


@dataclass(frozen=True)
class Cell:
    """``where`` is a checkpoint, as `tests.scenarios.halt` takes it."""

    plan: str
    where: str
    signal: str
    way: str

    def __str__(self) -> str:
        return f"{self.plan}: {self.signal} {self.where}, then {self.way}"


class Ground:
    """A project under traffic, on which cells are played one after the other."""

    def __init__(self, shop: Stack) -> None:
        self.shop = write(shop)
        self.ledger = Ledger(shop)
        self.traffic = Traffic(shop.port)

    def close(self) -> None:
        self.traffic.stop()
        self.ledger.close()

    def rehearse(self, name: str) -> list[str]:
        """The checkpoints of a plan, in order, from one run that nothing strikes."""
        shop, plan = self.shop, PLANS[name]
        log = shop.directory / "checkpoints"
        log.unlink(missing_ok=True)
        command = plan.begin(shop)
        env = {**command.env, "BG_CHECKPOINTS": str(log)}
        answer = shop.halting(signal.SIGKILL, "nowhere", *command.words, env=env).end()
        assert answer.code == (Exit.FAILED if plan.fails else Exit.DONE), answer
        self._is_clean(plan)
        return log.read_text().splitlines()

    def play(self, cell: Cell) -> bool:
        """Whether the checkpoint was reached. Raises AssertionError with what went wrong."""
        plan = PLANS[cell.plan]
        command = plan.begin(self.shop)
        with self.traffic.strict() as gaps:
            struck = self._strike(cell, plan, command, gaps)
            self._is_coherent(command)
            self._go_on(cell.way, plan, command)
            if plan.gone:
                self.shop.bg("down", "--yes").succeeded()
                self.ledger.check_gone()
            else:
                gaps.close()
                self._is_clean(plan)
        return struck

    # -- the strike ----------------------------------------------------------------------------------------
    def _strike(self, cell: Cell, plan: Plan, command: Command, gaps: Gaps) -> bool:
        if plan.gap or plan.new:
            gaps.open()
            self.traffic.forget()
        number = signal.Signals[cell.signal]
        answer = self.shop.halting(number, cell.where, *command.words, env=command.env).end()
        struck = f"halt: {cell.signal}" in answer.err
        if struck and number is signal.SIGKILL:
            assert answer.code == -number, answer
        elif struck:
            ends = {Exit.INTERRUPTED, Exit.INCOMPLETE, Exit.DONE, *([Exit.FAILED] if plan.fails else [])}
            assert answer.code in ends, answer
            assert answer.code == Exit.DONE or answer.errors[0]["next"], answer
        if plan.new and self.traffic.first is not None:
            gaps.close(self.traffic.first)
        return struck

    def _is_coherent(self, command: Command) -> None:
        """One whole release answers, or nothing where that may be; status says so; no worker runs twice."""
        # The agent notices a moment later that its client is gone.
        status = eventually(
            lambda: [found] if not (found := look(self.shop)) or found["lease"] is None else [], what="the lease's end"
        )[0]
        serving = self._serving()
        assert serving in command.serves, f"{serving} serves, not one of {command.serves}: {status}"
        if not status:
            return
        codes = {t["code"] for t in status["troubles"]}
        assert ("operation.unfinished" in codes) is (status["operation"] is not None), status
        live = status["live"]
        if serving is not None:
            assert serving in serving_tags(status), status
            assert live["running"] == live["wanted"], status
        else:
            assert live is None or codes & {"proxy.not-running", "live.incomplete"}, status
        workers = {n.partition("-")[0] for n in self.shop.running(service="worker")}
        assert len(workers) <= 1, f"workers run in {workers}: {status}"

    # -- the way on ----------------------------------------------------------------------------------------
    def _go_on(self, way: str, plan: Plan, command: Command) -> None:
        """A way on may be refused, with a word on what to do. What is unfinished then can be ended."""
        serving = self._serving()
        words = command.words if way == "again" else (way,)
        answer = self.shop.bg(*words, env=command.env)
        if answer.code != Exit.DONE:
            self._is_explained(answer, way, plan)
            if answer.code == Exit.REFUSED:
                assert self._serving() == serving or plan.gap, answer
            self._end_what_is_left(answer, plan, command)

    def _is_explained(self, answer: Answer, way: str, plan: Plan) -> None:
        allowed = {Exit.REFUSED}
        if plan.fails:
            allowed.add(Exit.FAILED)
        if plan.gap or plan.new:  # there may be no proxy to ask
            allowed |= {Exit.FAILED} if way != "again" else set()
        assert answer.code in allowed, answer
        assert answer.errors[0]["next"], answer

    def _end_what_is_left(self, answer: Answer, plan: Plan, command: Command) -> None:
        if plan.gone:
            return
        status = look(self.shop)
        if status and status["operation"] is not None:
            self.shop.bg("abort").succeeded()
        elif "proxy.not-running" in {t["code"] for t in status.get("troubles", ())} and not plan.new:
            named = " ".join(answer.errors[0]["next"])
            assert "proxy start" in named or "proxy upgrade" in named, answer
            self.shop.bg("proxy", "upgrade" if "proxy upgrade" in named else "start").succeeded()
        if plan.new and self._serving() is None:
            self.shop.bg(*command.words, env=command.env).succeeded()

    def _is_clean(self, plan: Plan) -> None:
        if plan.new and self._serving() is None:  # its end was that there is no release
            self.shop.deploy("v0").succeeded()
        if plan.gone:
            self.ledger.check_gone()
            return
        self.shop.is_clean()
        self.ledger.check()

    def _serving(self) -> str | None:
        """The tag that answers the public port; None where nothing is live or there is no proxy."""
        try:
            reply = self.shop.get()
        except httpx.TransportError:
            return None
        if reply.status_code in (502, 503, 504):
            return None
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return str(found["tag"])
