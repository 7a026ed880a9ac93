"""One service's block, read by itself. What only the whole file can settle is left to `rules` and `settle`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from bluegreen.compose import keys, values
from bluegreen.compose.build import read_build
from bluegreen.compose.container import read_container, stop_grace
from bluegreen.compose.environment import read_environment
from bluegreen.compose.extension import Extension, read_extension
from bluegreen.compose.files import Source, read_grants
from bluegreen.compose.mounts import Mount, read_mounts, read_tmpfs
from bluegreen.compose.ports import Port, read_expose, read_ports
from bluegreen.compose.tree import Listing, Node, Table
from bluegreen.compose.variables import Variables
from bluegreen.model.names import Kind
from bluegreen.model.project import Build, Dependency, File

Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]
_CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")
_RESTART = re.compile(r"no|always|unless-stopped|on-failure(?::\d{1,4})?")
_ALIAS = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    r"(?:(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?"
    rf"{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
MAX_REPLICAS = 100


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every service of a file may refer to."""

    directory: Path
    variables: Variables
    secrets: Mapping[str, Source]
    configs: Mapping[str, Source]


@dataclass(slots=True)
class Draft:
    """A service as its own block has it. ``body`` still lacks what depends on its kind: ports and mounts."""

    name: str
    node: Table
    place: Node  # of the service's name
    extension: Extension | None
    image: str | None
    build: Build | None
    body: dict[str, Any]
    environment: dict[str, str]
    stop_grace: float
    restart: str | None
    replicas: int
    replicas_node: Node | None
    ports: list[Port]
    exposed: list[str]
    mounts: list[Mount]
    tmpfs: list[tuple[str, str, Node]]
    files: list[tuple[str, File, Node]]
    dependencies: list[tuple[Dependency, Node]]
    networks: list[tuple[str, tuple[str, ...], Node]] = field(default_factory=list)

    @property
    def kind(self) -> Kind | None:
        return self.extension.kind if self.extension else None


def read_service(name: str, node: Node, place: Node, around: Surroundings) -> Draft:
    fields = values.fields(node, (*keys.SERVICE, "x-bluegreen"), known=keys.SERVICE_KNOWN, hints=keys.SERVICE_HINTS)
    entry = fields.get
    body = read_container(fields)
    user = body.get("User")
    build = read_build(n, around.directory, around.variables) if (n := entry("build")) else None
    if entry("image") is None and entry("build") is None:
        place.error("image-missing", "needs 'image' or 'build'")
    replicas_node = values.table(n).get("replicas") if isinstance(n := entry("deploy"), Table) else None
    replicas = values.integer(replicas_node, 0, MAX_REPLICAS) if replicas_node is not None else 1
    home = around.variables.lookup("HOME")
    return Draft(
        name=name,
        node=fields,
        place=place,
        extension=read_extension(fields.entries["x-bluegreen"]) if "x-bluegreen" in fields.entries else None,
        image=_image(n, around.variables) if (n := entry("image")) else None,
        build=build,
        body=body,
        environment=read_environment(entry("env_file"), entry("environment"), around.directory, around.variables),
        stop_grace=stop_grace(fields, body),
        restart=values.matching(n, _RESTART, "restart policy; write no, always, on-failure or unless-stopped")
        if (n := entry("restart"))
        else None,
        replicas=1 if replicas is None else replicas,
        replicas_node=replicas_node,
        ports=read_ports(n) if (n := entry("ports")) else [],
        exposed=read_expose(n) if (n := entry("expose")) else [],
        mounts=read_mounts(n, around.directory, home) if (n := entry("volumes")) else [],
        tmpfs=read_tmpfs(n) if (n := entry("tmpfs")) else [],
        files=[
            *(read_grants(n, "secret", around.secrets, user) if (n := entry("secrets")) else ()),
            *(read_grants(n, "config", around.configs, user) if (n := entry("configs")) else ()),
        ],
        dependencies=read_dependencies(n) if (n := entry("depends_on")) else [],
        networks=_networks(n) if (n := entry("networks")) else [],
    )


def _image(node: Node, variables: Variables) -> str | None:
    written = values.text(node)
    if written is None:
        return None
    # Read without a tag, `name:${TAG}` has nothing behind its colon.
    checked = written.removesuffix(":") if variables.excused and not variables.lookup("TAG") else written
    if len(written) > 400 or not _IMAGE.fullmatch(checked):
        node.error("image-form", f"{values.shown(written)} is no name of an image")
    return written


def read_dependencies(node: Node) -> list[tuple[Dependency, Node]]:
    found: list[tuple[Dependency, Node]] = []
    if isinstance(node, Listing):
        return [(Dependency(name), item) for item in node.items if (name := values.text(item))]
    mapping = values.table(node)
    for name, details in mapping:
        fields = values.fields(details, keys.DEPENDENCY)
        condition = values.choice(n, _CONDITIONS) if (n := fields.get("condition")) else "service_started"
        required = not ((n := fields.get("required")) is not None and values.boolean(n) is False)
        if (n := fields.get("restart")) is not None and values.boolean(n):
            n.notice("has no effect: a deploy makes every service of a slot anew")
        if condition is not None:
            found.append((Dependency(name, cast("Condition", condition), required), mapping.at(name)))
    return found


def _networks(node: Node) -> list[tuple[str, tuple[str, ...], Node]]:
    if isinstance(node, Listing):
        return [(name, (), item) for item in node.items if (name := values.text(item))]
    mapping = values.table(node)
    found: list[tuple[str, tuple[str, ...], Node]] = []
    for name, details in mapping:
        fields = values.fields(details, keys.MEMBERSHIP, known=keys.MEMBERSHIP_KNOWN, hints=keys.MEMBERSHIP_HINTS)
        aliases: list[str] = []
        for item in values.items(n) if (n := fields.get("aliases")) else ():
            if alias := values.matching(item, _ALIAS, "host name"):
                aliases.append(alias)
        found.append((name, tuple(dict.fromkeys(aliases)), mapping.at(name)))
    return found
