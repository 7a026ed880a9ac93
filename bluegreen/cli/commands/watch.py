"""`watch`."""

from __future__ import annotations

from typing import Any

import click

from bluegreen.cli.options import Command, duration
from bluegreen.cli.run import Run


def _candidate(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and value not in ("blue", "green") and not (value.isascii() and value.isdecimal()):
        raise click.BadParameter(f"{value!r} is neither a release's number, such as 12, nor blue or green")
    return value


@click.command(cls=Command)
@click.option("--for", "seconds", metavar="TIME", callback=duration, help="Stop after so long, such as 15m; else on "
              "Ctrl-C.")  # fmt: skip
@click.option("--no-act", is_flag=True, help="Take nothing back; say what would be.")
@click.option("--replay", "logs", multiple=True, metavar="LOG", help="Judge a past log instead, the proxy's own or in "
              "nginx's combined format; may be repeated.")  # fmt: skip
@click.option("--share", type=click.IntRange(1, 99), metavar="N", help="Of --replay: the candidate's percentage.")
@click.option("--at", metavar="TIME=N,...", help="Of --replay: its percentages over time, such as 12:03=10,12:10=25; "
              "100 is a switch.")  # fmt: skip
@click.option("--candidate", metavar="N", callback=_candidate, help="Of --replay: the release that is judged, by its "
              "number or its slot (the newest one that was tried).")  # fmt: skip
@click.option("--alpha", type=float, metavar="P", help="Of --replay: of taking back a good release (0.01).")
@click.option("--tolerated", type=float, metavar="R", help="Of --replay: times live's errors (1).")
@click.option("--p-max", type=float, metavar="P", help="Of --replay: of clients with errors, for a pass (0.02).")
@click.option("--beta", type=float, metavar="P", help="Of --replay: of passing one that has more (0.05).")
@click.pass_obj
def command(
    run: Run,
    /,
    seconds: float | None,
    no_act: bool,
    logs: tuple[str, ...],
    share: int | None,
    at: str | None,
    **given: Any,
) -> int:
    """Guard the project: judge what its visitors are answered, and take a bad release back.

    A candidate is judged while it has visitors, a release for a while after its switch. It goes back by what
    rollback does, once for one cause, and never to a release that is marked bad: then there is an alarm.
    --replay judges a past log instead, and needs no engine.
    """
    if logs or share is not None or at is not None or any(value is not None for value in given.values()):
        from bluegreen.cli.screens import replay

        return replay.answer(run, logs, share, at, given)
    from threading import Event

    from bluegreen.app.watch import Glance, watch
    from bluegreen.cli.guard import ignore_hangup
    from bluegreen.cli.interruption import first_interruption
    from bluegreen.cli.screens import watch as screen

    site = run.site()
    checks = screen.checks_of(run)
    ignore_hangup()
    if run.output.form == "text":
        run.watch(screen.Progress(run))
    start = site.clock()
    stopped = Event()

    def over(glance: Glance) -> bool:
        late = seconds is not None and glance.caught_up and site.clock() - start >= seconds
        return late or stopped.is_set()

    with first_interruption(stopped.set):
        found = watch(site, over, act=not no_act, checks=checks, clock=screen.local, stopped=stopped.is_set)
    return run.answer(
        screen.outcome(found), screen.data(site.name, found), screen.lines(run.page(), found), screen.exit_of(found)
    )
