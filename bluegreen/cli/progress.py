"""Progress as plain lines: what a pipe, a CI log and a rollback get. A deploy on a terminal has `tree` instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bluegreen.cli.layout import duration, plain

if TYPE_CHECKING:
    from bluegreen.cli.phases import Phases
    from bluegreen.cli.run import Run
    from bluegreen.model.events import Event

LABEL = 11


class PlainProgress:
    """A line for each phase once another has begun; with ``--verbose`` one for each step instead."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._phases: Phases | None = None
        self._building: set[str] = set()

    def __call__(self, event: Event) -> None:
        if event.kind == "operation":
            self._run.output.note([header(event)])
        elif event.kind == "notice":
            self._flush(None)
            self._note("note", f"{event.subject}: {event.message}" if event.subject else event.message)
        elif self._run.verbose:
            self._verbosely(event)
        else:
            self._summed_up(event)

    def close(self) -> None:
        """Print what has not been printed yet."""
        self._flush(None)

    def _summed_up(self, event: Event) -> None:
        phases = self._folded()
        phase = phases.feed(event)
        if event.kind == "progress" and event.name == "build" and event.subject not in self._building:
            self._building.add(event.subject)
            self._note("build", f"{event.subject} ...")
        elif phase is not None and event.kind == "step":
            self._flush(phase.name)

    def _verbosely(self, event: Event) -> None:
        message = plain(event.message)
        if event.kind == "progress":
            self._note("", f"{event.subject}: {message}" if event.name == "build" else message)
        elif event.kind == "step-done":
            took = f"  {duration(event.ms)}" if event.ms is not None else ""
            self._note("done", f"{event.name} {event.subject}{took}" + (f"  ({message})" if message else ""))
        elif event.kind == "step":
            self._note("do", f"{event.name} {event.subject}" + (f"  ({message})" if message else ""))
        elif event.kind == "step-failed":
            self._note("failed", f"{event.name} {event.subject}: {message}")

    def _folded(self) -> Phases:
        if self._phases is None:
            from bluegreen.cli.phases import Phases

            self._phases = Phases(self._run.site_name)
        return self._phases

    def _flush(self, before: str | None) -> None:
        """Print what is over of the phases that stand before the named one; of all, where None."""
        if self._phases is None:
            return
        from bluegreen.cli.screens import phases as screen

        for phase in self._phases.ordered():
            if phase.name == before:
                return
            fresh = phase.items[phase.shown :]
            if fresh and not phase.running:
                self._print(screen.lines(phase, fresh, self._phases.project, self._run.output.width))
                phase.shown = len(phase.items)

    def _note(self, label: str, text: str) -> None:
        self._print(noted(f"  {label}".ljust(LABEL), plain(self._run.printed(text)), self._run.output.width))

    def _print(self, lines: list[str]) -> None:
        if lines:
            self._run.output.note(lines)


def noted(head: str, text: str, width: int, *, break_words: bool = False) -> list[str]:
    """Text behind a head, further lines below the text. A word that is longer than a line stays whole, so that it can
    be copied, unless ``break_words``: then nothing is wider than ``width``."""
    if len(head) + len(text) <= width:
        return [f"{head}{text}".rstrip()]
    import textwrap

    room = width - len(head)
    first, *rest = textwrap.wrap(text, room, break_long_words=break_words, break_on_hyphens=False)
    return [f"{head}{first}", *(f"{'':{len(head)}}{line}" for line in rest)]


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
        end, text = f"-> {data.get('slot')}", plain("  ".join(words))
        room = 80 - len(end) - 2
        cut = text if len(text) <= room else f"{text[: room - 1]}…"
        return f"{cut.ljust(room)}  {end}"
    share = f", {data['share']} % of visitors" if data.get("share") else ""
    came = f"{data.get('from')} ({data.get('from_slot')}{share})" if data.get("from") else "nothing"
    how = "live" if data.get("how") == "canary" else data.get("how")
    return f"{data.get('project', '')}  {came} -> {data.get('to')} ({data.get('slot')}, {how})"
