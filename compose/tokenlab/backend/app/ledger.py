"""Asks the ledger, the one store that all releases share: a JSON object a line, answered in kind."""

import asyncio
import json
import os
from typing import Any

ADDRESS = os.environ.get("LEDGER", "")  # HOST:PORT
TIMEOUT = 5.0  # seconds

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class LedgerError(Exception):
    """The ledger could not be asked, or its answer was lost: what was asked may have been done."""


async def ask(**question: Any) -> dict[str, Any]:
    """Never asks twice by itself: some questions count."""
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = _take() or await _connect()
            try:
                writer.write(json.dumps(question).encode() + b"\n")
                answer = json.loads(await reader.readline())
            except BaseException:
                writer.close()  # an answer that comes later must not meet another question
                raise
    except (OSError, TimeoutError, ValueError) as error:
        raise LedgerError(f"ledger {ADDRESS}: {error or type(error).__name__}") from error
    _idle.append((reader, writer))
    if "error" in answer:
        raise LedgerError(f"ledger {ADDRESS}: {answer['error']}")
    return dict(answer)


_idle: list[Connection] = []


def _take() -> Connection | None:
    """An idle connection that the ledger has not closed, as it does when it stops."""
    while _idle:
        reader, writer = _idle.pop()
        if not reader.at_eof():
            return reader, writer
        writer.close()
    return None


async def _connect() -> Connection:
    host, _, port = ADDRESS.rpartition(":")
    if not host:
        raise LedgerError("no ledger: LEDGER is not set")
    return await asyncio.open_connection(host, int(port))
