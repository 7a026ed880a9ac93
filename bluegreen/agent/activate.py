"""Activate: the one way to change traffic, as a compare-and-swap on the parent generation.

Nothing is seen by nginx before `current` is renamed, and that rename is the flip. A crash anywhere leaves the
parent or the new generation; the same call again finds what is done and does the rest.
"""

from __future__ import annotations

from . import force
from .clock import rfc3339
from .errors import Refusal
from .nginx import KEEPALIVE_SECONDS
from .store import Store, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .agent import Agent

EFFECTIVE_SECONDS = 5.0
VERIFIED_SECONDS = 2.0
FORMER_RELOAD_SECONDS = 1.0
BACK = "current/back"
OF_THE_AGENT = ("generation", "parent", "operation", "since")
"""Fields of routes.json that the agent fills in when a generation gets its number."""


def activate(agent: Agent, op: dict[str, Any]) -> dict[str, Any]:
    operation = str(op.get("operation") or agent.operation or "")
    parent = int(op.get("parent") or 0)
    topology = bool(op.get("topology"))
    watch = _Watch(agent)

    with agent.files.lock():
        agent.check_epoch(op)
        done = _done(agent.store, operation, parent, op)
        routes = _content(agent.store, op, done=done)
    others_may_choose = topology and "force" in op and force.write(agent.files, op["force"])
    # Outside the lock, so that a rollback never waits for another's nginx -t.
    staged = None if done else _stage(agent, operation, op, routes)
    if topology:
        _await_former_reload(agent)
    watch.lap("staged")

    with agent.files.lock():
        renamed = None if staged is None else _flip(agent, op, staged, routes, parent, operation)
        number = agent.store.current() or 0
        watch.lap("flipped")
        reloaded = _reload(agent, topology=topology, anyway=others_may_choose)

    if topology:
        _await_effect(agent, op, number, parent)
        watch.lap("effective")
    served = _await_served(agent, number) if op.get("settle") == "verified" else agent.nginx.served()
    watch.lap("verified")
    answer = {"generation": number, "was": parent, "reloaded": reloaded, "ms": watch.laps, "served": served}
    return answer if renamed is None else {**answer, "renamed": renamed}


def reload_where_due(agent: Agent, *, now: bool = False) -> bool:
    """Have the compiled configuration say what is live, unless workers of an earlier reload still drain.

    That can wait, but not ``now``. Another topology can't, such as that of a newer version's templates: what waits for
    it to be served would wait for the last WebSocket of those workers. Nor can a release that the compiled
    configuration doesn't know of, or takes for another: the access log has its number from there.
    """
    served = agent.nginx.served()
    rendered = agent.store.digest("current")
    if served is None or served["compiled"] == rendered:
        return False
    workers = agent.nginx.workers()
    if not now and (workers.draining or workers.old) and _may_wait(served["compiled"], rendered):
        return False
    agent.nginx.reload()
    return True


def _may_wait(compiled: str | None, rendered: str | None) -> bool:
    if compiled is None or rendered is None or topology_of(compiled) != topology_of(rendered):
        return False
    before, newest_before = _default_of(compiled)
    after, newest_after = _default_of(rendered)
    other_release_in_its_slot = before != after and before.rstrip("0123456789") == after.rstrip("0123456789")
    return newest_before == newest_after and not other_release_in_its_slot


def _default_of(digest: str) -> tuple[str, str]:
    """(slot and release, newest release) of a digest."""
    default, _, newest = digest.partition("-")[2].removesuffix("-trial").partition(".")
    return default, newest


def settled(agent: Agent, gate: int) -> bool:
    """Whether a gate is open now.

    1: the socket answers the current generation, from a configuration of its topology. 2: moreover no worker with
    an older configuration takes requests, not even on connections that it keeps alive. 3: none is left.
    """
    served = agent.nginx.served()
    if served is None or served["generation"] != (agent.store.current() or 0):
        return False
    if topology_of(served["compiled"]) != topology_of(agent.store.digest("current")):
        return False
    if gate == 1:
        return True
    workers = agent.nginx.workers()
    if workers.old or not workers.active:
        return False
    kept_alive = workers.since is not None and workers.since < KEEPALIVE_SECONDS + 0.5
    return not workers.draining or (gate == 2 and not kept_alive)


def topology_of(digest: str | None) -> str | None:
    """A digest is ``TOPOLOGY-DEFAULT.NEWEST``: what flips of one topology share, and what each has of its own."""
    return None if digest is None else digest.partition("-")[0]


def _done(store: Store, operation: str, parent: int, op: dict[str, Any]) -> bool:
    """Whether `current` is this very activation already. Raises the refusal ``stale`` when it is another's."""
    current = store.current() or 0
    if current == parent:
        return False
    routes = store.routes("current") or {}
    if operation and routes.get("operation") == operation and routes.get("parent") == parent:
        if op.get("generation") == "back":
            if _meaning(store.routes(f"{name_of(parent)}/back") or {}) == _meaning(routes):
                return True
        elif _same(store, op.get("generation") or {}, routes):
            return True
    raise Refusal("stale", f"generation {current} is current, where {parent} was expected", current=current)


def _same(store: Store, wanted: dict[str, Any], routes: dict[str, Any]) -> bool:
    files = wanted.get("files") or {}
    return _meaning(wanted.get("routes") or {}) == _meaning(routes) and all(
        store.files.read(f"current/{name}") == text for name, text in files.items()
    )


def _meaning(routes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in routes.items() if key not in OF_THE_AGENT}


def _content(store: Store, op: dict[str, Any], *, done: bool) -> dict[str, Any]:
    """The routes to activate."""
    if op.get("generation") == "back":
        back = store.routes(BACK)
        if back is None and not done:
            raise Refusal("no-back", "there is no way back that was rendered beforehand")
        return back or {}
    generation = op.get("generation")
    if not isinstance(generation, dict) or not isinstance(generation.get("files"), dict):
        raise Refusal("invalid", "a generation is its files and its routes, or the word back")
    return dict(generation.get("routes") or {})


def _stage(agent: Agent, operation: str, op: dict[str, Any], routes: dict[str, Any]) -> str:
    """Everything of a generation but its number, written and checked."""
    before = agent.store.routes("current") or {}
    if op["generation"] == "back":
        staged = agent.store.stage_copy(operation, BACK, routes)
        agent.store.mark_skew(staged, routes, _since(agent, routes, before))
        return staged
    changed = any((routes.get(key) or None) != (before.get(key) or None) for key in ("live", "share"))
    if op.get("topology") and changed:
        raise Refusal("invalid", "a generation changes the topology or the routes, never both")
    staged = agent.store.stage(operation, op["generation"]["files"], routes)
    agent.store.mark_skew(staged, routes, _since(agent, routes, before))
    if op.get("topology"):
        complaint = agent.nginx.test(agent.files.path(f"{staged}/nginx.conf"))
        if complaint is not None:
            agent.files.remove(staged)
            raise Refusal("invalid", f"nginx does not accept the configuration: {complaint}")
    way = op.get("back")
    if isinstance(way, dict):
        agent.store.stage_back(staged, way["files"], way["routes"])
    return staged


def _flip(
    agent: Agent, op: dict[str, Any], staged: str, routes: dict[str, Any], parent: int, operation: str
) -> float | None:
    """The moment just before the rename; None where somebody else has made it."""
    try:
        agent.check_epoch(op)
        if _done(agent.store, operation, parent, op):  # a session thought dead was quicker
            return None
        if op.get("back") == "parent" or (op["generation"] == "back" and "back" not in op):
            agent.store.stage_back_to(staged, parent)
        number = agent.store.highest() + 1
        agent.store.place(staged, _numbered(agent, routes, number, parent, operation))
        return agent.store.point(number, agent.clock.monotonic)
    except Refusal:
        agent.files.remove(staged)
        raise


def _numbered(agent: Agent, routes: dict[str, Any], number: int, parent: int, operation: str) -> dict[str, Any]:
    since = _since(agent, routes, agent.store.routes("current") or {})
    return {**routes, "generation": number, "parent": parent, "operation": operation, "since": since}


def _since(agent: Agent, routes: dict[str, Any], before: dict[str, Any]) -> str:
    """When what is live in ``routes`` became live: now, unless it is already."""
    return before.get("since") or "" if routes.get("live") == before.get("live") else rfc3339(agent.clock.now())


def _reload(agent: Agent, *, topology: bool, anyway: bool) -> bool:
    if not topology:
        return reload_where_due(agent)
    served = agent.nginx.served()
    loaded = (
        served is not None and served["compiled"] is not None and served["compiled"] == agent.store.digest("current")
    )
    if loaded and not anyway:
        return False
    agent.nginx.reload()
    return True


def _await_former_reload(agent: Agent) -> None:
    """One reload at a time: workers of the former that are yet to start would not be known as old to this one, and its
    gate would open while they still take requests. One that nginx refused never ends, so this doesn't wait for ever.
    """
    until = agent.clock.monotonic() + FORMER_RELOAD_SECONDS
    while agent.nginx.workers().old and agent.clock.monotonic() < until:
        agent.wait(0.005)


def _await_effect(agent: Agent, op: dict[str, Any], number: int, parent: int) -> None:
    """Wait until nginx runs what it was given. Exit codes and signals prove nothing; its own answer does."""
    digest = agent.store.digest(name_of(number))
    until = agent.clock.monotonic() + EFFECTIVE_SECONDS
    while True:
        served = agent.nginx.served()
        if served is not None and served["compiled"] == digest:
            return
        if agent.clock.monotonic() >= until:
            break
        agent.wait(0.005)
    with agent.files.lock():
        agent.check_epoch(op)
        if agent.store.current() == number:
            agent.store.point(parent)
    compiled = served["compiled"] if served else "nothing: it does not answer"
    raise Refusal(
        "not-effective",
        f"nginx accepted the configuration {digest} and did not load it (it runs {compiled}); "
        f"generation {parent} is current again",
    )


def _await_served(agent: Agent, number: int) -> dict[str, Any]:
    until = agent.clock.monotonic() + VERIFIED_SECONDS
    while True:
        served = agent.nginx.served()
        if served is not None and served["generation"] == number:
            return served
        if agent.clock.monotonic() >= until:
            raise Refusal(
                "unverified",
                f"generation {number} is current, and nginx did not confirm it",
                generation=number,
                served=served,
            )
        agent.wait(0.005)


class _Watch:
    """Milliseconds from the start of the activation to each of its points."""

    def __init__(self, agent: Agent) -> None:
        self._clock = agent.clock
        self._start = agent.clock.monotonic()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        self.laps[name] = round((self._clock.monotonic() - self._start) * 1000, 2)
