"""What `prove` says: a receipt at 80 columns, what was lost by name, and why it doesn't begin."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bluegreen.app.prove import ProveResult
from bluegreen.cli.layout import Page
from bluegreen.cli.screens import prove as screen
from bluegreen.model.errors import Exit, Refused
from bluegreen.model.release import Release
from bluegreen.prove.kinds import KINDS
from bluegreen.prove.receipt import Failure, Kind, Processed, Receipt
from tests.unit.cli.conftest import COMPOSE, Program
from tests.world import World

RUNNING = {"reuse": 20112, "think": 6240, "close": 1405, "http10": 1380, "pipeline": 1204, "post": 812, "upload": 14}
FIGURES = {"requests": 5000, "p50": 1.2, "p90": 2.0, "p99": 4.125, "p99.9": 9.0, "max": 1012.0}
MOMENTS = {"p50": 0.0, "p99": 0.2, "max": 0.412}
SOUND = Receipt(
    project="shop",
    seconds=14.2,
    switches=20,
    requests=31204,
    connections=2911,
    kinds=tuple(
        Kind(k, 2, RUNNING[k], 0) if k in RUNNING else Kind(k, 0, 0, 0, f"x-bluegreen.prove names no {k}")
        for k in KINDS
    ),
    failed=0,
    problems={},
    failures=(),
    truncated=0,
    late=0,
    resent=4,
    posts=Processed(812, 812, 812),
    uploads=Processed(14),
    streams={"opened": 53, "over_a_switch": 41, "ended_at_deadline": 2, "cut": 0},
    latency={"before": FIGURES, "during": FIGURES, "after": FIGURES},
    cutover=MOMENTS,
    last_old=MOMENTS,
    first_new=MOMENTS,
    seen_switches=20,
    proxy={"memory_first": 16_900_000, "memory_max": 17_200_000, "workers_max": 4},
    notes=("api is not asked: its health path /health is not below its routes",),
)
FAILURE = Failure(
    "post",
    "closed",
    "the connection ended before any answer",
    "POST",
    "/api/v1/count",
    "prove-3f2a9c-post-17-212",
    connection=17,
    number=212,
    switch=3,
    begun_ms=4.25,
    ms=1.0,
)
LOST = replace(SOUND, failed=1, problems={"closed": 1}, failures=(FAILURE,))


def result(receipt: Receipt, **more: object) -> ProveResult:
    live, standby = (Release(n, f"v1.{n}.0", "config", {}) for n in (1, 0))
    return replace(ProveResult(receipt, live, standby), **more)  # type: ignore[arg-type]  # handed through


def shown(found: ProveResult) -> str:
    page = Page()
    text = "\n".join(screen.lines(page, found))
    assert max(map(len, text.splitlines())) <= 80, text
    return text


def test_the_receipt_of_nothing_lost() -> None:
    text = shown(result(SOUND))
    assert "PROVED   20 switches between v1.1.0 and v1.0.0 in 14.2s: nothing lost" in text
    assert "812 POSTs acknowledged, 812 processed, 0 twice" in text
    assert "14 uploads acknowledged; not counted by the application" in text
    assert "53 opened, 41 over a switch, 0 cut, 2 ended at their drain deadline" in text
    assert "last sent to the old p50    0.0ms  p99    0.2ms  max    0.4ms" in text
    assert "NOT RUN  download, chunked, events, WebSocket: x-bluegreen.prove names no path" in text.replace("\n", " ")
    assert screen.error(result(SOUND)) is None


def test_what_was_lost_is_named() -> None:
    found = result(LOST)
    text = " ".join(shown(found).split())
    assert "NOT PROVED 20 switches between v1.1.0 and v1.0.0 in 14.2s: 1 LOST" in text
    assert (
        "LOST POST POST /api/v1/count [prove-3f2a9c-post-17-212]: closed, the connection ended before any answer "
        "(4.2ms after switch 3, request 212 on a connection)" in text
    )
    error = screen.error(found)
    assert error is not None
    assert (error.code, error.exit) == ("prove.lost", Exit.FAILED)
    assert screen.data("shop", found)["lost"] == 1


@pytest.mark.parametrize(
    ("receipt", "lost"),
    [
        (replace(SOUND, posts=Processed(812, 812, 815)), 3),
        (replace(SOUND, posts=Processed(812, 810, 810)), 2),
        (replace(SOUND, failed=5), 5),
    ],
)
def test_what_was_processed_twice_or_not_at_all_is_lost_too(receipt: Receipt, lost: int) -> None:
    assert receipt.lost == lost
    assert screen.error(result(receipt)) is not None


def test_a_proof_that_was_kept_from_ending_does_not_say_proved() -> None:
    trouble = Refused("rollback.standby-bad", "v1.0.0 stands by, but it is marked bad", next=("bg status",))
    found = result(SOUND, trouble=trouble)
    assert "NOT PROVED" in shown(found)
    assert screen.error(found) is trouble
    none = screen.error(result(replace(SOUND, switches=0), stopped=True))
    assert none is not None
    assert none.exit is Exit.INTERRUPTED


def test_without_a_standby_it_says_what_makes_one(bg: Program, world: World) -> None:
    world.deploy("v1")
    answer = bg("prove")
    assert answer.code == Exit.REFUSED
    assert "no release stands by warm" in answer.err
    assert "bg deploy TAG" in answer.err.replace("bluegreen", "bg")


def test_proving_the_switch_of_a_deploy_that_makes_none_is_a_mistake(bg: Program) -> None:
    answer = bg("deploy", "v1", "--prove", "--stage")
    assert answer.code == Exit.USAGE
    assert "--stage stops before" in " ".join(answer.err.split())


def test_the_first_deploy_has_nothing_to_lose(bg: Program, file: Path) -> None:
    answer = bg("deploy", "v1", "--prove", "--json")
    assert answer.code == 0
    assert answer.data["proof"] is None
    assert any("nothing is live yet" in notice["message"] for notice in answer.data["notices"])
    assert file.exists()


def test_a_file_of_another_project_names_no_paths_for_this_one(
    bg: Program, world: World, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bluegreen.app import prove as app

    asked = []

    def prove(_site: object, request: app.ProveRequest) -> ProveResult:
        asked.append((request.settings, request.why_no_settings))
        return result(SOUND)

    monkeypatch.setattr(app, "prove", prove)
    file.write_text(COMPOSE.replace("name: shop", "name: other") + "x-rest: {prove: 1}\n")
    assert bg("prove", "-p", world.name).code == 0
    file.write_text(COMPOSE.replace("  source: tree", "  source: tree\n  prove: {post: /count}"))
    assert bg("prove").code == 0
    file.unlink()
    assert bg("prove", "-p", world.name).code == 0
    (other, why), (ours, none), (_, no_file) = asked
    assert (other, why) == (None, "compose.yaml here is of another project, other")
    assert (ours.post if ours else None, none) == ("/count", "")
    assert no_file == "no Compose file here says where"


def test_a_rollback_does_not_pay_for_proofs() -> None:
    code = (
        "import sys, bluegreen.cli.commands.rollback, bluegreen.app.rollback, bluegreen.cli.moving\n"
        "print(*(n for n in sys.modules if n.startswith(('bluegreen.prove', 'bluegreen.app.prov', 'asyncio'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
