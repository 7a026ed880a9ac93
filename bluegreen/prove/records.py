"""What the clients write down: one record of 18 bytes for each answer, in the order of their ends."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bluegreen.prove.kinds import NAMES

_FORM = struct.Struct("<ddBB")
SLOTS = ("", "blue", "green")
"""By number; "" where the answer did not say."""


class Record(NamedTuple):
    """Seconds of CLOCK_MONOTONIC: just before the request was sent, and when its answer was whole."""

    begun: float
    ended: float
    kind: str
    slot: str


def pack(begun: float, ended: float, kind: int, slot: str | None) -> bytes:
    return _FORM.pack(begun, ended, kind, SLOTS.index(slot or ""))


def read(file: Path) -> Iterator[Record]:
    """Every whole record: the last may be torn where the clients were killed."""
    with file.open("rb") as records:
        while data := records.read(_FORM.size * 4096):
            for begun, ended, kind, slot in _FORM.iter_unpack(data[: len(data) // _FORM.size * _FORM.size]):
                yield Record(begun, ended, NAMES[kind], SLOTS[slot])
