"""`python -m benchmarks.prove`: the long proof. The exit code says whether nothing was lost and every bar was met."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import click

from benchmarks.errors import BenchmarkFailed
from benchmarks.prove.course import Proven, cycles, switches

STATE = Path(__file__).parents[2] / ".state" / "prove.json"
MISSED, FAILED = 1, 2
_WORDS = {"failed": "failed", "truncated": "truncated", "duplicates": "processed twice", "late": "too late"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--switches", "how_many", type=click.IntRange(0), default=1000, show_default=True, help="Of the sample.")
@click.option("--small", is_flag=True, help="Switches of the small project, which has no workers to stop and start.")
@click.option("--cycles", "how_often", type=click.IntRange(0), default=100, show_default=True,
              help="Deploys and rollbacks of the small project.")  # fmt: skip
@click.option("--json", "file", type=click.Path(path_type=Path), default=STATE, help="Where the receipts are written.")
def main(how_many: int, small: bool, how_often: int, file: Path) -> None:
    """Switch many times, deploy and roll back many times, under load, and count every response."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was made is removed
    found: list[Proven] = []
    try:
        if how_many:
            found.append(switches(how_many, sample=not small))
        if how_often:
            found.append(cycles(how_often))
    except BenchmarkFailed as error:
        click.echo(f"prove: {error}", err=True)
        sys.exit(FAILED)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        json.dumps({"schema": 1, "proofs": {one.name: dict(one.receipt) for one in found}}, indent=1) + "\n"
    )
    for one in found:
        click.echo("\n".join(summary(one)))
    click.echo(f"all figures are in {os.path.relpath(file)}")
    if any(one.problems for one in found):
        sys.exit(MISSED)


def summary(one: Proven) -> list[str]:
    receipt = one.receipt
    cutover, proxy, streams = receipt["cutover"] or {}, receipt["proxy"], receipt["streams"]
    counts = ", ".join(f"{receipt[key]} {word}" for key, word in _WORDS.items())
    ended = f"{streams['cut']} cut, {streams['ended_at_deadline']} ended at their drain deadline"
    moments = ", ".join(f"{key} {cutover.get(key)} ms" for key in ("p50", "p99", "max"))
    first, most = (proxy.get(key, 0) / 1e6 for key in ("memory_first", "memory_max"))
    return [
        one.name,
        f"  {receipt['requests']:,} requests in {receipt['seconds']:g} s: {counts}",
        f"  {streams['opened']} streams, {streams['over_a_switch']} over a switch, {ended}",
        f"  last request sent that the old release answered, after the rename: {moments}",
        f"  {receipt.get('sent_soon', 0):,} requests were sent within 5 ms after a rename",
        f"  proxy: {most:.1f} MB at most, {first:.1f} at first; {proxy.get('workers_max')} workers at most",
        *(f"  MISS {problem}" for problem in one.problems),
    ]


if __name__ == "__main__":
    main()
