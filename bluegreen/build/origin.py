"""What a tag is built from: a commit of the repository, or the working tree as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bluegreen.build.git import Repository, repository
from bluegreen.model.errors import Refused, UsageError
from bluegreen.model.names import is_tag
from bluegreen.model.project import Build, Notice, Project

Wanted = Literal["auto", "git", "tree"]
SHOWN = 3  # changed files that a notice names


@dataclass(frozen=True, slots=True)
class Source:
    """``revision`` is the commit that is built or, for a tree, that it was last at."""

    kind: Literal["git", "tree"]
    tag: str
    revision: str | None = None
    subject: str | None = None
    dirty: bool = False  # a tree with changes that no commit has
    notices: tuple[Notice, ...] = ()
    repository: Repository | None = None


def resolve(project: Project, wanted: str, tag: str | None) -> Source:
    """What ``tag`` stands for; with None, the tag itself too. Reads only.

    ``auto`` is git inside a repository and tree elsewhere. Raises `UsageError` for what can't be a tag and
    `Refused` for a ref that does not exist.
    """
    if tag is not None and not is_tag(tag):
        raise _no_tag(tag, "the tag")
    builds = [service.build for service in project.services.values() if service.build is not None]
    found = repository(project.directory)
    if found is None:
        if wanted == "git":
            raise Refused(
                "source.no-repository",
                f"{project.directory} is in no git repository, so there is nothing to build a tag from",
                next=(f"bg deploy {tag or 'TAG'} --source tree    builds what is on disk",),
            )
        if tag is None:
            raise UsageError(
                "source.no-tag",
                f"{project.directory} is in no git repository that a tag could be taken from",
                next=("bg deploy TAG",),
            )
        return Source("tree", tag)
    head = found.commit("HEAD")
    if not builds:
        # Nothing is built, so the tag names what a registry has.
        revision = (found.commit(tag) if tag else None) or (None if tag else head)
        return Source("tree", tag or _tag_of(found, head), revision, found.subject(revision) if revision else None)
    changed = found.changed([path for build in builds for path in inputs(build)])
    if wanted == "tree":
        chosen = tag or _tag_of(found, head)
        return Source("tree", chosen, head, found.subject(head) if head else None, bool(changed), (), found)
    return _from_git(found, head, tag, changed)


def inputs(build: Build) -> list[Path]:
    """The context and, where that is elsewhere, the Dockerfile; without symbolic links."""
    context = build.context.resolve()
    if build.dockerfile_inline is not None:
        return [context]
    dockerfile = (build.context / build.dockerfile).resolve()
    return [context] if dockerfile.is_relative_to(context) else [context, dockerfile]


def _from_git(found: Repository, head: str | None, tag: str | None, changed: list[str]) -> Source:
    chosen = tag or _tag_of(found, head)
    revision = head if tag is None else found.commit(chosen)
    if revision is None:
        raise Refused(
            "source.no-such-ref",
            f"{chosen} is no tag, branch or commit of the repository {found.top}",
            next=("git tag    lists the tags", "git fetch --tags", f"bg deploy {chosen} --source tree"),
        )
    notices: tuple[Notice, ...] = ()
    if changed:
        shown = ", ".join(changed[:SHOWN]) + (f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else "")
        notices = (Notice("", f"built from {chosen}, without the uncommitted changes in the working tree: {shown}"),)
    return Source("git", chosen, revision, found.subject(revision), False, notices, found)


def _tag_of(found: Repository, head: str | None) -> str:
    """The tag to use where none was given."""
    if head is None:
        raise Refused(
            "source.no-commit", f"the repository {found.top} has no commit yet", next=("git commit", "bg deploy TAG")
        )
    exact = found.exact_tag(head)
    if exact is not None and not is_tag(exact):
        raise _no_tag(exact, "the git tag at HEAD")
    return exact or found.short(head)


def _no_tag(text: str, what: str) -> UsageError:
    return UsageError(
        "source.bad-tag",
        f"{what}, {text!r}, can't be an image's tag: letters, digits, '_', '.' and '-', at most 128, and neither '.' "
        f"nor '-' first",
    )
