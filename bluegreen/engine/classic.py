"""Building by the engine's classic builder, through the SDK."""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, Any, cast

from bluegreen.engine.api import Api
from bluegreen.engine.building import Failure, ignored, place, stoppable
from bluegreen.engine.dockerfile import buildkit_need
from bluegreen.engine.errors import edge
from bluegreen.engine.protocol import BuildRequest, Progress
from bluegreen.engine.refs import split_ref
from bluegreen.engine.stream import cut
from bluegreen.model.errors import BuildFailed, EngineFailed

if TYPE_CHECKING:
    from docker import APIClient
    from requests import Response

_NOISE = re.compile(r" ---> |Removing intermediate container |Successfully (built|tagged) ")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_OUTSIDE = ".bluegreen.dockerfile"


def run(api: Api, request: BuildRequest, dockerfile: str, line: Progress) -> Failure | None:
    """None where it was built and tagged. Raises `BuildFailed` (code ``build.needs-buildkit``)."""
    _refuse_buildkit(request, dockerfile)
    what = f"building {request.tags[0]}"
    # A client of its own: builds run side by side, and each may be cut off.
    try:
        with api.sdk() as client, edge(what, str(api.address)):
            return _build(client, request, dockerfile, line)
    except EngineFailed as error:  # refused before the first step, as for a Dockerfile that can't be parsed
        return Failure(error.problem.message.removeprefix(f"{what}: "))


def _build(client: APIClient, request: BuildRequest, dockerfile: str, line: Progress) -> Failure | None:
    from docker.utils.build import tar

    build = request.build
    inside = _inside(request)
    name = inside or _OUTSIDE
    packed = tar(
        request.context,
        exclude=ignored(request.context / ".dockerignore"),
        dockerfile=(name, None if inside else dockerfile),
        gzip=False,
    )
    context = cast("IO[bytes]", packed)  # a temporary file; its stub promises less
    failure: Failure | None = None
    step = ""
    lines: list[str] = []
    answers: list[Response] = []
    client.hooks["response"].append(lambda answer, **_: answers.append(answer))
    # The engine stops a build whose client has gone.
    with stoppable(request.stop, lambda: cut(answers)), context:
        events = client.build(
            fileobj=context,
            custom_context=True,
            tag=request.tags[0],
            dockerfile=name,
            buildargs=dict(build.args),
            labels={**dict(build.labels), **request.labels},
            target=build.target or "",
            network_mode=build.network,
            extra_hosts=_hosts(build.extra_hosts),
            shmsize=build.shm_size,
            pull=build.pull,
            nocache=build.no_cache,
            rm=True,
            forcerm=True,
            use_config_proxy=True,
            timeout=None,
            decode=True,
        )
        for event in events:
            for text in _lines(event):
                if begun := re.fullmatch(r"Step \d+/\d+ : (.*)", text):
                    step, lines = begun[1], []
                else:
                    lines.append(text)
                line(text)
            if "error" in event:
                failure = Failure(_reason(event), step, tuple(lines))
    if failure is None:
        for ref in request.tags[1:]:
            repository, tag = split_ref(ref)
            client.tag(request.tags[0], repository, tag)
    return failure


def _refuse_buildkit(request: BuildRequest, dockerfile: str) -> None:
    need = buildkit_need(dockerfile, [name for name, _ in request.build.args])
    line, feature = (need.line, need.feature) if need else (None, "")
    own_ignore = f"{request.build.dockerfile}.dockerignore"
    if need is None and request.build.dockerfile_inline is None and (request.context / own_ignore).is_file():
        feature = f"an ignore file of its own ({own_ignore})"
    if feature:
        raise BuildFailed(
            "build.needs-buildkit",
            f"{feature} needs BuildKit, and the docker command has no buildx plugin here; the engine's classic "
            f"builder can't do it",
            where=place(request, line),
            next=(
                "apt-get install docker-buildx    (docker-buildx-plugin from Docker's own packages)",
                "docker buildx version    answers once it is there",
            ),
        )


def _inside(request: BuildRequest) -> str | None:
    """The Dockerfile's path in the context; None where it isn't in it."""
    if request.build.dockerfile_inline is not None:
        return None
    file = request.context / request.build.dockerfile
    try:
        return str(file.resolve().relative_to(request.context.resolve()))
    except ValueError:
        return None


def _lines(event: dict[str, Any]) -> list[str]:
    if "stream" in event:
        plain = _COLOUR.sub("", str(event["stream"]))
        return [text for text in plain.splitlines() if text.strip() and not _NOISE.match(text)]
    if event.get("status") and not event.get("progressDetail"):
        return [f"{event['id']}: {event['status']}" if event.get("id") else str(event["status"])]
    return []


def _reason(event: dict[str, Any]) -> str:
    said = str((event.get("errorDetail") or {}).get("message") or event["error"])
    code = re.fullmatch(r"The command '.*' returned a non-zero code: (\d+)", said, re.DOTALL)
    return f"exit code {code[1]}" if code else said


def _hosts(hosts: tuple[str, ...]) -> dict[str, str] | None:
    if not hosts:
        return None
    return dict(re.split(r"[:=]", host, maxsplit=1) for host in hosts)
