"""Years of a project's life, as its journal would tell them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bluegreen.model.codec import decode
from bluegreen.model.history import History, fold

STEPS = (
    "keep-image",
    "create",
    "start",
    "await",
    "probe",
    "topology",
    "settle",
    "switch",
    "probe",
    "prune-generations",
)
AT = "2026-01-01T00:00:00.000Z"
Event = dict[str, Any]


def past(history: History, events: int) -> Iterator[list[Event]]:
    """At least so many events, operation by operation: release after release is deployed, rolled back from, and
    switched to again. Each operation ends with its snapshot, as real ones do."""
    written = 0
    live = history.last_number
    while written < events:
        new = live + 1
        for operation in (_deploy(new, live), _move("rollback", live, new), _move("switch", new, live)):
            history = fold(operation, history)
            end = {"event": "end", "op": operation[0]["op"], "outcome": "done", "snapshot": history.snapshot(), "t": AT}
            history = fold([end], decode(History, end["snapshot"]))
            written += len(operation) + 1
            yield [*operation, end]
        live = new


def _deploy(new: int, live: int) -> list[Event]:
    name = f"deploy-{new:08x}"
    record = {"number": new, "tag": f"v{new}", "at": AT, "by": "bench@here", "subject": "Say good day", "standby": live}
    return [
        _begin(name, "deploy", new, live),
        {"event": "released", "op": name, "t": AT, "release": record},
        *(event for step in STEPS for event in _step(name, step)),
        {"event": "switched", "op": name, "t": AT, "to": new, "from": live, "kind": "deploy"},
    ]


def _move(kind: str, to: int, live: int) -> list[Event]:
    name = f"{kind}-{to:08x}"
    mark = {"release": live, "mark": "bad"} if kind == "rollback" else {"release": to, "mark": None}
    return [
        _begin(name, kind, to, live),
        *(event for step in ("probe", "switch") for event in _step(name, step)),
        {"event": "switched", "op": name, "t": AT, "to": to, "from": live, "kind": kind},
        {"event": "marked", "op": name, "t": AT, **mark, "reason": "rolled back"},
    ]


def _begin(name: str, kind: str, release: int, live: int) -> Event:
    about = {"tag": f"v{release}", "release": release, "slot": "blue", "live": live, "standby": None}
    return {"event": "begin", "op": name, "t": AT, "kind": kind, "by": "bench@here", **about}


def _step(name: str, step: str) -> Iterator[Event]:
    about = {"op": name, "t": AT, "step": step, "subject": "bgbench-blue-web-1", "cause": "every new upstream answers"}
    yield {"event": "intent", **about}
    yield {"event": "outcome", **about, "ok": True, "ms": 18.1}
