"""After a failure or an abort: the candidate goes, the former standby is warm again, live is not touched."""

from __future__ import annotations

from bluegreen.model.containers import Container
from bluegreen.model.names import Slot, slot_network
from bluegreen.model.observed import Observed
from bluegreen.model.project import ProxySettings
from bluegreen.model.release import Release
from bluegreen.planning import traffic
from bluegreen.planning.place import as_kept, from_kept, place, stack_of
from bluegreen.planning.proxysteps import Drain, DropBack
from bluegreen.planning.retire import left_over_images, let_go_of_images, never_started, together, workers
from bluegreen.planning.steps import Plan, RemoveContainer, SaveLogs, Step, Together


def plan_restore(observed: Observed, slot: Slot, release: int | None, standby: int | None, folder: str) -> Plan:
    """Empty the idle slot of ``release``, keep its last output, and bring ``standby`` back into it.

    A standby that is no longer whole is said and left out. ``slot`` must not be the live one.
    """
    if slot is observed.live or observed.share:
        raise AssertionError("a slot that has traffic is never restored over")
    steps: list[Step | Together] = []
    notices: list[str] = []
    leaving = [c for c in observed.stack(slot) if c.release != standby]
    back = observed.proxy.back
    way_back = back.live_release if back is not None and back.live is slot else None
    if way_back is not None and way_back.number != standby:
        steps.append(DropBack(slot=slot, cause="what it leads to is going"))
    steps.extend(_last_connections(observed, slot, leaving))
    if leaving:
        steps.append(SaveLogs(names=tuple(c.name for c in leaving), folder=folder, cause="for bg why and bg logs"))
        steps.extend(
            together([RemoveContainer(name=c.name, id=c.id, cause=_cause(release, c.release)) for c in leaving])
        )
    steps.extend(never_started(observed))
    gone = {c.release for c in leaving} | ({release} if release is not None else set())
    for number in sorted(gone):
        if not observed.kept(number) and not observed.was_live(number):
            steps.extend(let_go_of_images(observed, number, _cause(release, number)))
    steps.extend(left_over_images(observed, frozenset(gone)))
    former = observed.release(standby) if standby is not None else None
    if former is not None and not observed.kept_whole(former):
        notices.append(f"the former standby {former.tag} is no longer whole and stays away")
        former = None
    if former is not None:
        leaving_again, observed = as_kept(observed, former, slot)
        steps.extend([*leaving_again, *_bring_back(observed, former, slot)])
    live = observed.live_release
    if former is None and observed.proxy.routes is not None and slot in observed.proxy.routes.stacks:
        settings = live.proxy if live else ProxySettings()
        steps.extend(traffic.topology(observed, slot, None, settings, cause=f"{slot} is empty"))
    if live is not None and observed.live is not None:
        steps.extend(workers(observed, observed.live, live))
    return Plan(tuple(steps), tuple(notices))


def _last_connections(observed: Observed, slot: Slot, leaving: list[Container]) -> list[Step]:
    """Wait for those of a candidate that had visitors. One that never had any has none to wait for."""
    had = {number for c in leaving if observed.history.shifts_of(number := c.release)}
    network = slot_network(observed.project, slot)
    addresses = tuple(sorted(ip for c in leaving if c.running and (ip := c.addresses.get(network))))
    release = next((r for n in sorted(had) if (r := observed.release(n)) is not None), None)
    if release is None or not addresses:
        return []
    return [
        Drain(
            slot=slot,
            addresses=addresses,
            since=observed.left_at(slot),
            deadline=release.drain,
            cause=f"no connection to {release.tag} is cut before the drain deadline",
        )
    ]


def _bring_back(observed: Observed, former: Release, slot: Slot) -> list[Step | Together]:
    steps = place(observed, former, slot, from_kept(observed, former), jobs=False)
    stack = stack_of(observed, former, slot)
    live = observed.live_release
    settings = live.proxy if live else former.proxy
    steps.extend(
        traffic.topology(
            observed, slot, stack, settings, back=True, cause=f"{former.tag} stands by again: the way back leads to it"
        )
    )
    # Its kept containers were the source; from here on the slot's own are the record.
    steps.extend(
        RemoveContainer(name=c.name, id=c.id, cause="recreated in the slot") for c in observed.kept(former.number)
    )
    return steps


def _cause(release: int | None, found: int) -> str:
    return "it failed or was aborted" if found == release else "left over"
