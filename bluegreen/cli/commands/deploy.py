"""`deploy`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bluegreen.cli import target
from bluegreen.cli.operating import operating
from bluegreen.cli.options import Command
from bluegreen.cli.run import Run
from bluegreen.model.errors import BluegreenError, Exit, UsageError
from bluegreen.model.names import is_tag

if TYPE_CHECKING:
    from bluegreen.app.site import Site
    from bluegreen.app.status import Status
    from bluegreen.model.project import Project


@click.command(cls=Command)
@click.argument("tag", required=False)
@click.option("--source", type=click.Choice(["auto", "git", "tree"]), help="What TAG is built from (else the file's).")
@click.option("--rebuild", is_flag=True, help="Build again what has an image of this tag.")
@click.option("--force", is_flag=True, help="A new release, even if nothing has changed.")
@click.option("--stage", is_flag=True, help="Stop before the switch: the release becomes a candidate.")
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
    dry_run: bool,
    prove: bool,
    reason: str | None,
) -> int:
    """Put release TAG into the idle slot, prove it, and switch to it.

    Without TAG: the git tag at HEAD, else its short hash. Live traffic is not touched before everything has
    been proven, and whatever fails is put back.
    """
    _check(tag)
    if prove and stage:
        raise click.UsageError("--prove is about the switch, and --stage stops before it; then bg prove shows it")
    file, name = target.file_of(run), target.given(run)

    def load(tag: str | None) -> Project:
        from bluegreen.compose import load as load_file

        return load_file(file, directory=Path.cwd(), env=run.env, tag=tag, project_name=name)

    from bluegreen.app.deploy import DeployRequest, deploy
    from bluegreen.cli.screens import deploy as screen

    site = run.site(name or load(tag).name)
    request = DeployRequest(load, tag, source, rebuild, force, stage, dry_run, reason, prove)
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
    after = result.after
    data, lines = screen.data(site.name, result, after), screen.lines(run.page(), result, after)
    if result.proof is None or not result.proof.lost:
        return run.answer(result.outcome, data, lines)
    from bluegreen.cli.screens import prove as proof

    lost = proof.lost_in_deploy(result.release.tag, result.proof)
    if run.output.form != "text":
        return run.fail(lost, data)
    return run.answer(result.outcome, data, lines, exit=int(lost.exit))


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
