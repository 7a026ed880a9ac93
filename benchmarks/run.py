"""`python -m benchmarks.run`: measure, print, write JSON; the exit code says whether every bar was met."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from benchmarks.errors import BenchmarkFailed
from benchmarks.figures import Section, document, missed, table
from benchmarks.project import Bench, server_image, versions
from benchmarks.suite import BENCHMARKS, LONG

STATE = Path(__file__).parent.parent / ".state" / "bench.json"
MISSED, FAILED = 1, 2


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "file", type=click.Path(path_type=Path), default=STATE, help="Where the figures are written.")
@click.option("--only", multiple=True, type=click.Choice([*BENCHMARKS, *LONG]), help="This one; may be repeated.")
@click.option("--runs", type=click.IntRange(1, 1000), help="Runs of each, instead of its own number.")
@click.option("--quick", is_flag=True, help="Few runs, for a first impression.")
@click.option("--no-fail", is_flag=True, help="Print a bar that was missed, and exit with 0 all the same.")
def main(file: Path, only: tuple[str, ...], runs: int | None, quick: bool, no_fail: bool) -> None:
    """Measure what people wait for against floors of the same run."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was made is removed
    try:
        sections = _measure(only or tuple(BENCHMARKS), runs, quick=quick)
    except BenchmarkFailed as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(FAILED)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document(sections, _machine()), indent=1) + "\n")
    bars = [bar for section in sections for bar in section.bars]
    failed = missed(sections)
    click.echo(f"{len(bars) - len(failed)} of {len(bars)} bars met; all figures are in {_shown(file)}")
    if failed and not no_fail:
        sys.exit(MISSED)


def _measure(names: tuple[str, ...], runs: int | None, *, quick: bool) -> list[Section]:
    from bluegreen.engine.connect import resolve

    sections = []
    offline = set(names) <= {"help", "traffic"}
    with nullcontext("") if offline else server_image() as image:
        bench = Bench(image, "" if offline else resolve(None, os.environ).url)
        for name in names:
            benchmark = BENCHMARKS.get(name) or LONG[name]
            section = benchmark.measure(bench, runs or (benchmark.quick if quick else benchmark.runs))
            click.echo("\n".join([*table(section), ""]))
            sections.append(section)
    return sections


def _machine() -> dict[str, Any]:
    from bluegreen import __version__

    return {
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "bluegreen": __version__,
        **versions(),
    }


def _shown(file: Path) -> str:
    return os.path.relpath(file)


if __name__ == "__main__":
    main()
