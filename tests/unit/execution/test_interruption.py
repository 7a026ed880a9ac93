"""Ctrl-C while an effect is under way: it is over before the interruption goes on."""

from __future__ import annotations

import signal
import threading
from typing import Literal

import pytest

from bluegreen.engine.memory import MemoryEngine
from bluegreen.execution.executor import Executor
from bluegreen.model.project import Volume
from bluegreen.planning.steps import EnsureVolume, Plan, Step

A_WHILE = 0.2
"""Seconds in which the other thread has come to where it waits; longer than it takes to be gone if it does not."""


def test_an_interruption_waits_for_the_effect_that_has_begun() -> None:
    """Python says of a thread that it is over when the wait for it was interrupted (before 3.13)."""
    over = threading.Event()

    def checkpoint(when: Literal["before", "after"], step: Step) -> None:
        del step
        threading.Event().wait(A_WHILE)
        if when == "before":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        else:
            over.set()

    executor = Executor(MemoryEngine(), None, checkpoint=checkpoint)
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            executor.run(Plan((EnsureVolume(volume=Volume("data"), labels={}),)))
        assert over.is_set()
    finally:
        signal.signal(signal.SIGINT, heard)
        assert over.wait(10)
