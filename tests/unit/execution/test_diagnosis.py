"""Why a container is not healthy: what the kernel and the engine say, in words that help."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.execution.diagnosis import not_alive, parse_listeners
from bluegreen.model.containers import Container, ContainerDetails

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


def line(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, state: str) -> str:
    """As the kernel prints it: 32-bit words in its own byte order."""
    packed = address.packed
    words = "".join(packed[i : i + 4][::-1].hex().upper() for i in range(0, len(packed), 4))
    nobody = "0" * len(words)
    return f"   0: {words}:{port:04X} {nobody}:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 1 1"


@given(st.lists(st.tuples(ADDRESSES, st.integers(0, 65535), st.sampled_from(["0A", "01", "06"])), max_size=8))
def test_what_listens_is_read_from_the_kernels_table(sockets: list[tuple[ipaddress.IPv4Address, int, str]]) -> None:
    lines = ["  sl  local_address rem_address   st tx_queue", *(line(*socket) for socket in sockets)]
    wanted = [(str(a), p) for a, p, state in sockets if state == "0A" and str(a) != "127.0.0.11"]
    assert parse_listeners(lines) == wanted


@given(st.lists(st.text(max_size=60), max_size=5))
def test_anything_else_in_the_table_is_passed_over(lines: list[str]) -> None:
    parse_listeners(lines)


@pytest.mark.parametrize(
    ("details", "code", "words"),
    [
        ({"oom_killed": True, "memory_limit": 64 << 20}, "health.oom", "64 MB"),
        ({"error": "no such file"}, "health.cannot-start", "no such file"),
        ({"restarts": 3}, "health.exited", "code 3 3 times in a row"),
        ({}, "health.exited", "exited with code 3"),
    ],
)
def test_a_container_that_ended_says_how(details: dict[str, object], code: str, words: str) -> None:
    ended = Container("id", "shop-blue-web-1", "image", "exited", exit_code=3)
    reason = not_alive(ContainerDetails(ended, **details))  # type: ignore[arg-type]  # a table of keywords
    assert reason.code == code
    assert words in reason.text
