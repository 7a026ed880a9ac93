"""The screen of `deploy TAG --canary`, once its steps are over, and its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bluegreen.cli.layout import Page, duration
from bluegreen.cli.screens import deploy as deploying
from bluegreen.cli.screens.canary import moves
from bluegreen.cli.screens.watch import harm, verdict_data
from bluegreen.judge.wording import bound
from bluegreen.model.errors import BluegreenError, Exit

if TYPE_CHECKING:
    from bluegreen.app.deploy import DeployResult
    from bluegreen.app.ramp import Ramp, Step
    from bluegreen.app.status import Status


def data(project: str, deployed: DeployResult, found: Ramp, after: Status | None) -> dict[str, Any]:
    """``deploy TAG --canary --json``: that of a deploy, with ``canary``."""
    action = found.action
    return {
        **deploying.data(project, deployed, after),
        "canary": {
            "outcome": found.outcome,
            "share": found.share,
            "steps": [
                {
                    "share": step.share,
                    "outcome": step.outcome.value,
                    "seconds": round(step.seconds, 1),
                    "verdict": verdict_data(step.verdict),
                }
                for step in found.steps
            ],
            "against": verdict_data(action.verdict) if action else None,
            "harm": {"errors": action.errors, "clients": action.clients} if action else None,
            "ms": {"detect": action.detect_ms, "decide": action.decide_ms, "execute": action.execute_ms}
            if action
            else None,
        },
    }


def error(found: Ramp) -> BluegreenError | None:
    """What its end means to a script; None where the release has all visitors."""
    tag, live = found.release.tag, found.live.tag
    if found.outcome == "promoted":
        return None
    if found.outcome == "stopped":
        return BluegreenError(
            "canary.stopped",
            f"stopped: {tag} has {found.share} % of visitors, the last share that passed",
            next=(f"bg canary {found.share or 5}", "bg promote", "bg abort"),
            exit=Exit.INTERRUPTED,
        )
    if found.outcome == "held":
        return BluegreenError(
            "canary.inconclusive",
            f"no verdict on {tag} in time: {_why(found.steps[-1])}; {tag} keeps its {found.share} %",
            next=("bg canary --explain    says how long a verdict takes", "bg promote", "bg abort"),
            exit=Exit.INCONCLUSIVE,
        )
    reason = _reason(found)
    return BluegreenError(
        "canary.taken-back",
        f"{tag} was taken back, {live} has all visitors: {reason}",
        next=(f"bg why {tag}", f"bg logs {tag}", "bg abort    removes it"),
        exit=Exit.VERDICT,
    )


def lines(page: Page, found: Ramp) -> list[str]:
    tag, live = found.release.tag, found.live.tag
    for step in found.steps:
        verdict = f": {step.verdict.reason}" if step.verdict else ""
        page.field(f"{step.share} %", f"{step.outcome} after {duration(step.seconds * 1000)}{verdict}")
    last = found.steps[-1].verdict if found.steps else None
    if last is not None and found.action is None:
        page.field("BOUND", bound(last.alpha_sum))
    if found.outcome == "promoted" and found.live == found.release:
        page.field("LIVE", f"{tag} has all visitors; there is nothing to go back to yet")
        return page.lines
    page.line()
    if found.outcome == "promoted":
        page.field("PROMOTED", f"{tag} has all visitors; {live} stands by, warm")
        page.commands("UNDO", ["bg rollback    images, configuration and environment go back"])
        return page.lines
    if found.outcome == "taken-back":
        page.field("TAKEN BACK", f"{live} has all visitors again; {tag} is marked bad, and stays as a candidate at 0 %")
        action = found.action
        page.field("WHY", _reason(found))
        if action is not None:
            page.field("BOUND", bound(action.verdict.alpha_sum))
            seen = f"seen {duration(action.detect_ms)} after the request that decided it, " if action.detect_ms else ""
            page.field("TOOK", f"{seen}taken back in {duration(action.execute_ms)}")
            page.field("HARM", harm(action))
        page.commands("NEXT", [f"bg why {tag}", f"bg logs {tag} --since 10m", "bg abort    remove it"])
        return page.lines
    if found.outcome == "held":
        page.field("INCONCLUSIVE", f"no verdict in time: {_why(found.steps[-1])}")
        page.field("CANARY", f"{tag} keeps its {found.share} % of visitors until you say otherwise")
        page.commands("NEXT", ["bg canary --explain    how long a verdict takes", *moves(tag, found.share)])
    else:
        page.field("STOPPED", f"{tag} has {found.share} % of visitors, the last share that passed")
        page.commands("NEXT", moves(tag, found.share))
    return page.lines


def _reason(found: Ramp) -> str:
    """Why it was taken back."""
    if found.action is not None:
        return found.action.verdict.reason
    return found.by_another or "no verdict in time, and then the file says rollback"


def _why(step: Step) -> str:
    return step.verdict.reason if step.verdict else "there was no traffic"
