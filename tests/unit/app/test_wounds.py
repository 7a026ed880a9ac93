"""What status says of live containers that ended, or came back by themselves."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bluegreen.app.wounds import wounds
from bluegreen.model import labels
from bluegreen.model.codec import encode
from bluegreen.model.containers import Container, ContainerDetails
from bluegreen.model.names import Kind, Slot
from bluegreen.model.observed import Observed, ProxyState
from bluegreen.model.release import Release, Routes, ServiceRelease

CLOCK = "2026-01-01T12:00:00.000Z"
NOON = 1767268800
LABELS = {labels.PROJECT: "shop", labels.ROLE: "slot", labels.SERVICE: "web", labels.SLOT: "blue"}


class OneContainer:
    """An engine that is asked about one container only, and notes it."""

    def __init__(self, details: ContainerDetails) -> None:
        self.details = details
        self.asked = 0

    def container(self, name: str) -> ContainerDetails:
        assert name == self.details.container.name
        self.asked += 1
        return self.details


def told(
    status: str, age: int, *, state: str = "running", restarts: int = 0, oom: bool = False
) -> tuple[list[str], int]:
    container = Container(
        "1", "shop-blue-web-1", "sha256:1", state, LABELS, status=status, created=NOON - age, exit_code=137
    )
    engine = OneContainer(
        ContainerDetails(replace(container), oom_killed=oom, restarts=restarts, memory_limit=64 << 20)
    )
    proxy = ProxyState(routes=Routes(generation=1, live=Slot.BLUE), clock=CLOCK)
    found = wounds(engine, Observed("shop", (container,), proxy))  # type: ignore[arg-type]  # what it needs of one
    return [f"{t.code}: {t.message}" for t in found], engine.asked


@pytest.mark.parametrize(
    ("status", "age"),
    [("Up Less than a second", 1), ("Up 5 seconds", 6), ("Up About a minute", 110), ("Up 3 days (healthy)", 300_000)],
)
def test_what_has_been_up_since_it_was_made_is_not_even_inspected(status: str, age: int) -> None:
    assert told(status, age, restarts=5) == ([], 0)


@pytest.mark.parametrize("status", ["Up Less than a second", "Up 5 seconds (healthy)", "Up 40 minutes"])
def test_what_the_engine_has_restarted_is_said(status: str) -> None:
    found, _ = told(status, 100_000, restarts=2)
    assert found == [
        "live.restarted: shop-blue-web-1 ended and was restarted by the engine, 2 times since the release was started"
    ]


def test_what_somebody_else_has_restarted_is_not_held_against_it() -> None:
    assert told("Up 5 seconds", 100_000) == ([], 1)


def test_a_restart_is_forgotten_after_an_hour() -> None:
    assert told("Up 2 hours", 100_000, restarts=1) == ([], 0)


def test_a_job_that_is_over_is_as_it_should_be() -> None:
    job = ServiceRelease(Kind.JOB, "sha256:1")
    text = json.dumps(encode(Release(1, "v1", "", {"migrate": job})))
    named = {**LABELS, labels.SERVICE: "migrate", labels.MANIFEST: text}
    container = Container("1", "shop-blue-migrate-1", "sha256:1", "exited", named, status="Exited (0)", exit_code=0)
    engine = OneContainer(ContainerDetails(container))
    proxy = ProxyState(routes=Routes(generation=1, live=Slot.BLUE), clock=CLOCK)
    assert wounds(engine, Observed("shop", (container,), proxy)) == []  # type: ignore[arg-type]  # as above


def test_what_has_ended_says_why() -> None:
    found, _ = told("Exited (137) 2 seconds ago", 100, state="exited", oom=True)
    assert found == [
        "live.ended: shop-blue-web-1 was killed because it ran out of memory (its limit is 64 MB)",
    ]
