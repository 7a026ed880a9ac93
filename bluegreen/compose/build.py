"""``build``: short and long form."""

from __future__ import annotations

import re
from pathlib import Path

from bluegreen.compose import hosts, keys, values
from bluegreen.compose.mounts import resolve
from bluegreen.compose.tree import Node, Scalar
from bluegreen.compose.variables import Variables
from bluegreen.model.project import Build

_REMOTE = re.compile(r"[a-z+]+://|git@|github\.com/|[^/]+\.git(#|$)")


def read_build(node: Node, directory: Path, variables: Variables) -> Build | None:
    """None where the context can't be told, which has been reported."""
    if isinstance(node, Scalar):
        context = _context(node, directory, variables)
        return Build(context) if context else None
    fields = values.fields(node, keys.BUILD, known=keys.BUILD_KNOWN, hints=keys.BUILD_HINTS)
    entry = fields.get
    context = _context(n, directory, variables) if (n := entry("context")) else directory
    inline = values.text(n) if (n := entry("dockerfile_inline")) else None
    if inline is not None and entry("dockerfile") is not None:
        fields.at("dockerfile_inline").error("build-form", "can't be had together with dockerfile")
    built = Build(
        context=context or directory,
        dockerfile=(values.text(n) if (n := entry("dockerfile")) else None) or "Dockerfile",
        dockerfile_inline=inline,
        args=_pairs(entry("args"), variables),
        target=values.text(n) if (n := entry("target")) else None,
        labels=_pairs(entry("labels"), None),
        network=values.text(n) if (n := entry("network")) else None,
        extra_hosts=hosts.read_hosts(n) if (n := entry("extra_hosts")) else (),
        shm_size=values.size(n) if (n := entry("shm_size")) else None,
        pull=bool(values.boolean(n)) if (n := entry("pull")) else False,
        no_cache=bool(values.boolean(n)) if (n := entry("no_cache")) else False,
    )
    return built if context else None


def _context(node: Node, directory: Path, variables: Variables) -> Path | None:
    written = values.text(node)
    if written is None:
        return None
    if _REMOTE.match(written):
        node.error("build-form", "bluegreen does not build from a remote context; check it out and give its path")
        return None
    path = resolve(written, directory, variables.lookup("HOME"))
    if path is None:
        node.error("build-form", "~ stands for the home directory, and HOME is not set")
    return Path(path) if path else None


def _pairs(node: Node | None, variables: Variables | None) -> tuple[tuple[str, str], ...]:
    """Sorted. An argument without a value takes the environment's, or is not passed; a label has none."""
    found: dict[str, str] = {}
    for key, value, _ in values.pairs(node) if node is not None else ():
        resolved = value if value is not None or variables is None else variables.lookup(key)
        if resolved is not None or variables is None:
            found[key] = resolved or ""
    return tuple(sorted(found.items()))
