"""Runs the program and sends it a signal at its n-th checkpoint: ``python -m tests.scenarios.halt SIGKILL 7 ...``.

A checkpoint stands before and after every effect of every step; see `bluegreen.execution.executor`.
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
    def __init__(self, number: signal.Signals, at: int) -> None:
        self._number = number
        self._left = at
        self._turn = threading.Lock()  # steps may run side by side

    def __call__(self, when: Literal["before", "after"], step: Step) -> None:
        with self._turn:
            self._left -= 1
            if self._left == -1:
                sys.stderr.write(f"halt: {self._number.name} {when} {step.verb} {step.subject}\n")
                sys.stderr.flush()
                os.kill(os.getpid(), self._number)


def main() -> int:
    number, at, *arguments = sys.argv[1:]
    halt = Halt(signal.Signals[number], int(at))
    site.Site = functools.partial(site.Site, checkpoint=halt)  # type: ignore[assignment,misc]  # the seam for tests
    sys.argv = ["bluegreen", *arguments]
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
