"""`down`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import click

from bluegreen.cli.guard import ignore_hangup
from bluegreen.cli.layout import Page, count
from bluegreen.cli.options import Command
from bluegreen.cli.run import Run
from bluegreen.cli.screens.plan import plan_lines
from bluegreen.model.errors import Refused

_COUNTED = {
    "remove": "container",
    "remove-image": "image tag",
    "remove-network": "network",
    "remove-volume": "volume",
}


@click.command(cls=Command)
@click.option("--yes", "-y", is_flag=True, help="Don't ask. Needed where there is no terminal.")
@click.option("--volumes", is_flag=True, help="The Compose file's named volumes too: their data is lost.")
@click.option("--images", is_flag=True, help="The images that were built for it too.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and stop.")
@click.pass_obj
def command(run: Run, yes: bool, volumes: bool, images: bool, dry_run: bool) -> int:
    """Remove the project from the engine: containers, networks, the proxy and its history.

    Named volumes of the Compose file stay, unless --volumes is given.
    """
    from bluegreen.app.upkeep import down

    site = run.site()
    planned = down(site, volumes=volumes, images=images, dry_run=True)
    if not planned.plan:
        return run.answer("nothing", _data(site.name, ()), [f"nothing of {site.name} is on this engine"])
    if dry_run:
        return run.answer("planned", _data(site.name, planned.plan), plan_lines(run.page(), planned.plan))
    if not yes:
        _ask(run, site.name, planned.plan, volumes=volumes)
    ignore_hangup()
    done = down(site, volumes=volumes, images=images)
    return run.answer("done", _data(site.name, done.plan), _lines(run.page(), site.name, done.plan, volumes=volumes))


def _ask(run: Run, name: str, plan: Sequence[Mapping[str, str]], *, volumes: bool) -> None:
    again = f"bg down{' --volumes' if volumes else ''} --yes"
    if not run.interactive or run.output.form != "text":
        raise Refused(
            "down.unconfirmed",
            f"this would remove {_sum(plan)} of {name}; nobody is at a terminal to confirm it",
            next=(again, "bg down --dry-run    shows everything that would go"),
        )
    lost = " The data in its volumes is lost." if volumes else " Named volumes stay."
    if not click.confirm(f"Remove {_sum(plan)} of {name}?{lost}", err=True):
        raise Refused("down.declined", "nothing was removed", next=(again,))


def _sum(plan: Sequence[Mapping[str, str]]) -> str:
    found = Counter(step["step"] for step in plan)
    parts = [count(found[verb], word) for verb, word in _COUNTED.items() if found[verb]]
    return ", ".join(parts) or "what is left"


def _lines(page: Page, name: str, plan: Sequence[Mapping[str, str]], *, volumes: bool) -> list[str]:
    page.field("DOWN", f"{name} is gone from this engine: {_sum(plan)}")
    if not volumes:
        page.field("KEPT", "named volumes of the Compose file, if it has any (--volumes removes them)")
    return page.lines


def _data(name: str, plan: Sequence[Mapping[str, str]]) -> dict[str, object]:
    return {"project": name, "plan": [dict(step) for step in plan]}
