"""What stands outside the judge's bound: a candidate's containers, and the project's own checks."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence

from bluegreen.app.guarding import Subject
from bluegreen.app.site import Site
from bluegreen.model.containers import Container
from bluegreen.model.guard import GuardCheck
from bluegreen.model.judging import Check, Facts
from bluegreen.model.names import Kind
from bluegreen.model.observed import Observed

LOOK_EVERY = 1.0
"""Seconds."""

MOST_SECONDS = 5.0
"""For one answer of a project's own check. The log is not read meanwhile."""

STRIKES = 3
"""Times that a check says no, one after the other, before it counts."""


class Looker:
    """What stands outside the judge's bound, looked at once a second: containers, and the project's own checks."""

    def __init__(self, site: Site, checks: Sequence[GuardCheck]) -> None:
        self._site = site
        self._checks = checks
        self._due = float("-inf")
        self._of: tuple[str, int, float] | None = None
        self._facts = Facts()
        self._restarts: dict[str, int] = {}  # of each container, when it got visitors
        self._memory: dict[str, int] = {}  # bytes of each, when it got visitors
        self._asked: dict[str, float] = {}
        self._no: dict[str, int] = {}
        self._said: dict[str, Check] = {}

    def look(self, observed: Observed, subject: Subject) -> Facts:
        now = self._site.clock()
        if subject.key != self._of:
            self._of, self._due, self._restarts, self._memory = subject.key, float("-inf"), {}, {}
            self._asked, self._no, self._said = {}, {}, {}
        if now < self._due:
            return self._facts
        self._due = now + LOOK_EVERY
        limits = subject.release.guard.judge
        self._facts = Facts(
            healthy=_healthy(observed, subject),
            restarts=self._restarted(observed, subject) if limits.max_restarts is not None else {},
            memory=self._grown(observed, subject) if limits.max_memory_growth is not None else {},
            checks=tuple(self._answers(now)),
        )
        return self._facts

    def _restarted(self, observed: Observed, subject: Subject) -> dict[str, int]:
        found: dict[str, int] = {}
        for container in _containers(observed, subject):
            times = self._site.engine.container(container.id).restarts
            first = self._restarts.setdefault(container.id, times)
            found[container.service] = found.get(container.service, 0) + max(0, times - first)
        return found

    def _grown(self, observed: Observed, subject: Subject) -> dict[str, float]:
        """The container of each service that has grown most."""
        found: dict[str, float] = {}
        for container in _containers(observed, subject):
            used = self._site.engine.memory(container.id)
            if used:
                first = self._memory.setdefault(container.id, used)
                found[container.service] = max(found.get(container.service, 0.0), used / first)
        return found

    def _answers(self, now: float) -> Iterator[Check]:
        for check in self._checks:
            if now >= self._asked.get(check.name, float("-inf")) + check.every:
                self._asked[check.name] = now
                ok, said = ask(check, self._site.env)
                self._no[check.name] = 0 if ok else self._no.get(check.name, 0) + 1
                counted = self._no[check.name] < STRIKES
                self._said[check.name] = Check(check.name, counted, said)
            yield self._said[check.name]


def _healthy(observed: Observed, subject: Subject) -> dict[str, int]:
    serving = {n for n, s in subject.release.services.items() if s.kind in (Kind.ROUTED, Kind.INTERNAL)}
    found = dict.fromkeys(sorted(serving), 0)
    for container in _containers(observed, subject):
        if container.service in serving and container.state == "running" and container.health != "unhealthy":
            found[container.service] += 1
    return found


def _containers(observed: Observed, subject: Subject) -> Iterator[Container]:
    return (c for c in observed.stack(subject.slot) if c.release == subject.release.number)


def ask(check: GuardCheck, env: Mapping[str, str]) -> tuple[bool, str]:
    """What a check says, and its exit code or its value. A check that can't be asked, or takes longer than
    `MOST_SECONDS`, says no."""
    if not check.command:
        return _query(check)
    done = subprocess.Popen(  # noqa: S602 - the file's own command, as its smoke checks are
        check.command,
        shell=True,
        env=dict(env) or None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        code = done.wait(MOST_SECONDS)
    except subprocess.TimeoutExpired:
        return False, f"did not end within {MOST_SECONDS:g} s"
    finally:
        if done.poll() is None:
            os.killpg(done.pid, signal.SIGKILL)  # the shell, and what it has started
            done.wait()
    return code == 0, f"exit code {code}"


def _query(check: GuardCheck) -> tuple[bool, str]:
    import requests

    try:
        answer = requests.get(
            f"{check.url.rstrip('/')}/api/v1/query", params={"query": check.query}, timeout=MOST_SECONDS
        )
        answer.raise_for_status()
        results = answer.json()["data"]["result"]
        value = float(results[0]["value"][1] if isinstance(results[0], dict) else results[1])
    except (requests.RequestException, ValueError, KeyError, IndexError, TypeError) as error:
        return False, f"no value: {type(error).__name__}"  # its text may hold the URL's password
    low = check.least is not None and value < check.least
    high = check.most is not None and value > check.most
    limit = f", at least {check.least:g}" if low else f", at most {check.most:g}" if high else ""
    return not (low or high), f"{value:g}{limit}"
