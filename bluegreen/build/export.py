"""A commit's files in a directory of their own, so that what is not committed can't get into an image."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from bluegreen.build.git import Answer, Repository, git, repository
from bluegreen.build.origin import Source, inputs
from bluegreen.model.errors import Refused
from bluegreen.model.project import Build, Project

_LINK = "160000"  # the mode of a submodule in git's index


@dataclass(frozen=True, slots=True)
class Export:
    """Where a source's files are: ``directory`` stands for ``top``; None: they are where they always were."""

    top: Path | None = None
    directory: Path | None = None

    def path(self, original: Path) -> Path:
        """The exported counterpart of a path of the working tree."""
        if self.top is None or self.directory is None:
            return original
        return self.directory / original.resolve().relative_to(self.top)

    def build(self, build: Build) -> Build:
        """The same build from the exported files."""
        if self.directory is None:
            return build
        dockerfile = build.dockerfile
        if build.dockerfile_inline is None:
            dockerfile = str(self.path(build.context / build.dockerfile))
        return replace(build, context=self.path(build.context), dockerfile=dockerfile)


@contextmanager
def export(project: Project, source: Source) -> Iterator[Export]:
    """The files that the project's builds read, as the source has them. What was made for it goes with it.

    Submodules are included at the commits that are recorded, from their local repositories. Raises
    `Refused` for a context that the commit doesn't have and for submodules that aren't here.
    """
    if source.kind == "tree" or source.repository is None or source.revision is None:
        yield Export()
        return
    found = source.repository
    wanted: dict[PurePosixPath, str] = {}
    for service in project.services.values():
        for path in inputs(service.build) if service.build else []:
            if not path.is_relative_to(found.top):
                raise Refused(
                    "source.outside",
                    f"{path} is outside of the repository {found.top}, so {source.tag} doesn't say what is in it",
                    where=f"services.{service.name}.build",
                    next=(f"bg deploy {source.tag} --source tree",),
                )
            wanted[PurePosixPath(path.relative_to(found.top).as_posix())] = service.name
    with tempfile.TemporaryDirectory(prefix="bluegreen-export-") as temporary:
        directory = Path(temporary).resolve() / "tree"
        directory.mkdir()
        missing = _check_out(found, source.revision, directory, set(wanted))
        for absent in sorted(missing):
            raise Refused(
                "source.no-context",
                f"{absent} does not exist in {source.tag}",
                where=f"services.{wanted[absent]}.build",
                next=(f"git show --stat {source.tag}", f"bg deploy {source.tag} --source tree"),
            )
        yield Export(found.top, directory)


def _check_out(found: Repository, commit: str, to: Path, wanted: set[PurePosixPath]) -> set[PurePosixPath]:
    """Write the wanted paths of a commit to a directory; answers those that it doesn't have.

    Not `git archive`: that leaves out what is marked export-ignore, and a build wants what a checkout has.
    """
    with tempfile.TemporaryDirectory(prefix="bluegreen-index-") as temporary:
        # An index of our own: the repository's own has what somebody is about to commit.
        env = {"GIT_DIR": str(found.directory), "GIT_WORK_TREE": str(to), "GIT_INDEX_FILE": f"{temporary}/index"}
        _must(git("read-tree", commit, env=env, cwd=to), found)
        entries = _must(git("ls-files", "--stage", "-z", env=env, cwd=to), found).split(b"\0")
        files: list[bytes] = []
        present: set[PurePosixPath] = set()
        links: list[tuple[PurePosixPath, str]] = []
        for entry in filter(None, entries):
            head, _, name = entry.partition(b"\t")
            mode, identity, _ = head.decode().split()
            path = PurePosixPath(name.decode(errors="surrogateescape"))
            if mode == _LINK:
                links.append((path, identity))
            elif matched := {w for w in wanted if path.is_relative_to(w)}:
                files.append(name)
                present |= matched
        _must(git("checkout-index", "-z", "--stdin", env=env, cwd=to, stdin=b"\0".join(files)), found)
    for path, identity in links:
        above = {w for w in wanted if path.is_relative_to(w)}
        below = {w for w in wanted if w.is_relative_to(path)} - above
        if above or below:
            within = {PurePosixPath()} if above else {w.relative_to(path) for w in below}
            absent = _submodule(found, path, identity, to / path, within)
            present |= above | {w for w in below if w.relative_to(path) not in absent}
    return wanted - present


def _submodule(
    found: Repository, path: PurePosixPath, commit: str, to: Path, wanted: set[PurePosixPath]
) -> set[PurePosixPath]:
    directory = found.top / path
    inner = repository(directory) if directory.is_dir() else None
    # An empty directory of a submodule that isn't checked out is in the repository around it.
    if inner is None or inner.top != directory.resolve() or inner.commit(commit) is None:
        raise Refused(
            "source.no-submodule",
            f"the submodule {path} is not here at the commit {commit[:12]} that is to be built",
            next=("git submodule update --init --recursive",),
        )
    to.mkdir(parents=True, exist_ok=True)
    return _check_out(inner, commit, to, wanted)


def _must(answer: Answer, found: Repository) -> bytes:
    if answer.code != 0:
        raise Refused("source.git-failed", f"git could not export from {found.top}: {answer.error}")
    return answer.out
