"""Waiting until containers are ready, and saying in words why they are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bluegreen.engine.protocol import Engine
from bluegreen.execution.diagnosis import Reason, not_alive, not_answering, too_slow, unhealthy_by_docker
from bluegreen.model.containers import ContainerDetails
from bluegreen.model.errors import BluegreenError, Unhealthy
from bluegreen.planning.steps import AwaitOvertaken, AwaitReady, ProbeReplicas
from bluegreen.planning.traffic import health_request

if TYPE_CHECKING:
    from bluegreen.execution.executor import Session

POLL = 0.1  # seconds between two looks at a container's state
EAGER = 0.02
"""Seconds from the first bad answer of a new container to the next try; doubled for each, up to its interval."""

CRASHES = 3
"""Restarts after which a container counts as one that crashes rather than one that waits for its database."""

LOOKS = 30
"""Looks at a container that keeps ending, until it is seen to have ended."""

LOG_LINES = 8


def await_ready(engine: Engine, step: AwaitReady, pause: Callable[[float], None], clock: Callable[[], float]) -> None:
    """Wait until all run, healthy where Docker checks them. Raises `Unhealthy` with the reason."""
    end = clock() + step.deadline
    while True:
        details = [engine.container(name) for name in step.names]
        for one in details:
            if crashed(one):
                raise failure(engine, step.service, one.container.name, not_alive(_ended(engine, one, pause)))
            if one.container.health == "unhealthy":
                raise failure(engine, step.service, one.container.name, unhealthy_by_docker(one))
        if all(d.container.running and d.container.health in (None, "healthy") for d in details):
            return
        if clock() >= end:
            waiting = next(d for d in details if not d.container.running or d.container.health != "healthy")
            raise failure(engine, step.service, waiting.container.name, too_slow(waiting, step.deadline))
        pause(POLL)


def probe_replicas(
    engine: Engine,
    session: Session,
    step: ProbeReplicas,
    pause: Callable[[float], None],
    clock: Callable[[], float],
) -> None:
    """Probe until every replica answered ``rise`` times in a row. Raises `Unhealthy` with the reason.

    ``interval`` is between good answers. Before the first, a container that is about to be ready is asked sooner.
    """
    health = step.health
    end = clock() + health.start_period + health.deadline
    missing = dict.fromkeys(step.targets, health.rise)
    eager = EAGER
    while True:
        answers = _ask(session, step, list(missing), diagnose=False)
        for name, answer in answers.items():
            missing[name] = missing[name] - 1 if answer.get("ok") else health.rise
        failing = [name for name, answer in answers.items() if not answer.get("ok")]
        missing = {name: left for name, left in missing.items() if left > 0}
        if not missing:
            return
        for name in failing:
            details = engine.container(name)
            if crashed(details):
                raise failure(engine, step.service, name, not_alive(_ended(engine, details, pause)))
        if clock() >= end:
            name = (failing or list(missing))[0]
            if (details := engine.container(name)).restarts:
                raise failure(engine, step.service, name, not_alive(_ended(engine, details, pause)))
            answer = _ask(session, step, [name], diagnose=True)[name]
            reason = not_answering(engine, name, step.targets[name], health, answer)
            raise failure(engine, step.service, name, reason)
        if all(left == health.rise for left in missing.values()):
            pause(min(eager, health.interval))
            eager *= 2
        else:
            pause(health.interval)


def await_overtaken(
    session: Session, step: AwaitOvertaken, pause: Callable[[float], None], clock: Callable[[], float]
) -> None:
    """Wait until no intent of the operation lacks its outcome, or its process is gone."""
    end = clock() + step.seconds
    while clock() < end:
        events = session.run([{"op": "read", "history": False}])[0].get("events") or []
        own = [e for e in events if e.get("op") == step.operation]
        if any(e.get("event") == "lost" for e in own) or not _open(own):
            return
        pause(POLL)


def _open(events: list[Mapping[str, Any]]) -> int:
    """How many effects are under way, by the journal."""
    return sum(1 if e.get("event") == "intent" else -1 if e.get("event") == "outcome" else 0 for e in events)


def crashed(details: ContainerDetails) -> bool:
    """Whether a container has ended, or keeps ending and being restarted."""
    return details.container.state in ("exited", "dead", "removing") or details.restarts >= CRASHES


def _ended(engine: Engine, details: ContainerDetails, pause: Callable[[float], None]) -> ContainerDetails:
    """The container between two of its runs: only then the engine tells how the last one ended."""
    for _ in range(LOOKS):
        if details.container.exit_code is not None:
            break
        pause(POLL)
        details = engine.container(details.container.name)
    return details


def failure(engine: Engine, service: str, name: str, reason: Reason) -> Unhealthy:
    try:
        lines = tuple(line.decode(errors="replace") for line in engine.logs(name, tail=LOG_LINES))
    except BluegreenError:
        lines = ()
    why = f"{service} {reason.text}"
    return Unhealthy(reason.code, why, service=service, why=why, logs=lines, quoted=reason.quoted)


def _ask(session: Session, step: ProbeReplicas, names: list[str], *, diagnose: bool) -> dict[str, Mapping[str, Any]]:
    requests = [{**health_request(step.targets[name], name, step.health, step.routes)} for name in names]
    result = session.send([{"op": "probe", "requests": requests, "diagnose": diagnose}])[0]
    answers = result.get("answers")
    if answers is None:
        session.run([])
        raise Unhealthy(
            "health.no-answer", str(result.get("message")), service=step.service, why=str(result.get("message"))
        )
    return {str(a["name"]): a for a in answers}
