"""What a tag is built from, and its clean export, with real repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bluegreen.build.source import Source, export, resolve
from bluegreen.model.errors import Refused, UsageError
from bluegreen.model.names import Kind
from bluegreen.model.project import Build, Project, Service

AUTHOR = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "protocol.file.allow=always")


def git(directory: Path, *words: str) -> str:
    done = subprocess.run(["git", *AUTHOR, "-C", str(directory), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(directory: Path, message: str, *tags: str) -> str:
    git(directory, "add", "-A")
    git(directory, "commit", "-q", "-m", message)
    for tag in tags:
        git(directory, "tag", tag)
    return git(directory, "rev-parse", "HEAD")


def project(directory: Path, *builds: Build) -> Project:
    services = {f"s{n}": Service(f"s{n}", Kind.INTERNAL, None, build, {}) for n, build in enumerate(builds)}
    return Project("shop", directory / "compose.yaml", directory, services)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    top = tmp_path / "repo"
    (top / "backend").mkdir(parents=True)
    (top / "docs").mkdir()
    git(top, "init", "-q", "-b", "main")
    (top / "backend" / "Dockerfile").write_text("FROM scratch\n")
    (top / "backend" / "app.py").write_text("one\n")
    (top / "docs" / "page").write_text("one\n")
    commit(top, "The first\n\nwith a body", "v1.0.0")
    (top / "backend" / "app.py").write_text("two\n")
    commit(top, "The second", "v1.1.0")
    return top


def of(repo: Path, *more: Build) -> Project:
    return project(repo, Build(repo / "backend"), *more)


def exported(repo: Path, source: Source, *more: Build) -> dict[str, str]:
    """The exported files of all contexts, by path."""
    with export(of(repo, *more), source) as made:
        assert made.directory is not None
        root = made.directory
        files = {str(f.relative_to(root)): f.read_text() for f in root.rglob("*") if f.is_file()}
    assert not root.exists()
    return files


# -- resolving ---------------------------------------------------------------------------------------------
def test_inside_a_repository_a_tag_is_its_commit(repo: Path) -> None:
    found = resolve(of(repo), "auto", "v1.0.0")
    assert (found.kind, found.tag, found.subject, found.dirty) == ("git", "v1.0.0", "The first", False)
    assert found.revision == git(repo, "rev-parse", "v1.0.0")
    assert found.notices == ()


def test_a_branch_and_a_hash_are_refs_too_and_a_tag_wins_over_a_branch(repo: Path) -> None:
    first = git(repo, "rev-parse", "v1.0.0")
    assert resolve(of(repo), "git", "main").revision == git(repo, "rev-parse", "HEAD")
    assert resolve(of(repo), "git", first[:10]).revision == first
    git(repo, "branch", "both", "HEAD")
    git(repo, "tag", "both", "v1.0.0")
    assert resolve(of(repo), "git", "both").revision == first


def test_a_ref_that_does_not_exist_is_refused_naming_the_other_source(repo: Path) -> None:
    with pytest.raises(Refused, match=r"v9\.9\.9 is no tag") as caught:
        resolve(of(repo), "auto", "v9.9.9")
    assert caught.value.code == "source.no-such-ref"
    assert any("--source tree" in step for step in caught.value.problem.next)


@pytest.mark.parametrize(
    "tag", ["--upload-pack=x", "-h", "a b", "a;b", "a\n", "$x", "{}", "", "a/b", "v1^{tree}", "@{-1}"]
)
def test_what_can_t_be_an_image_s_tag_never_reaches_git(repo: Path, tag: str) -> None:
    for wanted in ("auto", "git", "tree"):
        with pytest.raises(UsageError) as caught:
            resolve(of(repo), wanted, tag)
        assert caught.value.code == "source.bad-tag"


def test_without_a_tag_it_is_the_one_at_head_else_the_short_hash(repo: Path) -> None:
    assert resolve(of(repo), "auto", None).tag == "v1.1.0"
    (repo / "docs" / "page").write_text("two\n")
    head = commit(repo, "The third")
    found = resolve(of(repo), "auto", None)
    assert head.startswith(found.tag)
    assert found.revision == head


def test_a_git_tag_that_can_t_be_an_image_s_is_said(repo: Path) -> None:
    (repo / "x").write_text("")
    commit(repo, "Third", "release/3")
    with pytest.raises(UsageError, match="release/3"):
        resolve(of(repo), "auto", None)


def test_uncommitted_changes_are_no_obstacle_and_are_said(repo: Path) -> None:
    (repo / "backend" / "app.py").write_text("changed\n")
    (repo / "backend" / "new file").write_text("new\n")
    (repo / "docs" / "page").write_text("not built from\n")
    found = resolve(of(repo), "git", "v1.0.0")
    (notice,) = found.notices
    assert "backend/app.py" in notice.message
    assert "backend/new file" in notice.message
    assert "docs" not in notice.message
    assert not found.dirty
    assert exported(repo, found) == {"backend/Dockerfile": "FROM scratch\n", "backend/app.py": "one\n"}
    assert (repo / "backend" / "app.py").read_text() == "changed\n"


def test_a_tree_knows_its_commit_and_whether_it_differs_from_it(repo: Path) -> None:
    clean = resolve(of(repo), "tree", "anything")
    assert (clean.kind, clean.tag, clean.dirty, clean.subject) == ("tree", "anything", False, "The second")
    (repo / "docs" / "page").write_text("not built from\n")
    assert not resolve(of(repo), "tree", "anything").dirty
    (repo / "backend" / "app.py").write_text("changed\n")
    assert resolve(of(repo), "tree", "anything").dirty
    with export(of(repo), clean) as made:
        assert made.build(Build(repo / "backend")) == Build(repo / "backend")


def test_outside_of_a_repository_it_is_the_tree_and_needs_a_tag(tmp_path: Path) -> None:
    plain = project(tmp_path, Build(tmp_path))
    found = resolve(plain, "auto", "v1")
    assert (found.kind, found.tag, found.revision, found.subject) == ("tree", "v1", None, None)
    with pytest.raises(UsageError) as no_tag:
        resolve(plain, "auto", None)
    assert no_tag.value.code == "source.no-tag"
    with pytest.raises(Refused) as no_repository:
        resolve(plain, "git", "v1")
    assert no_repository.value.code == "source.no-repository"


def test_where_nothing_is_built_a_tag_need_not_be_a_ref(repo: Path) -> None:
    pulled = Project("shop", repo / "c", repo, {"s": Service("s", Kind.ROUTED, "registry/x:2024.1", None, {})})
    assert resolve(pulled, "auto", "2024.1").revision is None
    assert resolve(pulled, "auto", "v1.0.0").subject == "The first"


def test_a_repository_without_a_commit_is_said(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(Refused) as caught:
        resolve(project(tmp_path, Build(tmp_path)), "auto", None)
    assert caught.value.code == "source.no-commit"
    assert resolve(project(tmp_path, Build(tmp_path)), "tree", "v1").revision is None


def test_a_repository_that_git_will_not_use_is_not_taken_for_none(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(Refused, match="dubious ownership") as caught:
        resolve(of(repo), "auto", "v1.0.0")
    assert caught.value.code == "source.git-failed"


def test_a_hook_s_environment_does_not_lead_to_its_repository(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / "index"))
    found = resolve(of(repo), "git", "v1.0.0")
    assert found.subject == "The first"
    assert "backend/app.py" in exported(repo, found)


def test_without_git_on_the_machine_it_is_the_tree(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repo))
    assert resolve(of(repo), "auto", "v1").kind == "tree"


# -- exporting ---------------------------------------------------------------------------------------------
def test_an_export_is_what_a_checkout_would_be(repo: Path) -> None:
    backend = repo / "backend"
    (backend / "run.sh").write_text("#!/bin/sh\n")
    (backend / "run.sh").chmod(0o755)
    (backend / "link").symlink_to("app.py")
    (backend / "ünïcode name").write_text("x")
    (backend / ".gitattributes").write_text("app.py export-ignore\n")
    commit(repo, "More", "v2")
    with export(of(repo), resolve(of(repo), "git", "v2")) as made:
        build = made.build(Build(backend))
        assert build.context != backend
        assert (build.context / "app.py").read_text() == "two\n", "export-ignore is for archives, not for builds"
        assert os.access(build.context / "run.sh", os.X_OK)
        assert not os.access(build.context / "app.py", os.X_OK)
        assert (build.context / "link").is_symlink()
        assert (build.context / "ünïcode name").read_text() == "x"
        assert not (build.context.parent / "docs").exists()
        assert not (build.context.parent / ".git").exists()
    assert git(repo, "status", "--porcelain") == ""


def test_what_somebody_is_about_to_commit_stays_out(repo: Path) -> None:
    (repo / "backend" / "staged").write_text("x")
    git(repo, "add", "-A")
    assert "backend/staged" not in exported(repo, resolve(of(repo), "git", "v1.1.0"))
    assert git(repo, "status", "--porcelain") == "A  backend/staged"


def test_a_dockerfile_outside_of_its_context_comes_along(repo: Path) -> None:
    (repo / "docker").mkdir()
    (repo / "docker" / "web").write_text("FROM web\n")
    commit(repo, "Docker", "v2")
    build = Build(repo / "docs", dockerfile="../docker/web")
    with export(of(repo, build), resolve(of(repo, build), "git", "v2")) as made:
        there = made.build(build)
        assert Path(there.dockerfile).read_text() == "FROM web\n"
        assert Path(there.dockerfile).is_absolute()
        assert (there.context / "page").read_text() == "one\n"


def test_a_context_that_the_commit_does_not_have_is_refused(repo: Path) -> None:
    build = Build(repo / "later", dockerfile_inline="FROM scratch")
    (repo / "later").mkdir()
    with pytest.raises(Refused, match=r"later does not exist in v1\.0\.0") as caught:
        exported(repo, resolve(of(repo), "git", "v1.0.0"), build)
    assert caught.value.code == "source.no-context"
    assert caught.value.problem.where == "services.s1.build"


def test_a_context_outside_of_the_repository_is_refused(repo: Path, tmp_path: Path) -> None:
    outside = Build(tmp_path / "elsewhere", dockerfile_inline="FROM scratch")
    with pytest.raises(Refused) as caught:
        exported(repo, resolve(of(repo), "git", "v1.0.0"), outside)
    assert caught.value.code == "source.outside"


def test_a_repository_reached_by_a_link_and_a_linked_tree_work(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(repo)
    alias = tmp_path / "alias"
    assert "backend/app.py" in exported(alias, resolve(of(alias), "git", "v1.0.0"))
    git(repo, "worktree", "add", "-q", str(tmp_path / "linked"), "v1.0.0")
    linked = tmp_path / "linked"
    assert exported(linked, resolve(of(linked), "git", "v1.1.0"))["backend/app.py"] == "two\n"


def test_the_whole_repository_can_be_the_context(repo: Path) -> None:
    whole = project(repo, Build(repo, dockerfile="backend/Dockerfile"))
    with export(whole, resolve(whole, "git", "v1.0.0")) as made:
        build = made.build(Build(repo, dockerfile="backend/Dockerfile"))
        assert (build.context / "docs" / "page").is_file()
        assert (build.context / build.dockerfile).is_file()


def test_an_export_is_removed_after_a_failure_too(repo: Path) -> None:
    left: list[Path] = []

    def fails() -> None:
        with export(of(repo), resolve(of(repo), "git", "v1.0.0")) as made:
            assert made.directory is not None
            left.append(made.directory)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert not left[0].parent.exists()


# -- submodules --------------------------------------------------------------------------------------------
@pytest.fixture
def nested(repo: Path, tmp_path: Path) -> Path:
    """The repository with a library as a submodule, which has one itself."""
    inner, library = tmp_path / "inner", tmp_path / "library"
    for directory in (inner, library):
        directory.mkdir()
        git(directory, "init", "-q", "-b", "main")
        (directory / "file").write_text(f"{directory.name} 1\n")
        commit(directory, "One")
    git(library, "submodule", "add", "-q", str(inner), "deep")
    commit(library, "With a submodule")
    git(repo, "submodule", "add", "-q", str(library), "backend/lib")
    git(repo, "submodule", "update", "-q", "--init", "--recursive")
    commit(repo, "With a library", "v2")
    return repo


def test_submodules_come_along_at_the_commits_that_are_recorded(nested: Path) -> None:
    lib = nested / "backend" / "lib"
    (lib / "file").write_text("library 2\n")
    commit(lib, "Newer, not recorded")
    (lib / "deep" / "file").write_text("dirty\n")
    files = exported(nested, resolve(of(nested), "git", "v2"))
    assert files["backend/lib/file"] == "library 1\n"
    assert files["backend/lib/deep/file"] == "inner 1\n"
    assert "backend/lib/file" not in exported(nested, resolve(of(nested), "git", "v1.0.0"))


def test_a_context_can_be_inside_of_a_submodule(nested: Path) -> None:
    build = Build(nested / "backend" / "lib" / "deep", dockerfile_inline="FROM scratch")
    only = project(nested, build)
    with export(only, resolve(only, "git", "v2")) as made:
        assert (made.build(build).context / "file").read_text() == "inner 1\n"


def test_a_submodule_that_is_not_here_is_refused_with_the_remedy(nested: Path) -> None:
    git(nested, "submodule", "deinit", "-q", "-f", "backend/lib")
    with pytest.raises(Refused, match="submodule backend/lib is not here") as caught:
        exported(nested, resolve(of(nested), "git", "v2"))
    assert caught.value.code == "source.no-submodule"
    assert caught.value.problem.next == ("git submodule update --init --recursive",)


def test_a_submodule_outside_of_the_contexts_is_nobody_s_concern(nested: Path) -> None:
    git(nested, "submodule", "deinit", "-q", "-f", "backend/lib")
    docs = project(nested, Build(nested / "docs", dockerfile_inline="FROM scratch"))
    with export(docs, resolve(docs, "git", "v2")) as made:
        assert made.path(nested / "docs" / "page").is_file()
