"""A deploy on a terminal: the phases as they grow, and the last line of what is running below them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TextIO, cast

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from bluegreen.cli.layout import plain, wrapped
from bluegreen.cli.phases import Phases
from bluegreen.cli.progress import LABEL, header
from bluegreen.cli.screens import phases as screen

if TYPE_CHECKING:
    from bluegreen.cli.run import Run
    from bluegreen.model.events import Event

OUTPUT_LINES = 3


class Tree:
    """Redrawn in place while it grows; what stays at the end is what the plain lines would have said."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._head = ""
        self._notes: list[str] = []
        self._turn = threading.RLock()
        self.phases = Phases(run.site_name)
        colour = run.output.coloured("err")
        console = Console(
            file=cast(TextIO, _Terminal(run)),
            width=run.output.width,
            no_color=not colour,
            highlight=False,
            markup=False,
            emoji=False,
            force_terminal=True,
        )
        self._spinner = Spinner("dots")
        self._live = Live(
            get_renderable=self.render,
            console=console,
            refresh_per_second=8,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def __call__(self, event: Event) -> None:
        with self._turn:
            self._take(event)

    def _take(self, event: Event) -> None:
        if event.kind == "operation":
            self._head = header(event)
        elif event.kind == "notice":
            text = f"{event.subject}: {event.message}" if event.subject else event.message
            self._notes.extend(_below("note", self._run.printed(text), self._run.output.width))
        self.phases.feed(event)

    def close(self) -> None:
        """Draw it a last time, as it stays."""
        with self._turn:
            self.phases.output.clear()
        self._live.stop()

    def render(self) -> Group:
        """What stands there now; asked for by a thread of its own."""
        with self._turn:
            return self._rendered()

    def _rendered(self) -> Group:
        width, now = self._run.output.width, time.monotonic()
        parts: list[Text | Spinner] = [Text(line, style="bold") for line in filter(None, [self._head])]
        parts += [Text(line, style="yellow") for line in self._notes]
        for phase in self.phases.ordered():
            style = "red" if phase.failed else "bold" if phase.running else ""
            lines = screen.lines(phase, phase.items, self.phases.project, width, now=now)
            parts += [Text(line, style=style) for line in lines]
        running = [s for s, t in self.phases.output.items() if t.strip()][-OUTPUT_LINES:]
        for subject in running:
            line = f"{'':{LABEL}}{subject}: {plain(self.phases.output[subject])}"
            parts.append(Text(line[:width], style="dim"))
        if any(p.running for p in self.phases.phases.values()) or not self.phases.phases:
            self._spinner.text = Text("")
            parts.append(self._spinner)
        return Group(*parts)


class _Terminal:
    """As much of a file as rich writes to; a terminal that was closed is written to no more."""

    encoding = "utf-8"

    def __init__(self, run: Run) -> None:
        self._output = run.output

    def write(self, text: str) -> int:
        self._output.write("err", text)
        return len(text)

    def flush(self) -> None:
        """Every write is."""

    def isatty(self) -> bool:
        return True


def _below(label: str, text: str, width: int) -> list[str]:
    first, *rest = wrapped(text, f"  {label}".ljust(LABEL), width)
    return [first, *(f"{'':{LABEL}}{line.strip()}" for line in rest)]
