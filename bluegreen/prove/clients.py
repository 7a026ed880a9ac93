"""The clients, one coroutine each. Every answer is read to its end, checked and written down; nothing is repeated,
but what was left unanswered behind a ``Connection: close`` (RFC 9112, 9.3.2 and 9.6)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterator

from bluegreen.prove.log import Log
from bluegreen.prove.orders import Orders, Target
from bluegreen.prove.websocket import Websocket
from bluegreen.prove.wire import Connection, Head, Lost

THINK = (0.002, 0.03)
SHORT_BREAK = (0.004, 0.016)
"""Seconds between two new connections of one client: more would use up the ports of the machine."""
DEPTH = 4  # requests in a pipeline
STREAM_LIFE = (1.0, 6.0)
PIECE = 1 << 16
UPLOAD_RATE = 2 << 20  # bytes a second
PING = (0.02, 0.1)
CONNECT = 10.0
AFTER_LOSS = 0.05
"""Seconds: whoever is refused asks again at once, but doesn't spin."""


class Client:
    """One of a kind. Runs until it is told to stop, and finishes what it has begun."""

    def __init__(self, kind: str, number: int, orders: Orders, log: Log, stop: asyncio.Event) -> None:
        self.kind = kind
        self.number = number
        self.orders = orders
        self.log = log
        self.stop = stop
        self.connection: Connection | None = None
        self.sent = 0  # on this connection
        self._requests = 0
        self.targets: Iterator[Target] = itertools.cycle(
            orders.targets[number % len(orders.targets) :] + orders.targets[: number % len(orders.targets)]
        )
        self.random = random.Random(f"{orders.run}{number}")  # noqa: S311 - no secret

    async def run(self) -> None:
        work = _WORK[self.kind]
        try:
            while not self.stop.is_set():
                failures = self.log.failures[self.kind]
                await work(self)
                if self.log.failures[self.kind] != failures:
                    await self.within(AFTER_LOSS)
        finally:
            self.hang_up()

    # -- one request at a time -----------------------------------------------------------------------------
    async def get(self, *, close: bool = False, minor: int = 1) -> None:
        target = next(self.targets)
        fields = {"Connection": "close"} if close else {}
        await self.exchange("GET", target.path, target.host, fields, b"", _content(target), minor=minor)

    async def exchange(
        self,
        method: str,
        path: str,
        host: str,
        fields: dict[str, str],
        body: bytes,
        check: Callable[[Head, bytes], None],
        *,
        minor: int = 1,
        send: Callable[[Connection], Awaitable[None]] | None = None,
        name: str = "",
    ) -> bool:
        """Whether one request was answered, whole and as expected; what it was else is written down."""
        name = name or self.name()
        data = self.message(method, path, host, name, fields, minor) + body
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self.orders.timeout):
                connection = await self.dial()
                begun = time.monotonic()
                head, content = await self._answered(connection, data, send)
                check(head, content)
        except (Lost, OSError, TimeoutError) as error:
            self.lost(error, begun, method, path, name)
            return False
        self.log.answer(begun, self.kind, head)
        self.sent += 1
        if head.closes or minor == 0:
            self.hang_up()
        return True

    async def _answered(
        self, connection: Connection, data: bytes, send: Callable[[Connection], Awaitable[None]] | None
    ) -> tuple[Head, bytes]:
        try:
            await connection.send(data)
            if send is not None:
                await send(connection)
        except OSError:  # it may have said why before it closed
            head = await connection.head()
            raise Lost("status" if head.status >= 300 else "closed", f"{head.status} before all was sent") from None
        head = await connection.head()
        content = b"".join([part async for part in connection.body(head)])
        connection.ends_clean()
        return head, content

    # -- what every client does ----------------------------------------------------------------------------
    async def dial(self) -> Connection:
        if self.connection is None:
            self.connection = await Connection.open(self.orders.address, CONNECT)
            self.sent = 0
            self.log.connections += 1
        return self.connection

    def hang_up(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def name(self) -> str:
        """The id of the next request."""
        self._requests += 1
        return f"{self.orders.run}-{self.kind}-{self.number}-{self._requests}"

    def message(self, method: str, path: str, host: str, name: str, fields: dict[str, str], minor: int = 1) -> bytes:
        token = f"X-Bluegreen-Token: {self.orders.token}\r\n" if self.orders.token else ""
        more = "".join(f"{key}: {value}\r\n" for key, value in fields.items())
        return (
            f"{method} {path} HTTP/1.{minor}\r\nHost: {host}\r\nUser-Agent: bluegreen-prove/{self.number}\r\n"
            f"X-Request-ID: {name}\r\n{token}{more}\r\n"
        ).encode("latin-1")

    def lost(self, error: BaseException, begun: float, method: str, path: str, name: str) -> None:
        self.log.failure(self.kind, self.number, self.sent + 1, begun, method, path, name, _as_lost(error))
        self.hang_up()

    async def pause(self, low: float, high: float) -> None:
        """Until then, or until it is time to stop."""
        await self.within(self.random.uniform(low, high))

    async def within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            return

    def life(self) -> float:
        """Seconds that a stream is kept: the first of a kind stays as long as there is load."""
        if self.number == min(self.log.numbers[self.kind]):
            return float("inf")
        return self.random.uniform(*STREAM_LIFE)


# -- kinds ---------------------------------------------------------------------------------------------------------


async def _reuse(client: Client) -> None:
    await client.get()


async def _think(client: Client) -> None:
    await client.get()
    await client.pause(*THINK)


async def _close(client: Client) -> None:
    await client.get(close=True)
    client.hang_up()
    await client.pause(*SHORT_BREAK)


async def _http10(client: Client) -> None:
    await client.get(minor=0)
    await client.pause(*SHORT_BREAK)


async def _pipeline(client: Client) -> None:
    waiting = [(next(client.targets), client.name()) for _ in range(DEPTH)]
    while waiting:
        target, name = waiting[0]
        begun = time.monotonic()
        try:
            async with asyncio.timeout(client.orders.timeout):
                connection = await client.dial()
                data = b"".join(client.message("GET", t.path, t.host, n, {}) for t, n in waiting)
                begun = time.monotonic()
                await connection.send(data)
                while waiting:
                    target, name = waiting[0]
                    head = await connection.head()
                    content = b"".join([part async for part in connection.body(head)])
                    _content(target)(head, content)
                    client.log.answer(begun, client.kind, head)
                    client.sent += 1
                    waiting.pop(0)
                    if head.closes:
                        client.hang_up()
                        client.log.resent += len(waiting)
                        break
                else:
                    connection.ends_clean()
        except (Lost, OSError, TimeoutError) as error:
            client.lost(error, begun, "GET", target.path, name)
            for other, unanswered in waiting[1:]:
                client.lost(Lost("closed", "behind the one before"), begun, "GET", other.path, unanswered)
            return
    await client.pause(*THINK)


async def _post(client: Client) -> None:
    name = client.name()
    body = json.dumps({"id": name}).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    if await client.exchange(
        "POST", client.orders.paths["post"], client.orders.host, fields, body, _success, name=name
    ):
        client.log.posts += 1
    await client.pause(*SHORT_BREAK)


async def _upload(client: Client) -> None:
    size = client.orders.upload_size
    piece = client.random.randbytes(PIECE)
    digest = hashlib.sha256()

    async def send(connection: Connection) -> None:
        start, left = time.monotonic(), size
        while left:
            part = piece[: min(left, PIECE)]
            digest.update(part)
            await connection.send(part)
            left -= len(part)
            due = start + (size - left) / UPLOAD_RATE
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def check(head: Head, content: bytes) -> None:
        _success(head, content)
        _same_upload(content, size, digest.hexdigest())

    fields = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    path = client.orders.paths["upload"]
    if await client.exchange("POST", path, client.orders.host, fields, b"", check, send=send):
        client.log.uploads += 1


async def _download(client: Client) -> None:
    def check(head: Head, content: bytes) -> None:
        _success(head, content)
        _digested(head, content)

    await client.exchange("GET", client.orders.paths["download"], client.orders.host, {}, b"", check)


async def _chunked(client: Client) -> None:
    def check(head: Head, content: bytes) -> None:
        _success(head, content)
        if "transfer-encoding" not in head.fields:
            raise Lost("body", "the answer is not chunked")

    await client.exchange("GET", client.orders.paths["chunked"], client.orders.host, {}, b"", check)


async def _events(client: Client) -> None:
    path, name = client.orders.paths["events"], client.name()
    begun = time.monotonic()
    try:
        async with asyncio.timeout(client.orders.timeout):
            connection = await client.dial()
            begun = time.monotonic()
            await connection.send(
                client.message("GET", path, client.orders.host, name, {"Accept": "text/event-stream"})
            )
            head = await connection.head()
            if not head.fields.get("content-type", "").startswith("text/event-stream") or head.status != 200:
                raise Lost("status", f"{head.status} {head.fields.get('content-type', '')}")
    except (Lost, OSError, TimeoutError) as error:
        client.lost(error, begun, "GET", path, name)
        return
    client.log.answer(begun, client.kind, head)
    how, seen = await _followed(client, _read_events(connection, head, client.orders.timeout))
    client.log.stream(client.kind, client.number, begun, head.slot, how, seen, path, name)
    client.hang_up()


async def _read_events(connection: Connection, head: Head, seconds: float) -> None:
    """Returns where the answer ends by itself. Raises `Lost` where an event is missing or the end is."""
    last, text = 0, b""
    parts = connection.body(head)
    while True:
        try:
            async with asyncio.timeout(seconds):
                part = await anext(parts)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Lost("cut", f"nothing came for {seconds:g} s") from None
        *lines, text = (text + part).split(b"\n")
        for line in lines:
            if line.startswith(b"id:") and line[3:].strip().isdigit():
                number = int(line[3:])
                if last and number != last + 1:
                    raise Lost("body", f"event {number} after event {last}")
                last = number


async def _websocket(client: Client) -> None:
    path, name = client.orders.paths["websocket"], client.name()
    begun = time.monotonic()
    try:
        async with asyncio.timeout(client.orders.timeout):
            connection = await client.dial()
            begun = time.monotonic()
            wanted = Websocket(connection)
            await connection.send(client.message("GET", path, client.orders.host, name, wanted.fields))
            head = await connection.head()
            wanted.check(head)
    except (Lost, OSError, TimeoutError) as error:
        client.lost(error, begun, "GET", path, name)
        return
    client.log.answer(begun, client.kind, head)

    async def talk() -> None:
        number = 0
        while await wanted.echoed(f"{name}-{number}"[-100:].encode(), client.orders.timeout):
            number += 1
            await asyncio.sleep(client.random.uniform(*PING))

    how, seen = await _followed(client, talk())
    client.log.stream(client.kind, client.number, begun, head.slot, how, seen, path, name)
    client.hang_up()


async def _followed(client: Client, reading: Awaitable[None]) -> tuple[str, str]:
    """Follow a stream until its client has had enough of it, or it ends: by the server, or cut."""
    life = client.life()
    task = asyncio.ensure_future(reading)
    stopping = asyncio.ensure_future(client.stop.wait())
    try:
        done, _ = await asyncio.wait(
            {task, stopping},
            timeout=None if life == float("inf") else life,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if task not in done:
            return "client", ""
        task.result()
    except (Lost, OSError) as error:
        return "cut", str(_as_lost(error))
    else:
        return "server", "it ended by itself"
    finally:
        for one in (task, stopping):
            one.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)


_WORK: dict[str, Callable[[Client], Awaitable[None]]] = {
    "reuse": _reuse,
    "think": _think,
    "close": _close,
    "http10": _http10,
    "pipeline": _pipeline,
    "post": _post,
    "upload": _upload,
    "download": _download,
    "chunked": _chunked,
    "events": _events,
    "websocket": _websocket,
}


# -- what an answer must be ----------------------------------------------------------------------------------------


def _content(target: Target) -> Callable[[Head, bytes], None]:
    def check(head: Head, content: bytes) -> None:
        if head.status not in target.status:
            raise Lost("status", f"{head.status} {content[:60].decode('latin-1')!r}")
        if target.body is not None and target.body.encode() not in content:
            raise Lost("body", f"{content[:60].decode('latin-1')!r} does not contain {target.body!r}")

    return check


def _success(head: Head, content: bytes) -> None:
    if not 200 <= head.status < 300:
        raise Lost("status", f"{head.status} {content[:60].decode('latin-1')!r}")


def _same_upload(content: bytes, size: int, digest: str) -> None:
    """Where the answer is an object that says how many ``bytes`` there were, or their ``sha256``, it must be true."""
    try:
        said = json.loads(content)
    except ValueError:
        return
    if isinstance(said, dict):
        for key, sent in (("bytes", size), ("sha256", digest)):
            if key in said and said[key] != sent:
                raise Lost("body", f"{key} is {said[key]}, and was {sent}")


def _digested(head: Head, content: bytes) -> None:
    """Where the answer has a Content-Digest (RFC 9530), the body must have it."""
    for part in head.fields.get("content-digest", "").split(","):
        name, _, value = part.strip().partition("=")
        if name == "sha-256":
            found = base64.b64encode(hashlib.sha256(content).digest()).decode()
            if value != f":{found}:":
                raise Lost("body", f"{len(content)} bytes with another digest than announced")


def _as_lost(error: BaseException) -> Lost:
    if isinstance(error, Lost):
        return error
    if isinstance(error, TimeoutError):
        return Lost("timeout", "no whole answer in time")
    return Lost("closed", str(error) or type(error).__name__)
