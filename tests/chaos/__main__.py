"""``python -m tests.chaos``: every cell of the matrix, or as many as fit into the time; goes on where it stopped.

Each (plan, checkpoint, signal) is played with one way on, by rotation; the seed turns it. CHAOS=all plays them all.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import docker

from bluegreen.engine.connect import resolve
from tests.chaos.cell import SIGNALS, WAYS, Cell, Ground
from tests.chaos.plans import PLANS
from tests.scenarios.stack import Stack
from tests.support import ROOT, base_image, unique

TOY = ROOT / "tests" / "scenarios" / "toy"
SCHEMA = 1
IN_A_MESSAGE = " in a message"


class Matrix:
    """What is to be played, what was, and the file that both are kept in."""

    def __init__(self, file: Path, *, anew: bool, seed: int | None) -> None:
        self.file = file
        revision = _revision()
        found = json.loads(file.read_text()) if file.is_file() and not anew else {}
        if found and (found["schema"] != SCHEMA or found["revision"] != revision):
            _say(f"{file} is of another revision, {found['revision']}: its results are kept, failures played again")
        self.data: dict[str, Any] = {
            "schema": SCHEMA,
            "revision": revision,
            "seed": found.get("seed", seed if seed is not None else secrets.randbelow(1_000_000)),
            "points": found.get("points", {}),
            "answered": found.get("answered", 0),
            "cells": found.get("cells", []),
        }

    @property
    def seed(self) -> int:
        return int(self.data["seed"])

    def cells(self, plans: list[str]) -> list[Cell]:
        """Those still to be played, in an order that any stop leaves spread over everything."""
        done = {(c["plan"], c["where"], c["signal"], c["way"]) for c in self.data["cells"] if c["outcome"] != "failed"}
        cells = [c for c in self._all(plans) if (c.plan, c.where, c.signal, c.way) not in done]
        random.Random(self.seed).shuffle(cells)  # noqa: S311 - an order, no secret
        return _paired(cells)

    def _all(self, plans: list[str]) -> Iterator[Cell]:
        for number, plan in enumerate(PLANS):
            for at, where in enumerate(self.data["points"].get(plan, ()) if plan in plans else ()):
                for turn, name in enumerate(SIGNALS):
                    chosen = WAYS[(number + at + turn + self.seed) % len(WAYS)]
                    for way in WAYS if os.environ.get("CHAOS") == "all" else (chosen,):
                        yield Cell(plan, where, name, way)

    def note(self, cell: Cell, outcome: str, seconds: float, detail: str = "") -> None:
        same = [c for c in self.data["cells"] if all(c[k] == v for k, v in asdict(cell).items())]
        for one in same:
            self.data["cells"].remove(one)
        self.data["cells"].append({**asdict(cell), "outcome": outcome, "seconds": round(seconds, 2), "detail": detail})
        self.save()

    def save(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        aside = self.file.with_suffix(".new")
        aside.write_text(json.dumps(self.data, indent=1))
        aside.replace(self.file)


def main() -> int:
    chosen = _options()
    for number in (signal.SIGINT, signal.SIGTERM):  # ignored where a shell started it in the background
        signal.signal(number, signal.default_int_handler)
    matrix = Matrix(chosen.out, anew=chosen.anew, seed=chosen.seed)
    plans = [name for name in PLANS if not chosen.plan or any(p in name for p in chosen.plan)]
    end = time.monotonic() + chosen.minutes * 60
    client = docker.DockerClient(base_url=resolve(None, os.environ).url, timeout=60)
    toy = f"{unique('bgt-toy')}:1"
    client.images.build(
        path=str(TOY), tag=toy, buildargs={"PYTHON_IMAGE": base_image("PYTHON_IMAGE")}, rm=True, forcerm=True
    )
    _say(f"seed {matrix.seed}, results in {chosen.out}")
    try:
        with tempfile.TemporaryDirectory() as directory:
            _play(matrix, plans, client, toy, Path(directory), end)
    except KeyboardInterrupt:
        _say("interrupted: the same command goes on")
    finally:
        client.api.remove_image(toy, force=True)
        client.close()
    return _summary(matrix, plans)


def _play(matrix: Matrix, plans: list[str], client: docker.DockerClient, toy: str, directory: Path, end: float) -> None:
    grounds = _Grounds(client, toy, directory)
    try:
        for name in plans:
            if name not in matrix.data["points"]:
                passed = grounds.ground.rehearse(name)
                matrix.data["points"][name] = _telling(passed)
                matrix.save()
                _say(f"{name}: {len(passed)} checkpoints, {len(matrix.data['points'][name])} of them told apart")
        cells = matrix.cells(plans)
        _say(f"{len(cells)} cells to play")
        for number, cell in enumerate(cells, 1):
            if time.monotonic() > end:
                _say("the time is over: the same command goes on")
                return
            begin = time.monotonic()
            answered = grounds.ground.traffic.answered.total()
            try:
                outcome, detail = "ok" if grounds.ground.play(cell) else "missed", ""
            except Exception as error:  # whatever it is, the next cell gets a project of its own
                outcome, detail = "failed", _told(error)
            matrix.data["answered"] += grounds.ground.traffic.answered.total() - answered
            seconds = time.monotonic() - begin
            matrix.note(cell, outcome, seconds, detail)
            _say(f"[{number}/{len(cells)}] {cell} ... {outcome} {seconds:.1f} s")
            if outcome == "failed":
                _say(f"    {detail}")
                grounds.renew()
    finally:
        grounds.close()


def _telling(points: list[str]) -> list[str]:
    """Of checkpoints between which nothing happens, one; all of them with CHAOS=all.

    Steps on the proxy's side travel as one message: the moments before each are the same one, and those after. Of
    steps of one kind side by side (four containers created) the first and the last are told apart from the others
    by nothing.
    """
    every = os.environ.get("CHAOS") == "all"
    out: list[str] = []
    for _, group in itertools.groupby(points, key=_moment):
        run = list(group)
        chosen = run[:1] if run[0].endswith(IN_A_MESSAGE) else list(dict.fromkeys([run[0], run[-1]]))
        out.extend(point.removesuffix(IN_A_MESSAGE) for point in (run if every else chosen))
    return out


def _moment(point: str) -> str:
    """What neighbours have in common that are the same moment, or steps of one kind side by side."""
    when, verb = point.split()[:2]
    return when if point.endswith(IN_A_MESSAGE) else f"{when} {verb}"


class _Grounds:
    """The project that is played on; another one after a failure."""

    def __init__(self, client: docker.DockerClient, toy: str, directory: Path) -> None:
        self._client, self._toy, self._directory = client, toy, directory
        self.ground = self._make()

    def _make(self) -> Ground:
        place = self._directory / unique("project")
        place.mkdir()
        return Ground(Stack(self._client, self._toy, place))

    def renew(self) -> None:
        self.close()
        self.ground = self._make()

    def close(self) -> None:
        self.ground.close()
        self.ground.shop.clean()


def _paired(cells: list[Cell]) -> list[Cell]:
    """A first deploy after each `down`, which leaves what that begins with."""
    first = [c for c in cells if PLANS[c.plan].new]
    out: list[Cell] = []
    for cell in cells:
        if PLANS[cell.plan].new:
            continue
        out.append(cell)
        if PLANS[cell.plan].gone and first:
            out.append(first.pop())
    return out + first


def _summary(matrix: Matrix, plans: list[str]) -> int:
    cells = [c for c in matrix.data["cells"] if c["plan"] in plans]
    left = Counter(c.plan for c in matrix.cells(plans))
    _say(f"\n{'plan':46} {'points':>6} {'ok':>5} {'missed':>6} {'failed':>6} {'to play':>7} {'s/cell':>6}")
    for name in plans:
        mine = [c for c in cells if c["plan"] == name]
        found = Counter(c["outcome"] for c in mine)
        mean = sum(c["seconds"] for c in mine) / len(mine) if mine else 0.0
        points = len(matrix.data["points"].get(name, ()))
        to_play = left[name] - found["failed"]
        _say(f"{name:46} {points:6} {found['ok']:5} {found['missed']:6} {found['failed']:6} {to_play:7} {mean:6.1f}")
    failed = [c for c in cells if c["outcome"] == "failed"]
    seconds = sum(c["seconds"] for c in cells)
    _say(
        f"{len(cells)} cells in {seconds / 60:.0f} min, {matrix.data['answered']} requests answered; "
        f"all of it takes about {seconds / max(1, len(cells)) * (len(cells) + left.total() - len(failed)) / 60:.0f} min"
    )
    for cell in failed:
        _say(f"FAILED {cell['plan']}: {cell['signal']} {cell['where']}, then {cell['way']}\n    {cell['detail'][:600]}")
    return 1 if failed else 0


def _told(error: Exception) -> str:
    if isinstance(error, AssertionError):
        return str(error)[:4000]
    return traceback.format_exc()[-4000:]


def _revision() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=240.0, help="begin no cell after so long (240)")
    parser.add_argument("--plan", action="append", help="only plans with this in their name; may be repeated")
    parser.add_argument("--seed", type=int, help="of the order and the rotation, for a new run")
    parser.add_argument("--anew", action="store_true", help="forget the results so far")
    parser.add_argument("--out", type=Path, default=ROOT / ".state" / "chaos.json", help="the results (JSON)")
    return parser.parse_args()


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is a program


if __name__ == "__main__":
    sys.exit(main())
