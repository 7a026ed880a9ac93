"""Containers beside a project's own, and what containers use. All of it on an engine of this machine."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.errors import BenchmarkFailed


def docker(*arguments: str) -> str:
    """A command's output. Raises `BenchmarkFailed`."""
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BenchmarkFailed("there is no docker command here; scripts/engine installs one") from error
    if done.returncode != 0:
        raise BenchmarkFailed(f"docker {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


@contextlib.contextmanager
def container(
    name: str,
    image: str,
    command: Sequence[str],
    networks: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    mounts: Mapping[Path, str] | None = None,
) -> Iterator[str]:
    """A running container with a volume of its own at /logs; removed with it afterwards. Answers its address in
    the first network. ``mounts`` are directories of this machine."""
    options = [f"--env={key}={value}" for key, value in (env or {}).items()]
    options += [f"--volume={source}:{target}" for source, target in (mounts or {}).items()]
    first, *others = networks
    try:
        docker(
            *("create", "--name", name, "--network", first, "--volume", "/logs", *options),
            *("--entrypoint", command[0], image, *command[1:]),
        )
        for network in others:
            docker("network", "connect", network, name)
        docker("start", name)
        yield address(name, first)
    finally:
        with contextlib.suppress(BenchmarkFailed):
            docker("rm", "--force", "--volumes", name)


def address(name: str, network: str) -> str:
    """A container's address in a network, which this machine reaches over the network's bridge."""
    found = json.loads(docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", name))
    ip = str(found.get(network, {}).get("IPAddress") or "")
    if not ip:
        raise BenchmarkFailed(f"{name} has no address in {network}: {said(name)}")
    return ip


def said(name: str) -> str:
    """The end of a container's output, for messages."""
    done = subprocess.run(["docker", "logs", "--tail", "20", name], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


def processes(name: str) -> list[int]:
    """The processes of a container, as numbers of this machine."""
    return [int(line) for line in docker("top", name, "-eo", "pid").split()[1:]]


def processor_time(name: str) -> float:
    """Seconds of processor time that a container's processes have had, those that have ended left out.

    By the scheduler's own count, in nanoseconds, thread by thread: ticks of 10 ms would be too coarse.
    """
    total = 0
    for process in processes(name):
        for thread in Path(f"/proc/{process}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):
                total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def memory(name: str) -> float:
    """MiB that a container's processes hold, pages that several share divided among them (PSS)."""
    total = 0
    for process in processes(name):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except FileNotFoundError:
            continue
        except PermissionError as error:
            raise BenchmarkFailed("the memory of other users' processes is seen by root only") from error
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024
