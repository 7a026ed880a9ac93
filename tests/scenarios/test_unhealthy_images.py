"""Images that go wrong while v1 serves: why is said in words, and v1's containers never notice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bluegreen.model.errors import Exit
from tests.scenarios.conftest import MakeStack
from tests.scenarios.stack import Stack, health, web

pytestmark = pytest.mark.engine

SOON = {"DEADLINE": "3s"}


@pytest.fixture(scope="module")
def live(make_stack: MakeStack) -> Stack:
    """A project with v1 live."""
    stack = make_stack()
    stack.deploy("v1").succeeded()
    return stack


@pytest.fixture
def shop(live: Stack) -> Iterator[Stack]:
    """The same; whatever a test does to it, v1 serves on and the candidate is gone afterwards, its images too."""
    images = live.everything()["images"]
    with live.untouched():
        yield live
    assert live.everything()["images"] == images
    live.write()
    status = live.is_clean()
    assert (status["live"]["tag"], status["candidate"]) == ("v1", None)


CASES: Mapping[str, tuple[dict[str, str], str, tuple[str, ...]]] = {
    "exits at once": ({"EXIT": "3"}, "health.exited", ("exited with code 3",)),
    "runs out of memory": ({"EAT": "200", "MEMORY": "32m"}, "health.oom", ("memory", "32 MB")),
    "never listens": ({"PORT": "0"}, "health.not-listening", ("nothing listens on port 8000", "3 s")),
    "listens too late": ({"BEFORE": "100"}, "health.not-listening", ("nothing listens on port 8000",)),
    "listens on loopback": ({"HOST": "127.0.0.1"}, "health.loopback", ("127.0.0.1:8000", "Bind 0.0.0.0")),
    "listens on another port": ({"PORT": "9000"}, "health.other-port", ("9000", "Set port: 9000")),
    "answers 500": ({"STATUS": "500"}, "health.status", ("GET /health with 500 instead of 200", "broken")),
    "answers 301": ({"STATUS": "301"}, "health.redirect", ("301", "/login", "health.path")),
    "answers too slowly": ({"AFTER": "2", "TIMEOUT": "0.3s"}, "health.timeout", ("longer than 0.3 s",)),
    "rejects the Host header": ({"ONLY": "shop.example"}, "health.host", ("Host header", "health.host")),
}


@pytest.mark.parametrize("case", CASES)
def test_a_release_that(shop: Stack, case: str) -> None:
    env, code, words = CASES[case]
    ends_by_itself = {"EXIT", "EAT"} & env.keys()
    answer = shop.deploy("v2", **{**({} if ends_by_itself else SOON), **env})
    answer.failed(Exit.FAILED, code, "web", *words, "logs v2")
    if "EAT" not in env:
        assert any("server v2 starts" in line for line in answer.data["log"]), answer
    assert answer.data["live"]["tag"] == "v1"
    assert not shop.running(slot="green")


def test_a_release_that_is_unhealthy_by_its_own_healthcheck(shop: Stack) -> None:
    check = {"test": "echo the cache is cold; exit 1", "interval": "0.2s", "retries": 2}
    shop.write({"web": web(shop.image, healthcheck=check)})
    shop.deploy("v2").failed(Exit.FAILED, "health.docker", "web", "the cache is cold")


def test_a_release_whose_command_is_not_in_its_image(shop: Stack) -> None:
    shop.write({"web": web(shop.image, command=["no-such-program"])})
    shop.deploy("v2").failed(Exit.FAILED, "engine.cannot-start", "no-such-program")


def test_a_release_whose_job_fails(shop: Stack) -> None:
    job: dict[str, Any] = {
        "image": shop.image,
        "environment": {"MODE": "job", "EXIT": "4"},
        "x-bluegreen": {"job": True},
    }
    shop.write({"web": web(shop.image, depends_on={"migrate": _COMPLETED}), "migrate": job})
    answer = shop.deploy("v2").failed(Exit.FAILED, "job.failed", "migrate", "exited with code 4")
    assert any("no database URL" in line for line in answer.data["log"]), answer


def test_a_release_whose_body_lacks_what_is_expected(shop: Stack) -> None:
    checked = web(shop.image)
    checked["x-bluegreen"]["health"] = health(expect={"status": 200, "body": "all is well"})
    shop.write({"web": checked})
    shop.deploy("v2", **SOON).failed(Exit.FAILED, "health.body", "all is well")


def test_a_first_release_that_fails_leaves_nothing_live_and_says_so(stack: Stack) -> None:
    answer = stack.deploy("v1", STATUS="500", **SOON)
    answer.failed(Exit.FAILED, "health.status", "500")
    assert answer.data["live"] is None
    assert not stack.running()
    assert stack.get().status_code == 503
    stack.deploy("v2").succeeded()
    assert stack.is_clean()["live"]["release"] == 2


def test_after_a_failed_deploy_the_former_standby_is_warm_and_the_reason_can_be_asked_for_again(live: Stack) -> None:
    live.deploy("v2").succeeded()
    assert live.status()["standby"]["tag"] == "v1"
    with live.untouched():
        live.deploy("v3", STATUS="500", **SOON).failed(Exit.FAILED, "health.status")
        assert live.is_clean()["standby"]["tag"] == "v1"

        why = live.bg("why").succeeded().data["why"]
        assert (why["tag"], why["code"]) == ("v3", "health.status")
        assert "500" in why["message"]
        assert any("server v3 starts" in line for line in why["logs"])
        assert "server v3 starts" in live.text("logs", "v3").succeeded().out, "logs of what has been removed"
        assert live.bg("history").succeeded().data["releases"][0]["state"] == "failed"

    moved = live.bg("rollback").succeeded().data
    assert (moved["how"], moved["tag"], live.serving) == ("warm", "v1", "v1")


_COMPLETED = {"condition": "service_completed_successfully"}
