"""Everything found wrong or worth a line while one file is read: all of it, in the file's order."""

from __future__ import annotations

from bluegreen.model.errors import Problem, UsageError
from bluegreen.model.project import Notice

AGAIN = ("bg config    checks the file again",)


class Report:
    """Collects problems and notices. A finding is kept once per line, however many aliases lead to it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._problems: list[tuple[int, Problem]] = []
        self._notices: list[tuple[int, Notice]] = []
        self._seen: set[tuple[int, str]] = set()

    def error(self, line: int, path: str, code: str, message: str, next_: tuple[str, ...] = ()) -> None:
        if (line, message) not in self._seen:
            self._seen.add((line, message))
            self._problems.append((line, Problem(code, _one_line(message), self.where(line, path), next_)))

    def notice(self, line: int, path: str, message: str) -> None:
        if (line, message) not in self._seen:
            self._seen.add((line, message))
            self._notices.append((line, Notice(self.where(line, path), _one_line(message))))

    def notice_elsewhere(self, where: str, message: str) -> None:
        """A notice about another file that this one had read."""
        self._notices.append((0, Notice(where, message)))

    def where(self, line: int, path: str) -> str:
        """``compose.yaml:12 services.backend.ports[0]``; line 0 is the file as a whole."""
        place = f"{self.file}:{line}" if line else self.file
        return f"{place} {_one_line(path)}" if path else place

    @property
    def failed(self) -> bool:
        return bool(self._problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(problem for _, problem in sorted(self._problems, key=lambda found: found[0]))

    @property
    def notices(self) -> tuple[Notice, ...]:
        return tuple(notice for _, notice in sorted(self._notices, key=lambda found: found[0]))

    def raise_if_failed(self) -> None:
        """Raises one UsageError that carries every problem found so far."""
        problems = self.problems
        if len(problems) == 1:
            only = problems[0]
            raise UsageError(only.code, only.message, where=only.where, next=only.next or AGAIN)
        if problems:
            message = f"{self.file} has {len(problems)} problems"
            raise UsageError("file-invalid", message, where=self.file, next=AGAIN, problems=problems)


def _one_line(text: str) -> str:
    """Keys and variables may hold anything, terminal sequences included; a screen gets what can be printed."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
