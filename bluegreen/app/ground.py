"""What every operation stands on: the engine checked, networks, volumes, the proxy running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from bluegreen.app.site import Site, not_here
from bluegreen.app.tools import PUBLIC_PORT, published_port
from bluegreen.engine.protocol import BuildRequest, Engine
from bluegreen.model import labels
from bluegreen.model.containers import Container, NetworkInfo
from bluegreen.model.errors import BluegreenError, EngineConflict, ProxyFailed, Refused
from bluegreen.model.events import Event
from bluegreen.model.names import proxy_container
from bluegreen.model.observed import Observed, manifest
from bluegreen.model.project import Build, Project, ProxySettings
from bluegreen.planning.ground import plan_ground, proxy_address, slot_subnets
from bluegreen.planning.steps import EnsureNetwork, Plan

if TYPE_CHECKING:
    from bluegreen.model.containers import ContainerSpec
    from bluegreen.proxy.session import ProxySession

ATTEMPTS = 20
"""A subnet that was found free may be refused: another project was quicker, its network is under removal, or a crash
of the engine left it taken by nothing that the engine lists. Then it is the next one's turn."""

PROXY_START_SECONDS = 15.0


def lay_ground(site: Site, project: Project | None) -> None:
    """Make sure that networks, volumes and the proxy are there. Idempotent.

    Raises `Refused` when the project runs under Compose, and the engine's error when the public port is held.
    """
    if project is not None:
        refuse_compose(site.engine, project)
    refused: list[NetworkInfo] = []
    for attempt in range(1, ATTEMPTS + 1):
        networks = (*site.engine.networks(), *refused)
        observed = Observed(site.name, tuple(site.engine.containers(site.name)), networks=networks)
        container = observed.proxy_container
        if container is not None and project is not None:
            _say_other_listen(site, container, project.proxy.listen)
        image = container.image if container else proxy_image(site)
        plan = plan_ground(observed, new_proxy(site, observed, project, image), project)
        if not plan.steps:
            return
        try:
            site.executor(None, None).run(plan)
        except EngineConflict as error:
            if attempt == ATTEMPTS:
                raise
            if error.code == "engine.subnet-held":
                refused.append(NetworkInfo("", "refused", {}, (_refused_subnet(site, plan, error),)))
            continue
        except BluegreenError:
            _drop_unstarted_proxy(site, existed=container is not None)
            raise
        break
    await_proxy(site)


def _refused_subnet(site: Site, plan: Plan, error: EngineConflict) -> str:
    """Of the slots' networks that the plan makes, the first that is not there: a plan ends at what fails."""
    there = {n.name for n in site.engine.networks()}
    for step in plan.steps:
        if isinstance(step, EnsureNetwork) and step.network.name not in there:
            if step.labels[labels.ROLE] == "slot" and step.network.ipam:
                return str(step.network.ipam["Config"][0]["Subnet"])
            break
    raise error  # the file says which subnet it wants


def await_proxy(site: Site) -> None:
    """Until nginx answers from the current generation."""
    with site.session() as session:
        session.run([{"op": "settle", "gate": 1, "seconds": PROXY_START_SECONDS}])


@contextmanager
def session_of_any_proxy(site: Site) -> Iterator[ProxySession]:
    """A session; a proxy that is stopped or gone is brought back first, since nothing serves anyway.

    Raises `Refused` where nothing of the project is on this engine.
    """
    with ExitStack() as opened:
        try:
            session = opened.enter_context(site.session())
        except ProxyFailed as error:
            if error.code != "proxy.not-running":
                raise
            bring_back(site)
            session = opened.enter_context(site.session())
        yield session


def bring_back(site: Site) -> None:
    """Start the proxy that does not run, and say so."""
    if not site.engine.containers(site.name):
        raise not_here(site)
    site.notice("the proxy was not running: starting it first")
    start_proxy(site)


def start_proxy(site: Site) -> None:
    """Have the proxy running again: started where it was stopped, made again where it was deleted.

    It serves what was live: its configuration is in the volume, and where that was lost, what containers say of
    themselves has to do. Works without a Compose file.
    """
    from bluegreen.app.rebuild import rebuild_where_forgotten

    lay_ground(site, None)
    rebuild_where_forgotten(site)


def refuse_compose(engine: Engine, project: Project) -> None:
    """Raises `Refused` where containers that Compose made for this project run."""
    running = [c for c in engine.foreign_containers(project.name) if c.running]
    if running:
        names = ", ".join(c.name for c in running[:5])
        raise Refused(
            "engine.compose-runs",
            f"containers of the project {project.name} run under Docker Compose ({names}); both would own its "
            f"volumes and ports",
            next=(
                f"docker compose -p {project.name} down    volumes and their data stay",
                "then the same command again",
            ),
        )


def proxy_image(site: Site) -> str:
    """The id of the proxy's image, built from its own context where it is not on the engine yet."""
    from bluegreen.proxy.assets import image_context, image_tag

    tag = image_tag()
    found = site.engine.image(tag)
    if found is not None:
        return found.id
    site.emit(Event("step", "build", "proxy", "the proxy's image is not on this engine yet", data={"phase": "prepare"}))
    args = tuple((name, site.env[name]) for name in ("NGINX_IMAGE", "PYTHON_IMAGE") if site.env.get(name))
    start = site.clock()
    with image_context() as context:
        request = BuildRequest(context, Build(context=context, args=args), (tag,))
        image = site.engine.build(request, lambda line: site.emit(Event("progress", "build", "proxy", line)))
    ms = (site.clock() - start) * 1000
    site.emit(Event("step-done", "build", "proxy", "", ms, {"phase": "prepare"}))
    return image


def proxy_settings(observed: Observed, project: Project | None) -> ProxySettings:
    """What the proxy is made with: the file's settings, else those of the newest release that runs."""
    if project is not None:
        return project.proxy
    running = [m for c in observed.containers if c.slot and c.running and (m := manifest(c))]
    known = running or [m for c in observed.containers if (m := manifest(c))]
    return max(known, key=lambda r: r.number).proxy if known else ProxySettings()


def new_proxy(site: Site, observed: Observed, project: Project | None, image: str) -> ContainerSpec:
    """The proxy's container as this version makes it; ``observed`` with its networks."""
    from bluegreen.proxy.container import proxy_spec

    subnets = slot_subnets(observed)
    addresses = {slot: proxy_address(subnet) for slot, subnet in subnets.items()}
    return proxy_spec(site.name, proxy_settings(observed, project), image, addresses)


def _say_other_listen(site: Site, container: Container, listen: str) -> None:
    """A running container's ports can't change; replacing it is the operator's decision."""
    published = published_port(container, PUBLIC_PORT)
    wanted = listen.rpartition(":")[2]
    if published is not None and wanted not in ("0", str(published[1])):
        site.notice(
            f"x-bluegreen.proxy.listen is {listen} now, and the proxy still listens on {published[1]}: "
            f"bg proxy upgrade replaces it"
        )


def _drop_unstarted_proxy(site: Site, *, existed: bool) -> None:
    """A proxy that was just made and can't start (its port is held) must not stay behind half made."""
    if not existed:
        name = proxy_container(site.name)
        try:
            if not site.engine.container(name).container.running:
                site.engine.remove(name)
        except BluegreenError:
            return
