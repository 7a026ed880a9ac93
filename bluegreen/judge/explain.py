"""What a step can and cannot show, before it begins."""

from __future__ import annotations

from math import ceil, log

from bluegreen.judge.comparison import ERROR_RATIOS, Comparison, log_mean
from bluegreen.judge.passing import clean_needed
from bluegreen.judge.wording import percent
from bluegreen.model.judging import JudgeSettings
from bluegreen.model.value import dataclass

RATES = (1.0, 0.2, 0.05, 0.01)
"""Parts of the candidate's clients that see errors, for which a step's power is told."""


@dataclass(frozen=True, slots=True)
class Detection:
    """What is to be expected where ``rate`` of the candidate's clients see errors. ``seconds`` None: no clients."""

    rate: float
    clients: int | None  # new ones, of both sides; None: it is never told apart
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    share: int  # percent
    clients_per_second: float  # new ones, of both sides
    clean_needed: int  # clients of the candidate without an error, for a pass
    seconds_to_pass: float | None  # None: there are no clients
    errors_needed: int  # clients of the candidate with an error, while live has none, for a rollback
    detections: tuple[Detection, ...]
    p_max: float
    base: float  # the part of live's clients that see errors, which the detections assume

    @property
    def lines(self) -> tuple[str, ...]:
        """For people. The first has what is needed for a pass."""
        below = f"{self.clean_needed} clean clients needed for 'below {percent(self.p_max)}'"
        if self.seconds_to_pass is None:
            first = f"{below}; there are no new clients now"
        else:
            first = f"{below}; at {_rate(self.clients_per_second)} and {self.share} % {duration(self.seconds_to_pass)}"
        many = f"client{'' if self.errors_needed == 1 else 's'}"
        found = [first, f"taken back at {self.errors_needed} {many} with errors while live has none"]
        for one in self.detections:
            of = f"errors for {percent(one.rate)} of its clients against {percent(self.base)} of live's"
            if one.clients is None:
                found.append(f"{of}: not told apart")
            elif one.seconds is None:
                found.append(f"{of}: seen after about {one.clients} new clients")
            else:
                found.append(f"{of}: seen after about {one.clients} new clients, {duration(one.seconds)}")
        return tuple(found)


def explain(share: int, clients_per_second: float, settings: JudgeSettings, base: float = 0.001) -> Explanation:
    """Of a step at ``share`` (1 to 99), where so many new clients come (both sides together) and ``base`` of live's
    see errors. Expectations: half of the times it takes longer."""
    if not 0 < share < 100:
        raise ValueError(f"{share} % leaves nothing to compare")
    w = share / 100
    needed = clean_needed(settings.p_max, settings.beta)
    detections = []
    for rate in RATES:
        clients = _to_detect(w, rate, base, settings)
        seconds = clients / clients_per_second if clients is not None and clients_per_second > 0 else None
        detections.append(Detection(rate, clients, seconds))
    return Explanation(
        share,
        clients_per_second,
        needed,
        needed / (clients_per_second * w) if clients_per_second > 0 else None,
        errors_needed(w, settings),
        tuple(detections),
        settings.p_max,
        base,
    )


def errors_needed(w: float, settings: JudgeSettings) -> int:
    """How many of the candidate's clients, with none of live's, take it back."""
    comparison = Comparison(ERROR_RATIOS, settings.alpha, settings.tolerated)
    count = 1
    while not comparison.see(True, w):
        count += 1
    return count


def _to_detect(w: float, rate: float, base: float, settings: JudgeSettings) -> int | None:
    """New clients after which E is at its threshold where both sides see what is to be expected of them."""
    seeing = w * rate + (1 - w) * base  # the part of all clients that see errors
    if not seeing:
        return None
    x = w * rate / seeing  # the candidate's part of them
    allowed = settings.tolerated
    growth = [x * log(r) + log(w * allowed + 1 - w) - log(w * allowed * r + 1 - w) for r in ERROR_RATIOS]
    if max(growth) <= 1e-4:
        return None
    few, many = 0.0, 2 * log(len(ERROR_RATIOS) / settings.alpha) / max(growth)
    for _ in range(50):
        middle = (few + many) / 2
        reached = log_mean([middle * one for one in growth]) >= log(1 / settings.alpha)
        few, many = (few, middle) if reached else (middle, many)
    return ceil(max(many, errors_needed(w, settings) / x) / seeing)


def _rate(per_second: float) -> str:
    if per_second >= 1:
        return f"{per_second:.3g} new clients a second"
    return f"{per_second * 60:.3g} new clients a minute"


def duration(seconds: float) -> str:
    """Roughly, as one says it."""
    for limit, unit, one in ((100, 1, "second"), (5400, 60, "minute"), (172_800, 3600, "hour")):
        if seconds < limit:
            number = round(seconds / unit)
            return f"about {number} {one}{'' if number == 1 else 's'}"
    return f"about {round(seconds / 86_400)} days"
