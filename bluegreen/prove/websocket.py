"""A WebSocket (RFC 6455) that pings: whoever speaks the protocol must answer each with its own bytes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os

from bluegreen.prove.wire import Connection, Head, Lost

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_LARGEST = 16 << 20


class Websocket:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._key = base64.b64encode(os.urandom(16))

    @property
    def fields(self) -> dict[str, str]:
        return {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": self._key.decode(),
        }

    def check(self, head: Head) -> None:
        """Raises `Lost` where the answer is no agreement."""
        if head.status != 101:
            raise Lost("status", f"{head.status} instead of 101")
        accept = base64.b64encode(hashlib.sha1(self._key + _GUID, usedforsecurity=False).digest()).decode()
        if head.fields.get("sec-websocket-accept") != accept:
            raise Lost("malformed", "Sec-WebSocket-Accept is not the answer to the key")

    async def echoed(self, payload: bytes, seconds: float) -> bool:
        """Ping, and read until that is answered. False where the other side said goodbye instead."""
        await self._connection.send(frame(_PING, payload))
        try:
            async with asyncio.timeout(seconds):
                while True:
                    opcode, data = await self._frame()
                    if opcode == _PONG and data == payload:
                        return True
                    if opcode == _CLOSE:
                        return False
                    if opcode == _PING:
                        await self._connection.send(frame(_PONG, data))
        except TimeoutError:
            raise Lost("cut", f"a ping was not answered for {seconds:g} s") from None

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self._connection.exactly(2)
        opcode, size = first & 0x0F, second & 0x7F
        known = (_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG)
        if first & 0x70 or second & 0x80 or opcode not in known or (opcode >= _CLOSE and size > 125):
            raise Lost("malformed", f"no frame: {first:#x} {second:#x}")
        if size == 126:
            size = int.from_bytes(await self._connection.exactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self._connection.exactly(8), "big")
        if size > _LARGEST:
            raise Lost("malformed", f"a frame of {size} bytes")
        return opcode, await self._connection.exactly(size)


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole message of at most 125 bytes, masked as a client's must be."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[number % 4] for number, byte in enumerate(payload))
    return bytes((0x80 | opcode, 0x80 | len(payload))) + mask + masked
