"""The screen of `watch`, and its data."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bluegreen.cli.layout import Page, count, duration, plain
from bluegreen.cli.progress import noted
from bluegreen.judge.wording import bound
from bluegreen.model.errors import Exit, UsageError
from bluegreen.model.judging import Verdict

if TYPE_CHECKING:
    from bluegreen.app.acting import Action
    from bluegreen.app.watch import Watched
    from bluegreen.cli.run import Run
    from bluegreen.model.events import Event
    from bluegreen.model.guard import GuardCheck

LABEL = 11


def local(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment))


def checks_of(run: Run) -> tuple[GuardCheck, ...]:
    """The project's own checks, where its file is here."""
    from bluegreen.cli import target
    from bluegreen.compose import find, load

    given, file = target.given(run), target.file_of(run)
    if file is None:
        try:
            file = find(Path.cwd(), run.env)
        except UsageError:
            return ()
    project = load(file, directory=Path.cwd(), env=run.env, tag=None, project_name=None)
    return project.guard_checks if given is None or project.name == given or run.file else ()


class Progress:
    """A line for whatever is worth one, as it happens."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, event: Event) -> None:
        if event.kind == "notice":
            self._say("note", event.message)
        elif event.kind == "guard":
            self._say(_LABELS.get(event.name, event.name), event.message)
            for warning in event.data.get("warnings", ()):
                self._say("note", str(warning))
            if "alpha_sum" in event.data:
                self._say("bound", bound(event.data["alpha_sum"], event.data.get("horizon")))

    def close(self) -> None:
        pass

    def _say(self, label: str, text: str) -> None:
        head = f"{local(time.time())} {label}".ljust(LABEL + 9)
        text = plain(self._run.printed(text))
        self._run.output.note(noted(head, text, self._run.output.width, break_words=True))


_LABELS = {"subject": "guarding", "step-over": "step", "taken-back": "TAKEN BACK", "alarm": "ALARM"}


def outcome(found: Watched) -> str:
    """taken-back, alarmed, or the last verdict; nothing where there was nothing to guard."""
    did = [action.did for action in found.actions]
    if "taken-back" in did:
        return "taken-back"
    if did:
        return "alarmed"
    return str(found.verdict.outcome) if found.verdict else "nothing"


def exit_of(found: Watched) -> int:
    """A pass, and nothing to guard, are done; a verdict against the release is told apart from none."""
    if found.actions or (found.verdict is not None and found.verdict.outcome == "fail"):  # or somebody was quicker
        return Exit.VERDICT
    if found.verdict is not None and found.verdict.outcome == "inconclusive":
        return Exit.INCONCLUSIVE
    return Exit.DONE


def data(project: str, found: Watched) -> dict[str, Any]:
    """``watch --json``."""
    return {
        "project": project,
        "verdict": verdict_data(found.verdict),
        "actions": [_action(action) for action in found.actions],
        "seconds": round(found.seconds, 1),
        "requests": found.requests,
        "missed_bytes": found.missed,
        "unreadable": found.unreadable,
    }


def verdict_data(verdict: Verdict | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {
        "outcome": str(verdict.outcome),
        "reason": verdict.reason,
        "live": verdict.live,
        "candidate": verdict.candidate,
        "share": verdict.share,
        "since": verdict.since,
        "alpha_sum": verdict.alpha_sum,
        "bounded": verdict.bounded,
        "then": verdict.then,
        "warnings": list(verdict.warnings),
        "evidence": [
            {
                "name": e.name,
                "holds": e.holds,
                "e": e.e,
                "threshold": e.threshold,
                "candidate": {"hit": e.candidate.hit, "of": e.candidate.of},
                "live": {"hit": e.live.hit, "of": e.live.of},
                "services": list(e.services),
                "said": e.said,
                "at": e.at,
            }
            for e in verdict.evidence
        ],
    }


def _action(action: Action) -> dict[str, Any]:
    return {
        "did": action.did,
        "release": action.subject.release.number,
        "tag": action.subject.release.tag,
        "to": action.moved.release.tag if action.moved else None,
        "reason": action.verdict.reason,
        "why_not": action.why_not or None,
        "ms": {"detect": action.detect_ms, "decide": action.decide_ms, "execute": action.execute_ms},
        "harm": {"errors": action.errors, "clients": action.clients},
    }


def lines(page: Page, found: Watched) -> list[str]:
    from bluegreen.app.acting import horizon_of

    for action in found.actions:
        tag = action.subject.release.tag
        if action.moved is not None:
            page.field("TAKEN BACK", f"{tag}: {action.moved.release.tag} has all visitors again")
            took = duration(action.execute_ms)
            seen = f"seen {duration(action.detect_ms)} after the request that decided it, " if action.detect_ms else ""
            page.field("TOOK", f"{seen}taken back in {took}")
        elif action.did == "taken-back":
            page.field("TAKEN BACK", f"{tag} has no visitors any more, and then: {action.why_not}")
        else:
            page.field("ALARM", f"{action.verdict.candidate}, and nothing was taken back: {action.why_not}")
        page.field("WHY", action.verdict.reason)
        page.field("HARM", harm(action))
    verdict = found.verdict
    if verdict is None:
        page.field("NOTHING", "had to be guarded: no candidate has visitors, and no release is new")
    elif not found.actions:
        page.field(str(verdict.outcome).upper(), verdict.reason)
        for warning in verdict.warnings:
            page.field("NOTE", warning)
    if verdict is not None:
        horizon = horizon_of(found.subject) if found.subject else None
        page.field("BOUND", bound(verdict.alpha_sum, horizon))
    page.field("READ", f"{count(found.requests, 'request')} in {found.seconds:.0f} s of watching")
    if found.actions:
        page.commands("NEXT", ["bg why", "bg history", "bg status"])
    return page.lines


def harm(action: Action) -> str:
    met = count(action.clients, "client")
    return f"{count(action.errors, 'error')} on {action.subject.release.tag}, met by {met}"
