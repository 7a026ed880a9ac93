"""The edge: what sockets, the SDK, requests and urllib3 raise, and what the engine answers, in our words."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bluegreen.model.errors import (
    BluegreenError,
    EngineConflict,
    EngineFailed,
    EngineUnreachable,
    NotFound,
)


@contextmanager
def edge(what: str, address: str) -> Iterator[None]:
    """Turn every library's exception inside into one of ours; ``what`` says what was being done."""
    try:
        yield
    except BluegreenError:
        raise
    except Exception as error:
        translated = translate(error, what, address)
        if translated is None:
            raise  # a bug of ours keeps its own traceback
        raise translated from error


def translate(error: Exception, what: str, address: str) -> BluegreenError | None:
    """None where the exception is no library's."""
    sdk = sys.modules.get("docker.errors")  # loaded, where it is the SDK that raises
    if sdk is not None and isinstance(error, sdk.APIError) and error.response is not None:
        return refusal(error.response.status_code, str(error.explanation or error), what)
    if _is_timeout(error) or isinstance(cause_of(error), TimeoutError):
        return EngineUnreachable(
            "engine.timeout",
            f"{what}: the engine at {address} did not answer in time",
            next=("bg doctor",),
        )
    if isinstance(error, OSError) or _LIBRARIES & _packages(error):
        return EngineUnreachable(
            "engine.unreachable",
            f"{what}: no answer from the engine at {address}: {reason(error)}",
            next=("bg doctor",),
        )
    return None


def refusal(status: int, message: str, what: str, where: str | None = None) -> EngineFailed:
    """The error for an answer of 400 and above."""
    message = message.strip()
    if "no space left on device" in message:
        return EngineFailed(
            "engine.disk-full",
            f"{what}: the engine's disk is full ({message})",
            where=where,
            next=("docker system df", "bg prune", "bg doctor"),
        )
    if status == 404 and (missing := re.search(r"No such image: (\S+)", message)):
        return NotFound("engine.no-image", f"{what}: the image {missing[1]} is not on the engine", where=where)
    if status == 404:
        return NotFound("engine.not-found", f"{what}: {message}", where=where)
    if status == 409:
        return EngineConflict("engine.conflict", f"{what}: {message}", where=where)
    return EngineFailed("engine.failed", f"{what}: {message}", where=where)


def reason(error: BaseException) -> str:
    """Why a connection failed, in words."""
    cause = cause_of(error)
    if isinstance(cause, OSError):
        words = {
            errno.ENOENT: "there is no such socket",
            errno.EACCES: "permission denied",
            errno.EPERM: "permission denied",
            errno.ECONNREFUSED: "connection refused",
            errno.EHOSTUNREACH: "no route to the host",
            errno.ENETUNREACH: "the network is unreachable",
            errno.ECONNRESET: "the connection was reset",
            errno.EPIPE: "the connection was closed",
        }
        if cause.errno in words:
            return words[cause.errno]
        return cause.strerror or str(cause) or type(cause).__name__
    return str(cause) or type(cause).__name__


def cause_of(error: BaseException) -> BaseException:
    """The operating system's error within a library's, where there is one; else the innermost."""
    seen: list[BaseException] = []
    queue: list[BaseException] = [error]
    while queue:
        current = queue.pop(0)
        if current in seen:
            continue
        seen.append(current)
        if isinstance(current, OSError) and isinstance(current.errno, int):
            return current
        nested = [*current.args, getattr(current, "reason", None), current.__cause__, current.__context__]
        queue += [inner for inner in nested if isinstance(inner, BaseException)]
    timeouts = [inner for inner in seen if isinstance(inner, TimeoutError)]
    return timeouts[0] if timeouts else seen[-1]


# By name: importing the libraries to ask costs what not using them saves.
_LIBRARIES = {"docker", "requests", "urllib3", "http"}


def _packages(error: Exception) -> set[str]:
    return {kind.__module__.partition(".")[0] for kind in type(error).__mro__}


def _is_timeout(error: Exception) -> bool:
    return any(kind.__name__ in ("TimeoutError", "Timeout", "ReadTimeoutError") for kind in type(error).__mro__)
