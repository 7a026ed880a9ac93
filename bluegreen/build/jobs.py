"""Which images a release needs built, and building them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bluegreen.build.digest import content_digest
from bluegreen.build.export import Export
from bluegreen.build.origin import Source
from bluegreen.engine.protocol import BuildRequest, Engine
from bluegreen.engine.refs import split_ref
from bluegreen.model import labels
from bluegreen.model.errors import BluegreenError, BuildFailed, Problem, Refused, UsageError
from bluegreen.model.events import Event, Sink
from bluegreen.model.project import Build, Project, Service

PARALLEL = 2


@dataclass(frozen=True, slots=True)
class BuildJob:
    """One build and the services whose images it makes. ``tag`` is the release's."""

    services: tuple[str, ...]
    request: BuildRequest
    digest: str
    tag: str

    def __str__(self) -> str:
        return ", ".join(self.services)


def image_name(project: Project, service: Service, tag: str) -> str:
    """The name of the image that a service's build makes: its own, with the tag where it has none."""
    if service.image is None:
        return f"{project.name}-{service.name.lower()}:{tag}"
    return service.image if ":" in service.image.rpartition("/")[2] else f"{service.image}:{tag}"


def plan_builds(project: Project, source: Source, exported: Export, created: str | None = None) -> tuple[BuildJob, ...]:
    """One job for each different build; services with equal builds share one. Reads the files, for their digests.

    Raises `UsageError` where two services want different images of one name.
    """
    created = created or datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    wanted: dict[Build, list[Service]] = {}
    for service in project.services.values():
        if service.build is not None:
            wanted.setdefault(service.build, []).append(service)
    jobs = tuple(_job(project, source, exported.build(build), services, created) for build, services in wanted.items())
    _refuse_shared_names(jobs)
    return jobs


def run_builds(
    engine: Engine,
    jobs: Sequence[BuildJob],
    emit: Sink,
    *,
    rebuild: bool = False,
    clock: Callable[[], float] = time.monotonic,
    parallel: int = PARALLEL,
) -> dict[str, str]:
    """The image id of each service, building what the engine doesn't have from this very content.

    A used tag with other content is `Refused` (code ``source.tag-used``) before anything is built, unless
    ``rebuild``. Builds run side by side; the first that fails stops the others and is raised.
    """
    ids: dict[str, str] = {}
    to_build = list(jobs)
    if not rebuild:
        present = {job.services: _present(engine, job) for job in jobs}
        _refuse_used_tags(jobs, present)
        to_build = [job for job in jobs if present[job.services].id is None]
        for job in jobs:
            if (image := present[job.services].id) is not None:
                for ref in present[job.services].missing:
                    engine.tag(image, ref)
                emit(Event("step-done", "build", str(job), "built before, from the same content", 0.0, _PHASE))
                ids.update(dict.fromkeys(job.services, image))
    ids.update(_build_all(engine, to_build, emit, clock, parallel))
    return ids


_PHASE = {"phase": "build"}


def _job(project: Project, source: Source, build: Build, services: list[Service], created: str) -> BuildJob:
    where = f"services.{services[0].name}.build"
    if not build.context.is_dir():
        raise Refused("source.no-context", f"the build's context {build.context} is no directory", where=where)
    try:
        digest = content_digest(build.context, build)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}"
        raise Refused("source.unreadable", f"the build's context can't be read: {what}", where=where) from error
    own = {
        labels.SOURCE: digest,
        labels.BUILT_FOR: project.name,
        labels.OCI_VERSION: source.tag,
        labels.OCI_CREATED: created,
        **({labels.OCI_REVISION: source.revision} if source.revision and not source.dirty else {}),
    }
    refs = tuple(dict.fromkeys(image_name(project, service, source.tag) for service in services))
    return BuildJob(tuple(s.name for s in services), BuildRequest(build.context, build, refs, own), digest, source.tag)


def _refuse_shared_names(jobs: Sequence[BuildJob]) -> None:
    makers: dict[str, BuildJob] = {}
    for job in jobs:
        for ref in job.request.tags:
            if ref in makers:
                raise UsageError(
                    "source.same-image",
                    f"{makers[ref]} and {job} are built differently into one image name, {ref}",
                    where=f"services.{job.services[0]}.image",
                    next=("give each an image name of its own, or none",),
                )
            makers[ref] = job


@dataclass(frozen=True, slots=True)
class _Present:
    """What the engine has of a job: the image where it is from the same content, names that it lacks, and names
    that hold something else."""

    id: str | None
    missing: tuple[str, ...]
    used: tuple[str, ...]


def _present(engine: Engine, job: BuildJob) -> _Present:
    same, missing, used = None, [], []
    for ref in job.request.tags:
        image = engine.image(ref)
        if image is None:
            missing.append(ref)
        elif image.labels.get(labels.SOURCE) == job.digest:
            same = same or image.id
        else:
            used.append(ref)
    # A name whose tag isn't the release's, such as :latest, is meant to move.
    held = tuple(ref for ref in used if split_ref(ref)[1] == job.tag)
    return _Present(same if not used else None, tuple(missing), held)


def _refuse_used_tags(jobs: Sequence[BuildJob], present: Mapping[tuple[str, ...], _Present]) -> None:
    problems = tuple(
        Problem(
            "source.tag-used",
            f"the image {ref} is on the engine and was built from other content; a tag is immutable",
            f"services.{job.services[0]}",
            (f"bg deploy {job.tag} --rebuild    builds it anew under this tag", "bg deploy ANOTHER-TAG"),
        )
        for job in jobs
        for ref in present[job.services].used
    )
    if problems:
        first = problems[0]
        raise Refused(first.code, first.message, where=first.where, next=first.next, problems=problems)


def _build_all(
    engine: Engine, jobs: Sequence[BuildJob], emit: Sink, clock: Callable[[], float], parallel: int
) -> dict[str, str]:
    stop, turn = threading.Event(), threading.Lock()

    def tell(event: Event) -> None:
        with turn:  # sinks are written for one thread
            emit(event)

    def build(job: BuildJob) -> str:
        if stop.is_set():
            raise BuildFailed("build.stopped", f"building {job} was not begun")
        start = clock()
        tell(Event("step", "build", str(job), ", ".join(job.request.tags), data=_PHASE))
        try:
            request = replace(job.request, stop=stop)
            image = engine.build(request, lambda line: tell(Event("progress", "build", str(job), line)))
        except BluegreenError as error:
            first = not stop.is_set()
            stop.set()
            if first:
                tell(Event("step-failed", "build", str(job), str(error), (clock() - start) * 1000, _PHASE))
            raise
        tell(Event("step-done", "build", str(job), "", (clock() - start) * 1000, _PHASE))
        return image

    with ThreadPoolExecutor(max(1, parallel), thread_name_prefix="build") as pool:
        futures: dict[Future[str], BuildJob] = {pool.submit(build, job): job for job in jobs}
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            # Ctrl-C, or a failure: the rest ends before this returns, and nothing of it is left running.
            if not all(future.done() and not future.exception() for future in futures):
                stop.set()
    failures = [error for future in futures if (error := future.exception()) is not None]
    if failures:
        raise next((e for e in failures if getattr(e, "code", "") != "build.stopped"), failures[0])
    return {service: future.result() for future, job in futures.items() for service in job.services}
