"""`history`, `why` and `logs`: what happened, from the journal and from what is still there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from bluegreen.app.site import Site
from bluegreen.model.containers import Container
from bluegreen.model.errors import ProxyFailed, Refused
from bluegreen.model.history import History, Judgement, ReleaseRecord, Shift
from bluegreen.model.observed import Observed, manifest


@dataclass(frozen=True, slots=True)
class Row:
    """One release in the version table. ``state``: live, standby, candidate, kept, gone, failed, unfinished."""

    release: int
    tag: str
    at: str
    by: str
    state: str
    mark: str | None  # good, bad
    revision: str | None
    subject: str | None
    dirty: bool
    note: str | None
    live_since: str | None
    shifts: tuple[Shift, ...] = ()  # the shares of the visitors that it had as a candidate
    judgements: tuple[Judgement, ...] = ()


@dataclass(frozen=True, slots=True)
class Why:
    """The last failure's reason, again; or how a release was judged that did not fail: ``code`` is then release.pass,
    release.inconclusive, or release.unjudged where only its shares are known."""

    release: int
    tag: str
    at: str
    code: str
    message: str
    where: str | None
    logs: tuple[str, ...]
    operation: str
    shifts: tuple[Shift, ...] = ()  # the shares of the visitors that it had as a candidate
    judgements: tuple[Judgement, ...] = ()


def history(site: Site) -> tuple[Row, ...]:
    """Every release the journal or a label knows of, newest first."""
    with site.session() as session:
        observed = site.observe(session, networks=False, history=True)
    state = observed.proxy
    if state.journal != "ok":
        detail = f" ({state.journal_detail}): what follows is not shown" if state.journal_detail else ""
        site.notice(f"the journal is {state.journal}{detail}; bg proxy repair begins a new one")
    return rows(observed)


def rows(observed: Observed) -> tuple[Row, ...]:
    past = observed.history
    numbers = {*past.releases, *(c.release for c in observed.containers if c.release)}
    return tuple(_row(observed, past, number) for number in sorted(numbers, reverse=True))


def _row(observed: Observed, past: History, number: int) -> Row:
    record = past.releases.get(number) or ReleaseRecord(number, f"#{number}")
    release = observed.release(number)
    tag = release.tag if release is not None else record.tag
    judged = "; ".join(filter(None, (summed_up(past.judgements_of(number)), record.subject)))
    return Row(
        release=number,
        tag=tag,
        at=record.at or (release.at if release else ""),
        by=record.by or (release.by if release else ""),
        state=_state(observed, past, record),
        mark=_mark(observed, record),
        revision=record.revision or (release.revision if release else None),
        subject=record.subject or (release.subject if release else None),
        dirty=record.dirty,
        note=record.reason or record.failure or record.alarm or judged or None,
        live_since=record.went_live,
        shifts=past.shifts_of(number),
        judgements=past.judgements_of(number),
    )


def summed_up(judgements: Iterable[Judgement]) -> str:
    """``5 %, 10 %: passed, 25 %: inconclusive``; "" where there is none."""
    runs = groupby(judgements, key=lambda judgement: judgement.outcome)
    found = [(outcome, ", ".join(dict.fromkeys(f"{judgement.share} %" for judgement in run))) for outcome, run in runs]
    return ", ".join(f"{shares}: {OUTCOMES.get(outcome, outcome)}" for outcome, shares in found)


OUTCOMES = {"pass": "passed", "fail": "failed"}
"""Of something that is over."""


def _state(observed: Observed, past: History, record: ReleaseRecord) -> str:
    number = record.number
    for name, release in (
        ("live", observed.live_release),
        ("standby", observed.standby),
        ("candidate", observed.candidate),
    ):
        if release is not None and release.number == number:
            return name
    if past.unfinished is not None and past.unfinished.release == number:
        return "unfinished"
    if record.went_live is None and record.failure is not None:
        return "failed"
    if observed.kept(number) or any(c.release == number and c.slot for c in observed.containers):
        return "kept"
    return "gone"


def _mark(observed: Observed, record: ReleaseRecord) -> str | None:
    """Bad when marked; good once it has carried the traffic and left it for a later release, not a rollback."""
    if record.mark is not None:
        return record.mark
    live = observed.live_release
    if record.went_live is not None and (live is None or live.number != record.number):
        return "good"
    return None


def why(site: Site, tag: str | None = None) -> Why:
    """Why the last release (or the one named) failed; where none did, how the last one was judged that was (or the one
    named). Raises `Refused` when there is nothing to tell."""
    with site.session() as session:
        observed = site.observe(session, networks=False, history=True)
        past = observed.history
        named = [r for r in past.releases.values() if tag in (None, r.tag, str(r.number))]
        known = [w for r in named if (w := _last(past, r) or (_judged(past, r) if tag else None)) is not None]
        if tag is None and not known:
            known = [w for r in named if (w := _judged(past, r)) is not None and w.judgements]
        if not known:
            raise Refused(
                "why.nothing",
                f"no failure of {tag} is recorded, nor a verdict" if tag else "no failure is recorded, nor a verdict",
                next=("bg history",),
            )
        last = max(known, key=lambda w: (w.at, w.release))
        if not last.operation:
            return last
        answer = session.send([{"op": "get", "path": f"{last.operation}/why.json"}])[0]
    details: dict[str, Any] = json.loads(answer["text"]) if answer.get("ok") and answer.get("text") else {}
    at = details.get("at") or last.at
    return replace(last, at=at, where=details.get("where"), logs=tuple(details.get("logs", ())))


def _last(past: History, record: ReleaseRecord) -> Why | None:
    """What went wrong with a release last; None where nothing did."""
    shifts = past.shifts_of(record.number)
    found: list[tuple[str, str, str, str]] = []
    if record.failure:
        found.append((record.at, record.failure_code or "", record.failure, record.failed_operation or ""))
    if record.mark == "bad":
        found.append((_ended(past, record), "release.rolled-back", record.reason or "rolled back", ""))
    if record.alarm:
        found.append((record.alarm_at or "", "release.alarm", record.alarm, ""))
    if not found:
        return None
    at, code, message, operation = max(found)
    judgements = past.judgements_of(record.number)
    return Why(record.number, record.tag, at, code, message, None, (), operation, shifts, judgements)


def _judged(past: History, record: ReleaseRecord) -> Why | None:
    """The shares and verdicts of a release with which nothing went wrong; None where it had none."""
    shifts, judgements = past.shifts_of(record.number), past.judgements_of(record.number)
    if not shifts and not judgements:
        return None
    code = f"release.{judgements[-1].outcome}" if judgements else "release.unjudged"
    message = summed_up(judgements) or "nothing failed, and there was no verdict"
    at = judgements[-1].at if judgements else shifts[-1].at
    return Why(record.number, record.tag, at, code, message, None, (), "", shifts, judgements)


def _ended(past: History, record: ReleaseRecord) -> str:
    """When a release that was rolled back lost the traffic that it had."""
    shifts = past.shifts_of(record.number)
    return record.left or (shifts[-1].at if shifts else record.at)


def logs(
    site: Site, wanted: tuple[str, ...], *, tail: int | None, since: str | None, follow: bool, timestamps: bool
) -> Iterator[tuple[str, bytes]]:
    """(container name, line) of the live stack, or of what is named: tags, release numbers, services, slots.

    A release that failed and was removed answers from its saved output. ``follow`` takes one container.
    Raises `Refused` when nothing matches.
    """
    containers = site.engine.containers(site.name)
    chosen = _chosen(site, containers, wanted)
    if not chosen:
        yield from _saved(site, wanted)
        return
    if follow and len(chosen) > 1:
        from bluegreen.app.follow import follow_all

        yield from follow_all(site, [c.name for c in chosen], tail, since, timestamps)
        return
    for container in chosen:
        for line in site.engine.logs(container.name, tail=tail, since=since, follow=follow, timestamps=timestamps):
            yield container.name, line


def _chosen(site: Site, containers: list[Container], wanted: tuple[str, ...]) -> list[Container]:
    """Containers that match every word; without a release or slot among the words, those of the live slot."""
    services = {c.service for c in containers}
    named_services = [w for w in wanted if w in services or w == "proxy"]
    others = [w for w in wanted if w not in named_services]
    chosen = [
        c
        for c in containers
        if not named_services
        or c.service in named_services
        or (c.name.endswith("-proxy") and "proxy" in named_services)
    ]
    if others:
        chosen = [c for c in chosen if c.role == "slot" and all(_matches(c, w) for w in others)]
    elif "proxy" not in named_services:
        with site.session() as session:
            live = site.observe(session, networks=False).live
        chosen = [c for c in chosen if (c.shared and named_services) or (c.slot is not None and c.slot is live)]
    return chosen


def _matches(container: Container, word: str) -> bool:
    release = manifest(container)
    return word in (str(container.release), container.slot, release.tag if release else None, container.name)


def _services(wanted: tuple[str, ...], record: ReleaseRecord) -> list[str]:
    """The words that don't name the release: services."""
    return [w for w in wanted if w not in (record.tag, str(record.number))]


def _saved(site: Site, wanted: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    try:
        with site.session() as session:
            observed = site.observe(session, networks=False, history=True)
            records = [
                r
                for r in observed.history.releases.values()
                if r.failed_operation and (r.tag in wanted or str(r.number) in wanted)
            ]
            found = False
            for record in records[-1:]:
                listing = session.send([{"op": "get", "path": f"{record.failed_operation}/"}])[0]
                for name in listing.get("list", ()):
                    if not name.endswith(".log") or not all(f"-{w}-" in name for w in _services(wanted, record)):
                        continue
                    found = True
                    answer = session.run([{"op": "get", "path": f"{record.failed_operation}/{name}"}])[0]
                    for line in str(answer.get("text", "")).splitlines():
                        yield name.removesuffix(".log"), line.encode()
            if found:
                return
    except ProxyFailed:
        site.notice("the proxy is not running: output saved in its volume can't be read")
    raise Refused(
        "logs.nothing",
        f"no container or saved output matches {' '.join(wanted) or 'the live stack'}",
        next=("bg history", "bg status"),
    )
