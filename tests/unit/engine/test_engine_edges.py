"""The edge of the adapter: frames, archives, errors, times, processes on ports."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.engine import bodies
from bluegreen.engine.errors import cause_of, edge, refusal, translate
from bluegreen.engine.files import archives, copied, members
from bluegreen.engine.logs import unix_time
from bluegreen.engine.ports import held_port, listener
from bluegreen.engine.refs import split_ref
from bluegreen.engine.stream import Demux, cannot_start
from bluegreen.model.errors import EngineConflict, EngineFailed, EngineUnreachable, NotFound
from bluegreen.model.project import File


# -- frames ------------------------------------------------------------------------------------------------
@given(
    frames=st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=8),
    cuts=st.lists(st.integers(1, 17), min_size=1, max_size=40),
)
def test_frames_come_out_as_they_went_in_wherever_they_are_cut(
    frames: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    data = b"".join(struct.pack(">BxxxL", kind, len(payload)) + payload for kind, payload in frames)
    demux, found, position, turn = Demux(), list[tuple[int, bytes]](), 0, 0
    while position < len(data):
        size = cuts[turn % len(cuts)]
        found += demux.feed(data[position : position + size])
        position, turn = position + size, turn + 1
    assert found == frames


# -- archives ----------------------------------------------------------------------------------------------
def test_files_are_unpacked_where_they_can_be() -> None:
    files = {"/run/secrets/a": File(b"1"), "/etc/b": File(b"22", 0o600, 5, 6)}
    packed = archives(members(files), {"/run/secrets"})
    assert set(packed) == {"/", "/run/secrets"}
    info, content = copied("/etc/b", packed["/"])
    assert (info.name, info.mode, info.uid, info.gid, content) == ("/etc/b", 0o600, 5, 6, b"22")


@pytest.mark.parametrize(
    ("host", "needed"),
    [
        ({}, []),
        ({"ReadonlyRootfs": True}, ["/run/secrets", "/srv"]),
        ({"Tmpfs": {"/run": ""}}, ["/run/secrets"]),
        ({"Mounts": [{"Type": "tmpfs", "Target": "/run/secrets"}]}, ["/run/secrets"]),
        ({"ReadonlyRootfs": True, "Binds": ["data:/srv:rw"]}, ["/run/secrets"]),
        ({"ReadonlyRootfs": True, "Mounts": [{"Type": "volume", "Source": "x", "Target": "/run"}]}, ["/srv"]),
    ],
)
def test_files_get_a_volume_where_nothing_else_would_show_them(host: dict[str, object], needed: list[str]) -> None:
    assert bodies.volumes_for(["/run/secrets/a", "/run/secrets/deep/b", "/srv/c"], host) == needed


# -- bodies ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("policy", ["no", "always", "unless-stopped", "on-failure", "on-failure:3"])
def test_restart_policies_there_and_back(policy: str) -> None:
    assert bodies.restart_word(bodies.restart_policy(policy)) == policy


@pytest.mark.parametrize(
    ("ref", "parts"),
    [
        ("web", ("web", "latest")),
        ("web:1", ("web", "1")),
        ("host:5000/web", ("host:5000/web", "latest")),
        ("host:5000/a/web:1", ("host:5000/a/web", "1")),
    ],
)
def test_references_have_a_name_and_a_tag(ref: str, parts: tuple[str, str]) -> None:
    assert split_ref(ref) == parts


# -- errors ------------------------------------------------------------------------------------------------
def test_answers_become_errors_of_their_kind() -> None:
    assert isinstance(refusal(404, "No such container: x", "starting x"), NotFound)
    assert refusal(404, "No such image: x:1", "creating y").code == "engine.no-image"
    assert isinstance(refusal(409, "in use", "w"), EngineConflict)
    assert refusal(500, "write /x: no space left on device", "w").code == "engine.disk-full"
    assert "w: boom" in str(refusal(500, "boom", "w"))


def test_every_library_s_exception_is_translated_and_a_bug_is_not() -> None:
    import http.client

    import docker.errors
    import requests
    import urllib3

    strangers: list[Exception] = [
        requests.ConnectionError(urllib3.exceptions.ProtocolError("aborted", ConnectionResetError(104, "reset"))),
        requests.exceptions.ChunkedEncodingError("broken"),
        urllib3.exceptions.HTTPError("broken"),
        docker.errors.DockerException("broken"),
        http.client.BadStatusLine("x"),
        BrokenPipeError(32, "pipe"),
    ]
    for error in strangers:
        found = translate(error, "listing", "unix:///x")
        assert isinstance(found, EngineUnreachable), error
        assert found.code == "engine.unreachable"
        assert "listing" in str(found)
    for late in (requests.ReadTimeout("x"), TimeoutError("x"), requests.ConnectionError(TimeoutError())):
        found = translate(late, "listing", "unix:///x")
        assert found is not None
        assert found.code == "engine.timeout"
    assert translate(KeyError("x"), "listing", "unix:///x") is None
    with pytest.raises(KeyError), edge("listing", "unix:///x"):
        raise KeyError("x")
    with pytest.raises(NotFound), edge("listing", "unix:///x"):
        raise NotFound("engine.not-found", "x")


def test_the_cause_is_found_however_deep_it_is() -> None:
    inner = ConnectionRefusedError(111, "refused")
    middle = RuntimeError("wrapped")
    middle.__cause__ = inner
    assert cause_of(OSError("outer", middle)) is inner


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('OCI runtime create failed: runc create failed: exec: "nope": executable file not found in $PATH: unknown',
         "'nope' was not found in the image"),
        ('exec: "/app/run.sh": stat /app/run.sh: no such file or directory: unknown', "or the interpreter"),
        ('exec: "/x": permission denied: unknown', "may not be executed"),
        ('exec /x: exec format error', "no program for this engine's processor"),
        ("failed to create task: unable to start container process: error during container init: odd: unknown",
         "error during container init: odd"),
    ],
)  # fmt: skip
def test_why_a_process_could_not_be_started_is_said_in_words(said: str, words: str) -> None:
    error = cannot_start(said, "starting web")
    assert isinstance(error, EngineFailed)
    assert words in str(error)
    assert str(error).startswith("starting web: ")


# -- times, ports ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("moment", "stamp"),
    [
        ("1970-01-01T00:00:01Z", "1.000000000"),
        ("1970-01-01T01:00:01.5+01:00", "1.500000000"),
        ("2026-11-22T16:07:46.366885544Z", "1795363666.366885544"),
    ],
)
def test_times_for_the_engine_keep_their_nanoseconds(moment: str, stamp: str) -> None:
    assert unix_time(moment) == stamp


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="no RFC 3339 time"):
        unix_time("yesterday")


@pytest.mark.parametrize(
    ("said", "port"),
    [
        ("driver failed programming connectivity: Bind for 0.0.0.0:8080 failed: port is already allocated", 8080),
        ("Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use", 8080),
        ("Error starting userland proxy: listen tcp6 [::]:8080: bind: address already in use", 8080),
        ("failed to bind host port for 127.0.0.1:8080:172.17.0.2:80/tcp: address already in use", 8080),
        ("failed to bind host port for [::]:8080:172.17.0.2:80/tcp: address already in use", 8080),
        ("Address already in use", None),
        ("failed to set up container networking: Address already in use", None),
    ],
)  # fmt: skip
def test_a_taken_port_is_read_from_the_words_of_every_engine(said: str, port: int | None) -> None:
    assert held_port(said) == port


def test_the_process_on_a_port_is_found() -> None:
    assert Path("/proc/net/tcp").exists(), "the tests run on Linux, as the engine does"
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        found = listener(sock.getsockname()[1])
        assert found is not None
        assert found.pid == os.getpid()
        port = sock.getsockname()[1]
    assert listener(port) is None
