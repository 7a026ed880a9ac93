"""What a guard makes of pictures and lines: no proxy, no engine."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from bluegreen.app.guarding import Guard, Subject
from bluegreen.model.codec import decode
from bluegreen.model.guard import GuardSettings
from bluegreen.model.history import History, Shift, Switch
from bluegreen.model.judging import Outcome
from bluegreen.model.names import Slot
from bluegreen.model.observed import Observed, ProxyState
from bluegreen.traffic.lines import Hit, parse
from tests.proxykit import both
from tests.unit.traffic.logs import line

START = 1763850000


def clock(seconds: int) -> str:
    return f"2025-11-22T22:{20 + seconds // 60:02d}:{seconds % 60:02d}.000Z"


def tried(shares: list[int], history: History | None = None) -> Observed:
    """Release 2 in green, a candidate that has got another share every second."""
    shifts = tuple(
        Shift(clock(second), 2, share, ([0, *shares])[second], f"canary-{second}")
        for second, share in enumerate(shares)
    )
    routes = replace(both(Slot.BLUE, share=shares[-1]), trial=True)
    state = ProxyState(routes=routes, clock=clock(len(shares)))
    return Observed("shop", proxy=state, history=history or History(shifts=shifts))


def hits(second: float, slot: str, bucket: int, status: int = 200) -> bytes:
    return line(
        msec=b"%.3f" % (START + second),
        bg_slot=slot.encode(),
        bg_counted_bucket=b"%d" % bucket,
        status=b"%d" % status,
        request_time=b"0.001",
        bg_client=b"%032x" % int(abs(second) * 1000),
    )


def test_a_candidate_of_very_many_steps_is_still_the_same_one_and_judged_by_its_share() -> None:
    """The journal's snapshots carry some shifts only."""
    guard, shares, past = Guard(), list(range(1, 41)), History()
    for step in range(1, len(shares) + 1):
        whole = tried(shares[:step])
        past = replace(past, shifts=(*past.shifts, whole.history.shifts[-1]))
        past = decode(History, past.snapshot())  # an operation ends
        assert guard.look(tried(shares[:step], past)) == (step == 1), f"step {step}"
        guard.read(parse(hits(step + 0.5, "blue", 99)).hits)
    verdict = guard.verdict(START + 60)
    assert verdict is not None
    assert verdict.share == 40
    assert verdict.since == START


class Careful(Guard):
    """Looks closely at every line."""

    def _again(self, subject: Subject, hit: Hit) -> bool:
        del subject, hit
        return False


def many(chance: random.Random, start: int, errors: float) -> bytes:
    """Some minutes of a few visitors' requests."""
    lines = []
    for number in range(800):
        made = line(
            msec=b"%d.%03d" % (START + start + number // 4, number % 4 * 250),
            bg_slot=chance.choice([b"blue", b"blue", b"green", b""]),
            bg_counted_bucket=chance.choice([b"3", b"9", b"70", b"forced"]),
            bg_service=chance.choice([b"api", b"web"]),
            status=b"500" if chance.random() < errors else chance.choice([b"200", b"200", b"101", b"499"]),
            request_time=chance.choice([b"0.001"] * 60 + [b"2.000", b"120.000"]),
            bg_client=chance.choice([b"%032x" % chance.randrange(20 + number // 8), b"%032x" % chance.randrange(9)]),
            remote_addr=chance.choice([b"192.0.2.1", b"192.0.2.2"]),
        )
        lines.append(made)
    return b"".join(lines)


def after_switch(seconds: int = 110) -> Observed:
    """Release 2 in green has all visitors, for so long."""
    state = ProxyState(routes=both(Slot.GREEN), clock=clock(seconds))
    return Observed("shop", proxy=state, history=History(switches=(Switch(clock(0), 2, 1, "deploy", "deploy-1"),)))


@pytest.mark.parametrize(("answers", "outcome"), [(5, Outcome.PASS), (0, Outcome.INCONCLUSIVE)])
def test_a_release_passes_when_its_guarded_time_is_over_and_it_had_visitors(answers: int, outcome: Outcome) -> None:
    guard = Guard()
    guard.look(after_switch(10))
    for second in range(answers):
        guard.read(parse(hits(second + 0.5, "green", 3)).hits)
    before, until = guard.verdict(START + 10), GuardSettings().after_switch
    assert before is not None
    assert before.outcome is Outcome.INCONCLUSIVE
    assert guard.look(after_switch(int(until)))
    assert guard.subject is None
    for _ in range(2):  # it stays said until something else is guarded
        over = guard.verdict(START + until)
        assert over is not None
        assert over.outcome is outcome
        guard.look(after_switch(int(until) + 1))
    guard.look(tried([10]))
    other = guard.verdict(START + until + 2)
    assert other is not None
    assert other.share == 10


def test_a_release_that_is_not_live_any_more_when_its_time_is_over_has_not_passed() -> None:
    guard = Guard()
    guard.look(after_switch(10))
    guard.read(parse(hits(0.5, "green", 3)).hits)
    guard.look(replace(tried([0]), history=History(switches=(Switch(clock(20), 1, 2, "rollback", "rollback-1"),))))
    assert (guard.subject, guard.verdict(START + 900)) == (None, None)


PICTURES = [[tried([10])], [tried([10]), tried([10, 25])], [after_switch()]]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("errors", [0.0, 0.01, 0.2])
@pytest.mark.parametrize("pictures", PICTURES)
def test_what_is_only_one_more_counts_as_if_it_was_looked_at_closely(
    seed: int, pictures: list[Observed], errors: float
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    quick, careful = Guard(), Careful()
    chunks = [many(chance, start, errors) for start in (-400, *(start * 300 for start in range(len(pictures) + 1)))]
    for guard in (quick, careful):
        for picture, chunk in zip([*pictures[:1], *pictures, *pictures[-1:]], chunks, strict=True):
            guard.look(picture)
            guard.read(parse(chunk).hits)
    assert told(quick) == told(careful)


def told(guard: Guard) -> list[object]:
    """All that it counts."""
    judge, bake, past = guard._judge, guard._bake, guard._baselines
    assert bake is not None
    return [
        guard.verdict(START + 900),
        bake.verdict(START + 900),
        guard.crossed,
        guard.live_alarm,
        {number: (one.history.answers, one.history.errors, one.slow) for number, one in past.items()},
        judge and (judge._asked, judge._answered, judge._known, judge._step),
    ]


def test_how_long_websockets_last_is_not_how_long_live_takes() -> None:
    guard = Guard()
    guard.look(tried([10]))
    lines = [hits(second, "blue", 99) for second in range(-300, 0)]
    sockets = [hits(second, "blue", 99, 101).replace(b'"time":0.001', b'"time":90.000') for second in range(-150, 0)]
    guard.read(parse(b"".join([*lines, *sockets])).hits)
    (baseline,) = guard._baselines.values()
    assert baseline.slow["backend"] < 0.01


@pytest.mark.parametrize("begun", [False, True], ids=["before its first line", "in its middle"])
def test_a_clock_that_is_set_back_makes_no_guard_blind(begun: bool) -> None:
    guard = Guard()
    guard.look(tried([25]))
    if begun:
        guard.read(parse(b"".join(hits(second, "blue", 99) for second in range(2, 50))).hits)
    early = tried([25])
    guard.look(replace(early, proxy=replace(early.proxy, clock="2025-11-22T22:10:10.000Z")))
    failing = [hits(-590 + number / 10, "green", number % 25, 500) for number in range(50)]
    guard.read(parse(b"".join(failing)).hits)
    verdict = guard.verdict(START - 580)
    assert verdict is not None
    assert verdict.outcome is Outcome.FAIL
