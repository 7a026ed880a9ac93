"""`canary --explain`: what each share can and cannot show, at the traffic that there is now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bluegreen.app.site import Site
from bluegreen.judge import Explanation, explain
from bluegreen.model.errors import Refused
from bluegreen.model.value import dataclass
from bluegreen.traffic.crowd import Crowd
from bluegreen.traffic.lines import parse

SHARES = (5, 10, 25, 50)
LOOK_BACK = 1800.0
"""Seconds of the access log. In the first half of it people are got to know, the other half tells how many are new."""


@dataclass(frozen=True, slots=True)
class Explained:
    """``clients_per_second``: new ones, of late. ``warning``: why these may be told apart badly.

    ``requests`` are of the last ``seconds``: `LOOK_BACK`, or as far as the log reaches back.
    """

    steps: tuple[Explanation, ...]
    clients_per_second: float
    requests: int
    seconds: float
    warning: str | None = None


def explain_steps(site: Site, shares: Sequence[int] = SHARES) -> Explained:
    """Reads the log and changes nothing. Raises `Refused` where nothing is live."""
    with site.session() as session:
        observed = site.observe(session, networks=False)
        live = observed.live_release
        if live is None:
            raise Refused("canary.nothing-live", "nothing is live yet, so there is no traffic", next=("bg deploy TAG",))
        release = observed.candidate or live
        now = datetime.fromisoformat(observed.proxy.clock).timestamp()
        crowd, oldest = Crowd(), now
        for part in session.follow(None, oldest=True, seconds=0):
            hits = parse(part.data).hits
            oldest = min([oldest, *(hit.ended for hit in hits[:1])])
            crowd.see(hit for hit in hits if hit.drawn and hit.ended >= now - LOOK_BACK)
            if not part.behind:
                break
    rate = crowd.new_per_second()
    settings = release.guard.judge
    steps = tuple(explain(share, rate, settings) for share in shares)
    return Explained(steps, rate, crowd.requests, min(LOOK_BACK, now - oldest), crowd.warning())
