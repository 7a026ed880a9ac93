"""The last block of a deploy's screen: what is live now and how to go back, or why it is not live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bluegreen.cli.layout import Page, count, duration
from bluegreen.cli.problems import heading_of, show_log, show_place
from bluegreen.cli.screens import status as standing
from bluegreen.cli.screens.plan import plan_lines
from bluegreen.model.codec import encode
from bluegreen.model.errors import BluegreenError, Exit, Held

if TYPE_CHECKING:
    from bluegreen.app.deploy import DeployResult
    from bluegreen.app.status import Status

_UNTOUCHED = (Exit.USAGE, Exit.REFUSED, Exit.UNREACHABLE)


def data(project: str, result: DeployResult, after: Status | None) -> dict[str, Any]:
    """``deploy --json``."""
    return {
        "project": project,
        "release": result.release.number,
        "tag": result.release.tag,
        "revision": result.release.revision,
        "slot": result.slot.value,
        "previous": {"release": result.previous.number, "tag": result.previous.tag} if result.previous else None,
        "seconds": result.seconds,
        "public": encode(result.public),
        "plan": [dict(step) for step in result.plan],
        "proof": _proof_data(result),
        "canary": None,
        **_standing(after),
    }


def failure_data(project: str, tag: str | None, after: Status | None) -> dict[str, Any]:
    return {"project": project, "tag": tag, **_standing(after)}


def lines(page: Page, result: DeployResult, after: Status | None) -> list[str]:
    total = f"total {duration(result.seconds * 1000)}"
    url = (after.url if after else None) or ""
    tag, slot = result.release.tag, result.slot
    if result.outcome == "nothing":
        page.field("NOTHING TO DO", f"{tag} is live already, unchanged (release {result.release.number}, {slot})")
        page.commands("ANYWAY", [f"bg deploy {tag} --force    makes a new release of the same"])
        return page.lines
    if result.outcome == "staged":
        page.line(f"STAGED   {tag}  {slot}  proven, without traffic", total)
        page.commands(
            "NEXT",
            [
                "bg preview    look at it first",
                *(["bg canary 10    10 % of visitors to it"] if result.previous else []),
                "bg promote    all of them",
                "bg abort    remove it again",
            ],
        )
        return page.lines
    page.line()
    page.line(f"LIVE     {tag}  {slot}  {url}", total)
    _standby(page, result, after)
    _proof(page, result)
    return page.lines


def plan(page: Page, result: DeployResult) -> list[str]:
    page.line(f"release {result.release.number}  {result.release.tag}  -> {result.slot}")
    for notice in result.notices:
        page.field("note", notice)
    return plan_lines(page, result.plan)


def is_a_failed_deploy(error: BluegreenError) -> bool:
    """Whether a deploy had begun when this happened. Before that nothing needs to be said but the reason."""
    return error.exit not in _UNTOUCHED and not (isinstance(error, Held) and error.code == "operation.held")


def failure(page: Page, error: BluegreenError, after: Status | None) -> list[str]:
    live = after.live if after else None
    page.line()
    if error.exit is Exit.INCOMPLETE:
        page.field(heading_of(error), error.problem.message)
    else:
        page.field("NOT DEPLOYED", _who_serves(error, after))
        page.field("WHY", error.problem.message)
    show_place(page, error.problem)
    show_log(page, error)
    if after is not None and after.standby is not None:
        page.field("STANDBY", f"{after.standby.tag} is warm in {after.standby.slot}")
    elif live is not None and after is not None and after.operation is None:
        page.field("STANDBY", "none is warm")
    page.commands("NEXT", error.problem.next)
    return page.lines


def _who_serves(error: BluegreenError, after: Status | None) -> str:
    if after is None:
        return "How traffic stands could not be verified: see bg status."
    if after.live is None:
        return "Nothing is live yet."
    live = f"{after.live.tag} ({after.live.slot})"
    if error.exit is Exit.ROLLED_BACK:
        return f"{live} has all the traffic again."
    return f"{live} has all the traffic; nothing was lost."


def next_after_failure(tag: str | None) -> tuple[str, ...]:
    return (f"bg logs {tag}", "bg why") if tag else ("bg why",)


def _standby(page: Page, result: DeployResult, after: Status | None) -> None:
    if after is None or after.live is None or after.live.release != result.release.number:
        page.field("WARNING", "what is live now could not be verified: see bg status")
        return
    if after.standby is not None:
        page.field("STANDBY", f"{after.standby.tag}  {after.standby.slot}  warm until the next deploy starts")
        if after.standby.connections:
            still = f"{count(after.standby.connections, 'connection')} still on {after.standby.tag}"
            page.commands("DRAIN", [f"bg drain --now    {still}: this ends them"])
        page.commands("UNDO", ["bg rollback    images, configuration and environment go back"])
    elif result.previous is None:
        page.field("STANDBY", "none: this is the first release, so there is nothing to go back to yet")
    for trouble in after.troubles:
        page.field("TROUBLE", trouble.message)
        page.commands("NEXT", trouble.next)


def _proof(page: Page, result: DeployResult) -> None:
    if result.proof is None:
        return
    from bluegreen.cli.screens.prove import receipt_lines

    proof = result.proof
    page.line()
    if proof.lost:
        page.field("WARNING", f"{proof.lost:,} of {proof.requests:,} requests were LOST while this deploy switched; "
                              f"{result.release.tag} has the traffic and keeps it")  # fmt: skip
        page.commands("NEXT", ["bg rollback    goes back, if you think so"])
    else:
        page.field("PROVED", f"under load from before the switch until after it, for {duration(proof.seconds * 1000)}: "
                             f"nothing lost")  # fmt: skip
    receipt_lines(page, proof)


def _proof_data(result: DeployResult) -> dict[str, Any] | None:
    if result.proof is None:
        return None
    from bluegreen.cli.screens.prove import receipt_data

    return receipt_data(result.proof)


def _standing(after: Status | None) -> dict[str, Any]:
    if after is None:
        return {"url": None, "generation": None, "live": None, "standby": None, "candidate": None, "verified": False}
    found = standing.data(after)
    return {k: found[k] for k in ("url", "generation", "live", "standby", "candidate")} | {"verified": True}
