"""`deploy`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bluegreen.cli import target
from bluegreen.cli.operating import operating
from bluegreen.cli.options import Command, duration
from bluegreen.cli.run import Run
from bluegreen.model.errors import BluegreenError, Exit, UsageError
from bluegreen.model.names import is_tag

if TYPE_CHECKING:
    from bluegreen.app.deploy import DeployResult
    from bluegreen.app.site import Site
    from bluegreen.app.status import Status
    from bluegreen.model.project import Project

    Load = Callable[[str | None], Project]


def _shares(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[int, ...]:
    """``5,25,50``: percentages that grow, 1 to 99."""
    if value is None:
        return ()
    parts = [part.strip().removesuffix("%") for part in value.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) < 3 for part in parts):
        raise click.BadParameter(
            f"{value!r} is no list of percentages such as 5,25,50; all visitors come after the last"
        )
    shares = tuple(int(part) for part in parts)
    if shares[0] < 1 or list(shares) != sorted(set(shares)):
        raise click.BadParameter(f"{value}: shares begin at 1 and grow, so that nobody goes back")
    return shares


@click.command(cls=Command)
@click.argument("tag", required=False)
@click.option("--source", type=click.Choice(["auto", "git", "tree"]), help="What TAG is built from (else the file's).")
@click.option("--rebuild", is_flag=True, help="Build again what has an image of this tag.")
@click.option("--force", is_flag=True, help="A new release, even if nothing has changed.")
@click.option("--stage", is_flag=True, help="Stop before the switch: the release becomes a candidate.")
@click.option("--canary", "steps", metavar="N,N,...", callback=_shares, help="Shares of the visitors, such as 5,25,50, "
              "each ended by a verdict; then all.")  # fmt: skip
@click.option("--hold", metavar="TIME", callback=duration, help="How long a step waits for its verdict (else 10m).")
@click.option("--dry-run", is_flag=True, help="Show the plan, and stop.")
@click.option("--prove", is_flag=True, help="Put what is live under load meanwhile, and count every response.")
@click.option("--reason", metavar="TEXT", help="Why, for the history.")
@click.pass_obj
def command(
    run: Run,
    tag: str | None,
    source: str | None,
    rebuild: bool,
    force: bool,
    stage: bool,
    steps: tuple[int, ...],
    hold: float | None,
    dry_run: bool,
    prove: bool,
    reason: str | None,
) -> int:
    """Put release TAG into the idle slot, prove it, and switch to it.

    Without TAG: the git tag at HEAD, else its short hash. Live traffic is not touched before everything has
    been proven, and whatever fails is put back.
    """
    _check(tag)
    if hold is not None and not steps:
        raise click.UsageError("--hold is how long a step of --canary waits for its verdict")
    if steps and (stage or prove):
        raise click.UsageError("--canary goes on by itself: neither --stage nor --prove goes with it")
    stage = stage or bool(steps)
    if prove and stage:
        raise click.UsageError("--prove is about the switch, and --stage stops before it; then bg prove shows it")
    file, name = target.file_of(run), target.given(run)

    def load(tag: str | None) -> Project:
        from bluegreen.compose import load as load_file

        return load_file(file, directory=Path.cwd(), env=run.env, tag=tag, project_name=name)

    from bluegreen.app.deploy import DeployRequest, deploy
    from bluegreen.cli.screens import deploy as screen

    site = run.site(name or load(tag).name)
    request = DeployRequest(load, tag, source, rebuild, force, stage, dry_run, reason, prove, steps, hold)
    if dry_run:
        planned = deploy(site, request)
        return run.answer(planned.outcome, screen.data(site.name, planned, None), screen.plan(run.page(), planned))
    try:
        with operating(run, live=True):
            result = deploy(site, request)
    except KeyboardInterrupt:
        return _failed(run, site, _interrupted(), tag)
    except BluegreenError as error:
        if not screen.is_a_failed_deploy(error):
            raise
        return _failed(run, site, error, tag)
    if steps and result.outcome == "staged":
        return _ramp(run, site, result, steps, hold, load)
    after = result.after
    data, lines = screen.data(site.name, result, after), screen.lines(run.page(), result, after)
    if result.proof is None or not result.proof.lost:
        return run.answer(result.outcome, data, lines)
    from bluegreen.cli.screens import prove as proof

    lost = proof.lost_in_deploy(result.release.tag, result.proof)
    if run.output.form != "text":
        return run.fail(lost, data)
    return run.answer(result.outcome, data, lines, exit=int(lost.exit))


def _ramp(run: Run, site: Site, result: DeployResult, steps: tuple[int, ...], hold: float | None, load: Load) -> int:
    """The steps of what stands proven in the idle slot now. ``load`` loads the project for a tag."""
    from threading import Event

    from bluegreen.app.ramp import HOLD, ramp
    from bluegreen.cli.interruption import first_interruption
    from bluegreen.cli.screens import ramp as screen
    from bluegreen.cli.screens import watch

    if run.output.form == "text":
        run.watch(watch.Progress(run))
    stopped = Event()
    with first_interruption(stopped.set):
        found = ramp(
            site,
            result.release,
            steps,
            hold=HOLD if hold is None else hold,
            checks=load(result.release.tag).guard_checks,
            clock=watch.local,
            stopped=stopped.is_set,
        )
    data, error = screen.data(site.name, result, found, _look(site)), screen.error(found)
    if error is not None and run.output.form != "text":
        return run.fail(error, data)
    return run.answer(found.outcome, data, screen.lines(run.page(), found), exit=int(error.exit) if error else 0)


def _check(tag: str | None) -> None:
    if tag is not None and not is_tag(tag):
        raise UsageError(
            "tag.invalid",
            f"{tag!r} can't be a tag: letters, digits, '_', '.' and '-' are allowed, at most 128, and the first is no "
            f"'.' or '-'",
            where="TAG",
            next=("bg deploy v1.0.0",),
        )


def _failed(run: Run, site: Site, error: BluegreenError, tag: str | None) -> int:
    from bluegreen.cli.screens import deploy as screen

    after = _look(site)
    if not error.problem.next:
        error.problem = replace(error.problem, next=screen.next_after_failure(tag))
    return run.fail(error, screen.failure_data(site.name, tag, after), screen.failure(run.page(), error, after))


def _look(site: Site) -> Status | None:
    """How things stand, verified; None where that can't be told."""
    from bluegreen.app.status import status

    try:
        return status(site)
    except (BluegreenError, KeyboardInterrupt):
        return None


def _interrupted() -> BluegreenError:
    return BluegreenError("deploy.interrupted", "interrupted", exit=Exit.INTERRUPTED, next=("bg status",))
