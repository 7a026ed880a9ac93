"""What tests of every kind need: names of their own, free ports, base images, waiting without sleeping."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parent.parent
CHOICE = ROOT / ".state" / "base-images.env"
OFFICIAL = {"NGINX_IMAGE": "nginx:1.30-trixie", "PYTHON_IMAGE": "python:3.13-slim-bookworm"}

_LOOK_AGAIN = 0.05  # seconds
_tick = threading.Event()  # never set: waiting on it is how to wait


def unique(prefix: str = "bgt") -> str:
    """A name that no other test and no other run uses; a valid project name."""
    return f"{prefix}-{secrets.token_hex(4)}"


def free_port() -> int:
    """A TCP port of this machine that nobody listened on a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def base_image(variable: str) -> str:
    """The base image that `scripts/base-images` chose: NGINX_IMAGE or PYTHON_IMAGE."""
    if variable in os.environ:
        return os.environ[variable]
    if CHOICE.is_file():
        chosen = dict(line.split("=", 1) for line in CHOICE.read_text().splitlines() if "=" in line)
        if variable in chosen:
            return chosen[variable]
    return OFFICIAL[variable]


def eventually(observe: Callable[[], T], deadline: float = 15.0, what: str = "") -> T:
    """The first true value that ``observe`` answers. Fails, with the last one, after ``deadline`` seconds."""
    end = time.monotonic() + deadline
    while not (seen := observe()):
        if time.monotonic() >= end:
            raise AssertionError(
                f"{what or 'what was waited for'} did not happen within {deadline:g} s; last: {seen!r}"
            )
        _tick.wait(_LOOK_AGAIN)
    return seen
