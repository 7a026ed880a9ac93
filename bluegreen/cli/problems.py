"""Errors as screens and as data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bluegreen.cli.layout import INDENT, Page
from bluegreen.cli.run import log_of
from bluegreen.model.errors import BluegreenError, Exit, Overtaken, Problem

LAST_LINES = 12

_HEADINGS = {
    Exit.DONE: "DONE",
    Exit.FAILED: "FAILED",
    Exit.USAGE: "ERROR",
    Exit.REFUSED: "REFUSED",
    Exit.ROLLED_BACK: "FAILED",
    Exit.VERDICT: "STOPPED",
    Exit.INCONCLUSIVE: "STOPPED",
    Exit.HELD: "BUSY",
    Exit.UNREACHABLE: "NO ENGINE",
    Exit.INCOMPLETE: "INCOMPLETE",
    Exit.UNKNOWN: "NOT KNOWN",
    Exit.INTERRUPTED: "STOPPED",
}


def heading_of(error: BluegreenError) -> str:
    return "STOPPED" if isinstance(error, Overtaken) else _HEADINGS[error.exit]


def outcome_of(error: BluegreenError) -> str:
    """The envelope's word: the exit code's name."""
    return "overtaken" if isinstance(error, Overtaken) else error.exit.name.lower().replace("_", "-")


def errors_of(error: BluegreenError, rename: Callable[[str], str] = str) -> list[dict[str, Any]]:
    return [
        {
            "code": p.code,
            "message": rename(p.message),
            "where": p.where,
            "next": [_command(rename(n)) for n in p.next or error.problem.next],
        }
        for p in error.problems
    ]


def screen(page: Page, error: BluegreenError) -> list[str]:
    """What a person gets to see: what, where, why, and what to do next."""
    if len(error.problems) > 1:
        return _several(page, error)
    problem = error.problem
    page.field(heading_of(error), problem.message)
    show_place(page, problem)
    show_log(page, error)
    page.commands("NEXT", problem.next)
    return page.lines


def show_place(page: Page, problem: Problem) -> None:
    """Where it is, unless the message begins with that."""
    if problem.where and not problem.message.startswith(problem.where):
        page.field("WHERE", problem.where)


def show_log(page: Page, error: BaseException) -> None:
    lines = [line for line in log_of(error) if line.strip()]
    if lines:
        page.line(f"{'':{INDENT}}last lines:")
        page.quoted(lines[-LAST_LINES:])


def _several(page: Page, error: BluegreenError) -> list[str]:
    page.field(heading_of(error), f"{error.problem.message}; nothing was changed.")
    for problem in error.problems:
        _one(page, problem)
    if common := [n for n in error.problem.next if not any(n in p.next for p in error.problems)]:
        page.line()
        page.commands("NEXT", common)
    return page.lines


def _one(page: Page, problem: Problem) -> None:
    page.line()
    if problem.where:
        page.line(problem.where)
    page.field("  ", problem.message)
    page.commands("", problem.next)


def _command(item: str) -> str:
    """Without what the command is for: JSON has it to run, not to read."""
    return item.partition("    ")[0].strip()
