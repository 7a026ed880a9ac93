"""Images of a release: built from the tag's source, pulled, or there already."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bluegreen.app.site import Site
from bluegreen.build.source import Source, export, image_name, plan_builds, resolve, run_builds
from bluegreen.compose.digest import config_digest, release_digest
from bluegreen.model.containers import NetworkInfo
from bluegreen.model.events import Event
from bluegreen.model.names import slot_network
from bluegreen.model.observed import Observed
from bluegreen.model.project import Project
from bluegreen.planning.ground import slot_subnets

PULLS = 3

__all__ = ["Source", "digests", "ensure_images", "find_source", "known_images", "missing", "with_planned_networks"]


def find_source(project: Project, override: str | None, tag: str | None) -> Source:
    """What a tag is built from. Raises `Refused` for a ref that does not exist."""
    return resolve(project, override or project.source, tag)


def ensure_images(site: Site, project: Project, source: Source, *, rebuild: bool) -> dict[str, str]:
    """The image id of every service, building and pulling what is missing. Live progress as events."""
    ids: dict[str, str] = {}
    if any(s.build for s in project.services.values()):
        with export(project, source) as exported:
            jobs = plan_builds(project, source, exported)
            ids.update(run_builds(site.engine, jobs, site.emit, rebuild=rebuild, clock=site.clock))
    pulled = [s for s in project.services.values() if s.build is None and s.image]
    refs = sorted({s.image for s in pulled if s.image})
    with ThreadPoolExecutor(PULLS) as pool:
        found = dict(zip(refs, pool.map(lambda ref: _present(site, ref), refs), strict=True))
    ids.update({s.name: found[s.image] for s in pulled if s.image})
    return ids


def known_images(site: Site, project: Project, source: Source) -> dict[str, str]:
    """Image ids for a dry run; the image's name where it is not there yet."""
    out: dict[str, str] = {}
    for service in project.services.values():
        name = _name(project, service.name, source)
        image = site.engine.image(name)
        out[service.name] = image.id if image else name
    return out


def missing(site: Site, project: Project, source: Source) -> list[str]:
    """Services whose image a deploy would build."""
    built = [s.name for s in project.services.values() if s.build is not None]
    return [name for name in built if site.engine.image(_name(project, name, source)) is None]


def digests(project: Project) -> tuple[str, dict[str, str]]:
    """The digest of the release's configuration, and of each service's."""
    return release_digest(project), {s.name: config_digest(s) for s in project.services.values()}


def with_planned_networks(observed: Observed) -> Observed:
    """For a dry run before the first deploy: the slot networks as they would be made."""
    subnets = slot_subnets(observed)
    there = {n.name for n in observed.networks}
    new = tuple(
        NetworkInfo("", slot_network(observed.project, slot), {}, (subnet,))
        for slot, subnet in subnets.items()
        if slot_network(observed.project, slot) not in there
    )
    return replace(observed, networks=observed.networks + new)


def _name(project: Project, service: str, source: Source) -> str:
    definition = project.services[service]
    if definition.build is None:
        return definition.image or service
    return image_name(project, definition, source.tag)


def _present(site: Site, ref: str) -> str:
    found = site.engine.image(ref)
    if found is not None:
        return found.id
    start = site.clock()
    site.emit(Event("step", "pull", ref, "not on this engine yet", data={"phase": "build"}))
    image = site.engine.pull(ref, lambda line: site.emit(Event("progress", "pull", ref, line)))
    site.emit(Event("step-done", "pull", ref, "", (site.clock() - start) * 1000, {"phase": "build"}))
    return image
