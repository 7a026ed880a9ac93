"""``x-bluegreen.proxy.canary``: how visitors keep their places while a candidate is tried, and how a tester chooses."""

from __future__ import annotations

from typing import Any, cast

from bluegreen.compose import values
from bluegreen.compose.tree import Node, Scalar, Table
from bluegreen.model import names
from bluegreen.model.project import Affinity, Force

KEYS = ("affinity", "cookie_domain", "skew", "force")
FORCE = ("header", "cookie", "secret")
MOST_SKEW = 3600
"""Seconds; the proxy's own bound."""

_USUAL = Force()

_AFFINITIES = ("cookie", "address", "none")
_TAKEN = (
    *("accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "cookie", "expect"),
    *("forwarded", "host", "keep-alive", "origin", "proxy", "range", "referer", "te", "trailer", "transfer-encoding"),
    *("upgrade", "user-agent", "x-real-ip"),
)
_OURS = ("x-bluegreen-", "x-forwarded-", "sec-")


def read_canary(node: Node) -> tuple[dict[str, Any], Force]:
    """The fields of `ProxySettings` that the file gives, and what testers show."""
    fields = values.fields(node, KEYS)
    entry = fields.get
    given: dict[str, Any] = {}
    if (n := entry("affinity")) is not None and (affinity := values.choice(n, _AFFINITIES)):
        given["affinity"] = cast("Affinity", affinity)
    if (n := entry("cookie_domain")) is not None:
        given["cookie_domain"] = values.matching(n, names.COOKIE_DOMAIN, "domain such as example.com") or ""
        if given.get("affinity", "cookie") != "cookie":
            n.error("canary-form", f"there is no cookie with affinity: {given['affinity']}")
    if (n := entry("skew")) is not None:
        given["skew"] = values.seconds(n, 0, MOST_SKEW) or 0.0
    return given, (_force(n) if (n := entry("force")) is not None else None) or _USUAL


def _force(node: Node) -> Force | None:
    fields = values.fields(node, FORCE)
    header = _header(n) if (n := fields.get("header")) is not None else _USUAL.header
    cookie = _cookie(n) if (n := fields.get("cookie")) is not None else _USUAL.cookie
    secret = fields.get("secret")
    if secret is None:
        if isinstance(node, Table):
            node.error("value-missing", "needs a secret, such as ${FORCE_SECRET}")
        return None
    text = values.text(secret, empty=True)
    if text is None:
        return None
    if text and names.FORCE_SECRET.fullmatch(text) is None:
        # Its text is not shown.
        secret.error("value-form", "is 16 to 128 letters, digits, - and _, such as `openssl rand -hex 16` makes")
        return None
    if text and isinstance(secret, Scalar) and secret.written is None:
        secret.notice("stands in the file: write ${FORCE_SECRET}, and keep its value in the environment")
    return Force(header, cookie, text) if header and cookie else None


def _header(node: Node) -> str | None:
    name = values.matching(node, names.FORCE_HEADER, "header's name of letters, digits and -")
    if name is not None and (name.lower() in _TAKEN or name.lower().startswith(_OURS)):
        node.error("value-form", f"{name} has a meaning already; choose a header of your own, such as X-Release")
        return None
    return name


def _cookie(node: Node) -> str | None:
    name = values.matching(node, names.FORCE_COOKIE, "cookie's name of letters, digits and _")
    if name is not None and name.lower().startswith("bluegreen_"):
        node.error("value-form", f"{name} is bluegreen's own; choose another name, such as release")
        return None
    return name
