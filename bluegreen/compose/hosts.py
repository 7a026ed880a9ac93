"""``extra_hosts``: ``name=address``, ``name:address``, or a mapping."""

from __future__ import annotations

import ipaddress
import re

from bluegreen.compose import values
from bluegreen.compose.tree import Listing, Node

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})")


def read_hosts(node: Node) -> tuple[str, ...]:
    """``name:address`` each, as the Engine API takes them."""
    entries: list[tuple[str, str, Node]] = []
    if isinstance(node, Listing):
        for item in node.items:
            written = values.text(item)
            if written is not None:
                name, _, rest = written.partition("=" if "=" in written else ":")
                entries.append((name, rest, item))
    else:
        for name, value in values.table(node):
            for item in values.items_or_one(value):
                address_text = values.text(item)
                if address_text is not None:
                    entries.append((name, address_text, item))
    return tuple(
        f"{name}:{address}"
        for name, written, item in entries
        if (address := _address(item, name.strip(), written.strip()))
    )


def _address(node: Node, name: str, written: str) -> str | None:
    address = written.removeprefix("[").removesuffix("]")
    if not _NAME.fullmatch(name):
        node.error("host-form", f"{values.shown(name)} is no host name")
        return None
    if address == "host-gateway":
        return address
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        node.error("host-form", f"{values.shown(written)} is no IP address, nor host-gateway")
        return None
