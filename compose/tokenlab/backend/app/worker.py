"""Simulates one seed after another and records each in the ledger.

The next seed is the number of simulations recorded so far. Two workers at once therefore try to
record the same seed, which the ledger counts as a conflict: it shows if they ever ran side by side.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket

from app.ledger import LedgerError, ask
from app.simulation import simulate

VERSION = os.environ.get("APP_VERSION") or "dev"
INTERVAL = float(os.environ.get("WORKER_INTERVAL") or 5)  # seconds
RUNS, MONTHS = 1_000, 48

log = logging.getLogger("tokenlab.worker")


async def work(stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        try:
            await record_next()
        except LedgerError as error:
            log.warning("%s; trying again in %g s", error, INTERVAL)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), INTERVAL)


async def record_next() -> None:
    seed = (await ask(op="simulations"))["recorded"]
    outlook = await asyncio.to_thread(simulate, seed, RUNS, MONTHS)
    median = outlook.supply["p50"][-1]
    answer = await ask(op="record", seed=seed, median=median, version=VERSION, worker=socket.gethostname())
    log.info("seed %d: median supply %d, %s", seed, median, "recorded" if answer["new"] else "CONFLICT")


async def main() -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    log.info("worker %s of %s, every %g s", socket.gethostname(), VERSION, INTERVAL)
    await work(stopping)
    log.info("worker %s of %s stopped", socket.gethostname(), VERSION)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    asyncio.run(main())
