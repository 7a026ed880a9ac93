"""After the switch there is no other side to compare with: does the release do worse than its predecessor did?

Shiryaev-Roberts: R_n = (1 + R_{n-1}) times the likelihood ratio of p1 against p0 for the n-th answer. While errors
have probability p0 or less, R_n - n is a supermartingale, so R reaches N/alpha within N answers with probability at
most alpha (Doob). It forgets what went well, and so notices a change whenever it comes.
"""

from __future__ import annotations

from collections import Counter
from math import log

from bluegreen.judge.wording import Clock, line, percent, shown, utc
from bluegreen.model.judging import Count, Evidence, JudgeSettings, Outcome, Sample, Verdict, problems

QUIET = 60.0
"""Seconds for which a client that has seen an error doesn't count: what it sees then has the same cause."""

LEAST_PURGE = 1000
"""Clients: fewer are not worth looking through for those whose time is over."""

LEAST_P0 = 1e-4
WORSE = 4.0
"""p1 is this many times p0, at least p_max."""

MOST_R = 1e300
"""A number still, and beyond every threshold: what it was at, nobody needs to know any more."""


class AtRisk:
    """Which answers count: those to clients that saw no error within the last minute."""

    __slots__ = ("_purge_at", "quiet")

    def __init__(self) -> None:
        self.quiet: dict[str, float] = {}  # who doesn't count, until when
        self._purge_at = LEAST_PURGE  # as many: most who see an error never come back

    def see(self, at: float, client: str, error: bool) -> bool:
        until = self.quiet.get(client)
        if until is not None:
            if at < until:
                return False
            del self.quiet[client]
        if error:
            self.quiet[client] = at + QUIET
            if len(self.quiet) >= self._purge_at:
                self.quiet = {client: until for client, until in self.quiet.items() if until > at}
                self._purge_at = max(LEAST_PURGE, 2 * len(self.quiet))
        return True


class History:
    """What the live release did, counted as the bake counts: an upper bound for how often errors are to be expected."""

    def __init__(self) -> None:
        self._at_risk = AtRisk()
        self.answers = 0
        self.errors = 0

    def see(self, at: float, client: str, error: bool) -> None:
        if self._at_risk.see(at, client, error):
            self.answers += 1
            self.errors += error

    def again(self, client: str) -> bool:
        """The same, and quicker, for an answer that is no error. Returns whether it is counted; else `see` it."""
        if client in self._at_risk.quiet:
            return False
        self.answers += 1
        return True

    def upper(self, doubt: float) -> float:
        """The largest rate that is not excluded with a probability of error of ``doubt`` (0 to 1)."""
        return upper_bound(self.errors, self.answers, doubt)


def upper_bound(errors: int, answers: int, doubt: float) -> float:
    """The largest p with n KL(k/n, p) <= log(1/doubt): Chernoff's bound (1952) turned round. 1.0 where n is 0."""
    if not answers:
        return 1.0
    seen, limit = errors / answers, log(1 / doubt) / answers
    low, high = seen, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _divergence(seen, middle) <= limit else (low, middle)
    return high


def _divergence(seen: float, p: float) -> float:
    """Kullback-Leibler's, of one draw."""
    if p >= 1:
        return 0.0 if seen >= 1 else float("inf")
    hit = seen * log(seen / p) if seen else 0.0
    miss = (1 - seen) * log((1 - seen) / (1 - p)) if seen < 1 else 0.0
    return hit + miss


class Alarm:
    """Shiryaev-Roberts over answers. After ``horizon`` answers it starts anew, with a new alpha."""

    __slots__ = ("_clean", "_erred", "_horizon", "answers", "r", "threshold")

    def __init__(self, p0: float, p1: float, alpha: float, horizon: int) -> None:
        if not 0 < p0 < p1 < 1:
            raise ValueError(f"p0 {p0:g} and p1 {p1:g} are not between 0 and 1, in this order")
        self._erred = p1 / p0
        self._clean = (1 - p1) / (1 - p0)
        self._horizon = horizon
        self.threshold = horizon / alpha
        self.r = 0.0
        self.answers = 0

    def see(self, error: bool) -> bool:
        """One answer more. Returns whether the threshold is reached now."""
        if self.answers == self._horizon:
            self.answers, self.r = 0, 0.0
        self.answers += 1
        self.r = min((1 + self.r) * (self._erred if error else self._clean), MOST_R)
        return self.r >= self.threshold

    def again(self) -> bool:
        """The same, and quicker, for an answer that is no error and decides nothing. Returns whether it is counted."""
        r = (1 + self.r) * self._clean
        if r >= self.threshold or self.answers == self._horizon:
            return False
        self.answers += 1
        self.r = r
        return True


class Bake:
    """Sees every answer of a release that has all the traffic, in the order of the log.

    ``before``: the history of the one before it; where it is empty the file's p_max is what may be expected.
    """

    def __init__(
        self, settings: JudgeSettings, release: str, before: str, history: History, *, clock: Clock = utc
    ) -> None:
        if found := problems(settings):
            raise ValueError("; ".join(found))
        self.live = before
        self.candidate = release
        self.share = 100
        upper = history.upper(settings.bake_alpha) if history.answers else settings.p_max
        self.p0 = min(max(upper, LEAST_P0), 0.9)
        self.p1 = min(max(WORSE * self.p0, settings.p_max), (1 + self.p0) / 2)
        self._settings = settings
        self._history = history
        self._clock = clock
        self._alarm = Alarm(self.p0, self.p1, settings.bake_alpha, settings.bake_horizon)
        self._at_risk = AtRisk()
        self._answers = 0
        self._errors = 0
        self._services: Counter[str] = Counter()
        self._first: Sample | None = None
        self._reached: Evidence | None = None
        self._since: float | None = None

    def see(self, at: float, client: str, error: bool, service: str = "", what: str = "") -> bool:
        """One answer. Returns whether this very one raised the alarm."""
        if self._since is None:
            self._since = at
        if not self._at_risk.see(at, client, error):
            return False
        self._answers += 1
        if error:
            self._errors += 1
            self._services[service] += 1
            self._first = self._first or Sample(at, shown(what), service)
        if self._alarm.see(error) and self._reached is None:
            self._reached = self._evidence(at)
            return True
        return False

    def again(self, client: str) -> bool:
        """The same, and quicker, for an answer that is no error and not the first. Returns whether it is counted; else
        it is to be seen."""
        if self._since is None or client in self._at_risk.quiet or not self._alarm.again():
            return False
        self._answers += 1
        return True

    def verdict(self, at: float, *, until: float | None = None) -> Verdict:
        """FAIL from the alarm on. Without one PASS from ``until`` on (None: now), the end of its guarded time; before
        that, and where there was no answer, INCONCLUSIVE."""
        found = self._reached or self._evidence(None)
        if found.holds:
            outcome, reason = Outcome.FAIL, line(found, self, self._clock)
        elif not self._answers:
            outcome, reason = Outcome.INCONCLUSIVE, f"{self.candidate} has answered nobody since the switch"
        elif until is None or at >= until:
            outcome, reason = Outcome.PASS, line(found, self, self._clock)
        else:
            outcome, reason = Outcome.INCONCLUSIVE, self._so_far(until)
        warnings: tuple[str, ...] = ()
        if not self._history.answers:
            warnings = (f"nothing is known of {self.live}: {percent(self._settings.p_max)} of errors are expected",)
        return Verdict(
            outcome,
            reason,
            self.live,
            self.candidate,
            self.share,
            at,
            self._since,
            (found,),
            found.alpha,
            then=self._settings.inconclusive,
            warnings=warnings,
        )

    def _so_far(self, until: float) -> str:
        answers = f"{self._answers} answer{'' if self._answers == 1 else 's'}"
        return (
            f"{self.candidate}: no alarm in {answers} so far, {self._errors} of them errors; "
            f"it is guarded until {self._clock(until)}"
        )

    def _evidence(self, at: float | None) -> Evidence:
        alphas = 2 if self._history.answers else 1  # the bound on the history has an error of its own
        return Evidence(
            "bake",
            at is not None,
            alphas * self._settings.bake_alpha,
            self._alarm.r,
            self._alarm.threshold,
            Count(self._errors, self._answers),
            Count(self._history.errors, self._history.answers),
            tuple(service for service, _ in self._services.most_common() if service),
            self._first,
            at,
            f"{self._errors} of {self._answers} answers were errors where at most {percent(self.p0)} were expected",
        )
