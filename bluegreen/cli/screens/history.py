"""The screens of `history` and `why`, and their data."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from bluegreen.app.history import OUTCOMES
from bluegreen.cli.layout import INDENT, Page, plain, table
from bluegreen.cli.screens.status import short_time
from bluegreen.judge.wording import bound
from bluegreen.model.codec import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bluegreen.app.history import Row, Why

_STATES = {
    "live": "🟢 Live",
    "standby": "✅ Stable",
    "kept": "✅ Stable",
    "gone": "✅ Stable",
    "candidate": "🧪 Candidate",
    "failed": "❌ Not deployed",
    "unfinished": "⏳ Unfinished",
}


def data(rows: Sequence[Row]) -> dict[str, Any]:
    return {"releases": encode(list(rows))}


def lines(page: Page, rows: Sequence[Row]) -> list[str]:
    if not rows:
        page.field("NOTHING", "no release has been deployed yet")
        return page.lines
    head = ("#", "VERSION", "DATE", "BY", "STATE", "NOTES")
    body = [(str(r.release), _tag(r), _date(r.at), r.by, _state(r), _note(r)) for r in rows]
    whole = table([head, *([plain(cell) for cell in row] for row in body)])
    page.lines.extend(_cut(line, page.width) for line in whole)
    return page.lines


def markdown(rows: Sequence[Row]) -> list[str]:
    """The runbook's version table."""
    out = [
        "| Version | Date | Deployed By | Status | Notes |",
        "|---------|------|-------------|--------|-------|",
    ]
    for row in rows:
        cells = (_tag(row), _date(row.at), row.by, _status(row), row.note or "")
        out.append("| " + " | ".join(plain(cell).replace("|", "\\|") for cell in cells) + " |")
    return out


def why_data(why: Why) -> dict[str, Any]:
    return {"why": encode(why)}


def why_lines(page: Page, why: Why) -> list[str]:
    page.line(f"{why.tag}  release {why.release}", short_time(why.at))
    page.field(*_headline(why))
    if why.where and not why.message.startswith(why.where):
        page.field("WHERE", why.where)
    if why.shifts:
        page.field("SHARES", ", ".join(f"{s.share} % at {short_time(s.at)}" for s in why.shifts))
    for judgement in why.judgements:
        said = "" if not judgement.reason or judgement.reason in why.message else f": {judgement.reason}"
        outcome = OUTCOMES.get(judgement.outcome, judgement.outcome)
        page.field(f"{judgement.share} %", f"{outcome} at {short_time(judgement.at)}{said}")
    bounds = (bound(j.alpha_sum, j.horizon) for j in why.judgements if j.alpha_sum is not None)
    for text in dict.fromkeys(bounds):
        page.field("BOUND", text)
    if why.logs:
        page.line(f"{'':{INDENT}}last lines:")
        page.quoted(why.logs)
    page.commands("NEXT", [f"bg logs {why.tag}    all that was saved of its output"] if why.operation else [])
    return page.lines


def _headline(why: Why) -> tuple[str, str]:
    if why.code == "release.unjudged":
        return "NOTHING", why.message.removeprefix("nothing ")
    return ("VERDICT" if why.code in ("release.pass", "release.inconclusive") else "WHY"), why.message


def _note(row: Row) -> str:
    """Beginning with what tells: most of it doesn't fit beside the other columns."""
    note = (row.note or "").removeprefix("the guard: ")
    services, tag, rest = note.partition(f"{row.tag}: ")
    if not tag or " " in services.replace(", ", ",").strip():
        return note
    return f"{rest} ({services.strip()})" if services else rest


def _tag(row: Row) -> str:
    return f"{row.tag} (dirty)" if row.dirty else row.tag


def _date(at: str) -> str:
    try:
        return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return at


def _state(row: Row) -> str:
    share = f" {row.shifts[-1].share} %" if row.state == "candidate" and row.shifts and row.shifts[-1].share else ""
    return f"{row.state}{share}, bad" if row.mark == "bad" else f"{row.state}{share}"


def _status(row: Row) -> str:
    if row.mark == "bad":
        return "⚠️ Unstable"
    return _STATES.get(row.state, row.state)


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"
