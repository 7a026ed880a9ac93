"""What the long proof does, and the short one of `make bench`."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkFailed

HERE = Path(__file__).parent
SMALL = HERE / "compose.yaml"
SAMPLE = HERE.parent.parent / "compose" / "tokenlab"
BLUEGREEN = str(Path(sys.executable).with_name("bluegreen"))
CUTOVER_BAR = 5.0  # milliseconds, at the 99th percentile
GROWTH_BAR = 4.0  # times the proxy's memory and workers at the beginning
EXTRA = 4
"""Every so many cycles there is one more deploy, so that each slot takes its turn in being replaced."""


@dataclass
class Proven:
    """``receipt`` is what `bg prove --out` writes."""

    name: str
    receipt: Mapping[str, Any]
    problems: list[str] = field(default_factory=list)

    def check(self, switches: int) -> Proven:
        """Hold the receipt against the bars."""
        found = self.receipt
        for key in ("failed", "truncated", "duplicates", "late", "lost"):
            if found[key] != 0:
                self.problems.append(f"{key}: {found[key]}, and must be 0")
        if found["switches"] < switches:
            self.problems.append(f"{found['switches']} switches of {switches}")
        cutover = found["cutover"]
        if cutover is None or cutover["p99"] > CUTOVER_BAR:
            self.problems.append(f"cut-over at the 99th percentile: {cutover and cutover['p99']}, bar {CUTOVER_BAR} ms")
        proxy = found["proxy"]
        if not proxy or proxy["memory_max"] > GROWTH_BAR * proxy["memory_first"]:
            self.problems.append(f"the proxy's memory is not bounded: {proxy}")
        if proxy and proxy["workers_max"] > GROWTH_BAR * proxy["workers_first"]:
            self.problems.append(f"the proxy's workers are not bounded: {proxy}")
        return self


@contextlib.contextmanager
def project(file: Path, *, quiet: bool = False, **env: str) -> Iterator[Callable[..., int]]:
    """A project from a file, under a name and on a port of its own, and nothing of it afterwards."""
    name = f"bgprove-{secrets.token_hex(3)}"
    own = {k: v for k, v in os.environ.items() if not k.startswith(("BG_", "COMPOSE_")) and k not in ("TAG", "BREAK")}

    def bg(*words: str, **more: str) -> int:
        command = [BLUEGREEN, "--file", str(file), "-p", name, *words]
        to = subprocess.DEVNULL if quiet else None
        return subprocess.run(
            command, env={**own, **env, **more}, stdin=subprocess.DEVNULL, stdout=to, stderr=to, check=False
        ).returncode

    bg.project = name  # type: ignore[attr-defined]  # for those that drive it from within
    try:
        yield bg
    finally:
        bg("down", "--yes", "--volumes", "--images")


def must(code: int, what: str) -> None:
    if code:
        raise BenchmarkFailed(f"{what} ended with {code}")


def switches(count: int, *, sample: bool, quiet: bool = False) -> Proven:
    """So many switches of the sample, or of the small project, by `bg prove`."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "receipt.json"
        file = _sample(Path(directory)) if sample else SMALL
        with project(file, quiet=quiet, PROVE_PORT=str(free_port())) as bg:
            for tag in ("v1.0.0", "v1.1.0"):
                must(bg("deploy", tag), f"deploy {tag}")
            bg("prove", "--switches", str(count), "--out", str(out))
        if not out.exists():
            raise BenchmarkFailed("bg prove wrote no receipt")
        name = f"{count} switches of {'the sample' if sample else 'the small project'}"
        return Proven(name, json.loads(out.read_text())).check(count)


def cycles(count: int, drain: str = "5s") -> Proven:
    """So many deploys and rollbacks of the small project, whole, under one load that goes on over all of them."""
    from bluegreen.app.deploy import DeployRequest, deploy
    from bluegreen.app.proving import heard, proving
    from bluegreen.app.rollback import rollback
    from bluegreen.app.site import Site
    from bluegreen.cli.screens.prove import receipt_data
    from bluegreen.compose import load
    from bluegreen.engine.connect import connect
    from bluegreen.model.errors import BluegreenError
    from bluegreen.model.project import Project

    env = {**os.environ, "PROVE_PORT": str(free_port()), "PROVE_DRAIN": drain}
    with project(SMALL, PROVE_PORT=env["PROVE_PORT"], PROVE_DRAIN=drain) as bg:
        name = str(bg.project)  # type: ignore[attr-defined]  # set by `project`

        def read(tag: str | None) -> Project:
            return load(SMALL, directory=Path.cwd(), env=env, tag=tag, project_name=name)

        must(bg("deploy", "c0"), "the first deploy")
        site = Site(name, connect(None, os.environ))
        with site.session() as session:
            observed = site.observe(session)
            with proving(site, session, observed, read("c0").prove) as proof:
                watched = replace(site, emit=heard(site, proof))
                number, problems = 0, []
                try:
                    for cycle in range(count):
                        for _ in range(2 if cycle % EXTRA == EXTRA - 1 else 1):
                            number += 1
                            proof.asks("deploy", read(None).drain)
                            deploy(watched, DeployRequest(read, f"c{number}"))
                        proof.asks("rollback", read(None).drain)
                        rollback(watched, reason="a cycle of make prove")
                        if sys.stderr.isatty() or (cycle + 1) % 10 == 0:
                            sys.stderr.write(f"cycle {cycle + 1} of {count}, {proof.lost} lost\n")
                except BluegreenError as error:  # what was counted until then still counts
                    problems.append(f"cycle {cycle + 1} of {count}: {error}")
                receipt = proof.finish()
    found = Proven(f"{count} deploys and rollbacks of the small project", receipt_data(receipt), problems)
    return found.check(2 * count)


def _sample(directory: Path) -> Path:
    """The sample's file on a port of its own, beside links to what it is built from."""
    for entry in SAMPLE.iterdir():
        if entry.is_dir():
            (directory / entry.name).symlink_to(entry)
    text = (SAMPLE / "compose.yaml").read_text()
    listen = 'proxy: {listen: "8080"}'
    if listen not in text:
        raise BenchmarkFailed(f"the sample's file has another listener than {listen}")
    file = directory / "compose.yaml"
    file.write_text(text.replace(listen, 'proxy: {listen: "127.0.0.1:${PROVE_PORT}"}'))
    return file


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
