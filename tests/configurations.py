"""Rendered configurations by what can be chosen, for those that check each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import get_args

from bluegreen.model.names import Slot
from bluegreen.model.project import Affinity, ProxySettings
from bluegreen.model.release import Routes, Stack
from bluegreen.proxy.render import render
from tests.proxykit import both, release, stack

TABLES: Mapping[str, tuple[Mapping[str, tuple[str, ...]], Mapping[str, tuple[str, ...]]]] = {
    "one service": ({"web": ("/",)}, {"web": ("/",)}),
    "two services": ({"api": ("/api/", "/v2"), "web": ("/",)}, {"api": ("/api/", "/v2"), "web": ("/",)}),
    "other routes": ({"api": ("/api/",), "web": ("/",)}, {"files": ("/api/", "/files/"), "web": ("/",)}),
    "hosts": (
        {"api": ("shop.example/api", "*.shop.example/"), "web": ("/",)},
        {"api": ("shop.example/api", "a.shop.example/"), "web": ("/",)},
    ),
    "nothing at the root": ({"api": ("/api/",)}, {"api": ("/api/v1/",)}),
}
TRUSTED = ((), ("10.0.0.0/8", "192.0.2.1", "2001:db8::/32"))


def configurations() -> dict[str, dict[str, str]]:
    """The files of each, by what it is."""
    out = {"before the first deploy": render(Routes(0), ProxySettings(), 2)}
    for (name, tables), trusted, gzip, replicas in product(TABLES.items(), TRUSTED, (True, False), (1, 3)):
        settings = ProxySettings(trusted_proxies=trusted, gzip=gzip, asset_fallback=gzip, workers=replicas)
        title = f"{name}, {len(trusted)} trusted, gzip {gzip}, {replicas} replicas"
        out[title] = render(_routes(tables, replicas), settings, 2)
    for affinity, trusted, skew in product(get_args(Affinity), TRUSTED, (0.0, 600.0)):
        settings = ProxySettings(
            trusted_proxies=trusted, skew=skew, affinity=affinity, cookie_domain="shop.example" if skew else ""
        )
        title = f"a candidate, {affinity}, {len(trusted)} trusted, skew {skew:g}"
        out[title] = render(replace(_routes(TABLES["other routes"], 1), trial=True), settings, 2)
    out["skew"] = render(both(Slot.GREEN), ProxySettings(skew=1.0, asset_fallback=False), 2)
    out["a candidate without assets"] = render(
        replace(both(Slot.BLUE), trial=True), ProxySettings(asset_fallback=False), 2
    )
    nothing = {
        slot: replace(stack(n), upstreams={}, release=replace(release(n), services={})) for n, slot in enumerate(Slot)
    }
    out["a candidate without routes"] = render(replace(both(Slot.BLUE), stacks=nothing, trial=True), ProxySettings(), 2)
    fifty = {f"service-{n}.x_{n}": (f"/s{n}/", f"h{n}.example/") for n in range(50)}
    out["fifty services"] = render(_routes((fifty, fifty), 2), ProxySettings(), 2)
    one = {**both(Slot.BLUE).stacks}
    del one[Slot.GREEN]
    out["one slot"] = render(replace(both(Slot.BLUE), stacks=one), ProxySettings(listen="0"), 2)
    out["nothing live"] = render(both(), ProxySettings(body_limit=0, read_timeout=0.5), 2)
    return out


def _routes(tables: tuple[Mapping[str, tuple[str, ...]], Mapping[str, tuple[str, ...]]], replicas: int) -> Routes:
    blue, green = (_stack(number, table, replicas) for number, table in enumerate(tables, 1))
    return both(Slot.GREEN, blue=blue, green=green)


def _stack(number: int, table: Mapping[str, tuple[str, ...]], replicas: int) -> Stack:
    made = stack(number, **table)
    addresses = tuple(f"10.213.{number}.{16 + n}:8000" for n in range(replicas))
    return replace(made, upstreams=dict.fromkeys(made.upstreams, addresses))
