"""The guard, on the sample under load: it takes a bad candidate back by itself, and leaves a good one alone."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from docker.models.containers import Container

from bluegreen.engine.connect import resolve
from bluegreen.model.errors import Exit
from tests.scenarios.conftest import MakeStack
from tests.scenarios.stack import Stack
from tests.support import ROOT, base_image, eventually, unique

pytestmark = pytest.mark.engine

SAMPLE = ROOT / "compose" / "tokenlab"
NUMBERS = itertools.count(1)
VISITORS = 3000
THREADS = 4
PAUSE = 0.02
"""Seconds between two requests of one thread."""

GUARD = "\n  guard: {latency_alpha: 0.001 %}"
"""Other tests take the processors from one side for a moment, which is slowness of that side, and no fault of it."""

SMOKE = """    - GET: /api/v1/simulate
      status: 200
      body: '"p50"'
"""
"""A release that fails now and then would meet this check now and then."""

BAR_MS = 2000
"""From the request that took the evidence over its threshold to the end of the rollback."""


@pytest.fixture(scope="module")
def sample(make_stack: MakeStack) -> Stack:
    """The sample as it is, under a name and on a port of its own; visitors are told apart by what a proxy says."""
    stack = make_stack()
    for entry in SAMPLE.iterdir():
        if entry.is_dir():
            (stack.directory / entry.name).symlink_to(entry)
    text = (SAMPLE / "compose.yaml").read_text()
    proxy = (
        f'proxy: {{listen: "127.0.0.1:{stack.port}", trusted_proxies: ["10.0.0.0/8", "172.16.0.0/12", "127.0.0.0/8"]}}'
    )
    changes = (("name: tokenlab", f"name: {stack.name}"), ('proxy: {listen: "8080"}', proxy + GUARD), (SMOKE, ""))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    stack.write_text(text)
    stack.deploy(_next()).succeeded()
    return stack


def _next() -> str:
    return f"v{next(NUMBERS)}"


class Crowd:
    """Visitors of distinct addresses, each of which keeps the cookies it was given; from a few threads."""

    def __init__(self, port: int, path: str) -> None:
        self.answers: Counter[int] = Counter()
        self._port, self._path = port, path
        self._jars: dict[int, dict[str, str]] = {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(THREADS)]

    @contextmanager
    def coming(self) -> Iterator[Crowd]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(30)

    @property
    def errors(self) -> int:
        return sum(count for status, count in self.answers.items() if status >= 500)

    def _run(self, number: int) -> None:
        chance = random.Random(number)  # noqa: S311 - an order of visitors
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._stop.wait(PAUSE):
            who = chance.randrange(VISITORS // THREADS) * THREADS + number
            jar = self._jars.setdefault(who, {})
            headers = {"X-Forwarded-For": f"203.{who >> 16}.{who >> 8 & 255}.{who & 255}", "User-Agent": "crowd"}
            if jar:
                headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
            connection.request("GET", self._path, headers=headers)
            reply = connection.getresponse()
            reply.read()
            self.answers[reply.status] += 1
            for name, value in reply.getheaders():
                if name.lower() == "set-cookie":
                    key, _, rest = value.partition("=")
                    jar[key] = rest.partition(";")[0]
        connection.close()


@contextmanager
def guarded(sample: Stack, *words: str) -> Iterator[list[dict[str, Any]]]:
    """`bg watch` beside what the test does; afterwards its receipt is in the list."""
    running = sample.begin("--json", "watch", *words)
    receipt: list[dict[str, Any]] = []
    try:
        yield receipt
    finally:
        running.send(signal.SIGINT)
        answer = running.end()
    receipt.append({"code": answer.code, **answer.data})


@pytest.mark.parametrize(
    ("live", "fault"),
    [({}, {"ERROR_RATE": "0.2"}), ({"LATENCY": "0.1"}, {"LATENCY": "0.3"})],
    ids=["errors at 20 %", "three times slower"],
)
def test_a_candidate_that_fails_is_taken_back_within_two_seconds_of_the_request_that_showed_it(
    sample: Stack, live: dict[str, str], fault: dict[str, str]
) -> None:
    good, bad = _next(), _next()
    sample.deploy(good, **live).succeeded()
    with Crowd(sample.port, "/api/v1/simulate?runs=20").coming() as crowd:
        eventually(lambda: crowd.answers[200] > 300, 60, "a history of live")
        sample.deploy(bad, "--stage", **fault).succeeded()
        with guarded(sample) as receipt:
            sample.bg("canary", "25").succeeded()
            eventually(lambda: sample.status()["candidate"]["share"] == 0, 90, "the candidate taken back")
    found = receipt[0]
    assert found["code"] == Exit.VERDICT, found
    (action,) = found["actions"]
    assert action["did"] == "taken-back", found
    assert action["to"] == good
    assert sum(action["ms"][part] for part in ("detect", "decide", "execute")) <= BAR_MS, action
    assert bad in action["reason"]
    assert "E = " in action["reason"]
    if "ERROR_RATE" in fault:
        assert action["harm"]["errors"] == crowd.answers[500] > 0, (action, crowd.answers)
        assert 0 < action["harm"]["clients"] <= action["harm"]["errors"]
    candidate = sample.status()["candidate"]
    assert candidate["mark"] == "bad"
    assert action["reason"] in json.dumps(sample.bg("why", bad).succeeded().data)
    sample.bg("abort").succeeded()


def test_in_its_container_it_does_the_same_with_no_network_and_no_rights_but_the_engines_socket(sample: Stack) -> None:
    bad = _next()
    with Crowd(sample.port, "/api/v1/simulate?runs=20").coming() as crowd, _contained(sample) as guard:
        eventually(lambda: crowd.answers[200] > 400, 60, "a history of live")
        sample.deploy(bad, "--stage", ERROR_RATE="0.5").succeeded()
        sample.bg("canary", "50").succeeded()
        eventually(lambda: sample.status()["candidate"]["share"] == 0, 90, "the candidate taken back")
        told = eventually(lambda: [e for e in _events(guard) if e["name"] == "taken-back"], what="its event")
    assert bad in json.dumps(told[0])
    assert sample.status()["candidate"]["mark"] == "bad"
    sample.bg("abort").succeeded()


@contextmanager
def _contained(sample: Stack) -> Iterator[Container]:
    """The service of ``compose/guard``, as Compose would run it."""
    text = (ROOT / "compose" / "guard" / "compose.yaml").read_text()
    socket = resolve(None, os.environ).url.removeprefix("unix://")
    known = {"PROJECT": sample.name, "DOCKER_SOCKET": socket, "PYTHON_IMAGE": base_image("PYTHON_IMAGE")}
    service = yaml.safe_load(re.sub(r"\$\{(\w+)[^}]*\}", lambda found: known[found[1]], text))["services"]["guard"]
    build = service.pop("build")
    image = f"{unique('bgt-guard')}:1"
    sample.engine.images.build(
        path=str(ROOT), dockerfile=build["dockerfile"], buildargs=build["args"], tag=image, rm=True, forcerm=True
    )
    try:
        guard = sample.engine.containers.run(
            image,
            service.pop("command"),
            name=f"{sample.name}-guard",
            detach=True,
            volumes=service.pop("volumes"),
            restart_policy={"Name": service.pop("restart")},
            tmpfs=dict.fromkeys(service.pop("tmpfs"), ""),
            **service,
        )
        try:
            eventually(lambda: any(event["kind"] == "guard" for event in _events(guard)), 30, "the guard to be there")
            yield guard
        finally:
            guard.remove(force=True)
    finally:
        sample.engine.api.remove_image(image, force=True)


def _events(guard: Container) -> list[dict[str, Any]]:
    return [json.loads(line) for line in guard.logs(stdout=True, stderr=False).splitlines()]


def test_a_clean_release_is_promoted_step_by_step_and_without_traffic_nothing_is_said(sample: Stack) -> None:
    tag = _next()
    silent = sample.deploy(tag, "--canary", "25", "--hold", "2s")
    assert silent.code == Exit.INCONCLUSIVE, silent
    assert sample.status()["candidate"]["share"] == 25
    watched = sample.bg("watch", "--for", "2s")
    assert watched.code == Exit.INCONCLUSIVE, watched
    assert "no traffic" in watched.data["verdict"]["reason"]
    sample.bg("abort").succeeded()

    tag = _next()
    with Crowd(sample.port, "/api/v1/simulate?runs=20").coming() as crowd:
        eventually(lambda: crowd.answers[200] > 400, 60, "a history of live")
        sample.deploy(tag, "--canary", "25,50", "--hold", "90s").succeeded()
    assert crowd.answers.keys() == {200}
    assert sample.status()["live"]["tag"] == tag


def test_where_both_sides_fail_nothing_is_taken_back_and_an_alarm_is_given(sample: Stack) -> None:
    tag = _next()
    with Crowd(sample.port, "/api/v1/count?prefix=none").coming() as crowd:
        eventually(lambda: crowd.answers[200] > 400, 60, "a history of live")
        sample.deploy(tag, "--stage").succeeded()
        with guarded(sample) as receipt:
            sample.bg("canary", "50").succeeded()
            eventually(lambda: crowd.answers[200] > 600, 60, "visitors on both")
            with _without_store(sample):
                eventually(lambda: crowd.errors > 150, 120, "errors on both sides")
    found = receipt[0]
    assert [a["did"] for a in found["actions"]] == ["alarm"], found
    assert sample.status()["candidate"]["share"] == 50
    sample.bg("abort").succeeded()


@contextmanager
def _without_store(sample: Stack) -> Iterator[None]:
    """What both sides ask is away."""
    store = f"{sample.name}-ledger-1"
    sample.engine.api.stop(store, timeout=1)
    try:
        yield
    finally:
        sample.engine.api.start(store)
