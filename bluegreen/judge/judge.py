"""A candidate beside what is live, client by client, to a verdict that may be asked for at any time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bluegreen.judge import outside
from bluegreen.judge.clients import POOL_REQUESTS, Draws, Pool, Shares
from bluegreen.judge.comparison import ERROR_RATIOS, SLOW_RATIOS, SPLIT_RATIOS, Comparison
from bluegreen.judge.passing import Passing, clean_needed
from bluegreen.judge.wording import Clock, line, percent, short, shown, utc
from bluegreen.model.judging import Count, Evidence, Facts, JudgeSettings, Outcome, Sample, Verdict, problems

MOST_CLIENTS = 1_000_000
"""Of whom it is remembered that they were seen: about 270 MB. Who comes later counts with an error only."""

_ON_LIVE, _ON_CANDIDATE, _ERRED, _SLOW = 1, 2, 4, 8


class Judge:
    """Sees every answer of a deploy that visitors got, in the order of the log, and each shift in between.

    ``live`` and ``candidate`` are how the releases are called. ``slow`` has for each service the seconds above which
    an answer is slow: live's 95th percentile from before the candidate got traffic; a service that isn't there is not
    compared. ``sticky`` is False where each request is drawn anew (affinity none). Raises ValueError where the
    settings can't be judged by.
    """

    def __init__(
        self,
        settings: JudgeSettings,
        live: str,
        candidate: str,
        *,
        slow: Mapping[str, float] | None = None,
        sticky: bool = True,
        clock: Clock = utc,
    ) -> None:
        if found := problems(settings):
            raise ValueError("; ".join(found))
        self.live = live
        self.candidate = candidate
        self._settings = settings
        self._sticky = sticky
        self._clock = clock
        self._slow = dict(slow or {}) if settings.latency else {}
        self._shares = Shares()
        self._begun = False
        self._known: dict[str, int] = {}
        self._clients = [0, 0]  # seen on live, on the candidate
        self._errors = _Counted(sticky, Comparison(ERROR_RATIOS, settings.alpha, settings.tolerated))
        self._slowness = _Counted(sticky, Comparison(SLOW_RATIOS, settings.latency_alpha))
        self._split = _Counted(sticky, Comparison(SPLIT_RATIOS, settings.split_alpha))
        self._pool = Pool()
        self._addresses = Pool()
        self._asked: list[tuple[str, str]] = []  # client and address, of the requests since the pools were looked at
        self._passing = Passing(settings.p_max, settings.beta)
        self._step: dict[str, bool] = {}  # the candidate's clients in it: whether one saw an error
        self._step_since = 0.0
        self._answered: dict[str, list[int]] = {}  # the candidate's requests in this step by service: errors, all
        self._facts = Facts()

    @property
    def share(self) -> int:
        return self._shares.now

    def shift(self, at: float, share: int) -> None:
        """From ``at`` on the candidate gets ``share`` percent. It begins a step: the evidence for a rollback goes on,
        that for a pass starts anew."""
        self._shares.shift(at, share)
        self._begun = self._begun or share > 0
        self._passing = Passing(self._settings.p_max, self._settings.beta)
        self._step_since = at
        self._step.clear()
        self._answered.clear()

    def set_back(self, seconds: float) -> None:
        """The clock that tells when answers began was set back by so much."""
        self._shares.set_back(seconds)
        self._step_since -= seconds

    def see(
        self,
        at: float,
        candidate: bool,
        client: str,
        error: bool,
        seconds: float | None = None,
        service: str = "",
        what: str = "",
        address: str = "",
        bucket: int | None = None,
    ) -> bool:
        """One answer, to a request that began ``at``. ``client`` is the visitor's cookie, else the address. ``error``:
        its status is 500 or above. ``seconds`` None: a stream or WebSocket, whose duration says nothing. ``what``
        names it in a verdict. Returns whether this very answer decided that the candidate is to be taken back.

        Leave out what a tester forced to a slot: that was not drawn. What came before the first shift is ignored.
        """
        if not self._begun:
            return False
        asked = self._asked
        asked.append((client, address))
        if len(asked) == POOL_REQUESTS:
            self._look_at_pools()
        if client == self._pool.client:
            client = self._part_of_pool(client, at, bucket)
        if candidate and at >= self._step_since:  # who starts late reads of earlier steps too
            self._count_in_step(client, address, bucket, error, service)

        slow = seconds is not None and seconds > self._slow.get(service, seconds)
        known = self._known.get(client, 0)
        new = (_ON_CANDIDATE if candidate else _ON_LIVE) | error * _ERRED | slow * _SLOW
        if known | new == known or (not known and not error and len(self._known) >= MOST_CLIENTS):
            return False
        self._known[client] = known | new
        return self._count(at, candidate, new & ~known, not known, service, what, address, bucket)

    def again(
        self, candidate: bool, client: str, seconds: float, service: str, address: str, bucket: int | None
    ) -> bool:
        """The same, and quicker, for an answer that is no error, where it is not this client's first one there, nor its
        first slow one. Returns whether it was counted; else it is to be seen."""
        known = self._known.get(client, 0)
        if not known & (_ON_CANDIDATE if candidate else _ON_LIVE):
            return False
        if not known & _SLOW and seconds > self._slow.get(service, seconds):
            return False
        if client == self._pool.client or len(self._asked) == POOL_REQUESTS - 1:
            return False
        if candidate:
            if self._in_step(client, address, bucket) not in self._step or service not in self._answered:
                return False
            self._answered[service][1] += 1
        self._asked.append((client, address))
        return True

    def facts(self, facts: Facts) -> None:
        """What was seen of the candidate's containers last. It replaces what was seen before."""
        self._facts = facts

    def verdict(self, at: float) -> Verdict:
        """What can be said now. A fail stays one: the bound is for ever having reached the threshold."""
        answered = {service: Count(errors, of) for service, (errors, of) in self._answered.items()}
        beside = outside.evidence(self._settings, self._facts, answered)
        compared = self._compared()
        passing = self._passed()
        failed = [e for e in (*compared, *beside) if e.holds]
        outcome = Outcome.FAIL if failed else Outcome.PASS if passing.holds else Outcome.INCONCLUSIVE
        alpha_sum = sum(evidence.alpha for evidence in compared)
        bounded = not failed or failed[0].alpha > 0
        return Verdict(
            outcome,
            self._reason(outcome, failed, compared, passing, alpha_sum),
            self.live,
            self.candidate,
            self.share,
            at,
            self._shares.since,
            (*compared, passing, self._split_evidence(), *beside),
            alpha_sum,
            bounded,
            self._settings.inconclusive,
            self._warnings(),
        )

    # ---- what an answer changes ----

    def _count(
        self,
        at: float,
        candidate: bool,
        new: int,
        first: bool,
        service: str,
        what: str,
        address: str,
        bucket: int | None,
    ) -> bool:
        """Counts a client for all that is ``new`` of it."""
        if new & (_ON_LIVE | _ON_CANDIDATE):
            self._clients[candidate] += 1
        share = self._shares.at(at)
        sample = Sample(at, shown(what), service)
        if first:
            self._split.see(candidate, address, bucket, share, sample)
        decided = False
        if new & _ERRED:
            decided = self._errors.see(candidate, address, bucket, share, sample, self._clients)
        if new & _SLOW:
            decided |= self._slowness.see(candidate, address, bucket, share, sample, self._clients)
        return decided

    def _look_at_pools(self) -> None:
        clients, addresses = zip(*self._asked, strict=True)
        self._pool.see(clients)
        self._addresses.see(addresses)
        self._asked.clear()

    def _in_step(self, client: str, address: str, bucket: int | None) -> str:
        """Under which name one counts towards a pass: without a cookie, as a place of the address."""
        return f"{address} {bucket}" if client == address and self._sticky and bucket is not None else client

    def _count_in_step(self, client: str, address: str, bucket: int | None, error: bool, service: str) -> None:
        answered = self._answered.get(service)
        if answered is None:
            answered = self._answered[service] = [0, 0]
        answered[0] += error
        answered[1] += 1
        step, name = self._step, self._in_step(client, address, bucket)
        had = step.get(name)
        if had is None and name != address:
            # A visitor's first request has no cookie yet: whose place was counted so is the same visitor.
            had = step.pop(self._in_step(address, address, bucket), None)
            if had is not None:
                step[name] = had
        if had is None:
            if len(step) >= MOST_CLIENTS:
                return
            self._passing.clients += 1
        if not had:
            step[name] = error
            self._passing.erring += error

    def _part_of_pool(self, client: str, at: float, bucket: int | None) -> str:
        """Under which name one counts who stands for many."""
        if not self._sticky:
            return f"{client} at {int(at)}"
        return client if bucket is None else f"{client} in {bucket}"

    # ---- what is said ----

    def _compared(self) -> list[Evidence]:
        found = [self._errors.evidence("errors", self._settings.alpha, self._clients)]
        if self._slow:
            found.append(self._slowness.evidence("latency", self._settings.latency_alpha, self._clients))
        return found

    def _passed(self) -> Evidence:
        passing = self._passing
        return Evidence(
            "pass",
            passing.reached,
            e=passing.e,
            threshold=passing.threshold,
            candidate=Count(passing.erring, passing.clients),
            said=f"'below {percent(self._settings.p_max)}'",
        )

    def _split_evidence(self) -> Evidence:
        """Of all clients: how many the candidate got. It decides nothing, so its alpha is in no sum."""
        split = self._split
        found = split.evidence("split", 0.0, [0, 0])
        seen = Count(split.hits[True], split.hits[True] + split.hits[False])
        said = f"{split.expected:.0f} were to be expected"
        return Evidence(
            "split", found.holds, e=found.e, threshold=found.threshold, candidate=seen, at=found.at, said=said
        )

    def _reason(
        self,
        outcome: Outcome,
        failed: list[Evidence],
        compared: list[Evidence],
        passing: Evidence,
        alpha_sum: float,
    ) -> str:
        if outcome is Outcome.FAIL:
            text = "; ".join(line(evidence, self, self._clock) for evidence in failed)
            return text if failed[0].alpha else f"{text} (outside the bound of {percent(alpha_sum)})"
        if outcome is Outcome.PASS:
            return line(passing, self, self._clock)
        if not passing.candidate.of:
            return f"{self.candidate} has answered nobody in this step: no traffic is neither pass nor failure"
        worse = " and ".join(f"{short(e.e or 0)} of {short(e.threshold or 0)} for {e.name}" for e in compared)
        needed = clean_needed(self._settings.p_max, self._settings.beta)
        return (
            f"{line(passing, self, self._clock)} ({needed} clean clients are needed), "
            f"and not shown to be worse than {self.live}: E = {worse}"
        )

    def _warnings(self) -> tuple[str, ...]:
        found = []
        split = self._split_evidence()
        if split.holds:
            found.append(f"the routing may be broken: {line(split, self, self._clock)}")
        pool = self._pool
        if pool.client is not None:
            instead = (
                "each of its places counts once instead of each client"
                if self._sticky
                else "its answers count once a second instead of once a client"
            )
            found.append(
                f"clients can't be told apart: {percent(pool.part)} of the requests were of one, {pool.client}; "
                f"{instead}. If that is a load balancer, name it in trusted_proxies"
            )
        elif self._addresses.client is not None:
            found.append(
                f"{percent(self._addresses.part)} of the requests came from one address, {self._addresses.client}; its "
                "clients are told apart by cookie, and each of their places counts once. If that is a load balancer, "
                "name it in trusted_proxies"
            )
        if len(self._known) >= MOST_CLIENTS:
            found.append(f"more than {MOST_CLIENTS} clients were seen; who came later counts with an error only")
        return tuple(found)


class _Counted:
    """A comparison, whom it has counted, and how it stood when it reached its threshold."""

    __slots__ = ("_comparison", "_draws", "_first", "_services", "expected", "hits", "reached")

    def __init__(self, sticky: bool, comparison: Comparison) -> None:
        self._comparison = comparison
        self._draws = Draws(sticky)
        self._services: Counter[str] = Counter()  # where the candidate's clients met it first
        self._first: Sample | None = None
        self.hits = [0, 0]  # on live, on the candidate
        self.expected = 0.0  # on the candidate
        self.reached: Evidence | None = None

    def see(
        self,
        candidate: bool,
        address: str,
        bucket: int | None,
        share: int,
        sample: Sample,
        clients: list[int] | None = None,
    ) -> bool:
        """One client more. Returns whether that reached the threshold, for the first time."""
        w = self._draws.take(address, bucket, share)
        if w is None:
            return False
        self.hits[candidate] += 1
        self.expected += w
        if candidate:
            self._services[sample.service] += 1
            if self._first is None:
                self._first = sample
        if self._comparison.see(candidate, w) and self.reached is None:
            self.reached = self._evidence("", 0.0, clients or [0, 0], sample.at)
            return True
        return False

    def evidence(self, name: str, alpha: float, clients: list[int]) -> Evidence:
        """As it stood when the threshold was reached, else as it stands."""
        found = self.reached or self._evidence("", 0.0, clients, None)
        return Evidence(
            name,
            found.holds,
            alpha,
            found.e,
            found.threshold,
            found.candidate,
            found.live,
            found.services,
            found.first,
            found.at,
        )

    def _evidence(self, name: str, alpha: float, clients: list[int], at: float | None) -> Evidence:
        return Evidence(
            name,
            at is not None,
            alpha,
            self._comparison.e,
            self._comparison.threshold,
            Count(self.hits[True], clients[True]),
            Count(self.hits[False], clients[False]),
            tuple(service for service, _ in self._services.most_common() if service),
            self._first,
            at,
        )
