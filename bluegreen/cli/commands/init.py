"""`init`."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import click

from bluegreen.cli import target
from bluegreen.cli.options import Command
from bluegreen.cli.run import Run
from bluegreen.model.errors import BluegreenError, Refused, UsageError


@click.command(cls=Command)
@click.option("--write", "-w", is_flag=True, help="Write the blocks into the file.")
@click.pass_obj
def command(run: Run, write: bool) -> int:
    """Propose the x-bluegreen blocks that a Compose file needs: which service is what.

    Prints the change as a diff and touches nothing, unless --write is given. What is in the file stays as it is.
    """
    from bluegreen.compose.propose import propose

    file = _file(run)
    before = _read(file)
    proposal = propose(before, env=run.env, name=str(file))
    data = {
        "file": str(file),
        "written": write and proposal.changed,
        "choices": [{"service": c.service, "kind": c.kind.value, "why": c.why} for c in proposal.choices],
        "left": list(proposal.left),
        "text": proposal.text,
    }
    for choice in proposal.choices:
        run.say("guess", f"{choice.service}: {choice.kind.value} ({choice.why})")
    for name in proposal.left:
        run.say("left", f"{name}: it has no block, and none could be added to it; say its kind yourself")
    page = run.page()
    if not proposal.changed:
        page.field("NOTHING TO DO", f"every service in {file} says what it is" if not proposal.left else str(file))
        page.commands("NEXT", ["bg config    the file as it is understood", "bg deploy TAG"])
        return run.answer("nothing", data, page.lines)
    if not write:
        if run.output.form == "text":
            run.output.result(_diff(file, before, proposal.text))
        page.commands("NEXT", ["bg init --write    puts this into the file"])
        return run.answer("proposed", data, page.lines)
    _write(file, before, proposal.text)
    page.field("WRITTEN", str(file))
    page.commands("NEXT", [*_remaining(run, file), "bg doctor    is this machine ready?", "bg deploy TAG"])
    return run.answer("written", data, page.lines)


def _file(run: Run) -> Path:
    from bluegreen.compose import find

    said = target.file_of(run)
    if said is not None:
        return said
    try:
        return find(Path.cwd(), run.env)
    except UsageError as error:
        if run.env.get("BG_FILE"):
            raise
        raise UsageError(
            "file-missing",
            f"{error.problem.message}; init adds to a Compose file, it does not invent one",
            next=("bg --file PATH init",),
        ) from error


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("file-unreadable", f"can't be read: {error}", where=str(file)) from error


def _write(file: Path, before: str, text: str) -> None:
    """Replace the file whole, its mode kept; refuse where it changed meanwhile."""
    real = file.resolve()
    if _read(real) != before:
        raise Refused("init.changed", f"{file} has changed meanwhile; nothing was written", next=("bg init",))
    beside = real.with_name(f".{real.name}.bluegreen")
    try:
        with beside.open("w", encoding="utf-8", newline="") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        beside.chmod(real.stat().st_mode & 0o7777)
        beside.replace(real)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise BluegreenError("file-unwritable", f"can't be written: {error.strerror}", where=str(file)) from error


def _diff(file: Path, before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), str(file), f"{file} (proposed)", lineterm="")
    return list(lines)


def _remaining(run: Run, file: Path) -> list[str]:
    """What the file still lacks, if anything."""
    from bluegreen.compose import load

    try:
        load(file, env=run.env, tag=None, project_name=target.given(run))
    except UsageError as error:
        return [f"bg config    {len(error.problems)} more to settle in the file"]
    return ["bg config    the file as it is understood"]
