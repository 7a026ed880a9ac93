"""The one store of the project that lives outside the releases: an append-only log on a volume.

It answers a JSON object a line and keeps what it knows in memory; the log is read back at the start.
An answer to something new is given only after the log has reached the disk.
"""

import asyncio
import json
import logging
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

PATH = Path(os.environ.get("LEDGER_PATH") or "/data/ledger.jsonl")
PORT = 7070
MOST_LISTED = 100

log = logging.getLogger("tokenlab.ledger")


class Ledger:
    def __init__(self, path: Path) -> None:
        self.simulations: dict[int, dict[str, Any]] = {}
        self.conflicts = 0
        self.posts: Counter[str] = Counter()
        self._syncing = asyncio.Lock()
        self._log = path.open("ab", buffering=0)
        self._size = self._synced = self._replay(path)

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Appends what is new; `commit` makes it last.

        Raises KeyError, TypeError or ValueError for nonsense and OSError where there is no room; neither
        leaves anything behind.
        """
        match question["op"]:
            case "record":
                new = question["seed"] not in self.simulations
                self._append({"seed": int(question["seed"]), **_some(question, "median", "version", "worker")})
                return {"new": new}
            case "count":
                self._append({"id": str(question["id"]), **_some(question, "version")})
                return {"count": self.posts[question["id"]]}
            case "simulations":
                return self._simulations()
            case "counts":
                return self._counts(str(question.get("prefix", "")))
            case "counted":
                return {"id": question["id"], "count": self.posts[str(question["id"])]}
        raise ValueError(f"unknown op {question['op']!r}")

    async def commit(self) -> None:
        """Returns once all that was appended before is on the disk; concurrent callers share one sync."""
        mine = self._size
        async with self._syncing:
            if self._synced < mine:
                covered = self._size
                await asyncio.to_thread(os.fsync, self._log.fileno())
                self._synced = covered

    def close(self) -> None:
        self._log.close()

    def _append(self, event: dict[str, Any]) -> None:
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        try:
            if self._log.write(line) != len(line):
                raise OSError("only a part of a line could be written")
        except OSError:
            self._log.truncate(self._size)
            raise
        self._size += len(line)
        self._apply(event)

    def _apply(self, event: dict[str, Any]) -> None:
        if "id" in event:
            self.posts[event["id"]] += 1
        elif event["seed"] in self.simulations:
            self.conflicts += 1
        else:
            self.simulations[event["seed"]] = event

    def _replay(self, path: Path) -> int:
        """Reads the log back. A torn last line was never acknowledged: it is cut off."""
        whole = 0
        with path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    log.warning("cutting off a torn line of %d bytes", len(line))
                    self._log.truncate(whole)
                    break
                self._apply(json.loads(line))
                whole += len(line)
        return whole

    def _simulations(self) -> dict[str, Any]:
        last = next(reversed(self.simulations.values()), None)
        versions = Counter(entry["version"] for entry in self.simulations.values())
        return {
            "recorded": len(self.simulations),
            "conflicts": self.conflicts,
            "versions": versions,
            "last": last,
        }

    def _counts(self, prefix: str) -> dict[str, Any]:
        chosen = {name: times for name, times in self.posts.items() if name.startswith(prefix)}
        repeated = sorted(name for name, times in chosen.items() if times > 1)
        return {
            "posts": sum(chosen.values()),
            "ids": len(chosen),
            "repeated": len(repeated),
            "repeated_ids": repeated[:MOST_LISTED],
        }


def _some(question: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: question[name] for name in names}


async def converse(ledger: Ledger, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            try:
                answer = ledger.answer(json.loads(line))
            except (KeyError, OSError, TypeError, ValueError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            await ledger.commit()
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
    except (ConnectionError, ValueError) as error:  # ValueError: a line longer than the reader takes
        log.warning("a connection ended early: %s", error)
    finally:
        writer.close()


async def main() -> None:
    ledger = Ledger(PATH)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    host = "0.0.0.0"  # noqa: S104  # inside a container, where only its networks reach it
    server = await asyncio.start_server(lambda *streams: converse(ledger, *streams), host, PORT)
    log.info("ledger at port %d: %d simulations, %d posts", PORT, len(ledger.simulations), ledger.posts.total())
    await stopping.wait()
    server.close()
    await ledger.commit()
    ledger.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    asyncio.run(main())
