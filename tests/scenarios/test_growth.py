"""A project's age costs nothing: neither a long journal nor a thousand switches show in what people wait for."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import pytest

from bluegreen.agent.agent import GENERATIONS_KEPT
from bluegreen.model.names import Slot
from bluegreen.proxy.session import ProxySession
from tests.proxyground import RealProxy, real_proxy
from tests.proxykit import both, flip, stack, topology, way_back

pytestmark = pytest.mark.engine

EVENTS, BATCH = 100_000, 20_000
LOOKS = 9


@pytest.fixture(scope="module")
def proxy() -> Iterator[RealProxy]:
    with real_proxy() as made:
        yield made


def test_what_status_reads_takes_as_long_with_a_hundred_thousand_events(proxy: RealProxy) -> None:
    session = proxy.session()
    session.run([{"op": "seize", "operation": "age", "holder": "test", "seconds": 60}])
    step = [{"event": "intent", "step": "probe"}, {"event": "outcome", "step": "probe", "ok": True, "ms": 1.0}]
    one = [{"event": "begin", "kind": "switch"}, *step * 4, {"event": "end", "snapshot": {"last_number": 1}}]

    session.run([{"op": "append", "events": one}])
    before = _looks(session)
    for _ in range(EVENTS // BATCH):
        session.run([{"op": "append", "events": one * (BATCH // len(one))}])
    after = _looks(session)
    lines = int(proxy.run("sh", "-c", "wc -l </bg/journal.jsonl"))
    assert lines > EVENTS
    assert after <= 1.2 * before + 1.0, f"{before:.1f} ms with a short journal, {after:.1f} ms with {lines} events"


def test_generations_of_long_ago_are_gone_from_the_volume(proxy: RealProxy) -> None:
    routes = both(None, 0, stack(1, proxy.addresses[Slot.BLUE]), stack(2, proxy.addresses[Slot.GREEN]))
    session = proxy.session()
    session.run([{"op": "seize", "operation": "first", "holder": "test", "seconds": 60}])
    session.run([topology(routes, 0)])
    live = both(Slot.BLUE, 0, routes.stacks[Slot.BLUE], routes.stacks[Slot.GREEN])
    session.run([flip(live, 1), {"op": "release", "operation": "first"}])
    for number in range(2, 2 * GENERATIONS_KEPT):
        name = f"switch-{number}"
        session.run([{"op": "seize", "operation": name, "holder": "test", "seconds": 60}])
        session.run([way_back(number), {"op": "release", "operation": name}])
    kept = sorted(map(int, proxy.run("ls", "/bg/generations").split()))
    assert kept[-1] == 2 * GENERATIONS_KEPT
    assert len(kept) <= GENERATIONS_KEPT + 1
    assert proxy.get()[0] == 200


def _looks(session: ProxySession) -> float:
    """Milliseconds that the agent takes for what `status` asks, of many looks the best of three medians."""
    request = [{"op": "read", "history": False}]
    return min(median(float(session.run(request)[0]["took"]) for _ in range(LOOKS)) for _ in range(3))
