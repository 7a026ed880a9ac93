"""The clients' process, from outside: started, listened to, ended."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from bluegreen.model.codec import encode
from bluegreen.model.errors import BluegreenError
from bluegreen.prove.orders import Orders

END = 60.0
"""Seconds that the clients may take to finish what they have begun, beyond the timeout of one request."""


@dataclass
class Seen:
    """What the clients told. ``failures`` are those told one by one; ``problems`` counts all of them."""

    records: Path
    failures: list[Mapping[str, Any]] = field(default_factory=list)
    problems: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kind, problem)
    streams: list[Mapping[str, Any]] = field(default_factory=list)
    counters: Mapping[str, Any] = field(default_factory=dict)


class Load:
    """Clients at work while the block runs. The file of records is there until it ends."""

    def __init__(self, orders: Orders) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="bluegreen-prove-")
        records = Path(self._directory.name) / "records"
        records.touch()
        self.orders = replace(orders, records=str(records))
        self.seen = Seen(records)
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `__exit__`
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Load:
        # -P: what lies in the current directory is no module of ours. A session of its own: Ctrl-C is for us.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bluegreen.prove.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, args=(self._process,), name="bluegreen-prove", daemon=True).start()
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        try:
            self._process.stdin.write(json.dumps(encode(self.orders)).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            self._kill()
            raise self._died() from error
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()
        self._errors.close()
        self._directory.cleanup()

    @property
    def finished(self) -> bool:
        """Whether the clients have told all."""
        return bool(self.seen.counters)

    @property
    def lost(self) -> int:
        return sum(self.seen.problems.values())

    def wait_ready(self, seconds: float) -> bool:
        """Until every client has had an answer, or a failure. Raises `BluegreenError` where the process has died."""
        ready = self._ready.wait(seconds)
        if self._ended.is_set():
            raise self._died()
        return ready and "done" not in self.seen.counters

    def finish(self) -> Seen:
        """Have the clients finish what they have begun, and answer what they have seen. Raises `BluegreenError`."""
        assert self._process is not None  # noqa: S101 - within the block
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._ended.wait(self.orders.timeout + END)
        if not self.seen.counters:
            raise self._died()
        return self.seen

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        for line in process.stdout:
            said = json.loads(line)
            match said.pop("say"):
                case "ready":
                    self._ready.set()
                case "failure":
                    self.seen.problems[said["kind"], said["problem"]] += 1
                    if "id" in said:
                        self.seen.failures.append(said)
                case "stream":
                    self.seen.streams.append(said)
                case "done":
                    self.seen.counters = said
        self._ended.set()
        self._ready.set()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with suppress(BrokenPipeError):
                        stream.close()

    def _died(self) -> BluegreenError:
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        return BluegreenError(
            "prove.clients",
            f"the clients' process ended by itself: {said[-1] if said else 'it said nothing'}",
            next=("bg status",),
        )
