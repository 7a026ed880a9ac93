"""Progress as plain lines: what a pipe, a CI log and a rollback get. A deploy on a terminal has `tree` instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bluegreen.cli.layout import duration
from bluegreen.cli.phases import ORDER, Phases, phase_lines, summary

if TYPE_CHECKING:
    from bluegreen.cli.run import Run
    from bluegreen.model.events import Event


class PlainProgress:
    """A line for each phase when it is over; with ``--verbose`` one for each step instead."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._phases = Phases()
        self._announced: set[str] = set()

    def __call__(self, event: Event) -> None:
        if event.kind == "operation":
            self._run.output.note([header(event)])
        elif event.kind == "notice":
            self._flush(before=None)
            self._note("note", f"{event.subject}: {event.message}" if event.subject else event.message)
        elif self._run.verbose:
            self._verbosely(event)
        else:
            self._summed_up(event)

    def close(self) -> None:
        self._flush(before=None)

    def _summed_up(self, event: Event) -> None:
        phase = self._phases.feed(event)
        if phase is None:
            return
        if event.kind == "step":
            self._flush(before=phase.name)
            if phase.name == "build" and event.subject not in self._announced:
                self._announced.add(event.subject)
                self._note("build", f"{event.subject} ...")

    def _verbosely(self, event: Event) -> None:
        if event.kind == "progress":
            self._note("", f"{event.subject}: {event.message}")
        elif event.kind == "step-done":
            took = f"  {duration(event.ms)}" if event.ms is not None else ""
            self._note("done", f"{event.name} {event.subject}{took}")
        elif event.kind == "step":
            self._note("do", f"{event.name} {event.subject}" + (f"  ({event.message})" if event.message else ""))
        elif event.kind == "step-failed":
            self._note("failed", f"{event.name} {event.subject}: {event.message}")

    def _flush(self, before: str | None) -> None:
        """Print what is over of the phases that stand before another's begin; of all, where None."""
        limit = ORDER.index(before) if before in ORDER else len(ORDER)
        for phase in self._phases.ordered():
            if phase.name in ORDER and ORDER.index(phase.name) >= limit:
                continue
            fresh = [i for i in phase.items[phase.shown :] if not i.running]
            if fresh and not any(i.running for i in phase.items):
                if summary(phase.name, fresh):
                    self._run.output.note(phase_lines(phase, fresh, self._run.output.width))
                phase.shown = len(phase.items)
                phase.started = phase.ended

    def _note(self, label: str, text: str) -> None:
        page = self._run.page()
        page.field(f"  {label}".ljust(10), text)
        self._run.output.note(page.lines)


def header(event: Event) -> str:
    """The first line of an operation: what is going where."""
    data = event.data
    if event.name == "deploy":
        words = [str(data.get("project", "")), f"release {data.get('release')}", event.subject]
        if data.get("revision"):
            words.append(str(data["revision"])[:7])
        if data.get("subject"):
            words.append(f'"{data["subject"]}"')
        if data.get("dirty"):
            words.append("(dirty tree)")
        return f"{'  '.join(words)}  -> {data.get('slot')}"
    came = f"{data.get('from')} ({data.get('from_slot')})" if data.get("from") else "nothing"
    return f"{data.get('project', '')}  {came} -> {data.get('to')} ({data.get('slot')}, {data.get('how')})"
