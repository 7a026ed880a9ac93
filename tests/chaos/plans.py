"""The kinds of plan, each with where it begins, what is typed, and what may serve when it is struck.

"One of the two coherent states" is, for most, the release that served before and the one that serves at the end. A
first deploy begins with nothing, `down` ends with nothing, and while `proxy upgrade` replaces the proxy nothing
answers, as it announces.
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.scenarios.stack import Stack, shared, web, worker

Serves = frozenset[str | None]
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Command:
    """What is typed. ``serves``: what may answer the public port once it was struck."""

    words: tuple[str, ...]
    serves: Serves
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """``begin`` brings a clean project, or none, to where the command is typed. ``points``: its checkpoints, about.

    ``fails``: it ends with a failure. ``gap``: requests may be lost while it is under way and until the way on is
    over. ``new``: there was nothing before. ``gone``: nothing is left at its end.
    """

    begin: Callable[[Stack], Command]
    points: int
    fails: bool = False
    gap: bool = False
    new: bool = False
    gone: bool = False


def next_tag() -> str:
    return f"v{next(_numbers)}"


def write(shop: Stack) -> Stack:
    """Every kind of service: two replicas with a cache nobody names, a job, a worker, a shared one with data."""
    data = {"volumes": ["data:/data"]}
    services = {
        "web": {**web(shop.image, volumes=["/cache"]), "deploy": {"replicas": 2}},
        "migrate": {
            "image": shop.image,
            **data,
            "environment": {"MODE": "job", "TAG": "${TAG:-none}"},
            "x-bluegreen": {"job": True, "shared_volume": True},
        },
        "worker": worker(shop.image),
        "store": shared(shop.image, volumes=["data:/data"]),
    }
    services["web"]["depends_on"] = {"migrate": {"condition": "service_completed_successfully"}}
    return shop.write(services, top={"volumes": {"data": None}}, keep=2)


# -- where they begin --------------------------------------------------------------------------------------
def look(shop: Stack) -> dict[str, Any]:
    """The status; empty where nothing of the project is there."""
    answer = shop.bg("status")
    if answer.errors and answer.errors[0]["code"] == "project.not-here":
        return {}
    return answer.succeeded().data


def ready(shop: Stack) -> dict[str, Any]:
    """A live release with a good one standing by, and no candidate."""
    status = look(shop)
    if status.get("candidate"):
        shop.bg("abort").succeeded()
        status = look(shop)
    while not status.get("standby") or status["standby"]["mark"] == "bad":
        shop.deploy(next_tag()).succeeded()
        status = look(shop)
    return status


def _kept(shop: Stack) -> tuple[dict[str, Any], str]:
    """The status, and the tag of the one release that is kept, which can be gone back to by recreating it."""
    while True:
        status = ready(shop)
        warm = {status["live"]["tag"], status["standby"]["tag"]}  # a forced deploy gives a tag another time
        found = [str(k["tag"]) for k in status["kept"] if k["whole"] and k["mark"] != "bad" and k["tag"] not in warm]
        if found and len(status["kept"]) == 1:
            return status, found[0]
        if found:
            shop.bg("prune", "--keep", "1").succeeded()
            continue
        shop.deploy(next_tag()).succeeded()


def _moving(status: dict[str, Any], to: str, *words: str, **env: str) -> Command:
    return Command(words, frozenset({status["live"]["tag"], to}), env)


def _staying(status: dict[str, Any], *words: str, **env: str) -> Command:
    return Command(words, frozenset({status["live"]["tag"]}), env)


def _first(shop: Stack) -> Command:
    shop.bg("down", "--yes", "--volumes", "--images").succeeded()
    tag = next_tag()
    return Command(("deploy", tag), frozenset({None, tag}))


def _deploy(shop: Stack) -> Command:
    tag = next_tag()
    return _moving(ready(shop), tag, "deploy", tag)


def _failing(shop: Stack) -> Command:
    return _staying(ready(shop), "deploy", next_tag(), STATUS="500", DEADLINE="0.5s")


def _forced(shop: Stack) -> Command:
    status = ready(shop)
    return _staying(status, "deploy", "--force", str(status["live"]["tag"]))


def _stage(shop: Stack) -> Command:
    return _staying(ready(shop), "deploy", "--stage", next_tag())


def _staged(shop: Stack) -> tuple[dict[str, Any], str]:
    status, tag = ready(shop), next_tag()
    shop.deploy(tag, "--stage").succeeded()
    return status, tag


def _switch(shop: Stack) -> Command:
    status, tag = _staged(shop)
    return _moving(status, tag, "switch", tag)


def _forward(shop: Stack) -> Command:
    status = ready(shop)
    shop.bg("rollback").succeeded()
    return _moving(status, str(status["standby"]["tag"]), "switch", str(status["live"]["tag"]))


def _warm(shop: Stack) -> Command:
    status = ready(shop)
    return _moving(status, str(status["standby"]["tag"]), "rollback", "--reason", "500s")


def _cold(shop: Stack) -> Command:
    status, kept = _kept(shop)
    return _moving(status, kept, "rollback", "--to", kept)


def _abort(shop: Stack) -> Command:
    return _staying(_staged(shop)[0], "abort")


def _shared(shop: Stack, share: int) -> tuple[dict[str, Any], str]:
    status, tag = _staged(shop)
    shop.bg("canary", str(share)).succeeded()
    return status, tag


def _shift(shop: Stack) -> Command:
    status, tag = _shared(shop, 5)
    return _moving(status, tag, "canary", "50")


def _promote(shop: Stack) -> Command:
    status, tag = _shared(shop, 50)
    return _moving(status, tag, "promote")


def _abort_shared(shop: Stack) -> Command:
    status, tag = _shared(shop, 50)
    return _moving(status, tag, "abort")


def _rollback_shared(shop: Stack) -> Command:
    status, tag = _shared(shop, 50)
    return _moving(status, tag, "rollback", "--reason", "500s")


def _prune(shop: Stack) -> Command:
    return _staying(_kept(shop)[0], "prune", "--keep", "0")


def _upgrade(shop: Stack) -> Command:
    status = ready(shop)
    return Command(("proxy", "upgrade"), frozenset({status["live"]["tag"], None}))


def _down(*words: str) -> Callable[[Stack], Command]:
    def begin(shop: Stack) -> Command:
        return Command(("down", "--yes", *words), frozenset({_kept(shop)[0]["live"]["tag"], None}))

    return begin


def _abort_died(shop: Stack) -> Command:
    return _after_death(shop, "before probe", "abort")


def _resume_died(shop: Stack) -> Command:
    return _after_death(shop, "before probe", "resume")


def _resume_moved(shop: Stack) -> Command:
    return _after_death(shop, "after switch", "resume")


def _after_death(shop: Stack, where: str, word: str) -> Command:
    """A deploy was killed: what was live before it, and what it goes to."""
    status, tag = ready(shop), next_tag()
    killed = shop.halting(signal.SIGKILL, where, "deploy", tag).end()
    assert killed.code == -signal.SIGKILL, killed
    serving = shop.serving
    assert serving in (status["live"]["tag"], tag), serving
    return Command((word,), frozenset({serving, tag} if word == "resume" else {serving}))


PLANS: dict[str, Plan] = {
    "first deploy": Plan(_first, 60, new=True),
    "deploy": Plan(_deploy, 74),
    "deploy that fails": Plan(_failing, 60, fails=True),
    "deploy of what is live, forced": Plan(_forced, 74),
    "stage": Plan(_stage, 60),
    "switch to a candidate": Plan(_switch, 30),
    "switch forward": Plan(_forward, 14),
    "warm rollback": Plan(_warm, 14),
    "cold rollback": Plan(_cold, 74),
    "shift": Plan(_shift, 10),
    "promote": Plan(_promote, 30),
    "rollback of a candidate with a share": Plan(_rollback_shared, 8),
    "abort of a candidate with a share": Plan(_abort_shared, 56),
    "abort of a candidate": Plan(_abort, 50),
    "abort of a deploy that died": Plan(_abort_died, 50),
    "resume of a deploy that died": Plan(_resume_died, 30),
    "resume of a deploy that died after its switch": Plan(_resume_moved, 10),
    "prune": Plan(_prune, 16),
    "proxy upgrade": Plan(_upgrade, 12, gap=True),
    "down": Plan(_down(), 36, gap=True, gone=True),
    "down with volumes and images": Plan(_down("--volumes", "--images"), 38, gap=True, gone=True),
}
