"""Questions to git, asked so that no user's text is ever an option and no hook's environment is in the way."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bluegreen.model.errors import Refused

# What a hook of another repository sets, and would make git answer for that one.
_OF_A_HOOK = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
)


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    out: bytes
    error: str

    @property
    def text(self) -> str:
        return self.out.decode(errors="replace").strip()


@dataclass(frozen=True, slots=True)
class Repository:
    """A working tree's repository. ``top`` has no symbolic links in it."""

    top: Path
    directory: Path = field(repr=False)  # .git, or what stands for it in a linked tree or a submodule

    def ask(self, *words: str) -> Answer:
        return git("-C", str(self.top), *words)

    def commit(self, ref: str) -> str | None:
        """The full hash of a commit; a tag wins over a branch of the same name."""
        for candidate in (f"refs/tags/{ref}", ref):
            answer = self.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{candidate}^{{commit}}")
            if answer.code == 0:
                return answer.text.splitlines()[-1]
        return None

    def subject(self, commit: str) -> str:
        """First line of a commit's message."""
        return self.ask("show", "--no-patch", "--format=%s", commit).text

    def exact_tag(self, commit: str) -> str | None:
        answer = self.ask("describe", "--tags", "--exact-match", commit)
        return answer.text if answer.code == 0 else None

    def short(self, commit: str) -> str:
        return self.ask("rev-parse", "--short", commit).text

    def changed(self, paths: list[Path]) -> list[str]:
        """Uncommitted and untracked files beneath these paths, relative to the top."""
        inside = [str(path) for path in paths if path.is_relative_to(self.top)]
        if not inside:
            return []
        answer = self.ask(
            "--literal-pathspecs", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", *inside
        )
        return [entry[3:].decode(errors="replace") for entry in answer.out.split(b"\0") if entry]


def repository(directory: Path) -> Repository | None:
    """The repository that a directory is in. Raises `Refused` where git finds one and won't use it."""
    try:
        answer = git("-C", str(directory), "rev-parse", "--show-toplevel", "--absolute-git-dir")
    except FileNotFoundError:
        return None  # no git on this machine
    if answer.code == 0 and len(lines := answer.text.splitlines()) == 2:
        return Repository(Path(lines[0]).resolve(), Path(lines[1]))
    if "not a git repository" in answer.error or "must be run in a work tree" in answer.error:
        return None
    raise Refused(
        "source.git-failed",
        f"git does not answer for {directory}: {answer.error or answer.text}",
        next=("git status", "bg deploy TAG --source tree    builds what is on disk without asking git"),
    )


def git(*words: str, env: Mapping[str, str] | None = None, stdin: bytes = b"", cwd: Path | None = None) -> Answer:
    """Run git without prompts or locks. Raises FileNotFoundError where there is none."""
    inherited = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
    settings = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(
        ["git", *words],
        env={**inherited, **settings, **(env or {})},
        input=stdin,
        capture_output=True,
        check=False,
        cwd=cwd,
        # What is exported goes into images, where another user may have to read it.
        umask=0o022,
    )
    return Answer(done.returncode, done.stdout, done.stderr.decode(errors="replace").strip())
