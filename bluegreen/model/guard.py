"""How a release is watched once it has visitors: for how long, by what, and what a guard does about it."""

from __future__ import annotations

from dataclasses import field

from bluegreen.model.judging import JudgeSettings
from bluegreen.model.value import dataclass

AFTER_SWITCH = 900.0
"""Seconds: fifteen minutes, as people watch after a release."""

ALWAYS = 1e9
"""Seconds: longer than anything lives."""


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """What a release carries with it, so that a guard needs no file.

    ``after_switch``: seconds for which a release is guarded after it got all traffic; 0: not at all.
    """

    after_switch: float = AFTER_SWITCH
    judge: JudgeSettings = field(default_factory=JudgeSettings)


@dataclass(frozen=True, slots=True)
class GuardCheck:
    """A question of the project's own, asked while a candidate is judged. It stays in the file: it may hold secrets.

    Either a ``command`` of the operator's shell, which says no by its exit code, or a Prometheus ``query`` at ``url``,
    which says no by a value outside of ``least`` and ``most``. ``every``: seconds between two questions.
    """

    name: str
    command: str = field(default="", repr=False)
    url: str = field(default="", repr=False)
    query: str = ""
    least: float | None = None
    most: float | None = None
    every: float = 10.0
