"""The short proof of `make bench`: what one switch costs those who are using the project."""

from __future__ import annotations

from benchmarks.figures import Bar, Figure, Section
from benchmarks.project import Bench
from benchmarks.prove.course import CUTOVER_BAR, switches


def prove(_bench: Bench, runs: int) -> Section:
    """So many switches of a small project, under load of every kind."""
    found = switches(runs, sample=False, quiet=True)
    receipt = found.receipt
    moves = receipt["moves"]

    def figure(name: str, key: str) -> Figure:
        return Figure(name, tuple(move[key] for move in moves if move[key] is not None) or (0.0,))

    cutover = figure("last request sent to the old release, after the rename", "cutover_ms")
    last, first = (
        figure("last answer of the old release", "last_old_ms"),
        figure("first answer of the new", "first_new_ms"),
    )
    worst = Figure("cut-over at the 99th percentile", ((receipt["cutover"] or {"p99": float("inf")})["p99"],))
    lost = Figure("requests lost", (float(receipt["lost"]),), "")
    bars = (
        Bar("requests lost, of none", lost, Figure("one request", (1.0,), ""), 0.0),
        Bar(f"cut-over at the 99th percentile, of {CUTOVER_BAR:g} ms", worst, Figure("its bar", (CUTOVER_BAR,)), 1.0),
    )
    trouble = "; ".join(found.problems) or "none lost"
    note = f"{receipt['requests']:,} requests over {receipt['switches']} switches; {trouble}"
    return Section("prove", "a switch under load", (cutover, last, first), bars, (note,))
