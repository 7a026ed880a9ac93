"""`watch --replay`: what the judge would have said of a past log, and when, by other settings if asked. No engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bluegreen.app.guarding import Baseline
from bluegreen.app.pastlog import Part, Seen, canaries, look, parts
from bluegreen.judge import Bake, Judge
from bluegreen.judge.wording import Clock, utc
from bluegreen.model.errors import Refused
from bluegreen.model.judging import JudgeSettings, Outcome, Verdict
from bluegreen.model.value import dataclass
from bluegreen.traffic.crowd import Crowd
from bluegreen.traffic.lines import PLACES, UPGRADED, Format, Hit

BEFORE = "what was there before"
MINUTE = 60.0
MOST_LISTED = 8
"""Releases, in an error or a note."""


@dataclass(frozen=True, slots=True)
class Step:
    """A share of the visitors from a moment on: 1 to 99 percent, or 100 for all, 0 for none."""

    share: int
    since: float  # seconds since 1970


@dataclass(frozen=True, slots=True)
class Judged:
    """A step as it would have ended. ``decided``: when the evidence crossed its threshold."""

    step: Step
    until: float
    requests: int  # of both sides
    verdict: Verdict
    decided: float | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """``errors`` and ``clients``: what the visitors of the release that was judged met up to the decision, and behind
    it, as it wasn't taken."""

    form: Format
    first: float
    last: float
    requests: int = 0
    unreadable: int = 0  # lines
    steps: tuple[Judged, ...] = ()
    errors: tuple[int, int] = (0, 0)
    clients: tuple[int, int] = (0, 0)
    slot: str = ""  # of the release that was judged; "" where the log does not tell
    part: Part | None = None  # that was judged; None where lines don't tell releases apart
    notes: tuple[str, ...] = ()

    @property
    def decided(self) -> Judged | None:
        return next((one for one in self.steps if one.verdict.outcome is Outcome.FAIL), None)

    @property
    def outcome(self) -> Outcome:
        """A fail if there is one; else what the last step came to."""
        return Outcome.FAIL if self.decided else self.steps[-1].verdict.outcome


def replay(
    files: Sequence[Path],
    settings: JudgeSettings,
    steps: Sequence[Step] = (),
    candidate: str = "",
    *,
    share: int | None = None,
    clock: Clock = utc,
) -> Replayed:
    """Judge the log's requests in its order.

    ``steps`` are what shares there were when, and ``share`` one for as long as there was a candidate; with neither the
    share is what the log's own places show. ``candidate`` is a release's number, or its slot. "" is the newest one that
    was tried, with ``steps`` the first one from then on; and where lines don't name releases the slot with fewer
    requests. Raises `Refused` where the log can't tell what is asked.
    """
    steps = sorted(steps, key=lambda step: step.since)
    compared = any(0 < step.share < 100 for step in steps)
    alone = min((step.since for step in steps if step.share == 100), default=float("inf"))
    seen = look(files, lambda hit: not compared or hit.at < alone)
    notes: list[str] = []
    part = _part(seen, steps, candidate, clock)
    if part is not None and part.live is not None:
        seen = look(files, _beside(part, alone))
        notes.extend(_others(seen, part, clock))
        if alone < float("inf"):  # what came after is judged too
            part = replace(part, until=part.candidate.last)
    begin = part.since if part is not None else seen.first
    if share is not None:
        steps = [Step(share, begin)]
    _need_slots(seen, steps)
    slot = part.candidate.slot if part is not None else candidate or _candidate(seen, steps)
    if not steps:
        steps = [_step(seen, slot, begin)]
        notes.append(
            f"{steps[0].share} % is the highest share that the log shows for {part.candidate if part else slot}, taken "
            "for all of it; --at says when there was which"
        )
    judging = _Judging(settings, steps, slot, seen, clock, part)
    crowd = Crowd()
    for lines in parts(files, seen.form):
        crowd.see(lines.hits)
        judging.read(lines.hits)
    if not any(0 < step.share < 100 for step in steps) and (warning := crowd.warning()) is not None:  # the judge's own
        notes.append(warning)
    return judging.end(tuple(notes))


class _Judging:
    """From step to step; before the first is what the judge compares with."""

    def __init__(
        self,
        settings: JudgeSettings,
        steps: Sequence[Step],
        slot: str,
        seen: Seen,
        clock: Clock,
        part: Part | None,
    ) -> None:
        self._settings = settings
        self._left = list(steps)
        self._slot = slot
        self._seen = seen
        self._clock = clock
        self._part = part
        if part is not None:
            self._name, self._live = str(part.candidate), str(part.live or BEFORE)
        else:
            self._name, self._live = slot, next((name for name in seen.slots if name != slot), BEFORE)
        self._before = Baseline()
        self._slow: Mapping[str, float] = {}
        self._step: Step | None = None
        self._judge: Judge | None = None
        self._bake: Bake | None = None
        self._judged: list[Judged] = []
        self._requests = 0
        self._decided: tuple[float, Verdict] | None = None
        self._errors = [0, 0]
        self._hurt: tuple[set[str], set[str]] = (set(), set())

    def read(self, hits: Iterable[Hit]) -> None:
        for hit in hits:
            if not hit.drawn or (self._seen.form is Format.BLUEGREEN and not hit.slot):
                continue
            if self._part is not None and not self._part.has(hit):
                continue
            while self._left and hit.at >= self._left[0].since:
                self._begin(self._left.pop(0))
            if self._step is None or not self._step.share:
                if self._slot != hit.slot or not self._slot:
                    self._before.see(hit)
                continue
            self._requests += 1
            self._see(hit, self._step)

    def end(self, notes: tuple[str, ...]) -> Replayed:
        self._finish(min(self._seen.last, self._part.until) if self._part is not None else self._seen.last)
        if not self._judged:
            raise Refused(
                "replay.nothing",
                "no request of this log began after the first step: nothing was judged",
                next=("bg watch --replay LOG --at TIME=SHARE    with a time within the log",),
            )
        seen = self._seen
        return Replayed(
            seen.form,
            seen.first,
            seen.last,
            seen.requests,
            seen.unreadable,
            tuple(self._judged),
            errors=(self._errors[0], self._errors[1]),
            clients=(len(self._hurt[0]), len(self._hurt[1] - self._hurt[0])),
            slot=self._slot,
            part=self._part,
            notes=notes,
        )

    def _begin(self, step: Step) -> None:
        self._finish(step.since)
        self._step = step
        if 0 < step.share < 100:
            if self._judge is None:
                self._slow = self._before.slow
                self._judge = Judge(self._settings, self._live, self._name, slow=self._slow, clock=self._clock)
            self._judge.shift(step.since, step.share)
        elif step.share == 100:
            release = self._name or "the release"
            before = self._live if self._slot else BEFORE
            self._bake = Bake(self._settings, release, before, self._before.history, clock=self._clock)

    def _finish(self, at: float) -> None:
        step = self._step
        if step is None or not step.share:
            return
        side = self._bake if step.share == 100 else self._judge
        assert side is not None  # noqa: S101 - made with the step
        decided, verdict = self._decided or (None, side.verdict(at))
        self._judged.append(Judged(step, at, self._requests, verdict, decided))
        self._requests, self._step, self._decided = 0, None, None

    def _see(self, hit: Hit, step: Step) -> None:
        mine = not self._slot or hit.slot == self._slot
        what = ""
        if hit.error or hit.seconds > self._slow.get(hit.service, hit.seconds):  # most lines need no words
            what = f"{hit.method} {hit.uri} {hit.status if hit.error else f'{hit.seconds:.2f} s'}"
        if step.share == 100:
            if not mine:
                return
            assert self._bake is not None  # noqa: S101 - made with the step
            decided = self._bake.see(hit.at, hit.client, hit.error, hit.service, what)
            verdict = self._bake.verdict(hit.ended) if decided else None
        else:
            assert self._judge is not None  # noqa: S101 - made with the step
            decided = self._judge.see(
                hit.at,
                mine,
                hit.client,
                hit.error,
                None if hit.status_text == UPGRADED else hit.seconds,
                hit.service,
                what,
                address=hit.address,
                bucket=PLACES.get(hit.bucket),
            )
            verdict = self._judge.verdict(hit.ended) if decided else None
            if not mine:
                self._before.history.see(hit.at, hit.client, hit.error)
        if mine and hit.error:
            late = self._decided is not None or any(one.decided is not None for one in self._judged)
            self._errors[late] += 1
            self._hurt[late].add(hit.client)
        if verdict is not None and self._decided is None:
            self._decided = (hit.ended, verdict)


def _part(seen: Seen, steps: Sequence[Step], candidate: str, clock: Clock) -> Part | None:
    """Which releases are judged; None where it goes by slots: lines name no release, or one for each slot."""
    start = steps[0].since if steps else 0.0
    stays = [stay for stay in seen.stays if stay.last >= start]
    wanted = [stay for stay in stays if candidate in ("", stay.slot, str(stay.release))]
    if not steps or any(0 < step.share < 100 for step in steps):
        tried = [part for part in canaries(stays) if part.candidate in wanted and part.until >= start]
        if tried:
            return tried[0] if steps else tried[-1]
        told = max(Counter(stay.slot for stay in stays).values(), default=0) < 2
    else:
        # A time is typed to the minute, so in the first one there may be two.
        wanted = [stay for stay in wanted if stay.first <= start + MINUTE <= stay.last] or wanted
        if len(wanted) == 1:
            return Part(wanted[0], None, wanted[0].last)
        told = not wanted
    if told and not candidate.isdigit():
        return None
    raise _several(seen, candidate, clock)


def _several(seen: Seen, candidate: str, clock: Clock) -> Refused:
    listed = ", ".join(f"{s} in {s.slot} from {clock(s.first)} to {clock(s.last)}" for s in seen.stays[-MOST_LISTED:])
    which = f"{candidate} can" if candidate else "more than one release could"
    ways = [f"bg watch --replay LOG --candidate {part.candidate.release}" for part in canaries(seen.stays)]
    return Refused(
        "replay.releases",
        f"the log does not tell how {which} be judged: {listed or 'no line names a release'}",
        next=(*ways[-3:], "bg watch --replay LOG --at TIME=100 --candidate N    what had all visitors from then on"),
    )


def _beside(part: Part, alone: float) -> Callable[[Hit], bool]:
    return lambda hit: part.since <= hit.at < alone and part.has(hit)


def _others(seen: Seen, part: Part, clock: Clock) -> list[str]:
    """A note on the other candidates that the log has."""
    others = [p for p in canaries(seen.stays) if p.candidate != part.candidate][-MOST_LISTED:]
    listed = ", ".join(f"{p.candidate} from {clock(p.since)} to {clock(p.until)}" for p in others)
    first = others[-1].candidate.release if others else 0
    return [f"tried in this log too: {listed} (--candidate {first})"] if others else []


def _need_slots(seen: Seen, steps: Sequence[Step]) -> None:
    if not seen.requests:
        raise Refused("replay.empty", "there is no request in this log", next=())
    if all(step.share in (0, 100) for step in steps) and steps:
        return
    if seen.form is Format.COMBINED:
        raise Refused(
            "replay.no-slots",
            "nginx's combined format does not say which release answered, so no two can be compared; a release that "
            "has all visitors can be judged by what was before it",
            next=("bg watch --replay LOG --at TIME=100    with the time of the switch",),
        )
    if len(seen.slots) < 2:
        only = next(iter(seen.slots), "no slot")
        raise Refused(
            "replay.one-side",
            f"all requests of this log were answered by {only}: there is nothing to compare with",
            next=("bg watch --replay LOG --at TIME=100    judges it by what was before that time",),
        )


def _candidate(seen: Seen, steps: Sequence[Step]) -> str:
    if not seen.slots:
        return ""
    ordered = [name for name, _ in seen.slots.most_common()]
    if steps and all(step.share in (0, 100) for step in steps):
        return ordered[0] if len(ordered) == 1 else ""
    return ordered[-1]


def _step(seen: Seen, slot: str, begin: float) -> Step:
    share = seen.highest.get(slot, 99) + 1
    if share >= 100:
        raise Refused(
            "replay.no-share",
            f"visitors of all places were answered by {slot} at some time, so the log alone does not tell its share",
            next=("bg watch --replay LOG --share 10", "bg watch --replay LOG --at 12:00=10,12:10=25"),
        )
    return Step(share, begin)
