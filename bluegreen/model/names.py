"""Names and their grammars.

Everything that reaches a template, an exec or a label passes one of these first, always by
``fullmatch``: ``$`` would accept a trailing newline, and a newline ends an nginx directive.
"""

from __future__ import annotations

import re
from enum import StrEnum

TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
"""An image tag, as the OCI distribution specification has it."""

PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
"""A Compose project name, shortened so that every container name made from it stays a DNS label or close."""

SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""A Compose service name."""

PREFIX = re.compile(r"/(?:[A-Za-z0-9._~%-]+(?:/[A-Za-z0-9._~%-]+)*/?)?")
"""A route: a path prefix without query, empty segments or characters nginx would read as syntax."""

PATH = re.compile(r"/[A-Za-z0-9._~%/?&=+,:@!*()-]*")
"""The path and query of a health or smoke request."""

HOST = re.compile(
    r"(?=.{1,253}$)(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
"""A host name, optionally with a leading ``*.``."""

COOKIE_DOMAIN = re.compile(
    r"(?=.{1,253}$)(?!.*\.[0-9]+$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+"
)
"""A domain of at least two labels, which is no address: browsers take no cookie for another."""

FORCE_HEADER = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?")
"""A header's name as nginx has a variable for it: without underscores."""

FORCE_COOKIE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
FORCE_SECRET = re.compile(r"[A-Za-z0-9_-]{16,128}")


class Slot(StrEnum):
    """A place for one stack. Which of the two is live is the routes' business."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Slot:
        return Slot.GREEN if self is Slot.BLUE else Slot.BLUE


class Kind(StrEnum):
    """What a service is to bluegreen."""

    ROUTED = "routed"  # reachable through the proxy, in each slot
    INTERNAL = "internal"  # in each slot, no route
    WORKER = "worker"  # no route, runs in the live slot only
    JOB = "job"  # runs once per release, before what depends on its completion
    SHARED = "shared"  # one instance outside the slots


def is_tag(value: str) -> bool:
    return TAG.fullmatch(value) is not None


def slot_container(project: str, slot: Slot, service: str, replica: int) -> str:
    """Name of replica 1.. of a service in a slot."""
    return f"{project}-{slot}-{service}-{replica}"


def kept_container(project: str, release: int, service: str, replica: int) -> str:
    """Name of the same container once its release has left the slot and is kept for a cold rollback."""
    return f"{project}-r{release}-{service}-{replica}"


def shared_container(project: str, service: str, replica: int = 1) -> str:
    """Compose's own name for it, so that a person finds it where it always was."""
    return f"{project}-{service}-{replica}"


def slot_network(project: str, slot: Slot) -> str:
    return f"{project}-{slot}"


def proxy_container(project: str) -> str:
    return f"{project}-proxy"


def state_volume(project: str) -> str:
    """Generations, routes and the journal."""
    return f"{project}-bluegreen"


def log_volume(project: str) -> str:
    """The proxy's access log."""
    return f"{project}-bluegreen-log"


def kept_images(project: str) -> str:
    """What the tags begin with that bluegreen itself holds on images, so that pruning dangling ones takes none."""
    return f"bluegreen/{project}/"


def kept_image(project: str, service: str, release: int) -> str:
    """The tag of a release's image."""
    return f"{kept_images(project)}{service.lower()}:r{release}"


def release_of_image(tag: str) -> int | None:
    """The release that one of those tags is for."""
    number = tag.rpartition(":r")[2]
    return int(number) if number.isdecimal() else None
