"""``ports`` and ``expose``: short and long forms, ranges taken apart."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from bluegreen.compose import keys, values
from bluegreen.compose.tree import Node, Scalar, Table

_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_PROTOCOLS = ("tcp", "udp", "sctp")


@dataclass(frozen=True, slots=True)
class Port:
    """One container port and where the host publishes it."""

    target: int
    protocol: str
    published: str  # "" for a port the engine picks; "8080", or "8000-8010" for one of these
    host_ip: str  # "" for all addresses
    node: Node

    @property
    def key(self) -> str:
        """As the Engine API names it."""
        return f"{self.target}/{self.protocol}"

    @property
    def address(self) -> str:
        """``[ADDRESS:]PORT`` on the host."""
        ip = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip
        return f"{ip}:{self.published}" if ip else self.published


def read_ports(node: Node) -> list[Port]:
    return [port for item in values.items(node) for port in (_long(item) if isinstance(item, Table) else _short(item))]


def read_expose(node: Node) -> list[str]:
    """``["8000/tcp", ...]``, as the Engine API names them."""
    exposed: list[str] = []
    for item in values.items(node):
        written = values.text(item)
        if written is None:
            continue
        ports, _, protocol = written.partition("/")
        numbers = _range(item, ports)
        if numbers and _protocol(item, protocol or "tcp"):
            exposed += [f"{number}/{protocol or 'tcp'}" for number in numbers]
    return exposed


def _short(node: Node) -> list[Port]:
    written = values.text(node) if isinstance(node, Scalar) else None
    if written is None:
        if not isinstance(node, Scalar):
            node.error("value-form", "expected a port such as 8080:80, or a mapping")
        return []
    rest, _, protocol = written.partition("/")
    rest, _, container = rest.rpartition(":")
    host_ip, _, published = rest.rpartition(":")
    host_ip = host_ip.removeprefix("[").removesuffix("]")
    if not _protocol(node, protocol or "tcp") or not _host(node, host_ip):
        return []
    return _pair_up(node, published, container, protocol or "tcp", host_ip)


def _long(node: Table) -> list[Port]:
    entry = values.fields(node, keys.PORT).get
    target = entry("target")
    if target is None:
        node.error("value-missing", "needs 'target', the container's port")
        return []
    container = values.text(target)
    published = values.text(n) if (n := entry("published")) else ""
    protocol = values.choice(n, _PROTOCOLS) if (n := entry("protocol")) else "tcp"
    host_ip = values.text(n) if (n := entry("host_ip")) else ""
    if (n := entry("mode")) is not None:
        # One engine has no routing mesh: both mean the same here, as they do to Compose.
        values.choice(n, ("host", "ingress"))
    if container is None or published is None or protocol is None or host_ip is None or not _host(node, host_ip):
        return []
    if not container.isdigit():
        target.error("value-form", f"{values.shown(container)} is no port")
        return []
    return _pair_up(node, published, container, protocol, host_ip)


def _pair_up(node: Node, published: str, container: str, protocol: str, host_ip: str) -> list[Port]:
    targets = _range(node, container)
    hosts = _range(node, published) if published and published != "0" else []
    if not targets or (published and published != "0" and not hosts):
        return []
    if not hosts:
        return [Port(target, protocol, "", host_ip, node) for target in targets]
    if len(targets) == 1 and len(hosts) > 1:
        return [Port(targets[0], protocol, f"{hosts[0]}-{hosts[-1]}", host_ip, node)]
    if len(targets) != len(hosts):
        node.error("port-form", f"{published} and {container} are ranges of different lengths")
        return []
    return [Port(target, protocol, str(host), host_ip, node) for target, host in zip(targets, hosts, strict=True)]


def _range(node: Node, written: str) -> range:
    match = _RANGE.fullmatch(written)
    if match:
        first = int(match[1])
        last = int(match[2] or first)
        if 1 <= first <= last <= 65535 and last - first < 1000:
            return range(first, last + 1)
    node.error("port-form", f"{values.shown(written)} is no port, or range of at most 1000, within 1 to 65535")
    return range(0)


def _protocol(node: Node, written: str) -> bool:
    if written in _PROTOCOLS:
        return True
    node.error("port-form", f"{values.shown(written)} is none of the protocols {', '.join(_PROTOCOLS)}")
    return False


def _host(node: Node, written: str) -> bool:
    if not written:
        return True
    try:
        ipaddress.ip_address(written)
    except ValueError:
        node.error("port-form", f"{values.shown(written)} is no IP address of the host")
        return False
    return True
