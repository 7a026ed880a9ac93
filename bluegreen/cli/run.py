"""One run of the program: what was asked for, what it may use, and where its answers go."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from bluegreen.cli.layout import Page
from bluegreen.cli.naming import program_name, program_path, rewrite
from bluegreen.cli.output import Output, envelope

if TYPE_CHECKING:
    from bluegreen.app.site import Site
    from bluegreen.engine.protocol import Engine
    from bluegreen.model.errors import BluegreenError
    from bluegreen.model.events import Event, Sink

    Connect = Callable[[str | None, Mapping[str, str]], Engine]
    MakeSite = Callable[..., Site]


class Run:
    """Options of the whole program are its attributes: file, project, engine, json, events, no_color, verbose."""

    def __init__(
        self,
        env: Mapping[str, str],
        out: TextIO,
        err: TextIO,
        *,
        argv0: str = "bluegreen",
        connect: Connect | None = None,
        terminal: bool | None = None,
        make_site: MakeSite | None = None,
    ) -> None:
        self.env = env
        self.output = Output(out, err, env)
        self.name = program_name(argv0, env)
        self._argv0 = argv0
        self.command = ""
        self.site_name = ""
        self.file: str | None = None
        self.project: str | None = None
        self.engine: str | None = None
        self.json = False
        self.events = False
        self.no_color = False
        self.verbose = False
        self.notices: list[dict[str, str]] = []
        self._connect = connect
        self._connected: Engine | None = None
        self._terminal = terminal
        self._make_site = make_site
        self._sinks: list[Sink] = []
        self._turn = threading.RLock()

    @classmethod
    def of_process(cls) -> Run:
        return cls(os.environ, sys.stdout, sys.stderr, argv0=sys.argv[0])

    def foresee(self, arguments: Sequence[str]) -> None:
        """The form that a usage error is answered in, before the options have been read."""
        ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
        self.json, self.events = "--json" in ours, "--events" in ours
        self._settle()

    def take(self, option: str, value: Any) -> None:
        """The value of an option of the whole program, as it is read."""
        setattr(self, option, value)
        self._settle()

    # -- what it may use -----------------------------------------------------------------------------------

    def connect(self) -> Engine:
        """The engine, connected to once."""
        if self._connected is None:
            connect = self._connect
            if connect is None:
                from bluegreen.engine.connect import connect as really

                connect = really
            self._connected = connect(self.engine, self.env)
        return self._connected

    def site(self, project: str | None = None) -> Site:
        """The project on its engine, for the functions of `bluegreen.app`."""
        from bluegreen.app.site import Site
        from bluegreen.cli.target import resolve

        make = self._make_site or Site
        self.site_name = project or resolve(self)
        return make(self.site_name, self.connect(), emit=self.emit, env=self.env)

    @property
    def program(self) -> str:
        """What a shell's function or completion runs: a name on the PATH, else the path."""
        return program_path(self._argv0, self.env)

    @property
    def interactive(self) -> bool:
        """Whether somebody can be asked: standard input and standard error are a terminal."""
        if self._terminal is not None:
            return self._terminal
        try:
            return sys.stdin.isatty() and self.output.is_terminal("err")
        except (AttributeError, ValueError, OSError):
            return False

    # -- progress ------------------------------------------------------------------------------------------

    def watch(self, sink: Sink) -> None:
        """Have a sink told of every event from now on."""
        self._sinks.append(sink)

    def unwatch(self, sink: Sink) -> None:
        """Tell it nothing more."""
        with self._turn:
            self._sinks = [s for s in self._sinks if s is not sink]

    def emit(self, event: Event) -> None:
        """The sink handed to the app. Never raises: who watches can't stop what is being done."""
        with self._turn:  # events come from several threads
            if event.kind == "notice":
                self.notices.append({"where": event.subject, "message": self.printed(event.message)})
                if not self._sinks:
                    self.say("note", f"{event.subject}: {event.message}" if event.subject else event.message)
            if self.output.form == "events":
                self._stream(event)
            for sink in list(self._sinks):
                try:
                    sink(event)
                except Exception:  # whatever is wrong with a screen, the operation goes on
                    self._sinks.remove(sink)

    def notice(self, message: str, where: str = "") -> None:
        """Something worth a line that is no error."""
        from bluegreen.model.events import Event

        self.emit(Event("notice", "notice", where, message))

    def say(self, label: str, text: str) -> None:
        """A line of progress, for standard error."""
        if self.output.form == "text":
            page = self.page()
            page.field(label, text)
            self.output.note(page.lines)

    # -- answers -------------------------------------------------------------------------------------------

    def page(self) -> Page:
        return Page(self.printed, self.output.width)

    def printed(self, text: str) -> str:
        """A text with the commands in it as they work here, for this project."""
        return rewrite(text, self.name, self._chosen())

    def answer(self, outcome: str, data: Mapping[str, Any], lines: Iterable[str] = (), exit: int = 0) -> int:
        """The result, in the form asked for; answers the exit code."""
        if self.output.form == "text":
            ready = list(lines)
            if ready:
                self.output.result(ready)
        else:
            self._document(envelope(self.command, outcome, self._with_notices(data)))
        return exit

    def fail(
        self, error: BluegreenError, data: Mapping[str, Any] | None = None, lines: Iterable[str] | None = None
    ) -> int:
        """An error, in the form asked for; answers its exit code."""
        from bluegreen.cli.problems import errors_of, outcome_of, screen

        if self.output.form == "text":
            self.output.note(screen(self.page(), error) if lines is None else lines)
        else:
            body = {**({"log": list(log)} if (log := log_of(error)) else {}), **(data or {})}
            errors = errors_of(error, self.printed)
            self._document(envelope(self.command, outcome_of(error), self._with_notices(body), errors))
        return int(error.exit)

    def _document(self, document: Mapping[str, Any]) -> None:
        if self.output.form == "json":
            self.output.data(document)
            return
        from bluegreen.model.events import Event

        self._stream(Event("result", self.command, "", str(document["outcome"]), None, document))

    def _stream(self, event: Event) -> None:
        from bluegreen.cli.events import as_data

        self.output.data(as_data(event, self.printed))

    def _with_notices(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return {**data, "notices": self.notices}

    def _chosen(self) -> list[str]:
        """The options that chose the project, for the commands that are printed."""
        from_shell = [("--file", self.file), ("-p", self.project), ("--engine", self.engine)]
        return [f"{flag} {_quoted(value)}" for flag, value in from_shell if value]

    def _settle(self) -> None:
        self.output.form = "events" if self.events else "json" if self.json else "text"
        self.output.no_color = self.no_color


def log_of(error: BaseException) -> tuple[str, ...]:
    """The last lines of output that an error carries."""
    found = getattr(error, "logs", None) or getattr(error, "log", None) or ()
    return tuple(str(line) for line in found)


def _quoted(value: str) -> str:
    from shlex import quote

    return quote(value)
