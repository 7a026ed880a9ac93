"""Rollback and switch: choosing where to go back to, and the steps there.

The choice is pure and total: a target, or a refusal that names what would work.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from bluegreen.model.errors import Refused
from bluegreen.model.names import Slot
from bluegreen.model.observed import Observed
from bluegreen.model.release import Release
from bluegreen.model.value import dataclass
from bluegreen.planning import traffic
from bluegreen.planning.deploy import Deployment, plan_deploy
from bluegreen.planning.place import as_kept, from_kept, only_existing
from bluegreen.planning.retire import workers
from bluegreen.planning.shift import choose_candidate, plan_take_back
from bluegreen.planning.steps import Plan, RemoveContainer, Step, Together

FINISHING = "finishing the rollback that was interrupted"
FORWARD = ("switch", "promote")
"""Kinds of operation that go forward, to what is warm."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a rollback or switch goes.

    ``done`` says that traffic is there already: an earlier run moved it. ``canary``: live gets back the visitors that
    ``candidate`` has; its slot and all else stay as they are.
    """

    release: Release
    slot: Slot
    how: Literal["warm", "staged", "cold", "done", "canary"]
    note: str | None = None
    candidate: Release | None = None


def choose(observed: Observed, to: str | None = None) -> Target:
    """The target of a rollback. Raises `Refused`, naming what would work."""
    live, live_slot = observed.live_release, observed.live
    if live is None or live_slot is None:
        raise Refused(
            "rollback.nothing-live", "nothing is live yet, so there is nothing to roll back", next=("bg deploy TAG",)
        )
    unfinished = observed.history.unfinished
    if (taken := _from_candidate(observed, to, live, live_slot)) is not None:
        return taken
    if to is None and unfinished and unfinished.kind == "rollback" and unfinished.release == live.number:
        return Target(live, live_slot, "done", FINISHING)
    if to is not None:
        return _named(observed, to, live)
    _refuse_twice(observed, live)
    standby = observed.standby
    if standby is not None and not observed.history.is_bad(standby.number):
        return Target(standby, live_slot.other, "warm")
    if standby is not None:
        raise Refused(
            "rollback.standby-bad",
            f"{standby.tag} stands by, but it is marked bad"
            f"{_because(observed, standby.number)}; {live.tag} has all the traffic",
            next=(*_others(observed, live), f"bg switch {standby.tag}    forward again, if you are sure"),
        )
    good = [r for r in _kept(observed) if r.number != live.number and not observed.history.is_bad(r.number)]
    if good:
        return Target(good[0], live_slot.other, "cold", _why_cold(observed, good[0]))
    raise Refused(
        "rollback.nowhere",
        f"{live.tag} is live, and no earlier good release is kept on this engine",
        next=("bg history", "bg deploy TAG    builds an older version again"),
    )


def _from_candidate(observed: Observed, to: str | None, live: Release, slot: Slot) -> Target | None:
    """A candidate that has visitors loses them first, whatever stands where; so does one that just did."""
    tried, unfinished = observed.tried, observed.history.unfinished
    if tried is None:
        return None
    meant = to is None or to in (live.tag, str(live.number))
    if observed.share and meant:
        return Target(live, slot, "canary", candidate=tried.release)
    if unfinished and unfinished.kind == "rollback" and unfinished.candidate == tried.release.number and meant:
        return Target(live, slot, "canary", FINISHING, candidate=tried.release)
    if observed.share and to in (tried.release.tag, str(tried.release.number)):
        raise Refused(
            "rollback.candidate",
            f"{to} is the candidate, and a rollback goes back",
            next=("bg promote    all visitors to it", "bg rollback    takes its visitors back"),
        )
    return None


def _refuse_twice(observed: Observed, live: Release) -> None:
    """At three in the morning commands are typed twice: the second must not take back the release that was spared."""
    tried = observed.tried
    if tried is None or observed.history.unfinished or not observed.history.is_bad(tried.release.number):
        return
    raise Refused(
        "rollback.candidate-taken-back",
        f"the candidate {tried.release.tag} was taken back already{_because(observed, tried.release.number)}; "
        f"{live.tag} has all visitors. To go back from {live.tag} too, say where to",
        next=(*_others(observed, live), "bg abort    removes the candidate", "bg status"),
    )


def _named(observed: Observed, to: str, live: Release) -> Target:
    assert observed.live is not None  # noqa: S101 - the caller has a live release
    number = int(to) if to.isdecimal() else None
    found = [r for r in _known(observed) if r.tag == to and not observed.history.is_bad(r.number)]
    bad = [r for r in _known(observed) if r.tag == to]
    if number is not None:
        found = [r for r in _known(observed) if r.number == number] or found
    unfinished = observed.history.unfinished
    if (
        unfinished
        and unfinished.kind == "rollback"
        and unfinished.release == live.number
        and live.number in {r.number for r in (*found, *bad)}
    ):
        return Target(live, observed.live, "done", FINISHING)
    if not found:
        if bad:
            raise Refused(
                "rollback.bad",
                f"{to} is marked bad{_because(observed, bad[0].number)}; give its number if you mean it",
                next=(f"bg rollback --to {bad[0].number}", *_others(observed, live)),
            )
        raise Refused(
            "rollback.unknown",
            f"no release {to} is kept on this engine",
            next=(*_others(observed, live), f"bg deploy {to}    builds it again", "bg history"),
        )
    release = next((r for r in found if r.number != live.number), None)
    if release is None:
        raise Refused(
            "rollback.already-live",
            f"{live.tag} (release {live.number}) is live already",
            next=_others(observed, live) or ("bg status",),
        )
    standby = observed.standby
    if standby is not None and standby.number == release.number:
        return Target(release, observed.live.other, "warm")
    if observed.kept_whole(release):
        return Target(release, observed.live.other, "cold", _why_cold(observed, release))
    lacking = "an image of it is" if release.number in observed.imageless else "containers it would be made from are"
    raise Refused(
        "rollback.not-kept",
        f"{release.tag} (release {release.number}) is no longer whole on this engine: {lacking} gone",
        next=(f"bg deploy {release.tag}    builds it again", "bg history"),
    )


def plan_rollback(observed: Observed, target: Target, deploy: Deployment, *, mark: bool = True) -> Plan:
    """The steps of a rollback (``mark``) or of a switch. For a cold target ``deploy`` is its `Deployment`."""
    live = observed.live_release
    leaving = live if mark and live is not None and live.number != target.release.number else None
    if target.how == "canary":
        return plan_take_back(observed, deploy.reason, mark=mark)
    if target.how == "done":
        return _finish(observed, target, deploy)
    if target.how == "warm":
        assert observed.proxy.back is not None  # noqa: S101 - a standby is one because the way back leads to it
        stack = observed.proxy.back.stacks[target.slot]
        steps: list[Step | Together] = [
            *traffic.flip_back(observed, stack, target.slot, deploy.kind, deploy.operation, deploy.reason, leaving),
            *_forgiven(observed, target.release, deploy.kind),
            *workers(observed, target.slot, target.release, overtaken=deploy.overtaken),
        ]
        return Plan(tuple(steps))
    if target.how == "staged":
        forward = plan_deploy(observed, replace(deploy, create=only_existing(target.release), jobs=False))
        return forward + Plan(tuple(_forgiven(observed, target.release, deploy.kind)))
    leaving_again, observed = as_kept(observed, target.release, target.slot)
    plan = Plan(tuple(leaving_again)) + plan_deploy(
        observed, replace(deploy, create=from_kept(observed, target.release), jobs=False)
    )
    after: list[Step | Together] = []
    if leaving is not None:
        after.append(traffic.marked(leaving, "bad", deploy.reason or "rolled back"))
    # The kept originals have served as the source; the release now has containers in its slot again.
    after.extend(
        RemoveContainer(name=c.name, id=c.id, cause="recreated in the slot")
        for c in observed.kept(target.release.number)
    )
    return plan + Plan(tuple(after))


def _forgiven(observed: Observed, release: Release, kind: str) -> list[Step]:
    """Whoever switches forward to a release marked bad takes the mark away: later rollbacks may go to it again."""
    if kind not in FORWARD or not observed.history.is_bad(release.number):
        return []
    return [traffic.marked(release, None, "switched to on purpose")]


def _finish(observed: Observed, target: Target, deploy: Deployment) -> Plan:
    steps: list[Step | Together] = []
    if not any(s.operation == deploy.operation for s in observed.history.switches):
        steps.append(traffic.switched(observed, target.release, deploy.kind, deploy.operation, deploy.reason))
    previous = observed.proxy.back.live_release if observed.proxy.back else None
    if previous is not None and deploy.kind == "rollback" and not observed.history.is_bad(previous.number):
        steps.append(traffic.marked(previous, "bad", deploy.reason or "rolled back"))
    steps.extend(workers(observed, target.slot, target.release))
    steps.extend(
        RemoveContainer(name=c.name, id=c.id, cause="recreated in the slot")
        for c in observed.kept(target.release.number)
    )
    return Plan(tuple(steps))


def choose_switch(observed: Observed, to: str) -> Target:
    """The target of `switch`: what is warm, forward or back, marked bad or not. Raises `Refused`."""
    live = observed.live_release
    standby = observed.standby
    warm = standby or _whole_candidate(observed)
    if warm is None or to not in (warm.tag, str(warm.number)):
        if live is not None and to in (live.tag, str(live.number)):
            raise Refused("switch.already-live", f"{live.tag} is live already", next=("bg status",))
        there = f"{warm.tag} is" if warm else "nothing is"
        raise Refused(
            "switch.not-warm",
            f"{to} is not warm in the idle slot ({there})",
            next=(f"bg rollback --to {to}    recreates a kept release", f"bg deploy {to}"),
        )
    return Target(warm, observed.idle, "warm" if standby else "staged")


def choose_promotion(observed: Observed, number: int | None = None) -> Target:
    """The target of `promote`: the candidate (release ``number``), and never what was live before. Raises `Refused`."""
    candidate = choose_candidate(observed, "promote")
    if number is not None and candidate.number != number:
        raise Refused(
            "promote.another-candidate",
            f"{candidate.tag} is the candidate by now, release {candidate.number}, and not release {number}",
            next=("bg canary", "bg status"),
        )
    return Target(candidate, observed.idle, "staged")


def _whole_candidate(observed: Observed) -> Release | None:
    candidate = observed.candidate
    return candidate if candidate is not None and observed.runs_whole(candidate, observed.idle) else None


def _known(observed: Observed) -> list[Release]:
    """Every release with a manifest on the engine, newest first."""
    numbers = {c.release for c in observed.containers if c.release}
    numbers |= {s.release.number for r in (observed.proxy.routes, observed.proxy.back) if r for s in r.stacks.values()}
    found = (observed.release(n) for n in sorted(numbers, reverse=True))
    return [r for r in found if r is not None]


def _kept(observed: Observed) -> list[Release]:
    numbers = {c.release for c in observed.kept()} | _former_standby(observed)
    return [r for r in _known(observed) if r.number in numbers and observed.kept_whole(r)]


def _former_standby(observed: Observed) -> set[int]:
    """Releases in the idle slot that have been live: a deploy may have dropped the way back but not them yet."""
    return {c.release for c in observed.stack(observed.idle) if observed.was_live(c.release)}


def _why_cold(observed: Observed, release: Release) -> str:
    unfinished = observed.history.unfinished
    if unfinished is not None and unfinished.kind == "deploy":
        return f"cold: the deploy of {unfinished.tag} has taken the standby's slot"
    if observed.candidate is not None:
        return f"cold: {observed.candidate.tag} has taken the standby's slot"
    return f"cold: {release.tag} is recreated from its kept containers"


def _because(observed: Observed, number: int) -> str:
    record = observed.history.releases.get(number)
    return f" ({record.reason})" if record and record.reason else ""


def _others(observed: Observed, live: Release) -> tuple[str, ...]:
    good = [r for r in _kept(observed) if r.number != live.number and not observed.history.is_bad(r.number)]
    return tuple(f"bg rollback --to {r.tag}" for r in good[:2])
