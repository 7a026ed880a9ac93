"""Who can reach what is the operator's: from a slot, from beside it, from the host's network and from outside."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from bluegreen.execution.diagnosis import parse_listeners
from bluegreen.model.names import Slot, slot_network
from bluegreen.model.project import ProxySettings
from tests.proxyground import RealProxy, real_proxy
from tests.proxykit import both, flip, topology, upload
from tests.proxykit import stack as placed
from tests.scenarios.test_flip import load
from tests.support import base_image, eventually, unique

SETTINGS = ProxySettings(listen="127.0.0.1:0", workers=2)
PORTS = {8080, 8081}

pytestmark = pytest.mark.engine

ASK = """
import http.client, json, sys
answers = []
seconds, questions = json.loads(sys.argv[1])
for address, port, path, headers in questions:
    try:
        connection = http.client.HTTPConnection(address, port, timeout=seconds)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answers.append([answer.status, answer.read(200).decode()])
    except OSError as error:
        answers.append([0, type(error).__name__])
print(json.dumps(answers))
"""

SCAN = """
import socket, sys
found = []
for port in range(1, 10000):
    with socket.socket() as one:
        one.settimeout(5)
        if one.connect_ex((sys.argv[1], port)) == 0:
            found.append(port)
print(*found)
"""

Question = tuple[str, int, str, dict[str, str]]


@pytest.fixture(scope="module")
def proxy() -> Iterator[RealProxy]:
    """Blue live, green idle."""
    with real_proxy(SETTINGS) as made:
        known = both(None, 0, placed(1, made.addresses[Slot.BLUE]), placed(2, made.addresses[Slot.GREEN]))
        session = made.holding("setup")
        session.run([{**topology(known, 0), "generation": upload(known, SETTINGS)}])
        session.run([{"op": "settle", "gate": 2, "seconds": 10}])
        live = replace(known, live=Slot.BLUE)
        session.run([{**flip(live, 1), "generation": upload(live, SETTINGS), "back": None}])
        session.close()
        yield made


@pytest.fixture
def token(proxy: RealProxy) -> str:
    session = proxy.session()
    found = str(session.run([{"op": "preview"}])[0]["token"])
    session.close()
    return found


@contextmanager
def bystander(engine: docker.DockerClient, network: str) -> Iterator[str]:
    """A container that is no part of the project; its name."""
    name = unique("bgt-bystander")
    made = engine.api.create_container(
        base_image("PYTHON_IMAGE"),
        ["python3", "-c", "import signal; signal.pause()"],
        name=name,
        host_config=engine.api.create_host_config(network_mode=network, init=True),
    )
    try:
        engine.api.start(made)
        yield name
    finally:
        engine.api.remove_container(made, force=True)


def ask(
    proxy: RealProxy, container: str, questions: Sequence[Question], seconds: float = 10.0
) -> list[tuple[int, str]]:
    """The status and body of each answer, from inside a container; 0 where nobody answered."""
    answers = json.loads(proxy.run("python3", "-c", ASK, json.dumps([seconds, questions]), container=container))
    return [(status, body) for status, body in answers]


def addresses(engine: docker.DockerClient, proxy: RealProxy) -> dict[Slot, str]:
    """The proxy's own, in each slot's network."""
    networks = engine.api.inspect_container(proxy.container)["NetworkSettings"]["Networks"]
    return {slot: networks[slot_network(proxy.project, slot)]["IPAddress"] for slot in Slot}


def previews(address: str, port: int, token: str) -> tuple[list[Question], list[Question]]:
    """Requests to a preview listener that must be refused, and those that must not."""
    refused: list[Question] = [
        (address, port, "/", {}),
        (address, port, "/", {"X-Bluegreen-Token": "0" * 48}),
        (address, port, "/", {"X-Bluegreen-Token": token[:-1]}),
        (address, port, "/", {"X-Bluegreen-Token": f"{token}x"}),
        (address, port, "/", {"Cookie": "bluegreen_preview=1"}),
        (address, port, "/", {"X-Bluegreen-Slot": "green", "X-Bluegreen-Address": f"127.0.0.1:{port}"}),
        (address, port, f"/?token={token}", {}),
        (address, port, f"/x/../.bluegreen/enter/?token={token}", {}),
        (address, port, "/.bluegreen/enter?token=", {}),
        (address, port, "/.bluegreen/generation", {}),
        (address, port, "/.bluegreen/status", {}),
    ]
    answered: list[Question] = [
        (address, port, f"/.bluegreen/enter?token={token}", {}),
        (address, port, "/", {"X-Bluegreen-Token": token}),
        (address, port, "/", {"Cookie": f"bluegreen_preview={token}"}),
        # Not even with the token is there a way to the agent's side.
        (address, port, "/.bluegreen/generation", {"X-Bluegreen-Token": token}),
        (address, port, "/.bluegreen/direct", {"X-Bluegreen-Token": token, "X-Bluegreen-Address": "127.0.0.1:8080"}),
        (address, port, "/", {"X-Bluegreen-Token": token, "X-Bluegreen-Slot": "blue"}),
    ]
    return refused, answered


def is_guarded(proxy: RealProxy, container: str, address: str, port: int, token: str) -> None:
    """From this container, the preview listener opens the idle slot to the token and nothing to anything else."""
    refused, answered = previews(address, port, token)
    assert {status for status, _ in ask(proxy, container, refused)} == {403}
    (entered, _), *seen = ask(proxy, container, answered)
    assert entered == 302
    assert [(status, body.split()[0]) for status, body in seen] == [(200, "green")] * 5


def test_two_ports_are_all_that_a_slot_s_containers_can_find_of_the_proxy(
    proxy: RealProxy, engine: docker.DockerClient
) -> None:
    """And all that it listens on: the control socket has no address."""
    tables = proxy.run("cat", "/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6")
    assert {port for _, port in parse_listeners(tables.splitlines())} == PORTS
    assert re.findall(r"\S+$", proxy.run("cat", "/proc/net/unix"), re.M)[1:].count("/run/bluegreen/control.sock") >= 1
    assert "@" not in "".join(re.findall(r"\S+$", proxy.run("cat", "/proc/net/unix"), re.M)), "an abstract socket"
    own = addresses(engine, proxy)[Slot.BLUE]
    found = proxy.run("python3", "-c", SCAN, own, container=proxy.toy(Slot.BLUE))
    assert {int(port) for port in found.split()} == PORTS


def test_the_preview_wants_its_token_from_a_slot_s_containers(
    proxy: RealProxy, engine: docker.DockerClient, token: str
) -> None:
    own, other = (addresses(engine, proxy)[slot] for slot in (Slot.BLUE, Slot.GREEN))
    is_guarded(proxy, proxy.toy(Slot.BLUE), own, 8081, token)
    # The engine keeps networks apart; where one doesn't, the token is still asked for.
    crossing = ask(proxy, proxy.toy(Slot.BLUE), previews(other, 8081, token)[0][:2], 0.5)
    assert {status for status, _ in crossing} <= {0, 403}


def test_the_preview_wants_its_token_from_containers_in_the_host_s_network(
    proxy: RealProxy, engine: docker.DockerClient, token: str
) -> None:
    with bystander(engine, "host") as container:
        is_guarded(proxy, container, "127.0.0.1", proxy.port(8081), token)
        is_guarded(proxy, container, addresses(engine, proxy)[Slot.GREEN], 8081, token)


def test_the_preview_is_out_of_reach_of_other_networks_containers(
    proxy: RealProxy, engine: docker.DockerClient, token: str
) -> None:
    network = engine.api.create_network(unique("bgt-foreign"), driver="bridge")
    try:
        with bystander(engine, network["Id"]) as container:
            (joined,) = engine.api.inspect_container(container)["NetworkSettings"]["Networks"].values()
            published: list[Question] = [(joined["Gateway"], proxy.port(8081), "/", {"X-Bluegreen-Token": token})]
            assert [status for status, _ in ask(proxy, container, published)] == [0]
            inside = [q for ip in addresses(engine, proxy).values() for q in previews(ip, 8081, token)[0][:2]]
            assert {status for status, _ in ask(proxy, container, inside, 0.5)} <= {0, 403}
    finally:
        engine.api.remove_network(network["Id"])


def test_the_preview_is_published_on_loopback_and_on_no_other_address_of_the_host(
    proxy: RealProxy, engine: docker.DockerClient
) -> None:
    bindings = engine.api.inspect_container(proxy.container)["NetworkSettings"]["Ports"]["8081/tcp"]
    assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}
    # "|-- 192.0.2.2" and below it "/32 host LOCAL"
    local = re.findall(r"-- (\S+)\n\s+/32 host LOCAL", Path("/proc/net/fib_trie").read_text())
    others = {address for address in local if not address.startswith("127.")}
    assert len(others) >= 2, "at least towards the two slots"
    for address in others:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, proxy.port(8081)), 2)


def test_the_token_s_cookie_reaches_no_application_from_the_public_listener_either(
    proxy: RealProxy, token: str
) -> None:
    """Browsers send it to every port of a host. A visitor's own cookies stay."""
    for sent, passed in (
        (f"bluegreen_preview={token}", None),
        (f"a=1; bluegreen_preview={token}; b=2", "a=1; b=2"),
        (f"bluegreen_preview={token}; b=2", "b=2"),
        ("a=1; b=2", "a=1; b=2"),
        ("bluegreen_preview=guessed", "bluegreen_preview=guessed"),
    ):
        status, told, body = proxy.get("/headers", {"Cookie": sent, "X-Bluegreen-Slot": "green"})
        assert (status, json.loads(body).get("cookie")) == (200, passed)
        assert "x-bluegreen-slot" not in told
        assert proxy.get("/", {"Cookie": sent, "X-Bluegreen-Slot": "green"})[2].startswith(b"blue")


def test_the_token_stands_in_no_log_whatever_comes_of_the_request_that_has_it(
    proxy: RealProxy, engine: docker.DockerClient, token: str
) -> None:
    held = {"X-Bluegreen-Token": token, "Cookie": f"bluegreen_preview={token}"}
    entering = f"/.bluegreen/enter?token={token}"
    assert proxy.get(entering, inside=8081)[0] == 302
    assert proxy.get(entering, {"Content-Length": str(1 << 40)}, inside=8081)[0] == 413
    assert proxy.get("/close", held, inside=8081)[0] == 502
    assert proxy.get("/close", held)[0] == 502

    def written() -> str:
        """All logs, once they have the last of these requests."""
        said = engine.api.logs(proxy.container).decode()
        accesses = proxy.run("sh", "-c", "cat /var/log/bluegreen/access.log*")
        return said + accesses if said.count("GET /close") >= 2 and accesses.count('"/close"') >= 2 else ""

    logs = eventually(written, what="the logs have all four requests")
    assert "/.bluegreen/enter" in logs
    assert token not in logs


def test_a_token_that_leaked_is_renewed_without_a_gap_and_opens_nothing_any_more(
    proxy: RealProxy, token: str, engine: docker.DockerClient
) -> None:
    """As `bg preview --new-token` does it."""
    assert proxy.get("/", {"X-Bluegreen-Token": token}, inside=8081)[0] == 200
    session = proxy.holding("renew")
    with load(proxy.port()) as traffic:
        renewed = str(session.run([{"op": "preview", "renew": True}])[0]["token"])
        session.run([{"op": "settle", "gate": 2, "seconds": 30}])
        assert renewed != token
        for sent, status in ((token, 403), (renewed, 200)):
            assert proxy.get("/", {"X-Bluegreen-Token": sent}, inside=8081)[0] == status
            assert proxy.get("/", {"Cookie": f"bluegreen_preview={sent}"}, inside=8081)[0] == status
            assert proxy.get(f"/.bluegreen/enter?token={sent}", inside=8081)[0] == {403: 403, 200: 302}[status]
    session.close()
    assert traffic.lost == []
    assert len(traffic.answered) > 100
    engine.api.restart(proxy.container, timeout=5)
    proxy.await_proxy()
    assert proxy.get("/", {"X-Bluegreen-Token": renewed}, inside=8081)[0] == 200, "it outlives the proxy's process"


# -- the proxy itself ------------------------------------------------------------------------------------------------


def test_whoever_takes_the_proxy_over_has_no_rights_and_nowhere_to_write(proxy: RealProxy) -> None:
    processes = proxy.run("sh", "-c", "cat /proc/[0-9]*/status")  # nginx's, the log's, and the one that asks
    assert len(re.findall(r"^Name:", processes, re.M)) >= 5
    assert set(re.findall(r"^Cap\w+:\t(\S+)$", processes, re.M)) == {"0" * 16}
    assert set(re.findall(r"^NoNewPrivs:\t(\d)$", processes, re.M)) == {"1"}
    assert set(re.findall(r"^(?:Uid|Gid):\t(.*)$", processes, re.M)) == {"\t".join(["10101"] * 4)}
    places = "/ /etc /opt/bluegreen /usr/sbin /usr/local/bin /var /root /home /tmp /dev /sys /proc/sys"
    for place in places.split():
        said = proxy.run("sh", "-c", f"touch {place}/bluegreen-was-here 2>&1; echo $?").split("\n")
        assert said[-1] != "0", f"{place} can be written to"
    script = "cd /run/bluegreen && printf '#!/bin/sh\\necho ran' > x && chmod 755 x; ./x; rm x"
    assert "ran" not in proxy.run("sh", "-c", script)
    raw = "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"
    assert proxy.run("sh", "-c", f"python3 -c '{raw}' 2>&1 | tail -n 1").startswith("PermissionError")


def test_the_proxy_s_container_has_nothing_of_the_host_s(proxy: RealProxy, engine: docker.DockerClient) -> None:
    found: dict[str, Any] = engine.api.inspect_container(proxy.container)
    host = found["HostConfig"]
    assert not host["Privileged"]
    assert not host["Binds"]
    assert not host["Devices"]
    assert [host[f"{kind}Mode"] in ("", "private") for kind in ("Pid", "Ipc", "UTS", "Userns")] == [True] * 4
    assert host["NetworkMode"] == slot_network(proxy.project, Slot.BLUE)
    assert {mount["Type"] for mount in found["Mounts"]} == {"volume"}
    assert "docker.sock" not in json.dumps(found)
