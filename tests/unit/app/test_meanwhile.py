"""Calls that run while something else is waited for."""

from __future__ import annotations

import threading

import pytest

from bluegreen.app.meanwhile import Meanwhile


def test_a_call_runs_at_once_and_its_answer_is_waited_for() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def call() -> str:
        begun.set()
        go_on.wait(5)
        return "answer"

    meanwhile = Meanwhile(call)
    assert begun.wait(5)
    go_on.set()
    assert meanwhile.result() == "answer"
    assert meanwhile.result() == "answer"


def test_what_a_call_raises_is_raised_where_its_answer_is_asked_for() -> None:
    def call() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        Meanwhile(call).result()
