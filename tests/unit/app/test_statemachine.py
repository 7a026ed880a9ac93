"""Any sequence of operations, faults and restarts keeps the invariants, checked after every step and at every effect.

The walks change from run to run: a failure's report begins with the seed, and BG_SEED repeats it. ``make walk`` walks
for thousands of steps; BG_WALKS says how many walks.
"""

from __future__ import annotations

import os
import secrets

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from bluegreen.execution import executor
from tests.walk.faults import NAMES
from tests.walk.walk import UNHARMED, Fate, Walk

SEED = int(os.environ.get("BG_SEED") or secrets.randbelow(1_000_000))
WALKS = int(os.environ.get("BG_WALKS") or 24)
STEPS = 25

CONDUCTS = ("good", "good", "good", "good", "500", "exits", "cannot start", "hangs", "job", "smoke")
POINTS = st.integers(0, 12) | st.integers(0, 60) | st.integers(0, 250)
WHICH = st.integers(0, 20)
DOOMS = ("kill", "kill", "kill", "ctrl-c", "engine refuses", "engine drops", "engine gone", "agent dies")
FATES: st.SearchStrategy[Fate] = st.one_of(
    st.just(UNHARMED),
    st.just(UNHARMED),
    st.tuples(st.sampled_from(DOOMS), POINTS, st.just(""), st.just(0)),
    st.tuples(st.just("meanwhile"), POINTS, st.sampled_from((*NAMES, "rollback", "rollback", "rollback")), WHICH),
)


class Machine(RuleBasedStateMachine):
    """The walk's steps as rules; hypothesis chooses them, and finds the shortest walk that goes wrong."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.walk = Walk()

    def teardown(self) -> None:
        try:
            self.walk.settle()
        finally:
            Machine.steps += self.walk.steps
            self.walk.close()

    @initialize(releases=st.integers(0, 3))
    def begin(self, releases: int) -> None:
        for _ in range(releases):
            self.walk.deploy("good")

    @rule(conduct=st.sampled_from(CONDUCTS), fate=FATES)
    def deploy(self, conduct: str, fate: Fate) -> None:
        self.walk.deploy(conduct, fate)

    @rule(conduct=st.sampled_from(CONDUCTS), fate=FATES)
    def stage(self, conduct: str, fate: Fate) -> None:
        self.walk.deploy(conduct, fate, stage=True)

    @precondition(lambda self: self.walk.tags)
    @rule(which=WHICH, fate=FATES, stage=st.booleans(), force=st.booleans())
    def deploy_again(self, which: int, fate: Fate, stage: bool, force: bool) -> None:
        self.walk.deploy_again(which, fate, stage=stage, force=force)

    @rule(fate=FATES)
    def rollback(self, fate: Fate) -> None:
        self.walk.rollback(None, fate)

    @rule(to=WHICH, fate=FATES)
    def rollback_to(self, to: int, fate: Fate) -> None:
        self.walk.rollback(to, fate)

    @rule(fate=FATES)
    def switch(self, fate: Fate) -> None:
        self.walk.switch(fate)

    @rule(share=st.sampled_from((0, 1, 10, 50, 99)), fate=FATES)
    def canary(self, share: int, fate: Fate) -> None:
        self.walk.canary(share, fate)

    @rule(share=st.sampled_from((10, 50)), stage_fate=FATES, fate=FATES)
    def stage_and_canary(self, share: int, stage_fate: Fate, fate: Fate) -> None:
        self.walk.deploy("good", stage_fate, stage=True)
        self.walk.canary(share, fate)

    @rule(fate=FATES)
    def promote(self, fate: Fate) -> None:
        self.walk.promote(fate)

    @rule(fate=FATES)
    def abort(self, fate: Fate) -> None:
        self.walk.abort(fate)

    @rule(fate=FATES)
    def resume(self, fate: Fate) -> None:
        self.walk.resume(fate)

    @rule(keep=st.integers(0, 3), fate=FATES)
    def prune(self, keep: int, fate: Fate) -> None:
        self.walk.prune(keep, fate)

    @rule(now=st.booleans(), fate=FATES)
    def drain(self, now: bool, fate: Fate) -> None:
        self.walk.drain(now=now, fate=fate)

    @rule(fate=FATES)
    def proxy_upgrade(self, fate: Fate) -> None:
        self.walk.proxy_upgrade(fate)

    @rule(fate=FATES)
    def proxy_start(self, fate: Fate) -> None:
        self.walk.proxy_start(fate)

    @rule(fate=FATES)
    def proxy_repair(self, fate: Fate) -> None:
        self.walk.proxy_repair(fate)

    @precondition(lambda self: self.walk.steps % 7 == 6)
    @rule(volumes=st.booleans(), fate=FATES)
    def down(self, volumes: bool, fate: Fate) -> None:
        self.walk.down(volumes=volumes, fate=fate)

    @rule(what=st.sampled_from(("deploy", "rollback", "prune", "down")))
    def dry_run(self, what: str) -> None:
        self.walk.dry_run(what)

    @precondition(lambda self: self.walk.tags)
    @rule(name=st.sampled_from(NAMES), which=WHICH)
    def fault(self, name: str, which: int) -> None:
        self.walk.fault(name, which)


@pytest.fixture(autouse=True)
def _one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Effects that may run side by side run one after the other: else no walk could be repeated."""
    monkeypatch.setattr(executor, "PARALLEL", 1)


def test_any_walk_keeps_the_invariants(capsys: pytest.CaptureFixture[str]) -> None:
    machine = type("Machine", (Machine,), {"_hypothesis_internal_use_seed": SEED})
    Machine.steps = 0
    chosen = settings(
        max_examples=WALKS,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    try:
        run_state_machine_as_test(machine, settings=chosen)
    except BaseException as error:
        error.add_note(f"BG_SEED={SEED} BG_WALKS={WALKS} repeats it")
        raise
    with capsys.disabled():
        print(f"walked {Machine.steps} steps (BG_SEED={SEED})")  # noqa: T201 - a number worth knowing
