"""`logs`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click

from bluegreen.cli.options import Command
from bluegreen.cli.run import Run
from bluegreen.model.errors import UsageError
from bluegreen.model.events import Event

BATCH = 200
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@click.command(cls=Command)
@click.argument("words", nargs=-1, metavar="[TAG|NUMBER|SERVICE|SLOT|proxy]...")
@click.option("--tail", "-n", type=click.IntRange(min=0), metavar="N", help="Only the last N lines of each container.")
@click.option("--since", metavar="WHEN", help="10m, 2h, 3d, a time of today (12:03), or a full date and time.")
@click.option("--follow", "-f", is_flag=True, help="Go on as lines come. Ctrl-C ends it.")
@click.option("--timestamps", "-t", is_flag=True, help="The engine's time before each line.")
@click.pass_obj
def command(
    run: Run, words: tuple[str, ...], tail: int | None, since: str | None, follow: bool, timestamps: bool
) -> int:
    """Output of the live stack, or of what the words name.

    A release that failed and was removed answers from what was saved of its output.
    """
    from bluegreen.app.history import logs

    if follow and run.output.form == "json":
        raise UsageError(
            "logs.endless", "--follow does not end, so --json would print nothing", next=("bg logs --follow --events",)
        )
    found = logs(run.site(), words, tail=tail, since=moment(since), follow=follow, timestamps=timestamps)
    try:
        return _show(run, found, follow=follow)
    except KeyboardInterrupt:
        return 130  # the way to end it: nothing to explain


def _show(run: Run, lines: Iterator[tuple[str, bytes]], *, follow: bool) -> int:
    form = run.output.form
    if form == "json":
        data = [{"container": name, "line": line.decode(errors="replace")} for name, line in lines]
        return run.answer("listed", {"lines": data})
    waiting: list[str] = []
    number = 0
    for name, line in lines:
        number += 1
        if form == "events":
            run.emit(Event("progress", "log", name, line.decode(errors="replace")))
        else:
            waiting.append(f"{_short(name)} | {line.decode(errors='replace')}\n")
            if follow or len(waiting) >= BATCH:
                run.output.write("out", "".join(waiting))
                waiting.clear()
        if run.output.gone:
            return 0
    run.output.write("out", "".join(waiting))
    return run.answer("listed", {"count": number}) if form == "events" else 0


def moment(text: str | None, now: datetime | None = None) -> str | None:
    """What ``--since`` means as RFC 3339. Raises `UsageError` for what means nothing."""
    if text is None:
        return None
    here = now or datetime.now().astimezone()
    number, unit = text[:-1], text[-1:]
    try:
        if unit in _UNITS and number.replace(".", "", 1).isdecimal():
            found = here - timedelta(**{_UNITS[unit]: float(number)})
        elif ":" in text and "-" not in text:
            clock = datetime.strptime(text, "%H:%M:%S" if text.count(":") == 2 else "%H:%M")  # noqa: DTZ007 - only its hours
            found = here.replace(hour=clock.hour, minute=clock.minute, second=clock.second, microsecond=0)
            found -= timedelta(days=1) if found > here else timedelta()
        else:
            found = datetime.fromisoformat(text)
            found = found if found.tzinfo else found.replace(tzinfo=here.tzinfo)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            "logs.since",
            f"{text!r} is no time: 90s, 10m, 2h, 3d, a time of today (12:03), or a date and time (2026-01-25T12:03)",
            where="--since",
        ) from error
    return found.astimezone(UTC).isoformat(timespec="seconds")


def _short(name: str) -> str:
    """``shop-blue-api-1`` without the project and its slot: which of them is meant was said or is live."""
    for slot in ("-blue-", "-green-"):
        _, found, rest = name.partition(slot)
        if found:
            return rest
    return name
