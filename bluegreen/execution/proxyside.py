"""Steps on the proxy's side as the agent's operations, and its refusals as errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from bluegreen.model.codec import encode
from bluegreen.model.errors import BluegreenError, Unhealthy
from bluegreen.model.project import ProxySettings, SmokeCheck
from bluegreen.model.release import Routes
from bluegreen.planning.proxysteps import (
    Activate,
    ActivateTopology,
    Drain,
    DropBack,
    Flip,
    ProbeSlot,
    PruneGenerations,
    Record,
    Settle,
    Shift,
    Smoke,
)
from bluegreen.planning.steps import Step
from bluegreen.proxy.session import refusal

Render = Callable[[Routes, ProxySettings], Mapping[str, str]]
"""A generation's files, by their path in its directory."""


def op(step: Step, render: Render | None, generation: int | None) -> dict[str, Any]:
    """The agent's operation for a step. ``generation`` is the one this plan activated last, if any."""
    match step:
        case Activate():
            return _activate(step, render, generation)
        case DropBack():
            return {"op": "drop_back"}
        case Drain():
            return {
                "op": "drain",
                "addresses": list(step.addresses),
                "until": _deadline(step.since, step.deadline),
                "seconds": step.deadline if step.since else 0,
            }
        case ProbeSlot():
            return {"op": "probe", "requests": [dict(r) for r in step.requests], "diagnose": True}
        case Settle():
            return {"op": "settle", "gate": step.gate, "seconds": step.seconds}
        case Record():
            return {"op": "append", "events": [dict(e) for e in step.events]}
        case PruneGenerations():
            return {"op": "prune", "keep": step.keep}
        case Smoke():
            return {"op": "probe", "requests": [smoke_request(c, step.slot, step.tag) for c in step.checks]}
    raise AssertionError(f"no operation for {type(step).__name__}")


def _deadline(since: str, seconds: float) -> str | None:
    """The moment ``seconds`` after ``since``, RFC 3339; None where it is not known when the slot lost its traffic."""
    if not since:
        return None
    return (datetime.fromisoformat(since) + timedelta(seconds=seconds)).isoformat()


def smoke_request(check: SmokeCheck, slot: str, tag: str) -> dict[str, Any]:
    expect: dict[str, Any] = {"status": list(check.status)}
    if check.body is not None:
        expect["body"] = check.body.replace("{tag}", tag)
    request: dict[str, Any] = {
        "name": f"{check.method} {check.path}",
        "target": f"slot:{slot}",
        "method": check.method,
        "path": check.path,
        "headers": dict(check.headers),
        "timeout": check.timeout,
        "expect": expect,
    }
    if check.host:
        request["host"] = check.host
    return request


def _activate(step: Activate, render: Render | None, generation: int | None) -> dict[str, Any]:
    out: dict[str, Any] = {
        "op": "activate",
        "parent": generation if step.parent is None else step.parent,
        "topology": isinstance(step, ActivateTopology),
        "settle": "verified" if isinstance(step, Flip | Shift) else "none",
    }
    if step.routes is None:
        # From a candidate that was taken back no way leads to it again.
        return {**out, "generation": "back", "back": None if isinstance(step, Shift) else "parent"}
    if render is None or step.settings is None:
        raise AssertionError("a generation to be rendered comes with its settings and a renderer")
    out["generation"] = {"files": dict(render(step.routes, step.settings)), "routes": encode(step.routes)}
    if isinstance(step, ActivateTopology) and step.testers is not None and step.routes.trial:
        out["force"] = encode(step.testers) if step.testers.secret else None
    if step.back is not None:
        out["back"] = {"files": dict(render(step.back, step.settings)), "routes": encode(step.back)}
    else:
        out["back"] = None
    return out


def error(step: Step, result: Mapping[str, Any]) -> BluegreenError:
    """The error for a result that says no."""
    if result.get("code") == "unhealthy":
        bad = [a for a in result.get("answers", ()) if not a.get("ok")]
        first = bad[0] if bad else {}
        why = probe_reason(first)
        return Unhealthy(
            f"health.{first.get('why', 'unhealthy')}",
            f"{first.get('name', step.subject)}: {why}",
            service=str(first.get("name", step.subject)),
            why=why,
            quoted=str(first.get("detail") or "") if first.get("why") == "redirect" else "",
        )
    return refusal(result, step.verb)


def probe_reason(answer: Mapping[str, Any]) -> str:
    """A probe's answer in words."""
    detail = str(answer.get("detail") or "")
    match answer.get("why"):
        case "refused":
            return "the connection was refused" + (f" ({detail})" if detail else "")
        case "timeout":
            return "it did not answer in time" + (f" ({detail})" if detail else "")
        case "redirect":
            return f"it answered with a redirect, {answer.get('status')} {detail}".rstrip()
        case "status":
            return f"it answered {answer.get('status')}" + (f", {detail}" if detail else "")
        case "body":
            return f"it answered {answer.get('status')}, {detail or 'without the text expected in the body'}"
        case "host-rejected":
            return f"it answered {answer.get('status')} to this Host header ({detail})"
        case "closed":
            return "it closed the connection without an answer"
    return detail or "no reason given"
