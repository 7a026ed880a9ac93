"""Every kind of configuration that can be rendered is accepted by nginx, and has nothing that gixy warns of."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import docker
import pytest

from bluegreen.agent.files import Files
from bluegreen.agent.force import write
from bluegreen.engine.connect import connect
from tests.configurations import configurations
from tests.proxyground import proxy_image
from tests.support import unique

PREVIEW = "".join(
    f'map $http_x_{n} $bg_token_{n} {{ default 0; "t" 1; }}\n' for n in ("header", "cookie", "entered", "known")
)
"""What the entrypoint writes when it makes the preview's token."""


with TemporaryDirectory() as _root:
    write(Files(_root, sync=False), {"header": "X-Release", "cookie": "release", "secret": "0123456789abcdef"})
    FORCE = Path(_root, "force.conf").read_text()
"""What the agent writes for testers."""


@dataclass(frozen=True)
class Excuse:
    """A finding that is none. ``reason`` and ``block`` are patterns that its words and its excerpt must match."""

    check: str
    reason: str
    block: str
    because: str


EXCUSES = (
    Excuse(
        "add_header_redefinition",
        r'"x-bluegreen-upstream" dropped',
        r"location = /\.bluegreen/generation \{\s*add_header X-Bluegreen-Compiled \$bg_compiled always;\s*\}",
        "on the control socket alone, where a file is read and no upstream is asked that the header could name",
    ),
    Excuse(
        "worker_rlimit_nofile_vs_connections",
        r"Missing worker_rlimit_nofile",
        r"^\s*events\s+\{\s*worker_connections \d+;\s*\}\s*$",
        "the entrypoint raises the limit of all, as far as the engine lets it; a worker has no right to",
    ),
    Excuse(
        "if_is_evil",
        r'"error_page" is not safe',
        r"if \(\$request_method = GET\) \{\s*error_page 404 = @bg_other_[\w.-]+;\s*\}",
        "documented for `if in location`, it is the only directive in it, and tests of assets play it",
    ),
    Excuse(
        "missing_resolver",
        r"'proxy_pass' uses a variable",
        r"(?s)^(?:(?!proxy_pass).|proxy_pass http://(?:[\w.-]+_\$bg_slot|\$bg_upstream_\d+(?:_other)?);)*$",
        "the variable ends the name of an upstream in the same configuration: no name is ever resolved",
    ),
)


@pytest.mark.engine
def test_nginx_accepts_every_configuration(engine: docker.DockerClient) -> None:
    found = configurations()
    with closing(connect(None, os.environ)) as building:
        image = proxy_image(building)
    script = (
        "mkdir -p /run/bluegreen/tmp && cd /c && for d in *; do "
        'nginx -t -q -e stderr -c "/c/$d/nginx.conf" 2>/tmp/said || { echo "$d: $(cat /tmp/said)"; }; done; echo done'
    )
    container = engine.containers.create(
        image, entrypoint=["sh", "-c", script], user="0", name=unique("bgt-conf"), network_mode="none"
    )
    try:
        container.put_archive("/", _archive(found))
        container.start()
        assert container.wait(timeout=120)["StatusCode"] == 0
        said = container.logs().decode().splitlines()
    finally:
        container.remove(force=True, v=True)
    titles = list(found)
    complaints = [re.sub(r"^(\d+)", lambda m: titles[int(m[1])], line) for line in said[:-1]]
    assert not complaints
    assert said[-1] == "done"


def test_gixy_finds_nothing_that_has_no_excuse(tmp_path: Path) -> None:
    # It takes half a second for each; what is left out is more of the same to it.
    more = "3 replicas|fifty|a candidate, (address|none)"
    chosen = {title: files for title, files in configurations().items() if not re.search(more, title)}
    findings = _gixy(tmp_path, chosen)
    assert not [f for f in findings if not _excused(f)], "\n".join(
        f"{f['plugin']} in {f['title']}: {f['reason']}\n{f['config']}" for f in findings if not _excused(f)
    )
    met = {e.check for e in EXCUSES for f in findings if f["plugin"] == e.check}
    assert met == {e.check for e in EXCUSES}, "an excuse for what is not found any more"


def test_gixy_does_find_what_would_be_wrong(tmp_path: Path) -> None:
    files = configurations()["two services, 0 trusted, gzip True, 1 replicas"]
    wrong = files["nginx.conf"].replace("set $bg_slot $bg_probed_slot;", "set $bg_slot $http_x_slot;")
    assert wrong != files["nginx.conf"]
    findings = _gixy(tmp_path, {"wrong": {**files, "nginx.conf": wrong}})
    assert "ssrf" in {f["plugin"] for f in findings if not _excused(f)}


def _gixy(directory: Path, found: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    (directory / "preview.conf").write_text(PREVIEW)
    (directory / "force.conf").write_text(FORCE)
    paths = {}
    for number, (title, files) in enumerate(found.items()):
        folder = directory / str(number)
        folder.mkdir()
        for name, text in files.items():
            for file in ("preview", "force*"):
                text = text.replace(f"/bg/{file}.conf", str(directory / f"{file}.conf"))
            (folder / name).write_text(text)
        paths[str(folder / "nginx.conf")] = title
    command = [str(Path(sys.executable).with_name("gixy")), "-f", "json", *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.startswith("["), done.stderr[-2000:]
    # A file with a mistake that the parser stumbles over would have no findings.
    assert "rror" not in done.stderr, done.stderr[-2000:]
    return [{**f, "title": paths.get(f.get("path") or "", f.get("path"))} for f in json.loads(done.stdout)]


def _excused(finding: Mapping[str, Any]) -> bool:
    return any(
        e.check == finding["plugin"]
        and re.search(e.reason, finding["reason"])
        and re.search(e.block, finding["config"])
        for e in EXCUSES
    )


def _archive(found: Mapping[str, Mapping[str, str]]) -> bytes:
    """Each configuration in ``/c/NUMBER``, with three digits so that they stay in order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for number, files in enumerate(found.values()):
            for name, text in files.items():
                _put(archive, f"c/{number:03d}/{name}", text)
        _put(archive, "bg/preview.conf", PREVIEW)
        _put(archive, "bg/force.conf", FORCE)
        for slot in ("blue", "green"):
            _put(archive, f"bg/current/idle/{slot}", "")
    return out.getvalue()


def _put(archive: tarfile.TarFile, name: str, text: str) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(text.encode())
    archive.addfile(info, io.BytesIO(text.encode()))
