"""Waiting for health: eagerly until a first good answer, then at the interval that was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from bluegreen.engine.protocol import Engine
from bluegreen.execution.readiness import probe_replicas
from bluegreen.model.containers import Container, ContainerDetails
from bluegreen.model.errors import EngineFailed, Unhealthy
from bluegreen.model.project import HealthCheck
from bluegreen.planning.steps import ProbeReplicas


class Replicas:
    """Engine and proxy in one, on a clock of its own: each replica answers well from a moment on."""

    def __init__(self, ready: Mapping[str, float]) -> None:
        self._ready = ready
        self.now = 0.0
        self.pauses: list[float] = []

    def container(self, name: str) -> ContainerDetails:
        return ContainerDetails(Container(name, name, "image", "running"))

    def exec_stream(self, name: str, argv: Sequence[str]) -> None:
        raise EngineFailed("engine.cannot-start", f"{argv[0]} was not found in {name}")

    def logs(self, _name: str, **_options: object) -> list[bytes]:
        return []

    def send(self, ops: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        names = [request["name"] for request in ops[0]["requests"]]
        answers = [{"name": n, "ok": self.now >= self._ready[n], "why": "refused"} for n in names]
        return [{"ok": all(a["ok"] for a in answers), "answers": answers}]

    run = send

    def pause(self, seconds: float) -> None:
        self.pauses.append(round(seconds, 3))
        self.now += seconds

    def clock(self) -> float:
        return self.now

    def prove(self, health: HealthCheck) -> None:
        step = ProbeReplicas(service="web", targets=dict.fromkeys(self._ready, "10.0.0.1:80"), health=health)
        probe_replicas(cast(Engine, self), self, step, self.pause, self.clock)


def test_what_is_ready_at_once_is_not_waited_for() -> None:
    replicas = Replicas({"web-1": 0.0})
    replicas.prove(HealthCheck(rise=1))
    assert replicas.pauses == []


def test_what_is_about_to_be_ready_is_asked_soon_again() -> None:
    replicas = Replicas({"web-1": 0.03})
    replicas.prove(HealthCheck(rise=1))
    assert replicas.pauses == [0.02, 0.04]


def test_what_takes_long_is_asked_at_the_interval() -> None:
    replicas = Replicas({"web-1": 5.0})
    replicas.prove(HealthCheck(rise=1, interval=0.5))
    assert replicas.pauses[:6] == [0.02, 0.04, 0.08, 0.16, 0.32, 0.5]
    assert set(replicas.pauses[6:]) == {0.5}


def test_the_answers_in_a_row_are_an_interval_apart() -> None:
    replicas = Replicas({"web-1": 0.02, "web-2": 0.02})
    replicas.prove(HealthCheck(rise=3, interval=0.5))
    assert replicas.pauses == [0.02, 0.5, 0.5]


def test_an_interval_that_is_shorter_than_eager_is_kept() -> None:
    replicas = Replicas({"web-1": 0.05})
    replicas.prove(HealthCheck(rise=1, interval=0.01))
    assert set(replicas.pauses) == {0.01}


def test_the_deadline_ends_it() -> None:
    replicas = Replicas({"web-1": 1e9})
    with pytest.raises(Unhealthy):
        replicas.prove(HealthCheck(rise=1, deadline=2.0))
    assert 2.0 <= replicas.now < 3.0
