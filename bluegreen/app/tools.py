"""What several commands hand to the executor. Heavy imports happen when they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bluegreen.app.meanwhile import Meanwhile
from bluegreen.app.site import Site
from bluegreen.execution.executor import Executor
from bluegreen.execution.proxyside import Render
from bluegreen.model.containers import Container
from bluegreen.model.errors import EngineConflict, ProxyFailed
from bluegreen.model.names import proxy_container
from bluegreen.model.observed import Observed
from bluegreen.model.project import ProxySettings
from bluegreen.model.release import Release, Routes
from bluegreen.planning.steps import Plan
from bluegreen.proxy.session import ProxySession

if TYPE_CHECKING:
    from bluegreen.probes.public import Look

PUBLIC_PORT = 8080
PREVIEW_PORT = 8081
MAX_WORKERS = 8

ATTEMPTS = 3
"""What is planned on may change between the look and the effect; then look again."""


def rendering(site: Site, *, soon: bool = False) -> Render:
    """A renderer that imports Jinja when it is first used: a warm rollback never does.

    ``soon`` begins with that at once: a deploy waits for the engine anyway.
    """

    def prepare() -> int:
        from bluegreen.proxy.render import prepare as prepare_templates

        prepare_templates()
        return site.engine.info().processors

    prepared = [Meanwhile(prepare)] if soon else []

    def render(routes: Routes, settings: ProxySettings) -> Mapping[str, str]:
        from bluegreen.proxy.render import render as render_files

        if not prepared:
            prepared.append(Meanwhile(prepare))
        return render_files(routes, settings, settings.workers or min(MAX_WORKERS, prepared[0].result()))

    return render


def run_planned(
    site: Site,
    session: ProxySession,
    executor: Executor,
    observed: Observed,
    plan: Callable[[Observed], Plan],
) -> None:
    """Plan and execute. Where the engine has changed since the look, by the last effect of an operation that was
    overtaken or interrupted in the middle of it, look and plan again."""
    for _ in range(ATTEMPTS - 1):
        try:
            return executor.run(plan(observed))
        except EngineConflict as error:
            site.notice(f"the engine changed meanwhile ({error.problem}); looking again")
            observed = site.observe(session)
    return executor.run(plan(observed))


def tidy(site: Site, session: ProxySession, executor: Executor) -> None:
    """Once traffic has moved: remove what the operation that was interrupted or taken over from had half removed or
    not used yet."""
    from bluegreen.planning.retire import plan_tidy

    executor.run(plan_tidy(site.observe(session)))


def smoke_preview(site: Site, session: ProxySession, release: Release) -> Callable[[], tuple[str, str]]:
    """The preview listener's address and token, asked for when a smoke command needs them."""

    def preview() -> tuple[str, str]:
        return preview_url(site), str(session.run([{"op": "preview"}])[0]["token"])

    del release
    return preview


def look_in_public(site: Site, session: ProxySession, url: str, observed: Observed) -> Look:
    """What a person on this machine gets now. Said, and never a reason to undo anything."""
    import dataclasses

    token = None
    if site.engine.public == "localhost":
        try:
            token = str(session.send([{"op": "preview"}])[0].get("token") or "") or None
        except ProxyFailed:  # traffic has moved and was verified; who answers is only more to say
            token = None
    found = site.look(url, token)
    routes = observed.proxy.routes
    stack = next((s for slot, s in routes.stacks.items() if slot == found.slot), None) if routes else None
    return dataclasses.replace(found, release=stack.release.number if stack else None)


def preview_url(site: Site) -> str:
    container = next((c for c in site.engine.containers(site.name) if c.name == proxy_container(site.name)), None)
    published = published_port(container, PREVIEW_PORT)
    if published is None:
        raise ProxyFailed("proxy.no-preview", "the preview listener is not published", next=("bg proxy upgrade",))
    return f"http://127.0.0.1:{published[1]}/"


def public_url(container: Container | None, host: str) -> str | None:
    """Where people reach the project; ``host`` is the engine's public name where it listens on all addresses."""
    published = published_port(container, PUBLIC_PORT)
    if published is None:
        return None
    address, port = published
    name = host if address in ("", "0.0.0.0", "::") else address  # noqa: S104 - read, not bound
    return f"http://{name}/" if port == 80 else f"http://{name}:{port}/"


def published_port(container: Container | None, port: int) -> tuple[str, int] | None:
    return next(((a, h) for a, h, c in container.ports if c == port), None) if container else None


def seconds(site: Site, start: float) -> float:
    return round(site.clock() - start, 3)
