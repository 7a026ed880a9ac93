"""Secrets, values of the environment and the preview's token stand in nothing that bluegreen writes or says."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bluegreen.model.errors import Exit
from tests.scenarios.conftest import MakeStack
from tests.scenarios.stack import KNOBS, Answer, Stack, health
from tests.support import eventually

pytestmark = pytest.mark.engine

PLANTED = (
    "literal",  # environment: written in the Compose file
    "variable",  # environment: from a variable of the command's own environment
    "dotenv",  # environment: from .env
    "env-file",
    "secret-file",
    "secret-variable",
    "config-file",
    "config-content",
    "build-argument",
    "smoke-header",
    "smoke-command",  # in its text
    "smoke-environment",  # for the shell that runs it
    "force-secret",  # by which testers choose a slot
    "registry",  # what docker login left
    "proxy-variable",  # userinfo of http_proxy
    "proxy-config",  # the same in docker's configuration
    "broken-line",  # in an env file that can't be read
)

SAID = "said-by-the-check"


@dataclass
class Life:
    """A project with a canary in every place, and all that its commands said."""

    stack: Stack
    canaries: dict[str, str] = field(default_factory=lambda: {n: f"canary-{n}-{secrets.token_hex(6)}" for n in PLANTED})
    said: list[Answer] = field(default_factory=list)
    listed: dict[str, str] = field(default_factory=dict)  # what a list of processes showed: canary to command line
    token: str = ""
    chosen: str = ""  # what a tester saw, with the secret

    def bg(self, *words: str, **env: str) -> Answer:
        self.said.append(self.stack.begin(*words, env=env).end())
        return self.said[-1]

    def sought(self) -> dict[str, str]:
        """Every form in which something planted could be found."""
        forms = dict(self.canaries)
        for name, text in self.canaries.items():
            for shift in range(3):  # the form depends on what stands before, the ends on their neighbours
                forms[f"{name} in base64, {shift}"] = base64.b64encode(b"x" * shift + text.encode()).decode()[4:-4]
        return {**forms, "token": self.token}

    def in_(self, text: str | bytes) -> set[str]:
        """What of it stands in a text."""
        data = text if isinstance(text, bytes) else text.encode(errors="replace")
        return {name for name, form in self.sought().items() if form and form.encode() in data}


def write(life: Life) -> None:
    """The project's files. The image is built, so that there is a build argument."""
    stack, canary, here = life.stack, life.canaries, life.stack.directory
    (here / ".env").write_text(f"DOTENV={canary['dotenv']}\n")
    (here / "app.env").write_text(f"FROM_FILE={canary['env-file']}\n")
    (here / "secret.txt").write_text(canary["secret-file"])
    (here / "config.txt").write_text(canary["config-file"])
    (here / "broken.env").write_text(f'OPEN="a" {canary["broken-line"]}\nB=$%{canary["broken-line"]}\n')
    (here / "broken.yaml").write_text(
        "services:\n  web: {image: a, env_file: broken.env, x-bluegreen: {route: /, port: 1}}\n"
    )
    (here / "web").mkdir()
    (here / "web" / "Dockerfile").write_text(
        f'FROM {stack.image}\nARG PLANTED\nRUN printf %s "$PLANTED" | wc -c >/length\n'
    )
    web = {
        "build": {"context": "./web", "args": {"PLANTED": "${CANARY_BUILD}"}},
        "environment": {
            "TAG": "${TAG:-none}",
            **{name: f"${{{name}:-}}" for name in KNOBS},
            "LITERAL": canary["literal"],
            "VARIABLE": "${CANARY_VARIABLE}",
            "DOTENV": "${DOTENV}",
        },
        "env_file": "app.env",
        "secrets": ["from_file", "from_variable"],
        "configs": [{"source": "from_file", "target": "/config"}, {"source": "content", "target": "/content"}],
        "x-bluegreen": {"route": "/", "port": 8000, "health": health()},
    }
    side = {"image": "${SIDE}", "environment": {"MODE": "worker"}, "x-bluegreen": {"worker": True}}
    stack.write(
        {"web": web, "side": side},
        top={
            "secrets": {"from_file": {"file": "secret.txt"}, "from_variable": {"environment": "CANARY_SECRET"}},
            "configs": {"from_file": {"file": "config.txt"}, "content": {"content": canary["config-content"]}},
        },
        smoke=[
            {"GET": "/smoke", "headers": {"X-Planted": "${CANARY_HEADER}"}, "body": "x-planted"},
            # Long enough to be seen in a list of processes, and it leaves what it was told.
            {"command": 'sleep 0.3; echo "${CANARY_COMMAND} $$CANARY_SMOKE $$BG_PREVIEW_TOKEN" >>told; eval "$$CHECK"'},
        ],
        keep=2,
        proxy={"listen": f"127.0.0.1:{stack.port}", "canary": {"force": {"secret": "${CANARY_FORCE}"}}},
    )


def environment(life: Life, docker_config: Path, temporary: Path) -> dict[str, str]:
    """What every command runs with."""
    canary = life.canaries
    real = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    docker_config.mkdir()
    temporary.mkdir()
    if (real / "cli-plugins").is_dir():
        (docker_config / "cli-plugins").symlink_to(real / "cli-plugins")
    login = base64.b64encode(f"someone:{canary['registry']}".encode()).decode()
    proxies = {"default": {"httpProxy": f"http://someone:{canary['proxy-config']}@127.0.0.1:9"}}
    known = {"auths": {"127.0.0.1:9": {"auth": login}}, "proxies": proxies}
    (docker_config / "config.json").write_text(json.dumps(known))
    through = f"http://someone:{canary['proxy-variable']}@127.0.0.1:9"
    return {
        "CANARY_VARIABLE": canary["variable"],
        "CANARY_SECRET": canary["secret-variable"],
        "CANARY_BUILD": canary["build-argument"],
        "CANARY_HEADER": canary["smoke-header"],
        "CANARY_COMMAND": canary["smoke-command"],
        "CANARY_SMOKE": canary["smoke-environment"],
        "CANARY_FORCE": canary["force-secret"],
        "SIDE": life.stack.image,
        "http_proxy": through,
        "HTTPS_PROXY": through,
        "DOCKER_CONFIG": str(docker_config),
        "TMPDIR": str(temporary),
    }


@contextmanager
def watched(life: Life) -> Iterator[None]:
    """Look at the list of processes again and again. Everybody on the machine can."""
    over = threading.Event()

    any_of_it = re.compile("|".join(map(re.escape, ["canary", *life.sought().values()])).encode())

    def look() -> None:
        while not over.wait(0.03):
            for entry in os.scandir("/proc"):
                if entry.name.isdigit():
                    words = _read(f"/proc/{entry.name}/cmdline")
                    if any_of_it.search(words) and (found := life.in_(words)):
                        shown = words.replace(b"\0", b" ").decode(errors="replace")
                        life.listed.update(dict.fromkeys(found, shown))
                    # Variables are for the process's own user. The token is nobody's but a smoke command's.
                    if b"bluegreen" in words and life.token.encode() in _read(f"/proc/{entry.name}/environ"):
                        life.listed["token"] = f"environment of {words!r}"

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:  # it has ended, or is another user's
        return b""


@pytest.fixture(scope="module")
def life(make_stack: MakeStack, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """From the first deploy to the last, with failures, ways back, an interruption, and every question there is."""
    life = Life(make_stack())
    outside = tmp_path_factory.mktemp("outside")
    write(life)
    life.stack.env.update(environment(life, outside / "docker", outside / "tmp"))
    bg = life.bg
    bg("deploy", "v1", "--json").succeeded()
    life.token = str(life.stack.bg("preview").data["token"])
    with watched(life):
        _the_watcher_sees(life)
        bg("deploy", "v1.5", "--stage", "--json").succeeded()
        life.chosen = life.stack.get("/", **{"X-Release": f"{life.canaries['force-secret']}:candidate"}).text
        for line in ("canary 10", "canary", "config --json", "status", "abort --json"):
            bg(*line.split())
        bg("deploy", "v2", "--events", COLOUR="red").succeeded()
        failed = bg("deploy", "v3", "--verbose", CHECK=f"echo {SAID} $BG_PREVIEW_TOKEN; false")
        assert failed.code == Exit.VERDICT, failed
        assert SAID in failed.err
        missing = bg("deploy", "v4", SIDE="127.0.0.1:9/none:1")
        assert missing.code == Exit.FAILED, missing
        broken = bg("--file", "broken.yaml", "config", "--json")
        assert broken.code == Exit.USAGE, broken
        for line in ("why", "logs", "doctor", "config", "history --json", "why --json", "logs v3 --json"):
            bg(*line.split())
        for line in ("proxy", "doctor --json", "config v9 --json", "deploy v9 --dry-run --json"):
            bg(*line.split())
        bg("rollback", "--events").succeeded()
        bg("switch", "v2").succeeded()
        killed = life.stack.halting(signal.SIGKILL, "before probe", "deploy", "v5", env={"COLOUR": "grey"}).end()
        assert killed.code == -signal.SIGKILL, killed
        life.said.append(killed)
        bg("status")
        bg("resume", "--json").succeeded()
        bg("rollback", "--to", "v1", "--reason", "cold", "--json").succeeded()
        bg("status", "--json").succeeded()
        bg("prune", "--keep", "1", "--json").succeeded()
        bg("down", "--dry-run", "--json").succeeded()
    return life


def _the_watcher_sees(life: Life) -> None:
    """Else that it saw nothing more would mean nothing."""
    life.canaries["control"] = "canary-control"
    plain = subprocess.Popen([sys.executable, "-c", "input()", "canary-control"], stdin=subprocess.PIPE)
    eventually(lambda: "control" in life.listed, what="it shows in the list of processes")
    plain.communicate(b"\n")


def test_every_canary_reached_the_place_that_it_is_for(life: Life) -> None:
    """Else that it was found nowhere else would mean nothing."""
    (web,) = (c for n, c in _containers(life).items() if n in ("blue-web-1", "green-web-1") and "v1" in _tags(c))
    values = dict(pair.split("=", 1) for pair in web["Config"]["Env"])
    for name, variable in (
        ("literal", "LITERAL"),
        ("variable", "VARIABLE"),
        ("dotenv", "DOTENV"),
        ("env-file", "FROM_FILE"),
    ):
        assert values[variable] == life.canaries[name]
    for name, path in (
        ("secret-file", "/run/secrets/from_file"),
        ("secret-variable", "/run/secrets/from_variable"),
        ("config-file", "/config"),
        ("config-content", "/content"),
    ):
        assert life.stack.get(f"/file?path={path}").text == life.canaries[name]
    length = life.stack.get("/file?path=/length").text
    assert int(length) == len(life.canaries["build-argument"])
    assert '"v1.5"' in life.chosen, "a tester with the secret saw the candidate"
    assert life.canaries["force-secret"] not in life.chosen
    told = (life.stack.directory / "told").read_text()
    assert life.in_(told) == {"smoke-command", "smoke-environment", "token"}


def test_nothing_that_was_said_holds_one(life: Life) -> None:
    assert len(life.said) > 20
    for answer in life.said:
        assert life.in_(answer.out + answer.err) == set(), answer


def test_no_list_of_processes_ever_showed_one(life: Life) -> None:
    assert life.listed.keys() == {"control"}, life.listed


def test_no_file_of_the_proxy_s_volumes_holds_one_but_the_token_s_own(life: Life) -> None:
    files = {**_archive(life, "/bg"), **_archive(life, "/var/log/bluegreen")}
    assert {"bg/journal.jsonl", "bluegreen/access.log"} <= files.keys()
    (why,) = (data for name, data in files.items() if name.endswith("/why.json"))
    assert SAID.encode() in why, "the failed deploy's diagnosis is looked at too"
    assert SAID.encode() not in files["bg/journal.jsonl"], "what is kept for good has no words of others"
    found = {name: life.in_(data) for name, data in files.items()}
    assert {name for name, inside in found.items() if inside} == {
        "bg/preview.token",
        "bg/preview.conf",
        "bg/force.conf",
    }
    assert found["bg/force.conf"] == {"force-secret"}
    assert found["bg/preview.token"] == found["bg/preview.conf"] == {"token"}


def test_no_log_or_label_holds_one_nor_anything_else_that_the_engine_tells_of_it(life: Life) -> None:
    engine = life.stack.engine.api
    assert life.in_(engine.logs(f"{life.stack.name}-proxy")) == set()
    for name, container in _containers(life).items():
        if name != "proxy":
            container["Config"].pop("Env")  # where values live
        assert life.in_(json.dumps(container)) == set(), name
    there = life.stack.everything()
    for image in there["images"]:
        assert life.in_(json.dumps(life.stack.engine.images.get(image).labels)) == set(), image
    for network in there["networks"]:
        assert life.in_(json.dumps(engine.inspect_network(network))) == set(), network
    for volume in there["volumes"]:
        assert life.in_(json.dumps(engine.inspect_volume(volume))) == set(), volume


def test_no_file_is_left_over_on_the_operator_s_machine(life: Life) -> None:
    assert list(Path(life.stack.env["TMPDIR"]).rglob("*")) == []
    own = {"compose.yaml", ".env", "app.env", "secret.txt", "config.txt", "broken.env", "broken.yaml", "told", "web"}
    assert {path.name for path in life.stack.directory.iterdir()} == own


def _containers(life: Life) -> dict[str, dict[str, Any]]:
    return {name: life.stack.container(name) for name in life.stack.containers()}


def _tags(container: Mapping[str, Any]) -> str:
    return str(next(v for v in container["Config"]["Env"] if v.startswith("TAG=")))


def _archive(life: Life, path: str) -> dict[str, bytes]:
    """Every file below a directory of the proxy's container, its path included in what is searched."""
    parts, _ = life.stack.engine.api.get_archive(f"{life.stack.name}-proxy", path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as archive:
        files = {m.name: archive.extractfile(m) for m in archive.getmembers() if m.isfile()}
        return {name: name.encode() + b"\n" + file.read() for name, file in files.items() if file is not None}
