"""A candidate's share of the visitors, on real containers: given, grown, promoted, and taken back."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from bluegreen.model.errors import Exit
from tests.chaos.traffic import Traffic
from tests.scenarios.conftest import MakeStack
from tests.scenarios.stack import Stack, web, worker
from tests.support import eventually

pytestmark = pytest.mark.engine

NUMBERS = itertools.count(1)
VISITORS = 40


@pytest.fixture(scope="module")
def deployed(make_stack: MakeStack) -> Stack:
    stack = make_stack()
    proxy = {"listen": f"127.0.0.1:{stack.port}", "trusted_proxies": ["10.0.0.0/8", "172.16.0.0/12", "127.0.0.0/8"]}
    stack.write({"web": web(stack.image), "worker": worker(stack.image)}, keep=2, drain="300s", proxy=proxy)
    for _ in range(2):
        stack.deploy(_next()).succeeded()
    return stack


@pytest.fixture
def shop(deployed: Stack) -> Iterator[Stack]:
    """A project with a live release and a good one standing by; a test must leave it clean, and without a candidate."""
    with deployed.lent(_next) as stack:
        yield stack
        if stack.status()["candidate"] is not None:
            stack.bg("abort").succeeded()


def _next() -> str:
    return f"v{next(NUMBERS)}"


def _stage(shop: Stack) -> tuple[str, str]:
    """The tags of live and of the candidate."""
    tag = _next()
    live = str(shop.status()["live"]["tag"])
    shop.deploy(tag, "--stage").succeeded()
    return live, tag


class Visitors:
    """People with browsers of their own, each of which keeps its cookies."""

    def __init__(self, shop: Stack) -> None:
        self.shop = shop
        self.jars = [httpx.Cookies() for _ in range(VISITORS)]

    def tags(self) -> list[str]:
        """The release that each of them gets now."""
        found = []
        with httpx.Client(timeout=10, trust_env=False) as client:
            for number, jar in enumerate(self.jars):
                client.cookies = jar
                reply = client.get(f"{self.shop.url}/", headers={"User-Agent": f"browser {number}"})
                jar.update(client.cookies)
                assert reply.status_code == 200, reply.text
                found.append(str(reply.json()["tag"]))
        return found


def test_a_share_grows_without_anybody_going_back_and_a_rollback_takes_all_of_it_back_at_once(shop: Stack) -> None:
    live, tag = _stage(shop)
    visitors = Visitors(shop)
    containers = {n: shop.container(n)["State"]["StartedAt"] for n in shop.running()}
    traffic = Traffic(shop.port)
    try:
        with traffic.strict():
            assert set(visitors.tags()) == {live}
            before: set[int] = set()
            for share in (20, 50, 80):
                answer = shop.bg("canary", str(share)).succeeded()
                assert (answer.data["share"], answer.document["outcome"]) == (share, "shifted")
                now = {number for number, found in enumerate(visitors.tags()) if found == tag}
                assert before <= now, f"{before - now} went back"
                before = now
            # 40 at 80 %: fewer than 17 is rarer than once in a billion runs.
            assert 16 < len(before) <= VISITORS
            status = shop.status()
            assert (status["candidate"]["share"], status["live"]["share"]) == (80, 20)
            assert shop.running(service="worker") == {f"{status['live']['slot']}-worker-1"}
            shop.deploy(_next()).failed(Exit.REFUSED, "canary.has-traffic", tag, " promote", " abort")

            answer = shop.bg("rollback", "--reason", "500s").succeeded()
            assert (answer.data["how"], answer.data["tag"], answer.data["share"]) == ("canary", live, 80)
            assert set(visitors.tags()) == {live}
            assert {n: shop.container(n)["State"]["StartedAt"] for n in shop.running()} == containers
            again = shop.bg("rollback").failed(Exit.REFUSED, "rollback.candidate-taken-back", "500s", live)
            assert set(visitors.tags()) == {live}, again
    finally:
        traffic.stop()
    assert shop.status()["candidate"]["mark"] == "bad"
    assert "500s" in shop.bg("why", tag).succeeded().data["why"]["message"]


def test_a_promotion_gives_all_visitors_and_the_workers_and_a_rollback_is_warm(shop: Stack) -> None:
    live, tag = _stage(shop)
    visitors = Visitors(shop)
    traffic = Traffic(shop.port)
    try:
        with traffic.strict():
            shop.bg("canary", "50").succeeded()
            assert set(visitors.tags()) == {live, tag}
            answer = shop.bg("promote").succeeded()
            assert (answer.data["tag"], answer.data["share"], answer.data["kind"]) == (tag, 50, "promote")
            assert set(visitors.tags()) == {tag}
            status = shop.is_clean()
            assert status["standby"]["tag"] == live
            assert shop.running(service="worker") == {f"{status['live']['slot']}-worker-1"}
            assert shop.bg("rollback").succeeded().data["how"] == "warm"
            assert set(visitors.tags()) == {live}
    finally:
        traffic.stop()
    shop.bg("canary", "10").failed(Exit.REFUSED, "canary.no-candidate", "--stage")


def test_an_abort_takes_the_visitors_back_at_once_and_cuts_no_connection_of_theirs(shop: Stack) -> None:
    live, tag = _stage(shop)
    shop.bg("canary", "99").succeeded()
    slot = shop.status()["candidate"]["slot"]
    with _stream_of(shop, tag) as lines:
        running = shop.begin("--events", "abort")
        running.until("step", "drain")
        assert set(Visitors(shop).tags()) == {live}
        assert f"{slot}-web-1" in shop.running()
        shop.run_in(f"{slot}-web-1", "touch", "/tmp/go1")  # noqa: S108 - inside a container
        assert next(lines) == f"{tag} 1"
    answer = running.end().succeeded()
    assert answer.data["share"] == 99
    status = shop.is_clean()
    assert status["candidate"] is None
    assert status["standby"] is not None, "the former standby is back"


def test_a_shift_that_is_killed_leaves_one_share_or_the_other_and_is_resumed(shop: Stack) -> None:
    _, tag = _stage(shop)
    shop.bg("canary", "10").succeeded()
    killed = shop.halting(signal.SIGKILL, "after shift", "canary", "60").end()
    assert killed.code == -signal.SIGKILL, killed
    status = eventually(lambda: found if (found := shop.status())["lease"] is None else {}, what="the lease's end")
    assert status["candidate"]["share"] == 60
    assert {t["code"] for t in status["troubles"]} == {"operation.unfinished"}
    shop.bg("promote").failed(Exit.REFUSED, "operation.unfinished", f"shift {tag}", " resume")
    shop.bg("resume").succeeded()
    assert shop.is_clean()["candidate"]["share"] == 60
    assert shop.bg("rollback").succeeded().data["how"] == "canary"


def test_a_clean_release_passes_its_steps_by_itself_and_gets_all_visitors(shop: Stack) -> None:
    tag = _next()
    live = shop.status()["live"]["tag"]
    with _passers_by(shop):
        answer = shop.deploy(tag, "--canary", "30,60", "--hold", "90s").succeeded()
    canary = answer.data["canary"]
    assert (answer.document["outcome"], canary["share"]) == ("promoted", 100)
    assert [(s["share"], s["outcome"]) for s in canary["steps"]] == [(30, "pass"), (60, "pass")], canary
    assert all("clean" in s["verdict"]["reason"] or "below" in s["verdict"]["reason"] for s in canary["steps"]), canary
    status = shop.is_clean()
    assert (status["live"]["tag"], status["standby"]["tag"]) == (tag, live)


def test_without_traffic_a_step_ends_inconclusive_and_the_share_stays(shop: Stack) -> None:
    tag = _next()
    answer = shop.deploy(tag, "--canary", "20,50", "--hold", "1s")
    answer.failed(Exit.INCONCLUSIVE, "canary.inconclusive", tag, "keeps its 20 %")
    assert [s["outcome"] for s in answer.data["canary"]["steps"]] == ["inconclusive"]
    assert shop.is_clean()["candidate"]["share"] == 20


def test_a_canary_whose_process_dies_is_ended_by_the_next_command_which_says_so(shop: Stack) -> None:
    tag = _next()
    running = shop.begin("--json", "deploy", tag, "--canary", "20,50", "--hold", "90s")
    eventually(lambda: (shop.status()["candidate"] or {}).get("share") == 20, 60, "the first step")
    shop.bg("canary", "50").failed(Exit.HELD, "operation.held", f"canary {tag}")
    running.send(signal.SIGKILL)
    running.end()
    status = eventually(lambda: found if (found := shop.status())["lease"] is None else {}, what="the lease's end")
    assert {t["code"] for t in status["troubles"]} == {"operation.unfinished"}
    answer = shop.bg("canary", "5").succeeded()
    assert "was left by its process" in answer.notices
    assert "back from 20 % to 5 %, since 5 % is asked for" in answer.notices
    assert shop.is_clean()["candidate"]["share"] == 5


@contextmanager
def _passers_by(shop: Stack) -> Iterator[None]:
    """Visitors of distinct addresses, each of whom asks once."""
    over = threading.Event()

    def come(number: int) -> None:
        with httpx.Client(timeout=30, trust_env=False) as client:
            for turn in itertools.count():
                if over.wait(0.01):
                    return
                address = f"203.{number}.{turn >> 8 & 255}.{turn & 255}"
                client.cookies.clear()
                client.get(f"{shop.url}/", headers={"X-Forwarded-For": address})

    threads = [threading.Thread(target=come, args=(number,), daemon=True) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(30)


class _stream_of:  # noqa: N801 - reads as what it is
    """A stream of a visitor who gets this release, after its first line."""

    def __init__(self, shop: Stack, tag: str) -> None:
        self.shop = shop
        self.tag = tag

    def __enter__(self) -> Iterator[str]:
        for number in range(50):
            headers = {"User-Agent": f"streamer {number}"}
            self._opened = httpx.stream(
                "GET", f"{self.shop.url}/stream?parts=2", headers=headers, timeout=60, trust_env=False
            )
            lines = self._opened.__enter__().iter_lines()
            if next(lines) == f"{self.tag} 0":
                return lines
            self._opened.__exit__(None, None, None)
        raise AssertionError(f"nobody of fifty got {self.tag}")

    def __exit__(self, *error: object) -> None:
        self._opened.__exit__(None, None, None)
