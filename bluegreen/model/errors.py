"""What can go wrong, said so that a tired stranger knows where, why and what to type next."""

from __future__ import annotations

from enum import IntEnum

from bluegreen.model.value import dataclass


class Exit(IntEnum):
    """Exit codes. Each means exactly one thing; ``docs/exit-codes.md`` is checked against this."""

    DONE = 0
    FAILED = 1  # failed, and nothing that serves traffic was changed; of a canary: it has what had passed
    USAGE = 2
    REFUSED = 3
    ROLLED_BACK = 4  # failed after traffic had moved, and traffic was moved back
    VERDICT = 5  # stopped by a verdict (smoke, judge)
    INCONCLUSIVE = 6
    HELD = 7  # another operation holds the lease, or overtook this one
    UNREACHABLE = 8  # no engine answers
    INCOMPLETE = 9  # traffic moved and was verified; a step after it (workers, clean-up) failed
    UNKNOWN = 10  # the answer got lost while traffic was being moved, and nobody could be asked again
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: a stable ``code``, the place, the reason, and commands or edits that help."""

    code: str
    message: str
    where: str | None = None
    next: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message}"


def without_passwords(text: str) -> str:
    """A text with the passwords in its URLs masked. What git, a registry or an engine says may hold some, and errors
    go to journals and logs."""
    if "@" not in text or "://" not in text:
        return text
    import re

    return re.sub(r"(?<=://)([^:/?#\s@]*):[^\s@/]+@", r"\1:********@", text)


class BluegreenError(Exception):
    """An error that is part of the product. Carries one or more problems and an exit code."""

    exit: Exit = Exit.FAILED
    quoted: str = ""
    """The part of the message that an application, or a command of the project's, said. It may hold anything."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        where: str | None = None,
        next: tuple[str, ...] = (),
        exit: Exit | None = None,
        problems: tuple[Problem, ...] = (),
    ) -> None:
        message = without_passwords(message)
        super().__init__(message)
        self.problem = Problem(code, message, where, next)
        self.problems = problems or (self.problem,)
        if exit is not None:
            self.exit = exit

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def own_words(self) -> str:
        """The message without what is `quoted`: for the journal, which is kept for good."""
        return self.problem.message.replace(self.quoted, "").rstrip() if self.quoted else self.problem.message


class UsageError(BluegreenError):
    """The command line or the file is wrong; nothing was tried."""

    exit = Exit.USAGE


class Refused(BluegreenError):
    """Understood, possible in principle, and not done, with the reason."""

    exit = Exit.REFUSED


class Held(BluegreenError):
    """Another operation holds the lease."""

    exit = Exit.HELD


class Overtaken(Held):
    """A later operation (a rollback) raised the epoch; this one stopped before its next effect."""


class Stale(Overtaken):
    """The generation an activation was planned on is no longer current."""


class EngineUnreachable(BluegreenError):
    exit = Exit.UNREACHABLE


class EngineFailed(BluegreenError):
    """The engine answered, and the answer was an error."""


class EngineConflict(EngineFailed):
    """Something changed on the engine since it was observed; observing and planning again may help."""


class NotFound(EngineConflict):
    """The named container, network, volume or image is not on the engine."""


class ProxyFailed(BluegreenError):
    """The proxy or its agent could not do what was asked."""


class JournalLost(ProxyFailed):
    """The journal is missing, unreadable or of an unknown schema. Stops all but a rollback."""


class BuildFailed(BluegreenError):
    """An image could not be built. ``log`` has the last lines of the step that failed."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        where: str | None = None,
        next: tuple[str, ...] = (),
        log: tuple[str, ...] = (),
    ) -> None:
        super().__init__(code, message, where=where, next=next)
        self.log = log


class Unhealthy(BluegreenError):
    """The candidate was proven not to be ready. ``why`` is the reason in words, ``logs`` its last lines."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        service: str,
        why: str,
        logs: tuple[str, ...] = (),
        next: tuple[str, ...] = (),
        quoted: str = "",
    ) -> None:
        super().__init__(code, message, where=service, next=next)
        self.quoted = without_passwords(quoted)
        self.service = service
        self.why = why
        self.logs = logs


class SmokeFailed(BluegreenError):
    exit = Exit.VERDICT
