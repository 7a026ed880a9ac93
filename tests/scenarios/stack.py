"""A project of a test's own on a real engine, driven through the real command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import docker
import httpx
import yaml

from bluegreen.model import labels
from bluegreen.model.errors import Exit
from tests.support import OFFICIAL, ROOT, base_image, eventually, free_port, unique

PROGRAM = Path(sys.executable).with_name("bluegreen")
PATIENCE = 120.0
"""Seconds that no command of these tests may need, on a busy machine."""

KNOBS = ("COLOUR", "HOST", "PORT", "EXIT", "BEFORE", "STATUS", "AFTER", "EAT", "ONLY")
"""Variables of the environment that decide what the toy in ``web`` does; see `toy/app.py`."""

Service = dict[str, Any]


def web(image: str, **more: Any) -> Service:
    """A routed service at /, whose conduct follows the environment that a deploy runs in."""
    return {
        "image": image,
        "environment": {"TAG": "${TAG:-none}", **{name: f"${{{name}:-}}" for name in KNOBS}},
        "mem_limit": "${MEMORY:-256m}",
        "x-bluegreen": {"route": "/", "port": 8000, "health": health()},
        **more,
    }


def worker(image: str, **more: Any) -> Service:
    environment = {"MODE": "worker", "TAG": "${TAG:-none}"}
    return {"image": image, "environment": environment, "x-bluegreen": {"worker": True}, **more}


def shared(image: str, **more: Any) -> Service:
    return {"image": image, "environment": {"TAG": "store"}, "x-bluegreen": {"shared": True}, **more}


def health(**more: Any) -> dict[str, Any]:
    return {
        "path": "/health",
        "rise": 1,
        "interval": "0.1s",
        "timeout": "${TIMEOUT:-5s}",
        "deadline": "${DEADLINE:-60s}",
        **more,
    }


@dataclass(frozen=True)
class Answer:
    """What a command answered."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The envelope of ``--json``; of ``--events`` the last line's."""
        try:
            read: dict[str, Any] = json.loads(self.out.strip().splitlines()[-1])
        except (ValueError, IndexError) as error:
            raise AssertionError(f"no JSON: {self}") from error
        envelope: dict[str, Any] = read.get("data", {}) if read.get("kind") == "result" else read
        return envelope

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["data"]
        return found

    @property
    def errors(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.document["errors"]
        return found

    @property
    def notices(self) -> str:
        return "\n".join(f"{n['where']} {n['message']}" for n in self.data["notices"])

    def succeeded(self) -> Answer:
        assert self.code == Exit.DONE, self
        return self

    def failed(self, exit: Exit, code: str, *words: str) -> Answer:
        """It ended with this exit code and this error, says all these words, and what to do next."""
        assert self.code == exit, self
        found = [e for e in self.errors if e["code"] == code]
        assert found, f"no error {code}: {self}"
        error = found[0]
        text = " ".join([error["where"] or "", error["message"], *error["next"]])
        for word in words:
            assert word in text, f"{word!r} is not said: {self}"
        assert error["next"], f"nothing says what to do next: {self}"
        return self

    def __str__(self) -> str:
        last = "\n".join(self.out.splitlines()[-8:])
        return f"{' '.join(self.words)} -> {self.code}\n{last}\n{self.err}"


class Running:
    """A command under way."""

    def __init__(self, words: tuple[str, ...], process: subprocess.Popen[str]) -> None:
        self.words = words
        self.process = process
        self.lines: list[str] = []

    @property
    def _out(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def events(self) -> Iterator[dict[str, Any]]:
        """Events of ``--events`` as they come, until the command ends."""
        for line in self._out:
            self.lines.append(line)
            yield json.loads(line)

    def until(self, kind: str, name: str) -> None:
        """Read on until this event."""
        for event in self.events():
            if (event["kind"], event["name"]) == (kind, name):
                return
        raise AssertionError(f"{kind} {name} never came: {self.end()}")

    def until_stopped(self) -> None:
        """Wait until the process has stopped itself, as `tests.scenarios.halt` does it."""
        state = Path(f"/proc/{self.process.pid}/stat")

        def stopped() -> bool:
            assert self.process.poll() is None, f"it ended before it stopped: {self.end()}"
            return state.read_text().rpartition(")")[2].split()[0] == "T"

        eventually(stopped, PATIENCE, f"{' '.join(self.words)} stopping itself")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> Answer:
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"{' '.join(self.words)} did not end: {out}\n{err}") from None
        return Answer(self.words, self.process.returncode, "".join(self.lines) + out, err)


@dataclass
class Stack:
    """One project. Nothing of it is left when the test ends."""

    engine: docker.DockerClient
    image: str  # the toy
    directory: Path
    name: str = field(default_factory=unique)
    port: int = field(default_factory=free_port)
    env: dict[str, str] = field(default_factory=dict)
    _begun: list[subprocess.Popen[str]] = field(default_factory=list)

    # -- the file ------------------------------------------------------------------------------------------
    def write(
        self, services: Mapping[str, Service] | None = None, *, top: Mapping[str, Any] | None = None, **more: Any
    ) -> Stack:
        """The Compose file: a toy at / where nothing else is said.

        ``top`` has further keys of the file, such as volumes; ``more`` goes to the top's x-bluegreen.
        """
        block = {"proxy": {"listen": f"127.0.0.1:{self.port}"}, "source": "tree", "drain": "0s", **more}
        document: dict[str, Any] = {
            "name": self.name,
            "x-bluegreen": block,
            "services": services if services is not None else {"web": web(self.image)},
            **(top or {}),
        }
        return self.write_text(yaml.safe_dump(document, sort_keys=False))

    def write_text(self, text: str) -> Stack:
        """The Compose file as it is written."""
        self.file.write_text(text)
        return self

    @property
    def file(self) -> Path:
        return self.directory / "compose.yaml"

    # -- the command line ----------------------------------------------------------------------------------
    def bg(self, *words: str, env: Mapping[str, str] | None = None, at: Path | None = None) -> Answer:
        """Run a command with ``--json`` in the project's directory."""
        return self.begin("--json", *words, env=env, at=at).end()

    def text(self, *words: str, **env: str) -> Answer:
        """The same without ``--json``: what a person sees."""
        return self.begin(*words, env=env).end()

    def begin(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        at: Path | None = None,
        program: Sequence[str] = (str(PROGRAM),),
    ) -> Running:
        process = subprocess.Popen(
            [*program, *words],
            cwd=at or self.directory,
            env={**clean_environment(), **self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_hear_ctrl_c,
        )
        self._begun = [p for p in self._begun if p.returncode is None] + [process]
        return Running(("bg", *words), process)

    def end_commands(self) -> None:
        """Kill the commands that a test which failed has left under way, so that the next one meets none of them."""
        for process in self._begun:
            if process.returncode is None:
                process.kill()
                process.communicate()

    def halting(self, number: signal.Signals, where: str, *words: str, env: Mapping[str, str] | None = None) -> Running:
        """Begin a command that sends itself a signal at a checkpoint, as `tests.scenarios.halt` says."""
        program = (sys.executable, "-m", "tests.scenarios.halt", number.name, where)
        return self.begin("--json", *words, env={"PYTHONPATH": str(ROOT), **(env or {})}, program=program)

    def deploy(self, tag: str, *words: str, **env: str) -> Answer:
        return self.bg("deploy", tag, *words, env=env)

    def status(self) -> dict[str, Any]:
        return self.bg("status").succeeded().data

    # -- what is there -------------------------------------------------------------------------------------
    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str = "/", **headers: str) -> httpx.Response:
        with httpx.Client(timeout=10, trust_env=False) as client:
            return client.get(f"{self.url}{path}", headers=headers)

    def answers(self) -> dict[str, Any]:
        """What the release that has the traffic says of itself."""
        reply = self.get()
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    @property
    def serving(self) -> str:
        """The tag that answers the public port."""
        return str(self.answers()["tag"])

    def container(self, name: str) -> dict[str, Any]:
        """The engine's own answer for ``PROJECT-name``."""
        found: dict[str, Any] = self.engine.api.inspect_container(f"{self.name}-{name}")
        return found

    def run_in(self, name: str, *command: str) -> str:
        """Run a command inside ``PROJECT-name``."""
        made = self.engine.api.exec_create(f"{self.name}-{name}", list(command))
        return bytes(self.engine.api.exec_start(str(made["Id"]))).decode()

    def containers(self) -> dict[str, dict[str, Any]]:
        """Every container whose name begins with the project's, without that, and what the engine lists of it."""
        found = self.engine.api.containers(all=True, filters={"name": f"^/{self.name}-"})
        return {c["Names"][0].removeprefix(f"/{self.name}-"): c for c in found}

    def running(self, *, slot: str | None = None, service: str | None = None) -> set[str]:
        """Names, such as blue-web-1, of the slots' running containers."""
        chosen = set()
        for name, container in self.containers().items():
            where, _, rest = name.partition("-")
            fits = where in (slot or "blue", slot or "green") and service in (None, rest.rpartition("-")[0])
            if container["State"] == "running" and fits:
                chosen.add(name)
        return chosen

    def everything(self) -> dict[str, set[str]]:
        """Every resource on the engine that carries the project's name."""
        images = {t for i in self.engine.api.images() for t in i["RepoTags"] or () if self.name in t}
        networks = {n["Name"] for n in self.engine.api.networks() if n["Name"].startswith(self.name)}
        volumes = {v["Name"] for v in self.engine.api.volumes()["Volumes"] or () if v["Name"].startswith(self.name)}
        return {"containers": set(self.containers()), "networks": networks, "volumes": volumes, "images": images}

    def serving_state(self) -> dict[str, Any]:
        """What must not change where nothing is to happen to traffic: who answers, and each container behind it."""
        answer = self.answers()
        containers = self.containers()
        slot = next(n for n, c in containers.items() if c["Id"].startswith(answer["host"])).partition("-")[0]
        behind = [n for n in containers if n == "proxy" or n.partition("-")[0] not in (other(slot), "r")]
        started = {n: self.container(n)["State"]["StartedAt"] for n in behind if not _kept(n)}
        return {"tag": answer["tag"], "host": answer["host"], "started": started}

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Whoever answered the public port answers it afterwards: same release, same containers, never restarted."""
        before = self.serving_state()
        yield
        assert self.serving_state() == before

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Nothing at all is made, removed, started or stopped."""
        serving, there, running = self.serving_state(), self.everything(), self.running()
        yield
        assert self.serving_state() == serving
        assert self.everything() == there
        assert self.running() == running

    @contextmanager
    def lent(self, next_tag: Callable[[], str], *, fresh: bool = False) -> Iterator[Stack]:
        """To one of several tests: with a release live and a good one standing by, ``fresh`` ones if asked for. It must
        be left clean."""
        status = self.status()
        if status["operation"] is not None:
            self.bg("abort").succeeded()  # another test's failure is not this one's
        standby = status["standby"]
        if fresh or standby is None or standby["mark"] == "bad":
            self.deploy(next_tag()).succeeded()
        yield self
        self.end_commands()
        self.is_clean()

    def is_clean(self) -> dict[str, Any]:
        """Nothing is unfinished, nobody holds the lease, status is true, every container is accounted for."""
        status = self.status()
        assert status["operation"] is None, status
        assert status["lease"] is None, status
        assert status["journal"] == "ok", status
        assert status["troubles"] == [], status
        assert status["live"] is not None, status
        assert self.serving in serving_tags(status), status
        assert status["live"]["running"] == status["live"]["wanted"], status
        slots = {p["slot"]: p["release"] for p in (status["live"], status["standby"], status["candidate"]) if p}
        kept = {k["release"] for k in status["kept"]}
        for name, container in self.containers().items():
            release = int(container["Labels"].get(labels.RELEASE, 0))
            place = name.partition("-")[0]
            if place in ("blue", "green"):
                assert slots.get(place) == release, f"{name} of release {release} is unaccounted for: {status}"
            elif _kept(name):
                assert release in kept, f"{name} of release {release} is unaccounted for: {status}"
        workers = {n.partition("-")[0] for n in self.running(service="worker")}
        assert workers <= {status["live"]["slot"]}, f"workers run in {workers}: {status}"
        return status

    def clean(self) -> None:
        """Remove every trace, whatever state it is in."""
        self.end_commands()
        api = self.engine.api
        for name in self.containers():
            _try(lambda name=name: api.remove_container(f"{self.name}-{name}", force=True, v=True))
        found = self.everything()
        for name in found["networks"]:
            _try(lambda name=name: api.remove_network(name))
        for name in found["volumes"]:
            _try(lambda name=name: api.remove_volume(name, force=True))
        for name in found["images"]:
            _try(lambda name=name: api.remove_image(name, force=True))

    def report(self) -> str:
        """Everything that helps to understand a failure."""
        lines = []
        for name, container in self.containers().items():
            lines.append(f"--- {name}: {container['Status']}")
            try:
                lines.append(self.engine.api.logs(container["Id"], tail=30).decode(errors="replace"))
            except docker.errors.APIError as error:  # on its way out: the report of a failure must not fail
                lines.append(f"no logs: {error.explanation}")
        return "\n".join(lines)


def serving_tags(status: Mapping[str, Any]) -> set[str]:
    """The tags that may answer, by a status: a candidate that has a share of the visitors beside live."""
    places = [status["live"], status["candidate"]]
    return {str(place["tag"]) for place in places if place is not None and place["share"]}


def other(slot: str) -> str:
    return "green" if slot == "blue" else "blue"


def clean_environment() -> dict[str, str]:
    """The process's own, less what would steer the tool or the toy; with the base images, for the proxy's."""
    steering = {"TAG", "MEMORY", "DEADLINE", "TIMEOUT", *KNOBS}
    own = {n: v for n, v in os.environ.items() if n not in steering and not n.startswith(("BG_", "COMPOSE_"))}
    return {**own, **{variable: base_image(variable) for variable in OFFICIAL}}


def _hear_ctrl_c() -> None:
    """What a shell starts in the background has it ignored, and so has all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _kept(name: str) -> bool:
    place = name.partition("-")[0]
    return place.startswith("r") and place[1:].isdecimal()


def _try(remove: Any) -> None:
    try:
        remove()
    except docker.errors.APIError as error:
        if error.status_code not in (404, 409):
            raise
