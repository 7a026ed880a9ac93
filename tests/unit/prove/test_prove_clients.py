"""The clients forgive nothing: whatever is not a whole answer is told as what it is."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as websocket_server

from bluegreen.prove import clients
from bluegreen.prove.kinds import KINDS, LEAST, allocate
from bluegreen.prove.log import Log
from bluegreen.prove.orders import Orders, Target
from bluegreen.prove.records import read
from tests.unit.prove.conversations import Serve, chunked, once, request, sized, talk

GOOD = sized(b"hello", "X-Bluegreen-Slot: blue")


@pytest.mark.parametrize("kind", ["reuse", "think", "close", "http10", "post"])
def test_a_whole_answer_is_an_answer(kind: str) -> None:
    told = talk(kind, once(GOOD), answers=3)
    assert told.problems == []
    assert told.log.answers[kind] == 3
    assert told.log.connections == (3 if kind in ("close", "http10") else 1)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"", "closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "truncated"),
        (sized(b"hello")[:-1], "truncated"),
        (chunked(b"hello", end=b""), "truncated"),
        (chunked(b"hello", end=b"0\r\n"), "truncated"),
        (chunked(b"hello")[:-9], "truncated"),
        (sized(b"hello") + b"more", "malformed"),
        (sized(b"hello", "Content-Length: 5"), "malformed"),
        (sized(b"hello", "Transfer-Encoding: chunked"), "malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n", "malformed"),
        (b"nonsense\r\n\r\n", "malformed"),
        (sized(b"no", status="502 Bad Gateway"), "status"),
        (sized(b"other"), "body"),
    ],
)
def test_everything_else_is_lost_and_says_how(answer: bytes, problem: str) -> None:
    told = talk("think", once(answer, cut_to=len(answer)), target=Target("/", "shop", body="hello"))
    assert told.problems == [problem]
    failure = told.failures[0]
    assert (failure["method"], failure["path"], failure["id"], failure["number"]) == ("GET", "/", "run-think-0-1", 1)
    assert failure["seen"]


ANSWERS = st.one_of(
    st.binary(max_size=40).map(sized),
    st.lists(st.binary(min_size=1, max_size=20), max_size=4).map(lambda parts: chunked(*parts)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(ANSWERS, st.data())
def test_no_part_of_an_answer_passes_for_the_whole_of_it(answer: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(answer) - 1))
    assert talk("think", once(answer, cut_to=at)).problems in (["truncated"], ["closed"])


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(ANSWERS, st.integers(1, 7))
def test_it_does_not_matter_how_an_answer_is_cut_into_packets(answer: bytes, size: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        for start in range(0, len(answer), size):
            writer.write(answer[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    assert talk("think", serve).problems == []


def test_a_kept_alive_connection_that_ends_unannounced_loses_the_request_that_was_sent_on_it() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(GOOD)
        await request(reader)

    told = talk("reuse", serve, answers=2)
    assert (told.problems, told.failures[0]["number"]) == (["closed"], 2)


def test_a_connection_whose_end_was_announced_is_left_for_another() -> None:
    told = talk("reuse", once(sized(b"bye", "Connection: close")), answers=3)
    assert (told.problems, told.log.connections) == ([], 3)


def test_who_does_not_answer_in_time_is_not_waited_for() -> None:
    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    assert talk("think", serve, timeout=0.2).problems == ["timeout"]


def test_a_server_that_is_not_there_is_told_and_asked_again_without_haste() -> None:
    async def nobody(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    told = talk("reuse", nobody)
    assert told.problems == ["closed"]
    assert clients.AFTER_LOSS > 0


# -- pipelining ----------------------------------------------------------------------------------------------------


def _ids(asked: list[dict[str, str]]) -> list[str]:
    return [fields["x-request-id"] for fields in asked]


def test_what_was_left_unanswered_behind_a_close_is_sent_again_and_counted_apart() -> None:
    asked: list[dict[str, str]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = not asked
        for number in range(4):
            asked.append((await request(reader))[1])
            last = first and number == 1
            writer.write(sized(b"x", "Connection: close") if last else sized(b"x"))
            if last:
                break
        await writer.drain()

    told = talk("pipeline", serve, answers=4)
    assert told.problems == []
    assert (told.log.answers["pipeline"], told.log.resent) == (4, 2)
    assert sorted(_ids(asked)) == [f"run-pipeline-0-{n}" for n in (1, 2, 3, 4)]


def test_an_asset_of_the_other_release_is_counted_apart_and_is_not_that_releases_answer(
    tmp_path: Path,
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(sized(b"x", "X-Bluegreen-Slot: blue", "X-Bluegreen-Fallback: asset"))
        await request(reader)
        writer.write(sized(b"x", "X-Bluegreen-Slot: blue"))
        await writer.drain()

    told = talk("reuse", serve, answers=2)
    assert told.problems == []
    assert told.log.assets == 1
    told.log.flush()
    written = tmp_path / "records"
    written.write_bytes(told.log._file.getvalue())  # type: ignore[attr-defined]  # of these it is one in memory
    assert [record.slot for record in read(written)] == ["", "blue"]


def test_a_pipeline_that_ends_without_a_close_loses_all_that_was_not_answered() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(sized(b"x"))
        await writer.drain()

    told = talk("pipeline", serve, answers=4)
    assert told.problems == ["closed", "closed", "closed"]
    assert told.log.resent == 0


# -- bodies --------------------------------------------------------------------------------------------------------


def test_each_post_has_an_id_of_its_own_in_its_head_and_body() -> None:
    seen: list[tuple[str, str]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            _, fields, body = await request(reader)
            seen.append((fields["x-request-id"], json.loads(body)["id"]))
            writer.write(sized(b"{}", status="201 Created"))

    told = talk("post", serve, answers=5)
    assert told.problems == []
    assert told.log.posts == 5
    assert [one for one, _ in seen] == [other for _, other in seen] == [f"run-post-0-{n}" for n in range(1, 6)]


def _uploaded(**wrong: Any) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, _, body = await request(reader)
        said = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest(), **wrong}
        writer.write(sized(json.dumps(said).encode()))
        await reader.read()

    return serve


def test_what_the_server_says_of_an_upload_must_be_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "UPLOAD_RATE", 1 << 24)
    assert talk("upload", _uploaded()).problems == []
    assert talk("upload", _uploaded(bytes=5)).problems == ["body"]
    assert talk("upload", _uploaded(sha256="0" * 64)).problems == ["body"]


def test_an_upload_that_is_refused_in_the_middle_says_with_what() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sized(b"too large", "Connection: close", status="413 Content Too Large"))
        await writer.drain()

    told = talk("upload", serve)
    assert told.problems in (["status"], ["closed"])
    assert "413" in told.failures[0]["seen"] or told.problems == ["closed"]


def test_a_download_must_have_the_digest_that_it_announces() -> None:
    digest = base64.b64encode(hashlib.sha256(b"content").digest()).decode()
    assert talk("download", once(sized(b"content", f"Content-Digest: sha-256=:{digest}:"))).problems == []
    assert talk("download", once(sized(b"contend", f"Content-Digest: sha-256=:{digest}:"))).problems == ["body"]


def test_an_answer_that_was_to_be_chunked_must_be() -> None:
    assert talk("chunked", once(chunked(b"a", b"b"))).problems == []
    assert talk("chunked", once(sized(b"ab"))).problems == ["body"]


# -- streams -------------------------------------------------------------------------------------------------------

EVENTS = ("Content-Type: text/event-stream", "X-Bluegreen-Slot: green")


def _events(*ids: int, end: bytes) -> bytes:
    return chunked(*(b"id: %d\ndata: x\n\n" % number for number in ids), fields=EVENTS, end=end)


@pytest.mark.parametrize(
    ("data", "how", "seen"),
    [
        (_events(1, 2, 3, end=b"0\r\n\r\n"), "server", "ended by itself"),
        (_events(1, 2, 3, end=b""), "cut", "the last chunk is missing"),
        (_events(1, 2, 4, end=b"0\r\n\r\n"), "cut", "event 4 after event 2"),
    ],
)
def test_how_a_stream_of_events_ended_is_told(data: bytes, how: str, seen: str) -> None:
    told = talk("events", once(data, cut_to=len(data)))
    (stream,) = told.streams
    assert (stream["how"], stream["slot"]) == (how, "green")
    assert seen in stream["seen"]


def test_no_stream_of_events_is_a_failure() -> None:
    assert talk("events", once(sized(b"sorry", status="503 Service Unavailable"))).problems == ["status"]
    assert talk("events", once(sized(b"<html>", "Content-Type: text/html"))).problems == ["status"]


def test_a_websocket_answers_pings_until_its_server_leaves() -> None:
    async def scenario() -> tuple[list[Any], list[Any], int]:
        pings = 0
        failures: list[Any] = []
        streams: list[Any] = []
        stop = asyncio.Event()

        async def handler(connection: ServerConnection) -> None:
            await connection.send("a message nobody asked for")
            await asyncio.sleep(0.5)
            await connection.close()

        def say(what: Any) -> None:
            {"failure": failures, "stream": streams, "ready": []}[what["say"]].append(what)
            if what["say"] == "stream":
                stop.set()

        async with websocket_server(handler, "127.0.0.1", 0) as server:
            address = next(iter(server.sockets)).getsockname()[:2]
            orders = Orders(address, "run", "", (Target("/", "x"),), {"websocket": 1}, "x", "", {"websocket": "/ws"})
            log = Log(io.BytesIO(), say, {"websocket": [0]})
            async with asyncio.timeout(10):
                await clients.Client("websocket", 0, orders, log, stop).run()
            pings = log.answers["websocket"]
        return failures, streams, pings

    failures, streams, opened = asyncio.run(scenario())
    assert failures == []
    assert opened == 1
    assert [one["how"] for one in streams] == ["server"]


def test_a_websocket_that_is_cut_or_refused_is_told() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, fields, _ = await request(reader)
        key = fields["sec-websocket-key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key, usedforsecurity=False).digest()).decode()
        writer.write(
            f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        await reader.read(10)

    told = talk("websocket", cut)
    assert [one["how"] for one in told.streams] == ["cut"]
    assert talk("websocket", once(sized(b"no", status="404 Not Found"))).problems == ["status"]


# -- how many ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 1000), st.sets(st.sampled_from(list(KINDS)), min_size=1))
def test_each_kind_has_a_client_and_there_are_as_many_as_were_asked_for(connections: int, kinds: set[str]) -> None:
    chosen = [kind for kind in KINDS if kind in {*kinds, "think"}]
    counts = allocate(connections, chosen)
    assert set(counts) == set(chosen)
    assert min(counts.values()) >= 1
    assert sum(counts.values()) == max(connections, len(chosen))
    assert len(chosen) <= LEAST
