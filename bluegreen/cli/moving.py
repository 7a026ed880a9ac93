"""`rollback` and `switch` on the screen: the line that counts is printed the moment it is true."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bluegreen.cli.clock import milliseconds_since_start
from bluegreen.cli.progress import PlainProgress
from bluegreen.cli.screens import moving as screen

if TYPE_CHECKING:
    from bluegreen.app.rollback import MoveResult
    from bluegreen.cli.run import Run
    from bluegreen.model.events import Event


MOVES = ("switch", "shift")
"""The steps that move traffic."""


class Moving:
    """Watches a move, and answers with its result."""

    def __init__(self, run: Run, kind: str) -> None:
        self._run = run
        self._kind = kind
        self._progress = PlainProgress(run)
        self._tag = ""
        self._cold = False
        self._canary = False
        self.timings: dict[str, float] = {}
        run.watch(self)

    def __call__(self, event: Event) -> None:
        if event.kind == "operation":
            self._tag, self._canary = event.subject, event.data.get("how") == "canary"
        if event.kind == "step-done" and "verified" not in self.timings:
            self._before_the_flip(event)
        if event.kind == "step-done" and event.name in MOVES:
            self._verified(event)
        if self._run.output.form == "text" and self._said(event):
            self._progress(event)

    def finish(self, project: str, result: MoveResult) -> int:
        """Print the rest; answers the exit code."""
        self._progress.close()
        run = self._run
        data = screen.data(project, result, self.timings)
        if result.outcome == "planned":
            return run.answer("planned", data, screen.plan(run.page(), result))
        code = screen.exit_of(result)
        if result.smoke_failures and run.output.form != "text":
            return run.fail(screen.smoke_error(result), data)
        lines = screen.lines(run.page(), result, flipped="verified" in self.timings)
        return run.answer(result.outcome, data, lines, exit=code)

    def _before_the_flip(self, event: Event) -> None:
        if event.name == "probe" and event.data.get("phase") == "switch":
            self.timings["probe"] = event.ms or 0.0
        elif event.name not in MOVES:
            self._cold = True  # the lines of its phases say where the time went

    def _verified(self, event: Event) -> None:
        """The proxy itself answers from the new generation: say so now, whatever comes after."""
        self._progress.close()
        self.timings["switch"] = event.ms or 0.0
        self.timings["verified"] = milliseconds_since_start()
        if self._run.output.form == "text":
            now = time.time()
            page = self._run.page()
            said = screen.taken_back if self._canary else screen.headline
            said(page, self._kind, self._tag or _tag_of(event), now, self.timings, whole=not self._cold)
            self._run.output.result(page.lines)

    def _said(self, event: Event) -> bool:
        """A warm move is over before a line for its phase could be read."""
        return event.kind in ("operation", "notice") or event.data.get("phase") not in (None, "", "switch")


def _tag_of(event: Event) -> str:
    """All traffic to TAG in SLOT."""
    return event.subject.removeprefix("all traffic to ").rpartition(" in ")[0]
