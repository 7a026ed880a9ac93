"""`proxy upgrade`: another container for the proxy, in as short a gap as stopping one and starting another takes."""

from __future__ import annotations

from dataclasses import dataclass

from bluegreen.app.ground import await_proxy, new_proxy, proxy_image, session_of_any_proxy
from bluegreen.app.site import Site, begin, end, lease, need_ended, need_journal, operation_id, still
from bluegreen.model.errors import BluegreenError
from bluegreen.model.history import Operation
from bluegreen.model.names import proxy_container
from bluegreen.model.observed import Observed
from bluegreen.model.project import Project
from bluegreen.planning.retire import spare_proxies
from bluegreen.planning.steps import Plan
from bluegreen.planning.upgrade import FINISH_SECONDS, plan_prepare, plan_swap, plan_undo
from bluegreen.proxy.session import ProxySession

KIND = "proxy upgrade"


@dataclass(frozen=True, slots=True)
class Upgraded:
    gap_ms: float
    """From asking the old container to stop until nginx in the new one answered: nobody was refused for longer."""

    cut: int
    """Connections to containers that were open when the old one was asked to stop."""

    image: str


def upgrade_proxy(site: Site, project: Project | None = None) -> Upgraded:
    """Replace the proxy's container by one of this version's image, with the settings of ``project`` or of what is
    live. The old one is not removed before the new one answers; where that fails it serves again.

    Raises what the engine raises when the new one can't start.
    """
    with session_of_any_proxy(site) as session:
        observed = site.observe(session)
        need_journal(observed)
        need_ended(observed, but=lambda o: o.kind == KIND)
        unfinished = observed.history.unfinished
        name = unfinished.id if unfinished else operation_id("upgrade")
        image = proxy_image(site)
        with lease(site, session, name) as epoch:
            observed = still(site, session, observed)
            if unfinished is None:
                begin(session, epoch, Operation(id=name, kind=KIND, by=site.by))
            spec = new_proxy(site, observed, project, image)
            site.executor(session, epoch).run(plan_prepare(observed, spec))
            cut = sum(observed.proxy.connections.values())
            cutting = f", and what goes on for longer than {FINISH_SECONDS} s is cut (connections open now: {cut})"
            site.notice(f"replacing the proxy: requests are refused for about a second{cutting if cut else ''}")
            gap, failed = 0.0, None
            try:
                gap = _swap(site)
            except BluegreenError as error:
                failed = error
    with site.session() as session, lease(site, session, name) as epoch:
        _sweep(site, session, epoch, name, "done" if failed is None else "failed")
    if failed is not None:
        raise failed
    return Upgraded(gap, cut, image)


def _swap(site: Site) -> float:
    """Milliseconds of the gap. Whatever happens, one of the two containers serves afterwards."""
    plan = plan_swap(_containers(site))
    start = site.clock()
    try:
        site.executor(None, None).run(plan)
        await_proxy(site)
    except BluegreenError:
        _undo(site)
        raise
    except KeyboardInterrupt:
        _serve(site)
        raise
    return (site.clock() - start) * 1000


def _undo(site: Site) -> None:
    site.executor(None, None).run(plan_undo(_containers(site)))
    await_proxy(site)


def _serve(site: Site) -> None:
    """After Ctrl-C: go on to where the proxy serves, whichever of the two that is."""
    from bluegreen.app.ground import start_proxy

    observed = _containers(site)
    if observed.named(proxy_container(site.name)) is None:
        _undo(site)
    else:
        start_proxy(site)


def _sweep(site: Site, session: ProxySession, epoch: int, operation: str, outcome: str) -> None:
    site.executor(session, epoch).run(Plan(tuple(spare_proxies(_containers(site)))))
    end(session, epoch, operation, outcome)


def _containers(site: Site) -> Observed:
    return Observed(site.name, tuple(site.engine.containers(site.name)))
