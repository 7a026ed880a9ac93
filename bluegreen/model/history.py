"""History as a fold over the journal's events: pure, so that it can be tested and replayed.

The journal holds what happened, in order; this folds it into what matters next: which releases there were and
what became of them, and whether an operation is unfinished. Every operation ends with a snapshot of this
state, so that `status` reads the journal's tail only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from typing import Any

from bluegreen.model.codec import decode, encode
from bluegreen.model.names import Slot
from bluegreen.model.value import dataclass

SNAPSHOT_RELEASES = 60
"""Releases a snapshot carries: more than are ever kept, few enough that a tail stays a few kilobytes."""

SNAPSHOT_SHIFTS = 12
"""Shifts that it carries, the newest ones; and the last candidate's first, since when it has visitors."""

SNAPSHOT_JUDGEMENTS = 8
"""Judgements that it carries, the newest ones: those of the last few releases."""


@dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """What the journal knows of one release."""

    number: int
    tag: str
    at: str = ""
    by: str = ""
    revision: str | None = None
    subject: str | None = None
    dirty: bool = False
    went_live: str | None = None  # when it last got all traffic
    left: str | None = None  # when it last lost it
    mark: str | None = None  # good, bad
    reason: str | None = None  # of the mark
    failure: str | None = None  # why it was never switched to, in a line
    failure_code: str | None = None
    failed_operation: str | None = None
    standby: int | None = None  # the release whose slot it took
    alarm: str | None = None  # why a guard gave one last, without taking anything back
    alarm_at: str | None = None
    alarm_cause: str | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One run of a command that changes something."""

    id: str
    kind: str  # deploy, rollback, switch, promote, shift, canary, abort, prune, drain, down
    at: str = ""
    by: str = ""
    tag: str | None = None
    release: int | None = None  # the release it is about
    slot: Slot | None = None  # where that goes
    live: int | None = None  # release live when it began
    standby: int | None = None  # release standing by when it began
    stage: bool = False
    reason: str | None = None
    cold: bool = False
    ended: str | None = None  # done, failed, aborted, overtaken, nothing
    last_step: str | None = None
    overtook: str | None = None
    keep: int | None = None  # releases that a prune keeps
    share: int | None = None  # percent that a shift gives the candidate; of a canary, the last that passed
    candidate: int | None = None  # the release that a rollback takes its share of the traffic from

    @property
    def unfinished(self) -> bool:
        return self.ended is None

    def __str__(self) -> str:
        return f"{self.kind} {self.tag}" if self.tag else self.kind


@dataclass(frozen=True, slots=True)
class Switch:
    """One movement of all traffic."""

    at: str
    to: int
    source: int | None
    kind: str  # deploy, rollback, switch
    operation: str
    by: str = ""
    reason: str | None = None
    ms: float | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """One movement of a part of the visitors, from or to a candidate."""

    at: str
    release: int
    share: int  # percent of the visitors that are the candidate's from then on
    source: int  # percent that were, before
    operation: str
    by: str = ""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a candidate's share, or a release that had got all visitors, was judged in the end."""

    at: str
    release: int
    share: int  # percent of the visitors, 100 after a switch
    outcome: str  # pass, fail, inconclusive
    reason: str = ""
    alpha_sum: float | None = None  # None: by an earlier version, which did not write it down
    horizon: int | None = None  # answers over which that holds, where there was nothing to compare with


@dataclass(frozen=True, slots=True)
class History:
    releases: Mapping[int, ReleaseRecord] = field(default_factory=dict)
    operation: Operation | None = None
    switches: tuple[Switch, ...] = ()
    shifts: tuple[Shift, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    last_number: int = 0

    @property
    def unfinished(self) -> Operation | None:
        return self.operation if self.operation and self.operation.unfinished else None

    @property
    def next_number(self) -> int:
        return self.last_number + 1

    def is_bad(self, number: int) -> bool:
        record = self.releases.get(number)
        return record is not None and record.mark == "bad"

    def was_live(self, number: int) -> bool:
        record = self.releases.get(number)
        return record is not None and record.went_live is not None

    def shifts_of(self, number: int) -> tuple[Shift, ...]:
        """The shares that a release has had as a candidate, in their order; of older ones the last few."""
        return tuple(s for s in self.shifts if s.release == number)

    def judgements_of(self, number: int) -> tuple[Judgement, ...]:
        """What was concluded about a release, in its order; of older ones perhaps nothing any more."""
        return tuple(j for j in self.judgements if j.release == number)

    def episode_of(self, number: int) -> tuple[Shift, ...]:
        """Those of them since which it has visitors without a break: after a rollback it may be tried once more."""
        return _episode(self.shifts_of(number))

    def snapshot(self) -> dict[str, Any]:
        """The state to store with an operation's end."""
        newest = sorted(self.releases.items())[-SNAPSHOT_RELEASES:]
        carried = replace(
            self,
            releases={},
            switches=self.switches[-5:],
            shifts=_carried(self.shifts),
            judgements=self.judgements[-SNAPSHOT_JUDGEMENTS:],
            operation=None,
        )
        data = encode(carried)
        assert isinstance(data, dict)  # noqa: S101 - for the type checker
        # Snapshots are most of what is ever written: what says nothing is left out.
        data["releases"] = {str(number): _telling(record) for number, record in newest}
        return data


def fold(events: Iterable[Mapping[str, Any]], history: History | None = None) -> History:
    """The history after these events. Unknown kinds of event are passed over: a later version may add some."""
    state = history or History()
    state = replace(state, releases=_Own(state.releases))
    for event in events:
        state = apply(state, event)
    return replace(state, releases=dict(state.releases))


class _Own(dict[int, ReleaseRecord]):
    """The releases of a history that nobody but one `fold` has seen: changed in place, since copying all of them for
    every event takes seconds where there are thousands."""


def apply(state: History, event: Mapping[str, Any]) -> History:
    change = _CHANGES.get(str(event.get("event")))
    return change(state, event) if change else state


def _begin(state: History, event: Mapping[str, Any]) -> History:
    operation = decode(Operation, {**event, "id": event["op"], "at": event.get("t", "")})
    given = operation.release if operation.kind == "deploy" else None
    state = replace(state, operation=operation, last_number=max(state.last_number, given or 0))
    for number in (operation.standby, operation.live):
        # A crash between a flip and its record, or a lost journal, must not make it one that was never live.
        if number is not None:
            state = _update(state, number, went_live=_went_live(state, number) or operation.at)
    return state


def _went_live(state: History, number: int) -> str | None:
    record = state.releases.get(number)
    return record.went_live if record else None


def _intent(state: History, event: Mapping[str, Any]) -> History:
    if state.operation is None or state.operation.id != event.get("op"):
        return state
    return replace(state, operation=replace(state.operation, last_step=str(event.get("step", ""))))


def _released(state: History, event: Mapping[str, Any]) -> History:
    record = decode(ReleaseRecord, event["release"])
    known = state.releases.get(record.number)
    if known is not None:
        record = replace(record, went_live=known.went_live, left=known.left, mark=known.mark)
    return replace(
        state,
        releases=_with(state, record),
        last_number=max(state.last_number, record.number),
    )


def _switched(state: History, event: Mapping[str, Any]) -> History:
    at = str(event.get("t", ""))
    switch = Switch(
        at=at,
        to=event["to"],
        source=event.get("from"),
        kind=event.get("kind", "switch"),
        operation=str(event.get("op", "")),
        by=event.get("by", ""),
        reason=event.get("reason"),
        ms=event.get("ms"),
    )
    if switch.source is not None and switch.source != switch.to:
        state = _update(state, switch.source, left=at)
    state = _update(state, switch.to, went_live=at, left=None, failure=None, failure_code=None)
    return replace(state, switches=(*state.switches, switch))


def _shifted(state: History, event: Mapping[str, Any]) -> History:
    operation = str(event.get("op", ""))
    shift = Shift(
        at=str(event.get("t", "")),
        release=event["release"],
        share=event["share"],
        source=event.get("from", 0),
        operation=operation,
        by=state.operation.by if state.operation and state.operation.id == operation else "",
        reason=event.get("reason"),
    )
    return replace(state, shifts=(*state.shifts, shift))


def _passed(state: History, event: Mapping[str, Any]) -> History:
    operation, state = state.operation, _judged(state, event, "pass")
    if operation is None or operation.id != event.get("op"):
        return state
    return replace(state, operation=replace(operation, share=event["share"]))


def _judged(state: History, event: Mapping[str, Any], outcome: str) -> History:
    judgement = Judgement(
        at=str(event.get("t", "")),
        release=event["release"],
        share=event.get("share", 0),
        outcome=outcome,
        reason=event.get("reason") or "",
        alpha_sum=event.get("alpha_sum"),
        horizon=event.get("horizon"),
    )
    return replace(state, judgements=(*state.judgements, judgement))


def _verdict(state: History, event: Mapping[str, Any]) -> History:
    """A verdict, and what was done about it. A release that was taken back has its mark for it."""
    if event.get("cause") != "live":  # that is about another release
        state = _judged(state, event, event.get("outcome", "fail"))
    if event.get("did") != "alarm":
        return state
    reason = "; ".join(str(event[key]) for key in ("reason", "why_not") if event.get(key))
    return _update(
        state, event["release"], alarm=reason, alarm_at=str(event.get("t", "")), alarm_cause=event.get("cause")
    )


def _marked(state: History, event: Mapping[str, Any]) -> History:
    return _update(state, event["release"], mark=event.get("mark"), reason=event.get("reason"))


def _failed(state: History, event: Mapping[str, Any]) -> History:
    return _update(
        state,
        event["release"],
        failure=event.get("message"),
        failure_code=event.get("code"),
        failed_operation=str(event.get("op", "")),
    )


def _end(state: History, event: Mapping[str, Any]) -> History:
    if event.get("snapshot") and not state.releases:
        snapshot = decode(History, event["snapshot"])
        state = replace(snapshot, releases=_Own(snapshot.releases), operation=state.operation)
    if state.operation is None or state.operation.id != event.get("op"):
        return state
    return replace(state, operation=replace(state.operation, ended=str(event.get("outcome", "done"))))


def _update(state: History, number: int, **changes: Any) -> History:
    record = state.releases.get(number) or ReleaseRecord(number=number, tag=f"#{number}")
    return replace(
        state,
        releases=_with(state, replace(record, **changes)),
        last_number=max(state.last_number, number),
    )


def _carried(shifts: tuple[Shift, ...]) -> tuple[Shift, ...]:
    newest = shifts[-SNAPSHOT_SHIFTS:]
    first = next(iter(_episode(tuple(s for s in shifts if s.release == shifts[-1].release))), None) if shifts else None
    return newest if first is None or first in newest else (first, *newest)


def _episode(shifts: tuple[Shift, ...]) -> tuple[Shift, ...]:
    """Those since which a candidate has visitors without a break; none while it has none."""
    start = max((n for n, shift in enumerate(shifts, 1) if not shift.share), default=0)
    return shifts[start:]


def _telling(record: ReleaseRecord) -> dict[str, Any]:
    """A record without what it would be decoded to anyway."""
    data = encode(record)
    return {name: value for name, value in data.items() if name in ("number", "tag") or value not in (None, "", False)}


def _with(state: History, record: ReleaseRecord) -> Mapping[int, ReleaseRecord]:
    if isinstance(state.releases, _Own):
        state.releases[record.number] = record
        return state.releases
    return {**state.releases, record.number: record}


_CHANGES = {
    "begin": _begin,
    "intent": _intent,
    "released": _released,
    "switched": _switched,
    "shifted": _shifted,
    "passed": _passed,
    "marked": _marked,
    "verdict": _verdict,
    "failed": _failed,
    "end": _end,
}
