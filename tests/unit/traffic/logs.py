"""Lines as nginx writes them."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from tests.support import ROOT

_SHORT = {0x22: b'\\"', 0x5C: b"\\\\", 0x0A: b"\\n", 0x0D: b"\\r", 0x09: b"\\t", 0x08: b"\\b", 0x0C: b"\\f"}


def escaped(text: bytes) -> bytes:
    """As nginx's ``escape=json`` writes a variable, byte by byte."""
    return b"".join(_SHORT.get(byte) or (b"\\u00%02X" % byte if byte < 0x20 else bytes([byte])) for byte in text)


@cache
def log_format() -> str:
    """The format itself, from the template that is rendered."""
    template = (ROOT / "nginx" / "templates" / "nginx.conf.j2").read_text()
    found = re.search(r"log_format bluegreen escape=json((?:\s+'[^']*')+);", template)
    assert found is not None
    return "".join(re.findall(r"'([^']*)'", found[1])) + "\n"


PLAIN: dict[str, bytes] = {
    "msec": b"1763850000.123",
    "bg_slot": b"green",
    "bg_release": b"7",
    "bg_counted_bucket": b"7",
    "bg_service": b"backend",
    "status": b"200",
    "request_time": b"0.013",
    "upstream_status": b"200",
    "upstream_response_time": b"0.012",
    "request_method": b"GET",
    "bg_route": b"/api/",
    "bg_fallback": b"",
    "bytes_sent": b"512",
    "upstream_addr": b"172.20.0.2:8000",
    "bg_client": b"203.0.113.9",
    "remote_addr": b"203.0.113.9",
    "host": b"shop.example.com",
    "uri": b"/api/v1/products",
}


def line(**values: bytes) -> bytes:
    """A line of the format in the template, with these variables; those that aren't named as on a plain day."""
    known: dict[str, Any] = {**PLAIN, **values}
    assert known.keys() == PLAIN.keys()
    return b"".join(escaped(known[part[1:]]) if part.startswith("$") else part.encode() for part in _parts())


@cache
def _parts() -> list[str]:
    return re.split(r"(\$\w+)", log_format())
