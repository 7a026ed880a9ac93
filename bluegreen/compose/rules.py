"""What only the whole file can tell: names that clash, missing kinds, routes, dependencies, replicas."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bluegreen.compose import values
from bluegreen.compose.extension import KINDS
from bluegreen.compose.service import Draft
from bluegreen.compose.tree import Node
from bluegreen.model import names
from bluegreen.model.names import Kind
from bluegreen.model.project import Dependency

Drafts = Mapping[str, Draft]


def check(drafts: Drafts, services: Node) -> None:
    """Reports every broken rule. ``services`` is the place of the mapping itself."""
    _names(drafts)
    _kinds(drafts, services)
    _routes(drafts, services)
    for draft in drafts.values():
        _replicas(draft)
        for dependency, place in draft.dependencies:
            _dependency(draft, dependency, place, drafts)
    _cycles(drafts)


def _names(drafts: Drafts) -> None:
    folded: dict[str, Draft] = {}
    for name, draft in drafts.items():
        if not names.SERVICE.fullmatch(name):
            draft.place.error(
                "name-form",
                f"{values.shown(name)} is no name of a service: at most 63 letters, "
                f"digits, '.', '_' and '-', the first a letter or digit",
            )
        other = folded.setdefault(name.lower(), draft)
        if other is not draft:
            draft.place.error(
                "name-clash",
                f"differs from {other.name!r} (line {other.place.line}) only in case, and host names have none",
            )
        prefix = re.match(r"(?:blue|green|r\d+)-(.+)", name)
        if draft.kind is Kind.SHARED and prefix and prefix[1] in drafts:
            draft.place.error("name-clash", f"a container of the service {prefix[1]!r} has this name in its slot")


def _kinds(drafts: Drafts, services: Node) -> None:
    """One error for all services that say none: the remedy is one command."""
    missing = [
        draft
        for draft in drafts.values()
        if draft.extension is None or (draft.kind is None and not draft.extension.wrong)
    ]
    if missing:
        listed = ", ".join(draft.name for draft in missing)
        place = missing[0].place if len(missing) < len(drafts) else services
        place.error(
            "kind-missing",
            f"without a kind: {listed}. Each service says under x-bluegreen what it is: {KINDS}",
            "bg init",
        )


def _routes(drafts: Drafts, services: Node) -> None:
    taken: dict[tuple[str | None, str], tuple[Draft, Node]] = {}
    for draft in drafts.values():
        for route, place in draft.extension.routes if draft.extension else ():
            first, first_place = taken.setdefault((route.host, route.prefix), (draft, place))
            if first_place is place:
                continue
            whose = "this service" if first is draft else f"the service {first.name!r}"
            place.error("route-twice", f"the route {route} is taken by {whose}, at {first_place.where}")
    settled = all(draft.kind is not None for draft in drafts.values())
    if drafts and settled and not any(draft.kind is Kind.ROUTED for draft in drafts.values()):
        services.error(
            "route-missing", "no service is routed, so there is nothing to switch; give one x-bluegreen: {route: /}"
        )


def _replicas(draft: Draft) -> None:
    place = draft.replicas_node
    if place is None or draft.kind is None:
        return
    if draft.kind in (Kind.SHARED, Kind.JOB) and draft.replicas != 1:
        what = "a shared service" if draft.kind is Kind.SHARED else "a job"
        place.error("replicas-form", f"{what} runs once, so replicas must be 1")
    elif draft.kind is Kind.ROUTED and draft.replicas == 0:
        place.error("replicas-form", "a routed service needs at least one replica to answer")


def _dependency(draft: Draft, dependency: Dependency, place: Node, drafts: Drafts) -> None:
    target = drafts.get(dependency.service)
    if target is None:
        meant = values.did_you_mean(dependency.service, list(drafts))
        message = f"there is no service {values.shown(dependency.service)}{meant}"
        if dependency.required:
            place.error("depends-unknown", message)
        else:
            place.notice(f"{message}; it is not required, so nothing waits for it")
        return
    if draft.kind is None or target.kind is None:
        return
    if draft.kind is Kind.SHARED and target.kind is not Kind.SHARED:
        place.error(
            "depends-kind",
            f"a shared service outlives the releases, so it can't wait for "
            f"{target.name}, which is {_article(target.kind)} of one",
        )
    elif target.kind is Kind.WORKER and draft.kind is not Kind.WORKER:
        place.error("depends-kind", f"{target.name} is a worker, and workers start only after the switch")
    if dependency.condition == "service_completed_successfully" and target.kind is not Kind.JOB:
        place.error(
            "depends-condition", f"{target.name} does not end; if it does, it is a job: x-bluegreen: {{job: true}}"
        )
    elif dependency.condition == "service_healthy" and target.kind is Kind.JOB:
        place.error("depends-condition", f"{target.name} is a job; write service_completed_successfully")
    elif (
        dependency.condition == "service_healthy"
        and target.kind is not Kind.ROUTED
        and target.body.get("Healthcheck", {}).get("Test") == ["NONE"]
    ):
        place.error("depends-condition", f"the healthcheck of {target.name} is disabled")


def _article(kind: Kind) -> str:
    return (
        f"an {kind.value} service"
        if kind is Kind.INTERNAL
        else f"a {kind.value}" + (" service" if kind is Kind.ROUTED else "")
    )


def _cycles(drafts: Drafts) -> None:
    """Reports each cycle once, at the dependency that closes it."""
    done: set[str] = set()
    for start in drafts:
        path: list[str] = []
        pending: list[tuple[str, int]] = [(start, 0)]  # a service, and how many of its dependencies are walked
        while pending:
            name, walked = pending.pop()
            if walked == 0:
                if name in done:
                    continue
                path.append(name)
            edges = [(d.service, place) for d, place in drafts[name].dependencies if d.service in drafts]
            if walked == len(edges):
                done.add(path.pop())
                continue
            pending.append((name, walked + 1))
            target, place = edges[walked]
            if target in path:
                circle = " -> ".join([*path[path.index(target) :], target])
                place.error("depends-cycle", f"these services wait for each other: {circle}")
            elif target not in done:
                pending.append((target, 0))
