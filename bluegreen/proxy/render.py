"""A generation's files, rendered from ``nginx/templates``.

Every value is checked against its grammar here, right before it reaches a template, wherever it came from: a tag,
a path or a host from a file can never become a directive. A value that does not fit raises `ProxyFailed`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from functools import cache
from ipaddress import AddressValueError, IPv4Address, ip_network
from typing import TYPE_CHECKING, Any

from bluegreen.model.errors import ProxyFailed
from bluegreen.model.names import COOKIE_DOMAIN, SERVICE, Slot
from bluegreen.model.project import ProxySettings
from bluegreen.model.release import Routes
from bluegreen.proxy.assets import templates
from bluegreen.proxy.listen import listen_port
from bluegreen.proxy.locations import servers, upstream_name

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_WORKERS = 8
ASSET = (
    r"(?:/immutable/.+|[._-](?:[0-9a-f]{8,64}|(?=[^./]*[0-9A-Z])[0-9A-Za-z_-]{8}|(?=[^./]*[0-9])[0-9A-Za-z]{9,64}))"
    r"(?:[.][a-z]{2,10})?[.](?:m?js|css|map|wasm|woff2?|ttf|otf|eot|svg|png|jpe?g|gif|webp|avif|ico)$"
)
"""A path that ends like a build tool's asset with its content's hash in the name.

Hexadecimal of 8 digits or more (webpack, Angular, Django, Rails, Phoenix); exactly 8 characters of base 32 or 64 (Vite,
Rollup, esbuild), or more without ``-`` and ``_``, with a digit or a capital, so that a plain word is none; or anything
below ``/immutable/`` (SvelteKit).
"""
VISITORS: Mapping[str, str] = {
    "cookie": "$bg_visitor",
    "address": "$remote_addr$http_user_agent",
    "none": "$request_id",
}
"""What a visitor's place is drawn from, by affinity."""

MOST_SKEW = 3600
"""Seconds. The agent makes a file for every ten of them, with each switch forward."""

TEMPLATES = ("nginx.conf", "slot.conf", "upstreams.conf")


def render(routes: Routes, settings: ProxySettings, processors: int = 2) -> dict[str, str]:
    """The files of a generation, by name: what the agent's ``activate`` uploads.

    The digest in ``digest`` and in the configuration itself is ``TOPOLOGY-DEFAULT.NEWEST``: generations that differ
    only in what is live share the first part. DEFAULT is the live slot and its release's number, NEWEST the newest
    number.
    """
    hosts = servers(routes)
    skew = _seconds("skew", settings.skew, 0, MOST_SKEW) > 0
    releases = _releases(routes)
    values: dict[str, Any] = {
        "workers": _whole("workers", settings.workers or min(processors, MOST_WORKERS), 1, 1024),
        "body_limit": _whole("body_limit", settings.body_limit, 0, 1 << 50),
        "connect_timeout": _milliseconds("connect_timeout", settings.connect_timeout),
        "read_timeout": _milliseconds("read_timeout", settings.read_timeout),
        "send_timeout": _milliseconds("send_timeout", settings.send_timeout),
        "gzip": bool(settings.gzip),
        "asset_fallback": bool(settings.asset_fallback),
        "asset": ASSET,
        "port": listen_port(settings.listen)[1] or '""',  # 0: the engine chooses, and nobody knows yet
        "trusted": [_network(network) for network in settings.trusted_proxies],
        "affinity": settings.affinity,
        "cookie": _cookie(settings.cookie_domain),
        "skew": skew,
        "releases": releases if skew else (),
        "of_an_asset": "$bg_asked" if settings.asset_fallback and any(s.targets for s in hosts.servers) else "",
        "servers": hosts.servers,
        "differing": hosts.differing,
        "upstreams": [
            {"name": upstream_name(service, slot), "addresses": [_address(a) for a in addresses]}
            for slot, stack in sorted(routes.stacks.items())
            for service, addresses in sorted(stack.upstreams.items())
        ],
    }
    _check_upstreams(routes)
    default = {"default": routes.live or "", "other": routes.live.other if routes.live else ""}
    salt = _whole("release number", routes.salt, 0, 1 << 40)
    trial = routes.trial and routes.live is not None and len(routes.stacks) == len(Slot)
    # What is live stays what it is until the next reload; beside it that holds where a reload precedes each change.
    certain = [(slot, number) for slot, number in releases if slot is routes.live or (routes.live and (trial or skew))]
    nothing = {"default": "", "other": "", "salt": "", "digest": "", "certain": ()}
    topology = _digest(_texts({**values, **_cohorts(settings, trial=True), **nothing}))
    live = f"{routes.live or 'none'}{dict(releases).get(routes.live, '') if routes.live else ''}"
    digest = f"{topology}-{live}.{salt}{'-trial' if trial else ''}"
    known = {"salt": salt, "digest": digest, "certain": certain}
    files = _texts({**values, **_cohorts(settings, trial=trial), **default, **known})
    log_limit = _whole("log_limit", settings.log_limit, 1 << 16, 1 << 50)
    return {**files, "digest": f"{digest}\n", "log_limit": f"{log_limit}\n"}


def _cohorts(settings: ProxySettings, *, trial: bool) -> dict[str, Any]:
    """How visitors get their places. Without a candidate there is nothing of it, and a request costs nothing more."""
    drawn_from = VISITORS.get(settings.affinity)
    if drawn_from is None:
        raise _bad("affinity", settings.affinity, f"it is {', '.join(VISITORS)}")
    return {
        "trial": trial,
        "drawn_from": drawn_from if trial else VISITORS["address"],
    }


def prepare() -> None:
    """Load the templates already. The first `render` does it too, and takes a tenth of a second longer for it."""
    for name in TEMPLATES:
        _environment().get_template(f"{name}.j2")


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: _environment().get_template(f"{name}.j2").render(values) for name in TEMPLATES}


def _digest(texts: Mapping[str, str]) -> str:
    return hashlib.sha256("\0".join(texts[name] for name in sorted(texts)).encode()).hexdigest()[:16]


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Not HTML: escaping would only hide what the grammars refuse.
    return Environment(
        loader=FileSystemLoader(templates()),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - as said above
        keep_trailing_newline=True,
    )


def _check_upstreams(routes: Routes) -> None:
    seen: dict[str, str] = {}
    for slot, stack in routes.stacks.items():
        if not isinstance(slot, Slot):
            raise _bad("slot", slot, "it is blue or green")
        for service, addresses in stack.upstreams.items():
            if SERVICE.fullmatch(service) is None:
                raise _bad("service", service, "it is no service's name")
            if not addresses:
                raise _bad("upstream", service, f"{service} has no address in {slot}")
            other = seen.setdefault(upstream_name(service, slot).lower(), service)
            if other != service:
                raise _bad("service", service, f"nginx can't tell it from {other!r}; rename one of them")


def _address(text: str) -> str:
    ip, _, port = text.rpartition(":")
    try:
        IPv4Address(ip)
    except AddressValueError as error:
        raise _bad("upstream", text, "it is IP:PORT") from error
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536):
        raise _bad("upstream", text, "it is IP:PORT")
    return text


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise _bad("trusted_proxies", text, "it is an address or a network like 10.0.0.0/8") from error


def _whole(name: str, value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _bad(name, value, f"it is a whole number from {least} to {most}")
    return value


def _milliseconds(name: str, value: object) -> str:
    return f"{round(_seconds(name, value, 0.001, 31_536_000) * 1000)}ms"


def _seconds(name: str, value: object, least: float, most: float) -> float:
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not math.isfinite(value)
        or not least <= value <= most
    ):
        raise _bad(name, value, f"it is a number of seconds from {least:g} to {most}")
    return value


def _cookie(domain: object) -> str:
    """What all of a visitor's cookies have in common."""
    if not isinstance(domain, str) or (domain and COOKIE_DOMAIN.fullmatch(domain) is None):
        raise _bad("cookie_domain", domain, "it is a host's name such as example.com")
    return f"Path=/; {f'Domain={domain}; ' if domain else ''}HttpOnly; SameSite=Lax"


def _releases(routes: Routes) -> list[tuple[Slot, int]]:
    return [
        (slot, _whole("release number", stack.release.number, 0, 1 << 40))
        for slot, stack in sorted(routes.stacks.items())
    ]


def _bad(what: str, value: object, why: str) -> ProxyFailed:
    return ProxyFailed("proxy.value", f"{what} {value!r} can't go into the proxy's configuration: {why}")
