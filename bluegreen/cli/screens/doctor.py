"""The screen of `doctor`, and its data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bluegreen.cli.layout import Page, count

if TYPE_CHECKING:
    from bluegreen.app.doctor import Finding


def data(found: Sequence[Finding]) -> dict[str, Any]:
    return {
        "findings": [
            {"check": f.check, "level": f.level, "message": f.message, "where": f.where, "next": list(f.next)}
            for f in found
        ]
    }


def lines(page: Page, finding: Finding) -> list[str]:
    """One finding: its level, what was looked at, what was found, and what helps."""
    place = f" ({finding.where})" if finding.where else ""
    page.field(finding.level, f"{finding.check}: {finding.message}{place}")
    page.commands("", finding.next)
    return page.lines


def sum_up(page: Page, found: Sequence[Finding]) -> list[str]:
    levels = Counter(f.level for f in found)
    page.line()
    if levels["fail"]:
        keeps = "keeps" if levels["fail"] == 1 else "keep"
        page.line(
            f"{count(levels['fail'], 'finding')} {keeps} a deploy from working, {count(levels['warn'], 'warning')}."
        )
    elif levels["warn"]:
        page.line(f"Nothing keeps a deploy from working; {count(levels['warn'], 'warning')}.")
    else:
        page.line("All is well.")
    return page.lines
