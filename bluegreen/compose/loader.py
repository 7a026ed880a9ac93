"""A Compose file, read whole: a project, or every problem in it at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from bluegreen.compose import keys, rules, settle, values, variables, yamltree
from bluegreen.compose.files import read_sources
from bluegreen.compose.locate import FILES, normalised
from bluegreen.compose.report import AGAIN, Report
from bluegreen.compose.service import Draft, Surroundings, read_service
from bluegreen.compose.settings import read_settings
from bluegreen.compose.toplevel import read_declared
from bluegreen.compose.tree import Table, build
from bluegreen.compose.variables import Variables
from bluegreen.compose.yamltree import RawMapping, RawScalar
from bluegreen.model import names
from bluegreen.model.errors import UsageError
from bluegreen.model.project import Network, Project, Service, Volume

_OVERRIDES = (
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
)


def load(
    file: Path,
    *,
    env: Mapping[str, str],
    tag: str | None,
    project_name: str | None,
    found: bool,
) -> Project:
    """As `bluegreen.compose.load`. ``found`` says that nobody named the file: Compose would then merge others."""
    if tag is not None and not names.is_tag(tag):
        raise UsageError(
            "tag-form",
            f"{values.shown(tag)} is no image tag: at most 128 letters, digits, '_', '.' and "
            f"'-', the first not '.' or '-'",
        )
    directory = file.absolute().parent
    report = Report(file.name if found else str(file))
    raw = _parse(file, report)
    known = variables.read(directory, env, tag, report)
    name = _checked(project_name, "--project", report) if project_name else None
    name = name or _project_name(raw, directory, report, known) or "unnamed"
    known = known.with_project(name)
    top = build(raw, report, known)
    project = _read(values.table(top), name, file, directory, known)
    if found:
        _notice_neighbours(file, report)
    report.raise_if_failed()
    return dataclasses.replace(project, notices=report.notices)


def _parse(file: Path, report: Report) -> RawMapping:
    place = report.where(0, "")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError("file-missing", f"there is no file {file}", next=("bg init",)) from error
    except UnicodeDecodeError as error:
        raise UsageError("file-not-yaml", "is not text in UTF-8", where=place, next=AGAIN) from error
    except (OSError, ValueError) as error:
        raise UsageError("file-unreadable", f"can't be read: {error}", where=place, next=AGAIN) from error
    try:
        raw = yamltree.parse(text)
    except yamltree.NotYamlError as error:
        message = f"is not YAML: {error.message}"
        raise UsageError("file-not-yaml", message, where=report.where(error.line, ""), next=AGAIN) from error
    if raw is None or (isinstance(raw, RawScalar) and raw.plain and not raw.text):
        raise UsageError("file-empty", "is empty", where=place, next=("bg init",))
    if not isinstance(raw, RawMapping):
        message = "is no Compose file: at its top stands no mapping such as services: ..."
        raise UsageError("file-not-compose", message, where=report.where(raw.line, ""), next=AGAIN)
    return raw


def _project_name(raw: RawMapping, directory: Path, report: Report, known: Variables) -> str | None:
    """As Compose decides it; a reason why there is none has been reported."""
    if given := known.lookup("COMPOSE_PROJECT_NAME"):
        return _checked(given, "COMPOSE_PROJECT_NAME", report)
    for key, value in raw.pairs:
        if isinstance(key, RawScalar) and key.text == "name":
            written = values.text(node := build(value, report, known, "name"))
            return written and _checked(written, "name", report, node.line)
    name = normalised(directory.name)
    if not names.PROJECT.fullmatch(name):
        report.error(
            0,
            "",
            "name-missing",
            f"the directory's name {directory.name!r} makes no project name; write name: at the top of the file",
        )
        return None
    return name


def _checked(name: str, source: str, report: Report, line: int = 0) -> str | None:
    if names.PROJECT.fullmatch(name):
        return name
    message = (
        f"{values.shown(name)} is no project name: at most 41 lower-case letters, digits, '-' and '_', "
        f"the first a letter or digit"
    )
    report.error(line, source, "name-form", message)
    return None


def _read(top: Table, name: str, file: Path, directory: Path, known: Variables) -> Project:
    values.fields(top, (*keys.TOP, "x-bluegreen"), known=keys.TOP_KNOWN, hints=keys.TOP_HINTS)
    if top.get("version") is not None:
        top.at("version").notice("is obsolete; Compose ignores it, and so does bluegreen")
    settings = read_settings(top.get("x-bluegreen"))
    declared = read_declared(top, name)
    secrets = read_sources(top.get("secrets"), "secret", directory, known)
    configs = read_sources(top.get("configs"), "config", directory, known)
    around = Surroundings(directory, known, secrets, configs)
    services_node = top.get("services")
    services = values.table(services_node) if services_node is not None else None
    drafts: dict[str, Draft] = {}
    if services is None or not services.entries:
        place = services or (top.at("services") if "services" in top.entries else top)
        place.error("services-missing", "there are no services")
    else:
        for key, node in services:
            drafts[key] = read_service(key, node, services.at(key), around)
        rules.check(drafts, services)
    listen = settle.public_listener(drafts, settings)
    proxy = settings.proxy_settings(listen)
    settle.check_host_ports(drafts, proxy, settings.proxy_node)
    finished = [settle.settle(draft, declared, drafts) for draft in drafts.values()]
    settled = [service for service in finished if service is not None]
    settle.check_used(drafts, declared, [secrets, configs])
    return Project(
        name=name,
        file=file,
        directory=directory,
        services={service.name: service for service in settled},
        networks=_used_networks(settled, declared.networks),
        volumes=_used_volumes(settled, declared.volumes),
        proxy=proxy,
        force=settings.force,
        keep=settings.keep,
        source=settings.source,
        drain=settings.drain,
        smoke=tuple(settings.smoke),
        smoke_commands=tuple(settings.commands),
        prove=settings.prove,
        guard=settings.guard,
        guard_checks=settings.guard_checks,
    )


def _used_networks(services: list[Service], networks: Mapping[str, Network]) -> dict[str, Network]:
    used = {use.network for service in services for use in service.networks}
    return {network.name: network for network in networks.values() if network.name in used}


def _used_volumes(services: list[Service], volumes: Mapping[str, Volume]) -> dict[str, Volume]:
    used = {
        mount.get("Source")
        for service in services
        for mount in service.body.get("HostConfig", {}).get("Mounts", ())
        if mount["Type"] == "volume"
    }
    return {volume.name: volume for volume in volumes.values() if volume.name in used}


def _notice_neighbours(file: Path, report: Report) -> None:
    for name in _OVERRIDES:
        if (file.parent / name).is_file():
            report.notice_elsewhere(name, "is not read; Compose would merge it, bluegreen takes one file")
    for name in FILES:
        if name != file.name and (file.parent / name).is_file():
            report.notice_elsewhere(name, f"is not read: {file.name} comes first")
