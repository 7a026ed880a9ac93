"""The bounds once more, from the lines of a log: as a guard has them, with all that lies in between."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from bluegreen.app.guarding import Guard
from bluegreen.judge import Bake, History
from bluegreen.model.history import History as Past
from bluegreen.model.history import Shift
from bluegreen.model.judging import JudgeSettings, Verdict
from bluegreen.model.names import Slot
from bluegreen.model.observed import Observed, ProxyState
from bluegreen.traffic.lines import Hit
from tests.proxykit import both
from tests.unit.judge.simulation import most_by_chance

START = 1_763_850_000.0
"""When the candidate got its first visitors."""

AT = "2025-11-22T22:20:00.000Z"
VISITORS = 250


def tried(share: int) -> Observed:
    """Release 2 in green beside release 1 in blue."""
    routes = both(Slot.BLUE, share=share)
    return Observed(
        "shop",
        proxy=ProxyState(routes=routes, clock=AT),
        history=Past(shifts=(Shift(AT, 2, share, 0, "canary-1"),)),
    )


def hits(random: Random, begin: float, count: int, share: int, times: int, *, slower: float = 1.0) -> Iterator[Hit]:
    """Visitors who come back, and take as long on one side as on the other, but for ``slower``."""
    homes = [random.randrange(100) for _ in range(VISITORS)]
    for number in range(count):
        who = random.randrange(VISITORS)
        candidate = homes[who] < share
        took = min(random.lognormvariate(-3.5, 0.6) * (slower if candidate else 1.0), 30.0)
        yield Hit(
            f"{begin + number / times + took:.3f}", "green" if candidate else "blue", "", str(homes[who]), "web",
            "500" if random.random() < 0.01 else "200", f"{took:.3f}", "200", "", f"{who:032x}", f"10.0.{who}.1",
            '"host":"h","uri":"/"',
        )  # fmt: skip


def judged(random: Random, share: int, slower: float = 1.0) -> Verdict:
    guard = Guard()
    guard.look(tried(share))
    guard.read(hits(random, START - 60, 500, 0, 10))
    guard.read(hits(random, START + 1, 700, share, 10, slower=slower))
    verdict = guard.verdict(START + 75)
    assert verdict is not None
    return verdict


def failed(verdict: Verdict, name: str) -> bool:
    return any(evidence.name == name and evidence.holds for evidence in verdict.evidence)


def test_sides_that_are_alike_are_within_every_bound() -> None:
    """What is slow comes from what live did before, who is a client from cookies, places and addresses."""
    runs, settings = 1000, JudgeSettings()
    random = Random(21)  # noqa: S311 - a simulation
    verdicts = [judged(random, random.choice((5, 25, 50))) for _ in range(runs)]
    alphas = {"errors": settings.alpha, "latency": settings.latency_alpha, "split": settings.split_alpha}
    for name, alpha in alphas.items():
        assert sum(failed(verdict, name) for verdict in verdicts) <= most_by_chance(runs, alpha), name


@pytest.mark.parametrize("share", [10, 25, 50])
def test_three_times_slower_is_found_and_named(share: int) -> None:
    random = Random(22)  # noqa: S311 - a simulation
    verdicts = [judged(random, share, slower=3.0) for _ in range(20)]
    assert sum(failed(verdict, "latency") for verdict in verdicts) >= 18
    assert not any(failed(verdict, "errors") for verdict in verdicts)


def test_a_bake_is_within_its_bound_with_what_it_expects_from_a_history() -> None:
    """Twice its alpha: of the alarm itself, and of a history that looked better than the release before was."""
    runs, settings = 600, JudgeSettings(bake_alpha=0.05, bake_horizon=1000)
    random, alarms = Random(23), 0  # noqa: S311 - a simulation
    for _ in range(runs):
        rate, past = random.choice((0.001, 0.01, 0.1)), History()
        for number in range(500):
            past.see(START + number, str(number), random.random() < rate)
        bake = Bake(settings, "v2", "v1", past)
        alarms += any(
            bake.see(START + 1000 + number, f"later {number}", random.random() < rate) for number in range(1000)
        )
    assert alarms <= most_by_chance(runs, 2 * settings.bake_alpha)
