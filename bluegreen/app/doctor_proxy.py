"""How the proxy is, and what `status` would complain about: for `doctor` and `proxy`. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bluegreen.app.doctor import Finding
from bluegreen.app.site import Site
from bluegreen.app.status import report
from bluegreen.app.tools import PREVIEW_PORT, public_url, published_port
from bluegreen.model import labels
from bluegreen.model.errors import BluegreenError
from bluegreen.model.names import proxy_container
from bluegreen.model.observed import Observed

STATE_FAIL = 8 << 20
STATE_WARN = 100 << 20
SKEW_SECONDS = 5.0
_FAILING = ("live.", "journal.")


@dataclass(frozen=True, slots=True)
class ProxyLook:
    """``state``: running, silent (nginx does not answer), stopped, missing."""

    project: str
    state: str
    container: str
    status: str = ""  # the engine's words
    version: str = ""  # of the bluegreen that made it
    url: str | None = None
    preview: str | None = None
    generation: int | None = None
    up_to_date: bool = False  # what nginx runs is what it was given
    connections: int = 0
    draining_workers: int = 0
    disk_free: int | None = None
    journal: str = ""
    detail: str = ""


def look(site: Site) -> ProxyLook:
    """The proxy as the engine and its own agent see it."""
    observed, problem = _picture(site)
    return of_picture(observed, site.engine.public, problem)


def of_picture(observed: Observed, public: str, problem: str | None) -> ProxyLook:
    name = proxy_container(observed.project)
    container = observed.proxy_container
    if container is None:
        return ProxyLook(observed.project, "missing", name, detail=problem or "")
    published = published_port(container, PREVIEW_PORT)
    state = observed.proxy
    standing = "stopped" if not container.running else "running" if state.compiled is not None else "silent"
    return ProxyLook(
        project=observed.project,
        state=standing,
        container=name,
        status=container.status or container.state,
        version=container.labels.get(labels.VERSION, ""),
        url=public_url(container, public),
        preview=f"http://127.0.0.1:{published[1]}/" if published else None,
        generation=state.routes.generation if state.routes else None,
        up_to_date=state.compiled is not None and state.compiled == state.rendered,
        connections=sum(state.connections.values()),
        draining_workers=state.draining_workers,
        disk_free=state.disk_free,
        journal=state.journal if container.running else "",
        detail=problem or state.journal_detail,
    )


def findings(site: Site) -> Iterator[Finding]:
    """About the proxy, its journal and volume, the releases and the clock; nothing where nothing was deployed."""
    observed, problem = _picture(site)
    if not observed.containers:
        yield Finding("project", "ok", f"nothing of {site.name} is on this engine yet")
        return
    found = of_picture(observed, site.engine.public, problem)
    yield _proxy(found)
    if found.state == "running":
        yield from _volume(found)
        yield from _clock(observed)
    troubles = report(observed, "localhost").troubles
    for trouble in troubles:
        failing = trouble.code.startswith(_FAILING)
        yield Finding("releases", "fail" if failing else "warn", trouble.message, next=trouble.next, code=trouble.code)
    if not troubles:
        kept = len({c.release for c in observed.kept()})
        live = observed.live_release
        yield Finding("releases", "ok", f"live: {live or 'nothing yet'}; {kept} kept for a cold rollback, all whole")


def _proxy(found: ProxyLook) -> Finding:
    if found.state == "running":
        return Finding("proxy", "ok", f"{found.container} runs ({found.status}), generation {found.generation}")
    words = {
        "missing": f"there is no {found.container}: nobody reaches this project",
        "stopped": f"{found.container} is not running ({found.status}): nobody reaches this project",
        "silent": f"{found.container} runs, but its nginx does not answer",
    }
    more = f" ({found.detail})" if found.detail and found.state == "silent" else ""
    return Finding(
        "proxy",
        "fail",
        words[found.state] + more,
        next=("bg proxy start", f"docker logs --tail 20 {found.container}"),
        code=f"proxy.{found.state}",
    )


def _volume(found: ProxyLook) -> Iterator[Finding]:
    from bluegreen.app.doctor_engine import size

    free = found.disk_free
    if free is not None:
        level = "fail" if free < STATE_FAIL else "warn" if free < STATE_WARN else "ok"
        yield Finding(
            "state",
            level,  # type: ignore[arg-type]  # mypy widens the conditional to str
            f"{size(free)} free where the journal is kept",
            next=() if level == "ok" else ("docker system df    what takes the room",),
            code="" if level == "ok" else "doctor.state-volume",
        )
    if found.journal == "ok":
        yield Finding("journal", "ok", "the journal can be read")


def _clock(observed: Observed) -> Iterator[Finding]:
    try:
        theirs = datetime.fromisoformat(observed.proxy.clock)
    except ValueError:
        return
    apart = abs((datetime.now(UTC) - theirs).total_seconds())
    if apart > SKEW_SECONDS:
        yield Finding(
            "clock",
            "warn",
            f"this machine's clock and the engine's are {apart:.0f} s apart; times in the history are the engine's",
            next=("timedatectl    is it synchronised?",),
        )
    else:
        yield Finding("clock", "ok", "this machine's clock and the engine's agree")


def _picture(site: Site) -> tuple[Observed, str | None]:
    containers = site.engine.containers(site.name)
    answer: Mapping[str, Any] = {}
    problem = None
    if any(c.name == proxy_container(site.name) and c.running for c in containers):
        try:
            with site.session() as session:
                answer = session.run([{"op": "read", "history": False}])[0]
        except BluegreenError as error:
            problem = error.problem.message
    return site.picture(answer, containers), problem
