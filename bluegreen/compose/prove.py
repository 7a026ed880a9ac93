"""``x-bluegreen.prove``: what `bg prove` may ask, beyond the health requests."""

from __future__ import annotations

from bluegreen.compose import values
from bluegreen.compose.tree import Node
from bluegreen.model import names
from bluegreen.model.prove import UPLOAD_SIZE, ProveSettings

PATHS = ("post", "counted", "upload", "download", "chunked", "events", "websocket")
KEYS = ("get", *PATHS, "upload_size", "host")
MOST_UPLOADED = 1 << 30


def read_prove(node: Node) -> ProveSettings:
    fields = values.fields(node, KEYS)
    entry = fields.get
    paths = {key: _path(n) for key in PATHS if (n := entry(key)) is not None}
    get = tuple(path for n in values.items_or_one(g) if (path := _path(n))) if (g := entry("get")) is not None else ()
    host = values.matching(n, names.HOST, "host name") if (n := entry("host")) is not None else None
    if host is not None and host.startswith("*"):
        fields.at("host").error("value-form", "a request goes to one host; write it without *")
    if "counted" in paths and "post" not in paths and "upload" not in paths:
        fields.at("counted").error("prove-form", "counts what post and upload send, and neither is there")
    size = values.size(n) if (n := entry("upload_size")) is not None else None
    if size is not None and not 1 <= size <= MOST_UPLOADED:
        fields.at("upload_size").error("value-range", "must be from 1 byte to 1g")
    return ProveSettings(get=get, host=host, upload_size=size or UPLOAD_SIZE, **paths)


def _path(node: Node) -> str | None:
    return values.matching(node, names.PATH, "path such as /api/count")
