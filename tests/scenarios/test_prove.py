"""`bg prove` shows whether a switch loses anything: nothing of a sound application, each request of a broken one."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from bluegreen.model.errors import Exit
from bluegreen.prove.kinds import KINDS
from tests.scenarios.stack import Service, Stack
from tests.support import ROOT, base_image

APP = ROOT / "benchmarks" / "prove" / "app.py"
ASKED = {
    "get": "/",
    "post": "/count",
    "counted": "/count?prefix=",
    "upload": "/upload",
    "upload_size": "1m",
    "download": "/download?seconds=0.5",
    "chunked": "/chunked?seconds=0.5",
    "events": "/events",
    "websocket": "/live",
}

pytestmark = pytest.mark.engine


def write(stack: Stack) -> Stack:
    """An application that can be asked everything, and that ends at once when it is told to."""
    (stack.directory / "app.py").write_text(APP.read_text())
    web: Service = {
        "image": base_image("PYTHON_IMAGE"),
        "command": ["python3", "-I", "-S", "/app.py"],
        "environment": {"TAG": "${TAG:-none}", "BREAK": "${BREAK:-}"},
        "configs": [{"source": "app", "target": "/app.py"}],
        "volumes": ["ids:/data"],
        "x-bluegreen": {
            "route": "/",
            "port": 8000,
            "health": {"path": "/health", "rise": 1, "interval": "0.1s"},
            "shared_volume": True,
        },
    }
    top = {"configs": {"app": {"file": "./app.py"}}, "volumes": {"ids": None}}
    return stack.write({"web": web}, top=top, prove=ASKED, drain="5s")


def lost_nothing(receipt: dict[str, Any]) -> None:
    assert {key: receipt[key] for key in ("lost", "failed", "truncated", "duplicates", "late", "failures")} == {
        "lost": 0,
        "failed": 0,
        "truncated": 0,
        "duplicates": 0,
        "late": 0,
        "failures": [],
    }
    assert receipt["streams"]["cut"] == 0
    assert all(kind["requests"] for kind in receipt["kinds"]), receipt["kinds"]
    assert receipt["posts"]["acknowledged"] == receipt["posts"]["processed"] > 0
    assert receipt["uploads"]["acknowledged"] == receipt["uploads"]["processed"] > 0


def test_a_sound_application_loses_nothing_over_switches_or_a_deploy_and_is_left_as_it_was(stack: Stack) -> None:
    write(stack)
    stack.deploy("v1").succeeded()
    deployed = stack.deploy("v2", "--prove").succeeded().data
    lost_nothing(deployed["proof"])
    assert [move["verb"] for move in deployed["proof"]["moves"]] == ["deploy"]
    before = stack.bg("history").succeeded().data["releases"]

    file = stack.directory / "receipt.json"
    running = stack.begin("--events", "prove", "--seconds", "60", "--out", str(file))
    for _ in range(3):
        running.until("progress", "prove")
    running.send(signal.SIGINT)  # after an odd number: there is a way back to go
    proved = running.end().succeeded()
    receipt = proved.data
    lost_nothing(receipt)
    assert (proved.document["outcome"], receipt["stopped"], receipt["switches"] % 2) == ("proved", True, 0)
    assert receipt["seen_switches"] == receipt["switches"] >= 4
    assert {kind["name"] for kind in receipt["kinds"] if kind["clients"]} == set(KINDS)
    assert receipt["streams"]["over_a_switch"] > 0
    assert receipt["cutover"]["p99"] <= 5.0
    assert receipt["proxy"]["memory_max"] > 0
    written = json.loads(file.read_text())
    assert (written.pop("schema"), written) == (1, {k: v for k, v in receipt.items() if k != "notices"})
    assert stack.serving == "v2"
    after = stack.bg("history").succeeded().data["releases"]
    assert [(r["tag"], r["mark"]) for r in after] == [(r["tag"], r["mark"]) for r in before]
    stack.is_clean()


def test_a_release_that_breaks_answers_off_is_found_and_each_request_named(stack: Stack) -> None:
    write(stack)
    stack.deploy("v1", BREAK="5").succeeded()
    stack.deploy("v2").succeeded()
    answer = stack.bg("prove", "--switches", "2").failed(Exit.FAILED, "prove.lost", "requests were lost")
    receipt = answer.data
    assert receipt["truncated"] == receipt["problems"]["truncated"] > 0
    failure = receipt["failures"][0]
    assert (failure["problem"], failure["method"], failure["path"]) == ("truncated", "GET", "/")
    # What was under way when it switched had begun before: of no switch yet.
    switches = {one["switch"] for one in receipt["failures"]}
    assert switches - {None} == {1}
    assert failure["seen"].endswith(" bytes")
    assert failure["id"].startswith("prove-")
    assert stack.serving == "v2"
    stack.is_clean()
