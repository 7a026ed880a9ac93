"""Building by `docker buildx build --load`, the only way to BuildKit's features."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from bluegreen.engine.api import Address
from bluegreen.engine.building import Failure, stoppable
from bluegreen.engine.protocol import BuildRequest, Progress

_STEERING = re.compile(
    r"DOCKER_|BUILDX_|BUILDKIT_|COMPOSE_|XDG_|SSH_|SSL_|GIT_|OTEL_|LD_|LC_|(?:PATH|HOME|TMPDIR|LANG|USER|GODEBUG)$"
)
_PROXY = re.compile(r"(?:https?|ftp|all|no)_proxy", re.IGNORECASE)
"""Names of variables that the docker command or its plugin obeys; a proxy only on the way to a distant engine."""

_PATIENCE = 10.0  # seconds a cancelled build has to end by itself


def there(env: Mapping[str, str]) -> bool:
    """Whether the docker command and its buildx plugin are on this machine."""
    docker = shutil.which("docker", path=env.get("PATH"))
    if docker is None:
        return False
    probe = subprocess.run(
        [docker, "buildx", "version"], env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return probe.returncode == 0


def run(address: Address, env: Mapping[str, str], request: BuildRequest, line: Progress) -> Failure | None:
    """None where it was built, tagged and loaded into the engine at ``address``."""
    inline = request.build.dockerfile_inline
    hidden = unlisted(request.build.args, env, address)
    process = subprocess.Popen(
        command(request, hidden),
        env=environment(address, env) | hidden,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # In a session of its own a Ctrl-C reaches it through us alone, after the lines so far were read.
        start_new_session=True,
    )
    standard_input, output = process.stdin, process.stdout
    assert standard_input is not None  # noqa: S101 - a pipe
    assert output is not None  # noqa: S101 - a pipe
    reading = _Output()
    with stoppable(request.stop, lambda: _cancel(process)), output:
        # A build that fails at once doesn't read its Dockerfile; what it says then is the reason.
        with suppress(BrokenPipeError), standard_input:
            standard_input.write(inline or "")
        for text in output:
            if shown := reading.take(text.rstrip("\n")):
                line(shown)
    if process.wait() == 0:
        return None
    return Failure(reading.reason or f"docker buildx ended with {process.returncode}", reading.step, reading.log)


def command(request: BuildRequest, hidden: Collection[str] = ()) -> list[str]:
    """Every value stands in one word with its option, so that none can pass for an option itself.

    Of the arguments in ``hidden`` only the name is there: docker takes their values from its environment.
    """
    build = request.build
    words = ["docker", "buildx", "build", "--load", "--progress=plain"]
    words += [f"--tag={tag}" for tag in request.tags]
    words += [f"--build-arg={name}" if name in hidden else f"--build-arg={name}={value}" for name, value in build.args]
    words += [f"--label={name}={value}" for name, value in {**dict(build.labels), **request.labels}.items()]
    words += [f"--add-host={host}" for host in build.extra_hosts]
    words += [f"--target={build.target}"] if build.target else []
    words += [f"--network={build.network}"] if build.network else []
    words += [f"--shm-size={build.shm_size}"] if build.shm_size else []
    words += ["--pull"] if build.pull else []
    words += ["--no-cache"] if build.no_cache else []
    file = "-" if build.dockerfile_inline is not None else str(request.context / build.dockerfile)
    return [*words, f"--file={file}", "--", str(request.context)]


def unlisted(args: Iterable[tuple[str, str]], env: Mapping[str, str], address: Address) -> dict[str, str]:
    """The build arguments that can be handed on through the environment, so that no list of processes shows them.

    Not those that would change what the docker command itself does.
    """

    def obeyed(name: str) -> bool:
        return bool(_STEERING.match(name) or (_PROXY.fullmatch(name) and address.scheme != "unix"))

    return {name: value for name, value in args if env.get(name) == value or not (name in env or obeyed(name))}


def environment(address: Address, env: Mapping[str, str]) -> dict[str, str]:
    """What makes the docker command talk to the same engine."""
    chosen = {k: v for k, v in env.items() if k not in ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_TLS")}
    chosen["DOCKER_HOST"] = address.url
    # Attestations would make an index of each image, and its id another than the one that runs.
    chosen["BUILDX_NO_DEFAULT_ATTESTATIONS"] = "1"
    if address.tls:
        chosen["DOCKER_CERT_PATH"] = str(Path(next(iter(address.tls.values()))).parent)
        chosen["DOCKER_TLS_VERIFY" if address.verify else "DOCKER_TLS"] = "1"
    return chosen


class _Output:
    """Reads the plain progress: what to show of a line, and at the end why the build failed.

    A failure's report looks like this, after all progress::

        ------
         > [2/3] RUN pip install nothing:
        0.345 ERROR: No matching distribution
        ------
        ERROR: failed to solve: process "/bin/sh -c pip ..." did not complete successfully: exit code: 1
    """

    def __init__(self) -> None:
        self.step = ""
        self.reason = ""
        self.log: tuple[str, ...] = ()
        self._reporting = False

    def take(self, text: str) -> str | None:
        if named := re.fullmatch(r" > (?:\[[^\]]*\] )?(.*):", text):
            self.step, self._reporting, self.log = named[1], True, ()
            return None
        if text.startswith("------"):
            self._reporting = False
            return None
        if self._reporting:
            self.log = (*self.log, re.sub(r"^\d+\.\d+ ", "", text))
            return None
        if text.startswith("ERROR: "):
            self.reason = _reason(text.removeprefix("ERROR: "))
            return None
        # "#5 0.345 text" and "#5 [2/3] RUN ..." without the number of the vertex.
        shown = re.sub(r"^#\d+ (?:\d+\.\d+ )?", "", text).strip()
        return shown or None


def _reason(text: str) -> str:
    """The last line of a failure without the chain of what passed it on."""
    links = (
        r"failed to (solve|build)(?: with frontend \S+)?: |rpc error: code = \w+ desc = |"
        r"failed to create LLB definition: |failed to compute cache key: (?:failed to calculate checksum of ref \S+: )?"
    )
    text = re.sub(rf"^(?:{links})+", "", text)
    ended = re.search(r"(?:did not complete successfully|^executor failed running \[.*\]): exit code: (\d+)$", text)
    return f"exit code {ended[1]}" if ended else text


def _cancel(process: subprocess.Popen[str]) -> None:
    """Ask the build to stop, which buildx passes on to the engine; then insist."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
