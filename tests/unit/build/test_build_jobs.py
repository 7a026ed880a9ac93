"""Digests of contexts, and which builds are run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.build.source import (
    BuildJob,
    Export,
    Source,
    content_digest,
    image_name,
    plan_builds,
    run_builds,
)
from bluegreen.engine.memory import MemoryEngine
from bluegreen.engine.protocol import BuildRequest, Progress
from bluegreen.model import labels
from bluegreen.model.errors import BuildFailed, Refused, UsageError
from bluegreen.model.events import Event, nowhere
from bluegreen.model.names import Kind
from bluegreen.model.project import Build, Project, Service

V1 = Source("tree", "v1")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "backend"
    (directory / "sub").mkdir(parents=True)
    (directory / "Dockerfile").write_text("FROM scratch\n")
    (directory / "a").write_text("a")
    (directory / "sub" / "b").write_text("b")
    return directory


def project(directory: Path, **services: Build | tuple[Build, str]) -> Project:
    made = {}
    for name, value in services.items():
        build, image = value if isinstance(value, tuple) else (value, None)
        made[name] = Service(name, Kind.INTERNAL, image, build, {})
    return Project("shop", directory / "compose.yaml", directory, made)


# -- digests -----------------------------------------------------------------------------------------------
def test_a_digest_does_not_change_by_itself_or_by_place(context: Path, tmp_path: Path) -> None:
    first = content_digest(context, Build(context))
    assert first.startswith("sha256:")
    (context / "a").touch()
    (context / "a").chmod(0o600)
    moved = context.rename(tmp_path / "elsewhere")
    assert content_digest(moved, Build(moved)) == first


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda c: (c / "a").write_text("A"),
    "new file": lambda c: (c / "new").write_text(""),
    "executable": lambda c: (c / "a").chmod(0o755),
    "name": lambda c: (c / "a").rename(c / "z"),
    "removed": lambda c: (c / "sub" / "b").unlink(),
    "link": lambda c: (c / "link").symlink_to("a"),
    "directory": lambda c: (c / "empty").mkdir(),
    "Dockerfile": lambda c: (c / "Dockerfile").write_text("FROM scratch\nENV A=1\n"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_digest_changes_with(change: str, context: Path) -> None:
    before = content_digest(context, Build(context))
    CHANGES[change](context)
    assert content_digest(context, Build(context)) != before


def test_a_digest_changes_with_what_the_build_is_told(context: Path) -> None:
    plain = Build(context)
    (context / "Other").write_text("FROM scratch\n")
    told = [
        plain,
        replace(plain, args=(("A", "1"),)),
        replace(plain, args=(("A", "2"),)),
        replace(plain, target="final"),
        replace(plain, labels=(("A", "1"),)),
        replace(plain, dockerfile_inline="FROM scratch\n# inline"),
    ]
    assert len({content_digest(context, build) for build in told}) == len(told)


def test_where_a_link_points_counts_not_what_is_there(context: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("1")
    (context / "link").symlink_to("../outside")
    before = content_digest(context, Build(context))
    (tmp_path / "outside").write_text("2")
    assert content_digest(context, Build(context)) == before


def test_what_is_ignored_does_not_count(context: Path) -> None:
    (context / ".dockerignore").write_text("# comment\n\nnode_modules\n**/*.log\n!keep.log\nDockerfile\n")
    before = content_digest(context, Build(context))
    (context / "node_modules").mkdir()
    (context / "node_modules" / "x").write_text("1")
    (context / "sub" / "x.log").write_text("1")
    assert content_digest(context, Build(context)) == before
    (context / "keep.log").write_text("1")
    assert content_digest(context, Build(context)) != before


def test_an_ignored_dockerfile_counts_all_the_same(context: Path) -> None:
    (context / ".dockerignore").write_text("Dockerfile\n")
    before = content_digest(context, Build(context))
    (context / "Dockerfile").write_text("FROM other\n")
    assert content_digest(context, Build(context)) != before


def test_the_dockerfile_s_own_ignore_file_wins(context: Path) -> None:
    (context / ".dockerignore").write_text("a\n")
    (context / "Dockerfile.dockerignore").write_text("sub\n")
    before = content_digest(context, Build(context))
    (context / "sub" / "b").write_text("B")
    assert content_digest(context, Build(context)) == before
    (context / "a").write_text("A")
    assert content_digest(context, Build(context)) != before


def test_a_dockerfile_outside_of_the_context_counts_by_its_text(context: Path, tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "web").write_text("FROM one\n")
    relative = Build(context, dockerfile="../docker/web")
    absolute = Build(context, dockerfile=str(tmp_path / "docker" / "web"))
    before = content_digest(context, relative)
    assert content_digest(context, absolute) == before
    (tmp_path / "docker" / "web").write_text("FROM two\n")
    assert content_digest(context, relative) != before


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=3, unique_by=lambda pair: pair[0]))
def test_two_lists_of_arguments_never_look_the_same(args: list[tuple[str, str]]) -> None:
    with TemporaryDirectory() as empty:
        one = Build(Path(empty), args=tuple(args))
        other = replace(one, args=tuple((name + value, "") for name, value in args))
        same = content_digest(one.context, one) == content_digest(one.context, other)
    assert same == (sorted(one.args) == sorted(other.args))


# -- planning ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("image", "name"),
    [
        (None, "shop-web:v1"),
        ("registry.example:5000/shop/web", "registry.example:5000/shop/web:v1"),
        ("shop/web:v1", "shop/web:v1"),
        ("shop/web:latest", "shop/web:latest"),
    ],
)
def test_the_name_of_an_image(image: str | None, name: str, tmp_path: Path) -> None:
    made = project(tmp_path)
    assert image_name(made, Service("Web", Kind.ROUTED, image, Build(tmp_path), {}), "v1") == name


def test_equal_builds_are_one_with_several_names(context: Path) -> None:
    made = project(context, web=Build(context), worker=Build(context), other=Build(context, args=(("A", "1"),)))
    first, second = plan_builds(made, replace(V1, revision="abc"), Export(), created="2026-01-01T00:00:00Z")
    assert first.services == ("web", "worker")
    assert first.request.tags == ("shop-web:v1", "shop-worker:v1")
    assert second.services == ("other",)
    assert first.request.labels == {
        labels.SOURCE: first.digest,
        labels.BUILT_FOR: "shop",
        labels.OCI_VERSION: "v1",
        labels.OCI_CREATED: "2026-01-01T00:00:00Z",
        labels.OCI_REVISION: "abc",
    }
    assert labels.PROJECT not in first.request.labels, "every container of the image would seem to be bluegreen's"


def test_a_dirty_tree_claims_no_revision(context: Path) -> None:
    (job,) = plan_builds(project(context, web=Build(context)), replace(V1, revision="abc", dirty=True), Export())
    assert labels.OCI_REVISION not in job.request.labels


def test_two_builds_can_t_have_one_name(context: Path) -> None:
    made = project(context, a=(Build(context), "shop/x"), b=(Build(context, target="t"), "shop/x:v1"))
    with pytest.raises(UsageError) as caught:
        plan_builds(made, V1, Export())
    assert caught.value.code == "source.same-image"


def test_a_missing_context_is_said(context: Path) -> None:
    with pytest.raises(Refused, match="nowhere") as caught:
        plan_builds(project(context, a=Build(context / "nowhere")), V1, Export())
    assert caught.value.problem.where == "services.a.build"


# -- running -----------------------------------------------------------------------------------------------
def jobs(context: Path, tag: str = "v1", **services: Build | tuple[Build, str]) -> tuple[BuildJob, ...]:
    return plan_builds(project(context, **(services or {"web": Build(context)})), Source("tree", tag), Export())


def test_what_was_built_is_not_built_again(context: Path) -> None:
    engine, events = MemoryEngine(), list[Event]()
    first = run_builds(engine, jobs(context), nowhere)
    engine.before_call = _refuse_to("build")
    assert run_builds(engine, jobs(context), events.append) == first
    assert [(e.kind, e.subject) for e in events] == [("step-done", "web")]


def test_a_name_that_is_missing_is_only_added(context: Path) -> None:
    engine = MemoryEngine()
    run_builds(engine, jobs(context), nowhere)
    engine.before_call = _refuse_to("build")
    ids = run_builds(engine, jobs(context, web=Build(context), worker=Build(context)), nowhere)
    image = engine.image("shop-worker:v1")
    assert image is not None
    assert ids == {"web": image.id, "worker": image.id}


def test_other_content_under_a_used_tag_is_refused_before_anything_is_built(context: Path) -> None:
    engine = MemoryEngine()
    run_builds(engine, jobs(context), nowhere)
    (context / "a").write_text("changed")
    before = engine.state()
    with pytest.raises(Refused, match="shop-web:v1") as caught:
        run_builds(engine, jobs(context, web=Build(context), api=Build(context, target="x")), nowhere)
    assert caught.value.code == "source.tag-used"
    assert "--rebuild" in caught.value.problem.next[0]
    assert engine.state() == before
    run_builds(engine, jobs(context), nowhere, rebuild=True)
    assert engine.state() != before


def test_an_image_that_somebody_else_built_under_the_tag_is_not_taken_for_ours(context: Path) -> None:
    engine = MemoryEngine()
    engine.add_image("shop-web:v1")
    with pytest.raises(Refused):
        run_builds(engine, jobs(context), nowhere)


def test_a_name_that_is_meant_to_move_moves(context: Path) -> None:
    engine = MemoryEngine()
    first = run_builds(engine, jobs(context, web=(Build(context), "shop/web:latest")), nowhere)
    (context / "a").write_text("changed")
    second = run_builds(engine, jobs(context, "v2", web=(Build(context), "shop/web:latest")), nowhere)
    assert first != second


def test_the_next_tag_has_its_own_image_even_from_the_same_content(context: Path) -> None:
    engine = MemoryEngine()
    run_builds(engine, jobs(context), nowhere)
    run_builds(engine, jobs(context, "v2"), nowhere)
    assert engine.image("shop-web:v1") is not None
    assert engine.image("shop-web:v2") is not None


class Slow(MemoryEngine):
    """Builds that meet each other, or wait until they are stopped."""

    def __init__(self, together: int) -> None:
        super().__init__()
        self.meeting = threading.Barrier(together, timeout=10)

    def build(self, request: BuildRequest, progress: Progress) -> str:
        self.meeting.wait()
        target = request.build.target
        if target == "fails":
            raise BuildFailed("build.failed", "it fails", log=("why",))
        if target == "waits":
            assert request.stop is not None
            assert request.stop.wait(10)
            raise BuildFailed("build.stopped", "stopped")
        progress("building")
        return f"sha256:{target}"


def test_independent_builds_run_side_by_side(context: Path) -> None:
    events: list[Event] = []
    builds = {"a": Build(context, target="a"), "b": Build(context, target="b")}
    assert run_builds(Slow(2), jobs(context, "v1", **builds), events.append) == {"a": "sha256:a", "b": "sha256:b"}
    kinds = {(e.kind, e.subject) for e in events}
    assert kinds == {(k, s) for k in ("step", "progress", "step-done") for s in ("a", "b")}


def test_the_first_failure_stops_the_others_and_is_the_one_that_is_told(context: Path) -> None:
    events: list[Event] = []
    builds = {"a": Build(context, target="waits"), "b": Build(context, target="fails")}
    with pytest.raises(BuildFailed, match="it fails") as caught:
        run_builds(Slow(2), jobs(context, "v1", **builds), events.append)
    assert caught.value.log == ("why",)
    assert [e.subject for e in events if e.kind == "step-failed"] == ["b"]


def test_what_was_not_begun_is_not_begun_after_a_failure(context: Path) -> None:
    builds = {"a": Build(context, target="fails"), "b": Build(context, target="b"), "c": Build(context, target="c")}
    events: list[Event] = []
    with pytest.raises(BuildFailed, match="it fails"):
        run_builds(Slow(1), jobs(context, "v1", **builds), events.append, parallel=1)
    assert [e.subject for e in events] == ["a", "a"]


def _refuse_to(method: str) -> Callable[[str, tuple[object, ...]], None]:
    def hook(called: str, _args: tuple[object, ...]) -> None:
        assert called != method

    return hook
