"""``volumes`` and ``tmpfs`` of a service, to the Engine API's Binds, Mounts and Tmpfs.

A bind becomes a ``Binds`` string wherever one can say it: the engine then creates a missing host
directory, which a bind among the ``Mounts`` only does from API 1.42 on, and Compose promises it for both
of its forms. Everything else becomes a mount.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bluegreen.compose import keys, values
from bluegreen.compose.tree import Node, Scalar, Table

_PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_CONSISTENCIES = ("cached", "delegated", "consistent", "default")


@dataclass(frozen=True, slots=True)
class Mount:
    kind: str  # bind, volume, tmpfs
    source: str  # a bind's absolute path; the file's name of a volume, "" for an anonymous one
    target: str
    node: Node
    read_only: bool = False
    options: tuple[str, ...] = ()  # of a bind: z, Z, a propagation
    create: bool = True  # a bind's missing source
    nocopy: bool = False
    tmpfs: dict[str, int] = field(default_factory=dict)  # TmpfsOptions

    def body(self, volume_name: Callable[[str], str]) -> tuple[str | None, dict[str, Any] | None]:
        """The ``Binds`` string, or else the ``Mounts`` entry."""
        if self.kind == "bind" and self.create and ":" not in self.source + self.target:
            options = (*(("ro",) if self.read_only else ()), *self.options)
            return ":".join((self.source, self.target, *((",".join(options),) if options else ()))), None
        mount: dict[str, Any] = {"Type": self.kind, "Target": self.target, "ReadOnly": self.read_only}
        if self.kind == "bind":
            mount["Source"] = self.source
            if self.options:
                mount["BindOptions"] = {"Propagation": self.options[0]}
        elif self.kind == "volume":
            if self.source:
                mount["Source"] = volume_name(self.source)
            if self.nocopy:
                mount["VolumeOptions"] = {"NoCopy": True}
        elif self.tmpfs:
            mount["TmpfsOptions"] = dict(self.tmpfs)
        return None, mount


def read_mounts(node: Node, directory: Path, home: str | None) -> list[Mount]:
    reader = _Reader(directory, home)
    found: list[Mount] = []
    for item in values.items(node):
        mount = reader.long(item) if isinstance(item, Table) else reader.short(item)
        if mount is not None:
            found.append(mount)
    return found


def read_tmpfs(node: Node) -> list[tuple[str, str, Node]]:
    """Target, options and place of each."""
    found = []
    for item in values.items_or_one(node):
        written = values.text(item)
        if written is not None:
            target, _, options = written.partition(":")
            if _is_target(item, target):
                found.append((_clean(target), options, item))
    return found


def resolve(path: str, directory: Path, home: str | None) -> str | None:
    """An absolute, tidied path; None for a ``~`` without a HOME. Symbolic links stay as they are."""
    if path == "~" or path.startswith("~/"):
        return os.path.normpath(home + path[1:]) if home else None
    return os.path.normpath(directory / path)


@dataclass(frozen=True, slots=True)
class _Reader:
    directory: Path
    home: str | None

    def short(self, node: Node) -> Mount | None:
        written = values.text(node) if isinstance(node, Scalar) else None
        if written is None:
            if not isinstance(node, Scalar):
                node.error("value-form", "expected a volume such as data:/var/lib/data, or a mapping")
            return None
        parts = written.split(":")
        if "" in parts or len(parts) > 3:
            node.error("volume-form", f"{values.shown(written)} is not of the form [SOURCE:]TARGET[:MODE]")
            return None
        if len(parts) == 1:
            return Mount("volume", "", _clean(written), node) if _is_target(node, written) else None
        source, target = parts[:2]
        read_only, nocopy, options = False, False, []
        for option in parts[2].split(",") if len(parts) == 3 else []:
            if option in ("ro", "rw"):
                read_only = option == "ro"
            elif option == "nocopy":
                nocopy = True
            elif option in ("z", "Z", *_PROPAGATIONS):
                options.append(option)
            elif option in _CONSISTENCIES:
                node.notice(f"{option!r} has no effect on a Linux engine")
            else:
                node.error("volume-form", f"{values.shown(option)} is no mode of a volume")
        if not _is_target(node, target):
            return None
        if not _is_path(source):
            return Mount("volume", source, _clean(target), node, read_only, nocopy=nocopy)
        path = self._path(node, source)
        return Mount("bind", path, _clean(target), node, read_only, tuple(options)) if path else None

    def long(self, node: Table) -> Mount | None:
        mapping = values.fields(node, keys.MOUNT, known=keys.MOUNT_KNOWN)
        entry = mapping.get
        kind = values.text(n) if (n := entry("type")) else None
        target = values.text(n) if (n := entry("target")) else None
        source = values.text(n) if (n := entry("source")) else ""
        read_only = values.boolean(n) if (n := entry("read_only")) else False
        if (n := entry("consistency")) is not None:
            n.notice("has no effect on a Linux engine")
        if kind is None or target is None:
            for missing in ("type", "target"):
                if entry(missing) is None:
                    node.error("value-missing", f"needs {missing!r}")
            return None
        if source is None or read_only is None or not _is_target(node, target):
            return None
        for other in ("bind", "volume", "tmpfs"):
            if other != kind and mapping.get(other) is not None:
                mapping.at(other).error("volume-form", f"a mount of type {kind} has no {other!r} options")
        target = _clean(target)
        if kind == "bind":
            return self._bind(node, mapping, source, target, read_only)
        if kind == "volume":
            return _volume(node, mapping, source, target, read_only)
        if kind == "tmpfs":
            return _tmpfs(node, mapping, source, target)
        known = kind in ("image", "npipe", "cluster")
        node.error(
            "volume-form",
            f"bluegreen does not carry out mounts of type {kind!r} yet"
            if known
            else f"{values.shown(kind)} is no type of mount; write bind, volume or tmpfs",
        )
        return None

    def _bind(self, node: Node, mapping: Table, source: str, target: str, read_only: bool) -> Mount | None:
        create, options = True, []
        if (details := mapping.get("bind")) is not None:
            entry = values.fields(details, keys.MOUNT_BIND, known=keys.MOUNT_BIND_KNOWN).get
            if (n := entry("create_host_path")) is not None:
                create = values.boolean(n) is not False
            if (n := entry("propagation")) is not None and (choice := values.choice(n, _PROPAGATIONS)):
                options.append(choice)
            if (n := entry("selinux")) is not None and (choice := values.choice(n, ("z", "Z"))):
                if create:
                    options.append(choice)
                else:
                    n.error("volume-form", "can't be had together with create_host_path: false")
        if not source:
            node.error("value-missing", "a bind needs 'source', a path of the host")
            return None
        path = self._path(node, source)
        return Mount("bind", path, target, node, read_only, tuple(options), create) if path else None

    def _path(self, node: Node, source: str) -> str | None:
        path = resolve(source, self.directory, self.home)
        if path is None:
            node.error("volume-form", "~ stands for the home directory, and HOME is not set")
        return path


def _volume(node: Node, mapping: Table, source: str, target: str, read_only: bool) -> Mount | None:
    if _is_path(source):
        node.error("volume-form", f"{values.shown(source)} is a path; write type: bind")
        return None
    nocopy = False
    if (details := mapping.get("volume")) is not None:
        fields = values.fields(details, keys.MOUNT_VOLUME, known=keys.MOUNT_VOLUME_KNOWN)
        if (n := fields.get("nocopy")) is not None:
            nocopy = values.boolean(n) is True
    return Mount("volume", source, target, node, read_only, nocopy=nocopy)


def _tmpfs(node: Node, mapping: Table, source: str, target: str) -> Mount:
    options: dict[str, int] = {}
    if source:
        node.error("volume-form", "a tmpfs has no source")
    if (details := mapping.get("tmpfs")) is not None:
        entry = values.fields(details, keys.MOUNT_TMPFS).get
        if (n := entry("size")) is not None and (size := values.size(n)) is not None:
            options["SizeBytes"] = size
        if (n := entry("mode")) is not None and (mode := values.file_mode(n)) is not None:
            options["Mode"] = mode
    return Mount("tmpfs", "", target, node, tmpfs=options)


def _is_path(source: str) -> bool:
    return source.startswith((".", "/", "~"))


def _is_target(node: Node, target: str) -> bool:
    if target.startswith("/") and _clean(target) != "/":
        return True
    node.error("volume-form", f"{values.shown(target)} is no absolute path in the container")
    return False


def _clean(target: str) -> str:
    """One spelling per place, so that two mounts at one are seen."""
    return "/" + os.path.normpath(target).lstrip("/")
