"""Runs the program and has it send itself a signal: ``python -m tests.scenarios.halt SIGKILL WHERE deploy v1``.

WHERE is a checkpoint: ``7`` is the eighth, ``before start`` the first before a step that starts a container. One
stands before and after every effect; see `bluegreen.execution.executor`.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from typing import Literal

from bluegreen.app import site
from bluegreen.cli.program import run
from bluegreen.planning.steps import Step


class Halt:
    def __init__(self, number: signal.Signals, where: str) -> None:
        self._number = number
        self._where = where
        self._passed = 0
        self._turn = threading.Lock()  # steps may run side by side

    def __call__(self, when: Literal["before", "after"], step: Step) -> None:
        with self._turn:
            if self._where in (str(self._passed), f"{when} {step.verb}"):
                self._where = ""
                sys.stderr.write(f"halt: {self._number.name} {when} {step.verb} {step.subject}\n")
                sys.stderr.flush()
                os.kill(os.getpid(), self._number)
            self._passed += 1


def main() -> int:
    number, where, *arguments = sys.argv[1:]
    halt = Halt(signal.Signals[number], where)
    site.Site = functools.partial(site.Site, checkpoint=halt)  # type: ignore[assignment,misc]  # the seam for tests
    sys.argv = ["bluegreen", *arguments]
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
