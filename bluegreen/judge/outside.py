"""What is outside of the bound: facts that take a release back by themselves, whoever else has them too."""

from __future__ import annotations

from collections.abc import Mapping

from bluegreen.judge.wording import percent
from bluegreen.model.judging import Count, Evidence, Facts, JudgeSettings


def evidence(settings: JudgeSettings, facts: Facts, answered: Mapping[str, Count]) -> tuple[Evidence, ...]:
    """Everything that was looked at, what holds included. ``answered``: errors of requests, by service."""
    found = [
        *_healthy(facts),
        *_error_rate(settings, answered),
        *_restarts(settings, facts),
        *_memory(settings, facts),
    ]
    for check in facts.checks:
        said = f"{check.name}: {check.said or ('ok' if check.ok else 'failed')}"
        found.append(Evidence(check.name, not check.ok, said=said))
    return tuple(found)


def _healthy(facts: Facts) -> list[Evidence]:
    """Always on."""
    if not facts.healthy:
        return []
    gone = tuple(service for service, healthy in facts.healthy.items() if healthy == 0)
    said = f"no healthy container of {' and '.join(gone)}" if gone else "each service has a healthy container"
    return [Evidence("healthy", bool(gone), services=gone, said=said)]


def _error_rate(settings: JudgeSettings, answered: Mapping[str, Count]) -> list[Evidence]:
    if settings.max_error_rate is None:
        return []
    rates = {s: c.hit / c.of for s, c in answered.items() if c.of >= settings.min_requests}
    if not rates:
        most = max((c.of for c in answered.values()), default=0)
        said = f"no service has answered {settings.min_requests} requests yet, the most is {most}"
        return [Evidence("error_rate", False, said=said)]
    worst = max(rates, key=rates.__getitem__)
    count, limit = answered[worst], settings.max_error_rate
    said = f"{worst}: {count.hit} of {count.of} requests failed, {percent(rates[worst])} of at most {percent(limit)}"
    return [Evidence("error_rate", rates[worst] > limit, candidate=count, services=(worst,), said=said)]


def _restarts(settings: JudgeSettings, facts: Facts) -> list[Evidence]:
    if settings.max_restarts is None or not facts.restarts:
        return []
    worst = max(facts.restarts, key=facts.restarts.__getitem__)
    times, limit = facts.restarts[worst], settings.max_restarts
    said = f"{worst} was restarted {times} times, of at most {limit}"
    return [Evidence("restarts", times > limit, services=(worst,), said=said)]


def _memory(settings: JudgeSettings, facts: Facts) -> list[Evidence]:
    if settings.max_memory_growth is None or not facts.memory:
        return []
    worst = max(facts.memory, key=facts.memory.__getitem__)
    growth, limit = facts.memory[worst], settings.max_memory_growth
    said = f"{worst} uses {growth:.1f} times the memory it had, of at most {limit:g}"
    return [Evidence("memory", growth > limit, services=(worst,), said=said)]
