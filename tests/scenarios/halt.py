"""Runs the program and has it send itself a signal: ``python -m tests.scenarios.halt SIGKILL WHERE deploy v1``.

WHERE is a checkpoint: ``7`` is the eighth, ``before start`` the first before a step that starts a container,
``before start 2`` the third of those, ``nowhere`` none. One stands before and after every effect; see
`bluegreen.execution.executor`. The file BG_CHECKPOINTS gets those that were passed, one a line, with a word on those
of steps on the proxy's side, which may travel as one message.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections import Counter
from typing import Literal

from bluegreen.app import site
from bluegreen.cli.program import run
from bluegreen.planning.proxysteps import ProxyStep
from bluegreen.planning.steps import Step


class Halt:
    def __init__(self, number: signal.Signals, where: str, log: str | None = None) -> None:
        self._number = number
        self._where = where
        self._log = log
        self._passed = 0
        self._kinds: Counter[str] = Counter()
        self._turn = threading.Lock()  # steps may run side by side

    def __call__(self, when: Literal["before", "after"], step: Step) -> None:
        kind = f"{when} {step.verb}"
        with self._turn:
            nth = self._kinds[kind]
            if self._log:
                with open(self._log, "a") as file:  # noqa: PTH123 - as plain as what it measures
                    file.write(f"{kind} {nth}{' in a message' if isinstance(step, ProxyStep) else ''}\n")
            if self._where in (str(self._passed), f"{kind} {nth}", *([kind] if nth == 0 else [])):
                self._where = ""
                sys.stderr.write(f"halt: {self._number.name} {kind} {step.subject}\n")
                sys.stderr.flush()
                os.kill(os.getpid(), self._number)
            self._passed += 1
            self._kinds[kind] += 1


def main() -> int:
    number, where, *arguments = sys.argv[1:]
    halt = Halt(signal.Signals[number], where, os.environ.get("BG_CHECKPOINTS"))
    site.Site = functools.partial(site.Site, checkpoint=halt)  # type: ignore[assignment,misc]  # the seam for tests
    sys.argv = ["bluegreen", *arguments]
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
