"""Replacing the proxy's container: all that can be done before is, so that nobody is refused for longer than it takes
to stop one container and start another."""

from __future__ import annotations

import dataclasses

from bluegreen.model.containers import ContainerSpec
from bluegreen.model.names import proxy_container
from bluegreen.model.observed import Observed
from bluegreen.planning.retire import spare_proxies
from bluegreen.planning.steps import (
    CreateContainer,
    Plan,
    RemoveContainer,
    RenameContainer,
    StartContainer,
    Step,
    StopContainer,
)

FINISH_SECONDS = 0.1
"""How long requests under way may go on once nobody new is let in. It is part of the gap."""


def plan_prepare(observed: Observed, spec: ContainerSpec) -> Plan:
    """Make the new container beside the one that serves."""
    successor = dataclasses.replace(spec, name=_successor(observed))
    return Plan((*spare_proxies(observed), CreateContainer(spec=successor, cause="takes the proxy's place")))


def plan_swap(observed: Observed) -> Plan:
    """The gap. Wherever it breaks off, the proxy is started, or made again from its volume, by what comes next."""
    name = proxy_container(observed.project)
    now, then = observed.named(name), observed.named(_successor(observed))
    assert now is not None  # noqa: S101 - whoever replaces it has talked to it
    assert then is not None  # noqa: S101 - made by `plan_prepare`
    return Plan(
        (
            StopContainer(name=name, id=now.id, grace=FINISH_SECONDS, cause="its ports go to the new one"),
            RenameContainer(name=name, id=now.id, new=f"{name}-old", cause="to go back to"),
            RenameContainer(name=then.name, id=then.id, new=name, cause="it is the proxy now"),
            StartContainer(name=name, restart="unless-stopped", cause="serves"),
        )
    )


def plan_undo(observed: Observed) -> Plan:
    """The old container serves again, where the new one can't."""
    name = proxy_container(observed.project)
    old, now = observed.named(f"{name}-old"), observed.named(name)
    steps: list[Step] = []
    if old is not None:
        if now is not None:
            steps.append(RemoveContainer(name=name, id=now.id, cause="it does not serve"))
        steps.append(RenameContainer(name=old.name, id=old.id, new=name, cause="it served before"))
    steps.append(StartContainer(name=name, restart="unless-stopped", cause="serves again"))
    return Plan(tuple(steps))


def _successor(observed: Observed) -> str:
    return f"{proxy_container(observed.project)}-next"
