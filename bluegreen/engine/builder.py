"""Images: built by buildx where the plugin is there, else by the engine's classic builder, or pulled."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from bluegreen.engine import buildx, classic
from bluegreen.engine.api import Api, path
from bluegreen.engine.building import Failure, dockerfile_text, place
from bluegreen.engine.errors import edge
from bluegreen.engine.protocol import BuildRequest, Progress
from bluegreen.model.errors import BuildFailed, EngineFailed, EngineUnreachable, NotFound

LAST_LINES = 15
SHORTEST = 6
"""Characters of a build argument that may be a secret; shorter ones stand in many a word."""


def build(api: Api, env: Mapping[str, str], request: BuildRequest, progress: Progress) -> str:
    """Build, tag, and answer the image's id.

    ``BG_BUILDER`` in ``env`` (classic or buildx) chooses the builder; else it is buildx where it can be.
    """
    name = request.tags[0]
    recent: deque[str] = deque(maxlen=LAST_LINES)

    def line(text: str) -> None:
        recent.append(named(text, request.build.args))
        progress(recent[-1])

    text = dockerfile_text(request)
    with_buildx = env.get("BG_BUILDER", "") != "classic" and (env.get("BG_BUILDER") == "buildx" or buildx.there(env))
    try:
        failure = buildx.run(api.address, env, request, line) if with_buildx else classic.run(api, request, text, line)
    except EngineUnreachable:
        if request.stop is None or not request.stop.is_set():
            raise
        failure = None  # the connection was cut to stop it
    if request.stop is not None and request.stop.is_set():
        raise BuildFailed("build.stopped", f"building {name} was stopped")
    if failure is None:
        return str(api.get(path("/images/{}/json", name), what=f"looking for the image {name}")["Id"])
    failure = Failure(
        named(failure.reason, request.build.args),
        named(failure.step, request.build.args),
        tuple(named(text, request.build.args) for text in failure.log),
    )
    step = f" at `{failure.step}`" if failure.step else ""
    # The engine says it in small letters, what runs in a step says it as the system does.
    if any("no space left on device" in said.lower() for said in (failure.reason, *failure.log, *recent)):
        raise BuildFailed(
            "build.disk-full",
            f"building {name} failed{step}: the engine's disk is full",
            where=place(request),
            log=(failure.log or tuple(recent))[-LAST_LINES:],
            next=("docker system df", "docker builder prune", "bg prune"),
        )
    raise BuildFailed(
        "build.failed",
        f"building {name} failed{step}: {failure.reason}",
        where=place(request),
        log=(failure.log if failure.step else tuple(recent))[-LAST_LINES:],
    )


def named(text: str, args: Iterable[tuple[str, str]]) -> str:
    """What a build says, with its arguments' names in the place of their values, which BuildKit puts into each step."""
    for name, value in args:
        if len(value) >= SHORTEST:
            text = text.replace(value, f"${name}")
    return text


def pull(api: Api, ref: str, progress: Progress) -> str:
    """Pull with the logins that `docker login` left. Raises `NotFound` (code ``engine.no-image``)."""
    what = f"pulling {ref}"
    try:
        with api.sdk() as client, edge(what, str(api.address)):
            for event in client.pull(ref, stream=True, decode=True):
                if "error" in event:
                    raise EngineFailed("engine.pull-failed", f"{what}: {event['error']}")
                if event.get("status") and not event.get("progressDetail"):
                    layer = f"{event['id']}: " if event.get("id") else ""
                    progress(f"{layer}{event['status']}")
    except EngineFailed as error:
        raise _pull_failed(ref, error) from error
    return str(api.get(path("/images/{}/json", ref), what=what)["Id"])


def _pull_failed(ref: str, error: EngineFailed) -> EngineFailed:
    said = error.problem.message
    if error.code == "engine.disk-full":
        return error
    if isinstance(error, NotFound) or "not found" in said or "manifest unknown" in said:
        return NotFound("engine.no-image", f"the image {ref} is neither on the engine nor in its registry ({said})")
    if "unauthorized" in said or "denied" in said or "no basic auth" in said:
        registry = ref.partition("/")[0]
        login = f"docker login {registry}" if "." in registry or ":" in registry else "docker login"
        return EngineFailed("engine.pull-denied", f"{said}", next=(login,))
    return EngineFailed("engine.pull-failed", said, next=("bg doctor",))
