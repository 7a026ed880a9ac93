"""The clients' process: orders as the first line of standard input, JSON lines out, until the input says stop or ends.

A process of its own, so that whoever switches can't delay a request or blur its clock.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bluegreen.model.codec import decode
from bluegreen.prove.clients import Client
from bluegreen.prove.kinds import KINDS
from bluegreen.prove.log import Log
from bluegreen.prove.orders import Orders

FILES = 4096
LAST = 20.0
"""Seconds that what has been begun may take after the stop, beyond its own timeout."""


def main() -> None:
    # Ctrl-C is for whoever reads the terminal; this process ends with its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _allow_many_connections()
    orders = decode(Orders, json.loads(sys.stdin.buffer.readline()))
    asyncio.run(_run(orders))


async def _run(orders: Orders) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), _told, loop, stop)
    with Path(orders.records).open("ab") as file:
        number = itertools.count()
        numbers = {kind: [next(number) for _ in range(n)] for kind in KINDS if (n := orders.clients.get(kind, 0))}
        log = Log(file, _say, numbers)
        clients = [Client(kind, n, orders, log, stop) for kind, these in numbers.items() for n in these]
        tasks = {asyncio.create_task(client.run()): client for client in clients}
        flushing = asyncio.create_task(_flush(log))
        await asyncio.wait({asyncio.create_task(stop.wait()), *tasks}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        _, late = await asyncio.wait(tasks, timeout=orders.timeout + LAST)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        crashed = [str(t.exception()) for t in tasks if not t.cancelled() and t.exception() is not None]
        flushing.cancel()
        log.flush()
        _say({"say": "done", "late": [tasks[t].kind for t in late], "crashed": crashed, **log.counters()})


def _allow_many_connections() -> None:
    """Where the limit that a shell gives is lower than the one that it may give."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _told(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    loop.remove_reader(sys.stdin.fileno())
    stop.set()


async def _flush(log: Log) -> None:
    while True:
        await asyncio.sleep(0.5)
        log.flush()


def _say(what: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
