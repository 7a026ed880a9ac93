"""One client against a server that says what the test has it say."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bluegreen.prove.clients import Client
from bluegreen.prove.log import Log
from bluegreen.prove.orders import Orders, Target
from bluegreen.prove.wire import Head

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATHS = {kind: f"/{kind}" for kind in ("post", "upload", "download", "chunked", "events", "websocket")}


@dataclass
class Told:
    """What one client told, and what its server was asked."""

    failures: list[Mapping[str, Any]] = field(default_factory=list)
    streams: list[Mapping[str, Any]] = field(default_factory=list)
    log: Log = field(default_factory=lambda: Log(io.BytesIO(), lambda _: None, {}))
    asked: list[bytes] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        return [one["problem"] for one in self.failures]


def talk(kind: str, serve: Serve, *, answers: int = 1, timeout: float = 5.0, target: Target | None = None) -> Told:
    """Run a client until it has told of so many answers, or of a failure, or of a stream's end."""
    return asyncio.run(_talk(kind, serve, answers, timeout, target))


async def _talk(kind: str, serve: Serve, answers: int, timeout: float, target: Target | None) -> Told:
    stop = asyncio.Event()
    told = Told()

    def say(what: Mapping[str, Any]) -> None:
        if what["say"] == "ready":
            return
        (told.failures if what["say"] == "failure" else told.streams).append(what)
        stop.set()

    served: list[asyncio.Task[None]] = []

    async def serving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())  # type: ignore[arg-type]  # there is one
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serving, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    orders = Orders(
        address=(host, port),
        run="run",
        token="secret-token",
        targets=(target or Target("/", "shop"),),
        clients={kind: 1},
        host="shop",
        records="",
        paths=PATHS,
        upload_size=200_000,
        timeout=timeout,
    )
    told.log = Log(io.BytesIO(), say, {kind: [0]})
    answer = told.log.answer

    def counted(begun: float, of: str, head: Head) -> None:
        answer(begun, of, head)
        if sum(told.log.answers.values()) >= answers and kind not in ("events", "websocket"):
            stop.set()

    told.log.answer = counted  # type: ignore[assignment,method-assign]  # stops where a person would
    async with asyncio.timeout(20):
        await Client(kind, 0, orders, told.log, stop).run()
    server.close()
    await asyncio.gather(*served)
    return told


async def request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    """The next one's path, fields and body. Raises `asyncio.IncompleteReadError` at the end of the connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    return head[0].split()[1], fields, await reader.readexactly(int(fields.get("content-length", 0)))


def once(data: bytes, *, cut_to: int | None = None) -> Serve:
    """Answers each request of a connection with these bytes; ``cut_to`` of them and the end, where it is given."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request(reader)
            writer.write(data[:cut_to])
            await writer.drain()
            if cut_to is not None:
                break

    return serve


def sized(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*parts: bytes, fields: tuple[str, ...] = (), end: bytes = b"0\r\n\r\n") -> bytes:
    lines = ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + end
