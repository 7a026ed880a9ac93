"""What is guarded, by what it is judged, and what the judge says: no I/O, so that a past log is judged the same way.

A subject is a candidate that has a share of the visitors, or a release that has got all of them not long ago. Who
guards tells what it sees, in this order: the picture (`Guard.look`), then the log's hits up to then (`Guard.read`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal

from bluegreen.judge import Bake, History, Judge
from bluegreen.judge.wording import Clock, utc
from bluegreen.model.history import Shift
from bluegreen.model.judging import Facts, Outcome, Verdict
from bluegreen.model.names import Slot
from bluegreen.model.observed import Observed
from bluegreen.model.release import Release
from bluegreen.model.value import dataclass
from bluegreen.traffic.lines import NOT_DRAWN, PLACES, UPGRADED, Hit
from bluegreen.traffic.rows import Row

FORWARD = ("deploy", "switch", "promote")
"""Ways to all visitors after which a release is guarded. A rollback went to one that was live before."""

QUANTILE = 0.95
LEAST_REQUESTS = 100
"""Of live, before slowness is compared at all."""

SET_BACK_LEAST = 2.0
"""Seconds by which a clock has to go back to count as set back."""

SHORT = len("99.999")
SHORT_SECONDS = 100.0
"""What a time of so many digits is less than."""

FAR = 9_999_999_999.0
"""Seconds since 1970, up to which times have ten digits before their point, and so the order of their texts."""


@dataclass(frozen=True, slots=True)
class Subject:
    """``since``: when its first visitors came, seconds since 1970 by the proxy's clock; ``until``: when it is no longer
    guarded, None for a candidate."""

    kind: Literal["canary", "bake"]
    release: Release
    slot: Slot
    live: Release | None  # beside a candidate; before a release that has all visitors
    since: float
    until: float | None = None

    @property
    def key(self) -> tuple[str, int, float]:
        return self.kind, self.release.number, self.since


class Baseline:
    """What a release did while it had all visitors: how long it took, by service, and how often it failed."""

    def __init__(self) -> None:
        self.history = History()
        self._took: dict[str, Counter[str]] = {}  # by service, as the log writes it

    def see(self, hit: Hit) -> None:
        if hit.error or not self.history.again(hit.client):
            self.history.see(hit.at, hit.client, hit.error)
        if hit.status_text == UPGRADED:
            return
        took = self._took.get(hit.service)
        if took is None:
            took = self._took[hit.service] = Counter()
        took[hit.took] += 1

    @property
    def slow(self) -> Mapping[str, float]:
        """By service the seconds above which an answer is slow: the 95th percentile's bucket."""
        found: dict[str, float] = {}
        for service, took in self._took.items():
            row = Row(service, "", 0)
            row.took(took)
            seconds = row.quantile(QUANTILE)
            if row.requests >= LEAST_REQUESTS and seconds is not None:
                found[service] = seconds
        return found


class Guard:
    """Follows one project from subject to subject.

    Of a subject that ends (promoted, taken back, its time over) nothing is kept but what the next is compared with.
    """

    def __init__(self, clock: Clock = utc) -> None:
        self.subject: Subject | None = None
        self.live_alarm: Verdict | None = None
        """While a candidate is judged: that live itself fails more often than it did."""
        self._clock = clock
        self._observed: Observed | None = None
        self._baselines: dict[int, Baseline] = {}
        self._tenures: list[tuple[int, str, float, float]] | None = None  # as the picture tells them
        self._slow: Mapping[str, float] = {}  # what the judge compares with
        self._judge: Judge | None = None
        self._bake: Bake | None = None  # of the subject, or of live beside a candidate
        self._told: Shift | None = None  # to the judge, the last one
        self._facts = Facts()
        self._clock_was = 0.0  # at the last look, seconds since 1970
        self._set_back = 0.0  # seconds, since the subject began
        self._crossed: float | None = None  # when the request ended that decided
        self._over: Verdict | None = None  # of a release whose guarded time has ended, until another is guarded

    @property
    def crossed(self) -> float | None:
        """When the request ended that took the evidence over its threshold; None while none did."""
        return self._crossed

    def look(self, observed: Observed) -> bool:
        """The picture now. Whether there is another subject than before."""
        self._observed, self._tenures = observed, None
        found = self._same(subject_of(observed), observed)
        changed = (found and found.key) != (self.subject and self.subject.key)
        now = _now(observed)
        if now < self._clock_was - SET_BACK_LEAST:  # else what is asked for from now on would be before it all
            self._set_back += self._clock_was - now
            if self._judge is not None:
                self._judge.set_back(self._clock_was - now)
        self._clock_was = now
        if changed:
            self._set_back = 0.0
            self._over = self._ended(observed) if found is None else None
            self.subject, self.live_alarm = found, None
            self._judge, self._bake, self._told, self._crossed = None, None, None, None
            self._facts = Facts()
            keep = {r.number for r in (observed.live_release, found.live if found else None) if r is not None}
            # And who was live before: once a candidate beside it is gone, live is compared with that again.
            keep |= {s.source for s in observed.history.switches if s.to in keep and s.source is not None}
            self._baselines = {number: one for number, one in self._baselines.items() if number in keep}
        if self._judge is not None:
            self._tell_shifts(self._judge)
        return changed

    def _same(self, found: Subject | None, observed: Observed) -> Subject | None:
        """Where the journal does not say since when a candidate has visitors, it is since it was seen to have some."""
        known = self.subject
        if found is None or known is None or found.kind != "canary" or known.kind != "canary":
            return found
        if observed.history.episode_of(found.release.number) or known.release.number != found.release.number:
            return found
        return replace(found, since=known.since)

    def read(self, hits: Iterable[Hit]) -> None:
        """What the log says, in its order, up to the picture that was looked at last."""
        subject = self.subject
        since = float("inf") if subject is None else subject.since - self._set_back
        surely_since = f"{min(since + SHORT_SECONDS, FAR):.3f}"
        for hit in hits:
            if not hit.slot or hit.bucket in NOT_DRAWN:
                continue
            # Nearly all lines are only one more of what was there before, and are not looked at any closer.
            if (
                hit.written >= surely_since
                and len(hit.took) <= SHORT
                and hit.status_text < "500"
                and subject is not None
                and self._again(subject, hit)
            ):
                continue
            seconds = float(hit.took)
            at = float(hit.written) - seconds
            if subject is None or at < since:
                self._see_before(hit, at, seconds)
            elif subject.kind == "canary":
                self._compare(subject, hit, at, seconds)
            else:
                self._see_after(subject, hit, at)

    def facts(self, facts: Facts) -> None:
        """What was seen of the candidate's containers."""
        self._facts = facts
        if self._judge is not None:
            self._judge.facts(facts)

    def verdict(self, at: float) -> Verdict | None:
        """Of what is guarded, else of a release that was until its time was over; None where there is neither."""
        subject = self.subject
        if subject is None:
            return self._over
        # Before the first of its own lines the log may still be on its way to them, and more be known by then.
        if subject.kind == "canary":
            return (self._judge or self._new_judge(subject)).verdict(at)
        return (self._bake or self._new_bake(subject)).verdict(at, until=subject.until)

    # -- what is seen --------------------------------------------------------------------------------------
    def _again(self, subject: Subject, hit: Hit) -> bool:
        """What began after the subject and is no error: whether it was counted already, since it changes no more."""
        judge, bake, candidate = self._judge, self._bake, hit.slot == subject.slot
        if bake is None:
            return False
        if subject.kind == "canary":
            if judge is None or not judge.again(
                candidate, hit.client, float(hit.took), hit.service, hit.address, PLACES.get(hit.bucket)
            ):
                return False
            if not candidate and not bake.again(hit.client):
                self._see_live(subject, hit, hit.at, "")
            return True
        if not candidate or not bake.again(hit.client):
            return False
        self._baseline(subject.release.number).see(hit)
        return True

    def _see_before(self, hit: Hit, at: float, seconds: float) -> None:
        """Of who was live then. What the slot held before that is nobody's."""
        if self._tenures is None:
            self._tenures = _tenures(self._observed)
        for release, slot, since, until in self._tenures:
            if hit.slot == slot and since <= at and at + seconds <= until:
                self._baseline(release).see(hit)
                return

    def _compare(self, subject: Subject, hit: Hit, at: float, seconds: float) -> None:
        judge = self._judge
        if judge is None:
            judge = self._judge = self._new_judge(subject)
        candidate, client, service = hit.slot == subject.slot, hit.client, hit.service
        error, what = hit.status_text >= "500", ""
        took = None if hit.status_text == UPGRADED else seconds
        if error:
            what = f"{hit.method} {hit.uri} {hit.status}"
        elif took is not None and took > self._slow.get(service, took):  # most lines need no words
            what = f"{hit.method} {hit.uri} {took:.2f} s"
        decided = judge.see(
            at,
            candidate,
            client,
            error,
            took,
            service,
            what,
            hit.address,
            PLACES.get(hit.bucket),
        )
        if decided and self._crossed is None:
            self._crossed = hit.ended
        if not candidate:
            self._see_live(subject, hit, at, what)

    def _see_live(self, subject: Subject, hit: Hit, at: float, what: str) -> None:
        """Beside a candidate: live may fail too, and then nothing would be gained by going back to it."""
        bake = self._baked(subject)
        if bake.see(at, hit.client, hit.error, hit.service, what) and self.live_alarm is None:
            self.live_alarm = bake.verdict(hit.ended)

    def _see_after(self, subject: Subject, hit: Hit, at: float) -> None:
        if hit.slot != subject.slot:
            return
        error = hit.status_text >= "500"
        what = f"{hit.method} {hit.uri} {hit.status}" if error else ""
        if self._baked(subject).see(at, hit.client, error, hit.service, what):
            self._crossed = hit.ended
        self._baseline(subject.release.number).see(hit)

    # -- by what it is judged ------------------------------------------------------------------------------
    def _new_judge(self, subject: Subject) -> Judge:
        """What came before the first of the subject's own lines is what it is compared with."""
        assert subject.live is not None  # noqa: S101 - a candidate stands beside a live release
        self._slow, self._told = self._baseline(subject.live.number).slow, None
        judge = Judge(
            subject.release.guard.judge,
            subject.live.tag,
            subject.release.tag,
            slow=self._slow,
            sticky=subject.release.proxy.affinity != "none",
            clock=self._clock,
        )
        judge.facts(self._facts)
        self._tell_shifts(judge)
        return judge

    def _baked(self, subject: Subject) -> Bake:
        if self._bake is None:
            self._bake = self._new_bake(subject)
        return self._bake

    def _new_bake(self, subject: Subject) -> Bake:
        before = subject.live
        release = before if subject.kind == "canary" and before is not None else subject.release
        return Bake(
            subject.release.guard.judge,
            release.tag,
            before.tag if before else "what was there before",
            self._baseline(before.number).history if before else History(),
            clock=self._clock,
        )

    def _ended(self, observed: Observed) -> Verdict | None:
        """The last word on a release that is still live after its guarded time; None where it ended otherwise."""
        subject, live = self.subject, observed.live_release
        if subject is None or subject.until is None or live is None or live.number != subject.release.number:
            return None
        now = _now(observed)
        return (self._bake or self._new_bake(subject)).verdict(now) if now >= subject.until else None

    def _tell_shifts(self, judge: Judge) -> None:
        if self._observed is None or self.subject is None:
            return
        shifts = self._observed.history.episode_of(self.subject.release.number)
        # Of many steps the picture has only the first and the last ones.
        for shift in shifts[shifts.index(self._told) + 1 if self._told in shifts else 0 :]:
            at = moment(shift.at) or 0.0
            judge.shift(at - self._set_back if at > self._clock_was else at, shift.share)
            self._told = shift
        if not shifts and judge.share != self._observed.share:  # the journal is broken, and the proxy knows
            judge.shift(self.subject.since, self._observed.share)

    def _baseline(self, number: int) -> Baseline:
        return self._baselines.setdefault(number, Baseline())


def subject_of(observed: Observed) -> Subject | None:
    """What is to be guarded now: a candidate with a share, else a release that went forward not long ago."""
    live, slot = observed.live_release, observed.live
    if live is None or slot is None:
        return None
    tried = observed.tried
    if observed.share and tried is not None:
        first = next((moment(s.at) for s in observed.history.episode_of(tried.release.number)), None)
        return Subject("canary", tried.release, slot.other, live, first or _now(observed))
    switch = next((s for s in reversed(observed.history.switches) if s.to == live.number), None)
    since = moment(switch.at) if switch else None
    if switch is None or since is None or switch.kind not in FORWARD:
        return None
    until = since + live.guard.after_switch
    if _now(observed) >= until:
        return None
    before = observed.release(switch.source) if switch.source is not None else None
    return Subject("bake", live, slot, before, since, until)


def moment(text: str) -> float | None:
    """RFC 3339 as seconds since 1970; None where it is no time."""
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def alarming(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.outcome is Outcome.FAIL


def _now(observed: Observed) -> float:
    return moment(observed.proxy.clock) or 0.0


def _tenures(observed: Observed | None) -> list[tuple[int, str, float, float]]:
    """Who had all visitors in which slot, from when to when: number, slot, since, until; the newest first."""
    if observed is None or observed.live is None or observed.live_release is None:
        return []
    found: list[tuple[int, str, float, float]] = []
    slot, until = observed.live, float("inf")
    for switch in reversed(observed.history.switches):
        since = moment(switch.at)
        if since is None:
            break
        if not found and switch.to != observed.live_release.number:
            break  # the journal does not know how it became live
        found.append((switch.to, str(slot), since, until))
        slot, until = slot.other, since
    return found or [(observed.live_release.number, str(slot), moment(_since(observed)) or 0.0, until)]


def _since(observed: Observed) -> str:
    return observed.proxy.routes.since if observed.proxy.routes else ""
