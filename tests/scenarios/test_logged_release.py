"""Which release answered is in the access log, and is never another one than did."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from bluegreen.traffic.lines import Hit, parse
from tests.scenarios.stack import Stack
from tests.support import eventually

pytestmark = pytest.mark.engine


class Asking:
    """Somebody who asks without a pause, over a connection that is kept, and remembers who answered."""

    def __init__(self, shop: Stack) -> None:
        self._shop = shop
        self._over = threading.Event()
        self.answered: dict[int, str] = {}  # number of the request, tag

    @property
    def serving(self) -> str | None:
        return self.answered.get(len(self.answered) - 1)

    @contextmanager
    def all_the_time(self) -> Iterator[None]:
        thread = threading.Thread(target=self._ask)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(30)

    def _ask(self) -> None:
        with httpx.Client(base_url=self._shop.url, timeout=10, trust_env=False) as client:
            while not self._over.is_set():
                number = len(self.answered)
                self.answered[number] = client.get(f"/asked/{number}").raise_for_status().json()["tag"]

    def some_more(self, tag: str, requests: int = 20) -> None:
        until = len(self.answered) + requests
        eventually(lambda: len(self.answered) > until and self.serving == tag, what=f"more answers of {tag}")


def _hits(shop: Stack, last: int) -> list[Hit]:
    """Of all that was asked for; none before the last line is there."""
    log = shop.run_in("proxy", "cat", "/var/log/bluegreen/access.log").encode()
    hits = [hit for hit in parse(log).hits if hit.uri.startswith("/asked/")]
    return hits if hits[-1].uri == f"/asked/{last}" else []


def test_a_line_names_the_release_that_answered_through_deploys_rollbacks_and_a_promotion(stack: Stack) -> None:
    asking = Asking(stack)
    stack.deploy("v1").succeeded()
    with asking.all_the_time():
        asking.some_more("v1")
        for tag in ("v2", "v3"):
            stack.deploy(tag).succeeded()
            asking.some_more(tag)
        stack.bg("rollback").succeeded()
        asking.some_more("v2")
        stack.deploy("v4", "--stage").succeeded()
        stack.bg("canary", "50").succeeded()
        stack.bg("promote").succeeded()
        asking.some_more("v4")
    last = len(asking.answered) - 1
    hits = eventually(lambda: _hits(stack, last), what="the last line")
    numbers = {r["tag"]: str(r["release"]) for r in stack.bg("history").succeeded().data["releases"]}
    named = dict.fromkeys(numbers, 0)
    for hit in hits:
        tag = asking.answered[int(hit.uri.rpartition("/")[2])]
        assert hit.release in ("", numbers[tag]), f"{hit} was answered by {tag}"
        named[tag] += bool(hit.release)
    assert len(hits) == len(asking.answered)
    assert all(named.values()), named
    unnamed = sum(not hit.release for hit in hits)
    assert unnamed <= len(hits) / 2, f"{unnamed} of {len(hits)} lines name no release"
