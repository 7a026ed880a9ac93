"""Why a container is not healthy, in words that say what to change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from bluegreen.engine.protocol import Engine
from bluegreen.model.containers import ContainerDetails
from bluegreen.model.errors import BluegreenError
from bluegreen.model.project import HealthCheck

SIGKILL_EXIT = 137
HOST_STATUSES = (400, 403, 404, 421)
_HOST_SAID = re.compile(r"host[ -]?header|(?:invalid|unknown|disallowed|blocked|untrusted) ?host|allowed_?hosts", re.I)
"""What frameworks say when they accept some hosts only."""

LISTENING = "0A"  # the state's code in /proc/net/tcp
EXITS = {
    126: "its command is there but can't be executed",
    127: "its command was not found in the image",
    SIGKILL_EXIT: "it was killed with SIGKILL",
    139: "it crashed with a segmentation fault",
    143: "it ended itself on SIGTERM",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """``text`` goes on after the service's name; ``quoted`` is the part of it that is the application's own."""

    code: str
    text: str
    quoted: str = ""


def not_alive(details: ContainerDetails) -> Reason:
    if details.oom_killed:
        limit = f" (its limit is {details.memory_limit // 2**20} MB)" if details.memory_limit else ""
        return Reason("health.oom", f"was killed because it ran out of memory{limit}.")
    if details.error:
        return Reason("health.cannot-start", f"could not be started: {details.error}")
    code = details.container.exit_code
    if code is None:
        return Reason("health.exited", f"keeps ending; it was restarted {details.restarts} times.")
    words = EXITS.get(code)
    often = f" {details.restarts} times in a row" if details.restarts > 1 else ""
    return Reason("health.exited", f"exited with code {code}{often}" + (f": {words}." if words else "."))


def unhealthy_by_docker(details: ContainerDetails) -> Reason:
    last = details.health_log[-1].strip().splitlines()[-1:] if details.health_log else []
    said = f"; the last check said: {last[0][:200]}" if last and last[0] else ""
    return Reason("health.docker", f"is unhealthy by its own healthcheck{said}", said)


def too_slow(details: ContainerDetails, deadline: float) -> Reason:
    if not details.container.running:
        return Reason("health.not-running", f"is {details.container.state} after {deadline:g} s.")
    return Reason("health.too-slow", f"was still {details.container.health or 'starting'} after {deadline:g} s.")


def not_answering(engine: Engine, name: str, target: str, health: HealthCheck, answer: Mapping[str, Any]) -> Reason:
    """The reason behind a probe that failed until the deadline."""
    why, status, detail = answer.get("why"), answer.get("status"), str(answer.get("detail") or "")
    port = int(target.rpartition(":")[2])
    after = f"after {health.deadline + health.start_period:g} s"
    request = f"GET {health.path}"
    if why == "refused":
        return _nobody_listens(listeners(engine, name), port, after)
    if why == "timeout":
        return Reason("health.timeout", f"takes longer than {health.timeout:g} s to answer {request}, {after}.")
    if why == "closed":
        return Reason("health.closed", f"closes the connection without answering {request}.")
    if why == "redirect":
        target = f" to {detail}" if detail else ""
        return Reason(
            "health.redirect",
            f"answers {request} with {status}, a redirect{target}. Set health.path to where it leads, or expect: "
            f"{{status: {status}}}.",
            target,
        )
    if why == "host-rejected":
        return Reason(
            "health.host",
            f"answers {request} with {status} because of the Host header ({detail or 'not one it accepts'}). Set "
            f"health.host to a name it accepts, or let it accept this one.",
        )
    if why == "body":
        return Reason("health.body", f"answers {request} with {status}, but the body lacks {health.body!r}.")
    excerpt = str(answer.get("excerpt") or "").strip().splitlines()
    said = f": {excerpt[0][:120]}" if excerpt else "."
    if status in HOST_STATUSES and any(_HOST_SAID.search(line) for line in excerpt):
        used = health.host or "localhost"
        return Reason(
            "health.host",
            f"answers {request} with {status}, it seems because of the Host header {used!r}{said} "
            f"Set health.host to a name it accepts, or let it accept this one.",
            said if excerpt else "",
        )
    expected = " or ".join(map(str, health.status))
    return Reason(
        "health.status", f"answers {request} with {status} instead of {expected}{said}", said if excerpt else ""
    )


def _nobody_listens(sockets: list[tuple[str, int]] | None, port: int, after: str) -> Reason:
    if sockets is None:
        return Reason("health.refused", f"refuses connections on port {port} {after}.")
    if any(p == port for _, p in sockets):
        address = next(a for a, p in sockets if p == port)
        if _loopback(address):
            return Reason(
                "health.loopback",
                f"listens on {address}:{port} inside its container, so nothing outside can reach it. Bind 0.0.0.0, "
                f"or set port: to where it listens.",
            )
        return Reason("health.refused", f"listens on {address}:{port} and still refuses connections {after}.")
    elsewhere = sorted({p for a, p in sockets if not _loopback(a)})
    if elsewhere:
        ports = ", ".join(map(str, elsewhere))
        return Reason(
            "health.other-port",
            f"does not listen on port {port}; it listens on {ports}. Set port: {elsewhere[0]} in x-bluegreen.",
        )
    return Reason("health.not-listening", f"runs, but nothing listens on port {port} {after}.")


def listeners(engine: Engine, name: str) -> list[tuple[str, int]] | None:
    """Where a container listens, read inside it; None where the image has no ``cat`` to read it with."""
    try:
        stream = engine.exec_stream(name, ["cat", "/proc/net/tcp", "/proc/net/tcp6"])
        lines: list[str] = []
        try:
            while line := stream.receive(timeout=5):
                lines.append(line.decode(errors="replace"))
        finally:
            stream.close()
    except BluegreenError:
        return None
    return parse_listeners(lines) if lines else None


def parse_listeners(lines: list[str]) -> list[tuple[str, int]]:
    """Listening (address, port) of the lines of /proc/net/tcp and tcp6. Docker's own resolver is left out."""
    out: list[tuple[str, int]] = []
    for line in lines:
        fields = line.split()
        if len(fields) < 4 or fields[3] != LISTENING or ":" not in fields[1]:
            continue
        address, port = fields[1].split(":")
        text = _address(address)
        if text != "127.0.0.11":
            out.append((text, int(port, 16)))
    return out


def _address(text: str) -> str:
    """An address as the kernel prints it: 32-bit words in the machine's (little-endian) order."""
    words = bytes.fromhex(text)
    swapped = b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))
    return str(IPv4Address(swapped) if len(swapped) == 4 else IPv6Address(swapped))


def _loopback(address: str) -> bool:
    return address.startswith("127.") or address in ("::1", "::ffff:127.0.0.1")
