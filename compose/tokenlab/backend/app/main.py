"""The API. Every answer says which release and which replica gave it."""

import asyncio
import base64
import hashlib
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse, Response, StreamingResponse

from app import simulation
from app.ledger import LedgerError, ask

VERSION = os.environ.get("APP_VERSION") or "dev"
INSTANCE = socket.gethostname()
UNBUFFERED = {"x-accel-buffering": "no", "cache-control": "no-store"}
MOST_POINTS = 250_000  # runs times months, about half a second
LIVE_MONTHS = 120
BLOCK = bytes(range(256)) * 256
MOST_BLOCKS = 1_024  # 64 MiB

Seed = Annotated[int, Query(ge=0, le=2**53 - 1)]
Interval = Annotated[float, Query(ge=0.02, le=60, description="seconds")]

api = APIRouter(prefix="/api/v1")


class Stopping:
    """Whether the server is about to stop: what has no end of its own then ends by itself."""

    def __init__(self) -> None:
        self._asked: Callable[[], bool] = lambda: False

    def when(self, asked: Callable[[], bool]) -> None:
        self._asked = asked

    def __bool__(self) -> bool:
        return self._asked()


stopping = Stopping()


@api.get("/health")
async def health() -> dict[str, str]:
    return {"status": "healthy"}


@api.get("/version")
async def version() -> dict[str, str]:
    return {"version": VERSION, "instance": INSTANCE}


@api.get("/simulate")
def simulate(
    seed: Seed = 1,
    runs: Annotated[int, Query(ge=2, le=5_000)] = 1_000,
    months: Annotated[int, Query(ge=1, le=240)] = 48,
) -> Response:
    if runs * months > MOST_POINTS:
        raise HTTPException(422, f"runs times months is {runs * months}, more than {MOST_POINTS}")
    return Response(_outlook(seed, runs, months), media_type="application/json")


@lru_cache(maxsize=64)
def _outlook(seed: int, runs: int, months: int) -> bytes:
    outlook = simulation.simulate(seed, runs, months)
    return json.dumps({"version": VERSION, **vars(outlook)}).encode()


@api.websocket("/live")
async def live(socket: WebSocket, seed: Seed = 1, interval: Interval = 1.0) -> None:
    """Plays futures of the seed, a month an interval, and echoes what it is sent."""
    await socket.accept()
    await socket.send_json(_signed("hello", seed=seed))
    ticks = asyncio.create_task(_tick(socket, seed, interval))
    try:
        while (message := await socket.receive())["type"] != "websocket.disconnect":
            if message.get("text") is not None:
                await socket.send_json(_signed("echo", text=message["text"]))
            elif message.get("bytes") is not None:
                await socket.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        pass
    finally:
        ticks.cancel()


async def _tick(socket: WebSocket, seed: int, interval: float) -> None:
    schedule = simulation.DEFAULT.schedule(LIVE_MONTHS)
    number = 0
    try:
        while True:
            for month in simulation.future(seed, number, schedule):
                tick = {"future": number, "month": month.number, "supply": round(month.supply)}
                await socket.send_json(_signed("tick", **tick, demand=round(month.demand, 3)))
                await asyncio.sleep(interval)
            number += 1
    except (WebSocketDisconnect, RuntimeError):  # it went away between two ticks
        return


@api.get("/stream")
async def stream(chunks: Annotated[int, Query(ge=1, le=10_000)] = 10, interval: Interval = 0.5) -> Response:
    """A slow answer with a known end: the last line is there only if nothing was cut off."""

    async def lines() -> AsyncIterator[str]:
        for number in range(1, chunks + 1):
            yield f"{number}/{chunks} {VERSION} {INSTANCE}\n"
            await asyncio.sleep(interval)
        yield f"end {chunks} {VERSION}\n"

    return StreamingResponse(lines(), media_type="text/plain", headers=UNBUFFERED)


@api.get("/events")
async def events(interval: Interval = 1.0) -> Response:
    """Server-sent events without an end, until the client leaves or the server is about to stop."""

    async def messages() -> AsyncIterator[str]:
        number = 0
        while not stopping:
            number += 1
            yield f"id: {number}\nevent: tick\ndata: {json.dumps(_signed('tick', number=number))}\n\n"
            await asyncio.sleep(interval)
        yield "event: bye\ndata: {}\n\n"

    return StreamingResponse(messages(), media_type="text/event-stream", headers=UNBUFFERED)


@api.post("/upload")
async def upload(request: Request) -> dict[str, Any]:
    """Reads a body of any size, keeping none of it. One with an `X-Request-ID` is counted as a POST for that id is."""
    size, digest = 0, hashlib.sha256()
    async for chunk in request.stream():
        size += len(chunk)
        digest.update(chunk)
    name = request.headers.get("x-request-id", "")
    if 0 < len(name) <= 200:
        await ask(op="count", id=name, version=VERSION)
    return {"bytes": size, "sha256": digest.hexdigest(), "version": VERSION, "instance": INSTANCE}


@api.get("/download")
async def download(
    blocks: Annotated[int, Query(ge=1, le=MOST_BLOCKS, description="of 64 KiB")] = 32,
    seconds: Annotated[float, Query(ge=0, le=300)] = 2.0,
) -> Response:
    """A slow answer of a known length, with the digest of all of it."""

    async def content() -> AsyncIterator[bytes]:
        for _ in range(blocks):
            yield BLOCK
            await asyncio.sleep(seconds / blocks)

    headers = {
        **UNBUFFERED,
        "content-length": str(blocks * len(BLOCK)),
        "content-digest": f"sha-256=:{_digest(blocks)}:",
    }
    return StreamingResponse(content(), media_type="application/octet-stream", headers=headers)


@lru_cache(maxsize=16)
def _digest(blocks: int) -> str:
    digest = hashlib.sha256()
    for _ in range(blocks):
        digest.update(BLOCK)
    return base64.b64encode(digest.digest()).decode()


@api.post("/count")
async def count(request: Request) -> dict[str, Any]:
    """Counts one POST for the client's `id`, in the store that all releases share.

    A client that sends each id once and finds every acknowledged id counted once has had no request lost
    and none processed twice.
    """
    try:
        body = await request.json()
    except ValueError:
        body = None
    name = body.get("id") if isinstance(body, dict) else None
    if not isinstance(name, str) or not 0 < len(name) <= 200:
        raise HTTPException(422, 'expected {"id": TEXT} with 1 to 200 characters')
    answer = await ask(op="count", id=name, version=VERSION)
    return {"id": name, "count": answer["count"], "version": VERSION, "instance": INSTANCE}


@api.get("/count")
async def counts(prefix: str = "") -> dict[str, Any]:
    """How many POSTs and different ids there were, and the ids that were counted more than once."""
    return await ask(op="counts", prefix=prefix)


@api.get("/count/{name}")
async def counted(name: str) -> dict[str, Any]:
    return await ask(op="counted", id=name)


@api.get("/simulations")
async def simulations() -> dict[str, Any]:
    """What the worker has recorded, over all releases."""
    return await ask(op="simulations")


def _signed(kind: str, **content: Any) -> dict[str, Any]:
    return {"type": kind, "version": VERSION, "instance": INSTANCE, **content}


async def _no_ledger(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status_code=503)


app = FastAPI(title="tokenlab", version=VERSION, docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
app.include_router(api)
app.add_exception_handler(LedgerError, _no_ledger)
