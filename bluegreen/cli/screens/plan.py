"""The screen of `--dry-run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bluegreen.cli.layout import Page


def plan_lines(page: Page, plan: Sequence[Mapping[str, str]]) -> list[str]:
    """The steps, in order, each with the reason it is there for."""
    for number, step in enumerate(plan, 1):
        cause = f"  ({step['cause']})" if " " in step["cause"] else ""
        page.field(f"{number:4}", f"{step['step']} {step['subject']}{cause}")
    page.line()
    page.line("Nothing was changed: this was a dry run." if plan else "There is nothing to do.")
    return page.lines
