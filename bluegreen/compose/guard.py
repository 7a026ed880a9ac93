"""``x-bluegreen.guard``: what a candidate and a new release are judged by, and what is done then."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from bluegreen.compose import values
from bluegreen.compose.tree import Node, Scalar
from bluegreen.model.guard import ALWAYS, GuardCheck, GuardSettings
from bluegreen.model.judging import JudgeSettings, problems

DAY = 86_400
_PARTS = ("tolerated", "alpha", "latency_alpha", "split_alpha", "p_max", "beta", "bake_alpha", "max_error_rate")
_WHOLE = {
    "bake_horizon": (1000, 1_000_000_000),
    "min_requests": (1, 1_000_000_000),
    "max_restarts": (0, 1_000_000),
}
_JUDGE = (*_PARTS, *_WHOLE, "latency", "inconclusive", "max_memory_growth")
KEYS = ("after_switch", "checks", *_JUDGE)
CHECK = ("name", "command", "prometheus", "query", "least", "most", "every")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,60}")
_COMMAND = re.compile(r"[^\x00]{1,4000}", re.DOTALL)
_URL = re.compile(r"https?://[\x21-\x7e]{1,500}")
_QUERY = re.compile(r"[^\x00]{1,4000}", re.DOTALL)
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?) ?%")


def read_guard(node: Node) -> tuple[GuardSettings, tuple[GuardCheck, ...]]:
    """What the release carries, and the checks that stay in the file."""
    fields = values.fields(node, KEYS)
    read: dict[str, Callable[[Node], Any]] = {
        **dict.fromkeys(_PARTS, _part),
        **{key: _integer(*limits) for key, limits in _WHOLE.items()},
        "latency": values.boolean,
        "inconclusive": lambda n: values.choice(n, ("hold", "promote", "rollback")),
        "max_memory_growth": values.decimal,
    }
    given = {key: value for key in read if (n := fields.get(key)) is not None and (value := read[key](n)) is not None}
    judge = JudgeSettings(**given)
    for problem in problems(judge):
        key, _, why = problem.partition(": ")
        fields.at(key).error("guard-range", why)
    after = _after(n) if (n := fields.get("after_switch")) is not None else None
    settings = GuardSettings(judge=judge) if after is None else GuardSettings(after, judge)
    checks = tuple(c for item in values.items(n) if (c := _check(item))) if (n := fields.get("checks")) else ()
    return settings, checks


def _after(node: Node) -> float | None:
    return ALWAYS if isinstance(node, Scalar) and node.text == "always" else values.seconds(node, 0, 30 * DAY)


def _integer(low: int, high: int) -> Callable[[Node], int | None]:
    return lambda node: values.integer(node, low, high)


def _part(node: Node) -> float | None:
    """``0.02`` or ``2 %``."""
    text = values.text(node)
    if text is None:
        return None
    found = _PERCENT.fullmatch(text)
    return float(found[1]) / 100 if found else values.decimal(node)


def _check(node: Node) -> GuardCheck | None:
    fields = values.fields(node, CHECK)
    entry = fields.get
    name = values.matching(n, _NAME, "name") if (n := entry("name")) is not None else None
    command = values.matching(n, _COMMAND, "command") if (n := entry("command")) is not None else None
    url = values.matching(n, _URL, "URL of a Prometheus server") if (n := entry("prometheus")) is not None else None
    query = values.matching(n, _QUERY, "query") if (n := entry("query")) is not None else None
    least, most = (values.decimal(n) if (n := entry(key)) is not None else None for key in ("least", "most"))
    every = values.seconds(n, 1, 3600) if (n := entry("every")) is not None else None
    if name is None:
        if "name" not in fields.entries:
            fields.error("value-missing", "a check needs a name")
        return None
    if (command is None) == (url is None):
        fields.error("guard-form", "is either a command or a prometheus server with a query")
        return None
    if url is not None and (query is None or (least is None and most is None)):
        fields.error("guard-form", "needs a query, and least or most to hold its value against")
        return None
    return GuardCheck(name, command or "", url or "", query or "", least, most, every or 10.0)
