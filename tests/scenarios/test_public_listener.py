"""What real applications need of the proxy, and what nobody else gets from it."""

from __future__ import annotations

import gzip
import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bluegreen.model.names import Slot
from bluegreen.model.project import ProxySettings
from tests.proxyground import RealProxy, real_proxy
from tests.proxykit import both, flip, stack, topology, upload
from tests.support import eventually

SETTINGS = ProxySettings(listen="127.0.0.1:0", body_limit=10_000_000, log_limit=1 << 17, workers=2)

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def proxy() -> Iterator[RealProxy]:
    """Blue live, green idle."""
    with real_proxy(SETTINGS) as made:
        known = both(None, 0, stack(1, made.addresses[Slot.BLUE]), stack(2, made.addresses[Slot.GREEN]))
        live = replace(known, live=Slot.BLUE)
        session = made.holding("setup")
        session.run([{**topology(known, 0), "generation": upload(known, SETTINGS)}])
        session.run([{"op": "settle", "gate": 2, "seconds": 10}])
        session.run([{**flip(live, 1), "generation": upload(live, SETTINGS), "back": None}])
        session.run([{"op": "settle", "gate": 3, "seconds": 15}])
        session.close()
        yield made


def exchange(proxy: RealProxy, request: bytes) -> bytes:
    """Everything that comes back until the connection ends."""
    with proxy.connect() as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def token(proxy: RealProxy) -> str:
    session = proxy.session()
    found = session.run([{"op": "preview"}])[0]["token"]
    session.close()
    return str(found)


def headers_seen(proxy: RealProxy, **sent: str) -> dict[str, str]:
    found = json.loads(proxy.get("/headers", {name.replace("_", "-"): value for name, value in sent.items()})[2])
    assert isinstance(found, dict)
    return found


# -- what an application gets ---------------------------------------------------------------------------------------


def test_the_application_is_told_who_asked_and_how(proxy: RealProxy) -> None:
    seen = headers_seen(proxy, Host="shop.example:8080", X_Custom="kept", Cookie="a=b")
    client = seen["x-real-ip"]
    assert re.fullmatch(r"[0-9.]+", client)
    assert {name: seen[name] for name in seen if name.startswith("x-forwarded-")} == {
        "x-forwarded-for": client,
        "x-forwarded-proto": "http",
        "x-forwarded-host": "shop.example:8080",
    }
    assert (seen["host"], seen["x-custom"], seen["cookie"]) == ("shop.example:8080", "kept", "a=b")
    assert "connection" not in seen
    assert "upgrade" not in seen


def test_a_visitor_cannot_say_he_is_someone_else(proxy: RealProxy) -> None:
    seen = headers_seen(
        proxy,
        X_Forwarded_For="1.2.3.4",
        X_Real_IP="1.2.3.4",
        X_Forwarded_Proto="https",
        Forwarded="for=1.2.3.4",
        Proxy="x",
    )
    assert "1.2.3.4" not in json.dumps(seen)
    assert seen["x-forwarded-proto"] == "http"
    assert "forwarded" not in seen
    assert "proxy" not in seen


def test_http_1_0_is_answered_whole_and_closed(proxy: RealProxy) -> None:
    head, _, body = exchange(proxy, b"GET /events/2 HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"chunked" not in head.lower()
    assert body == b"data: blue 0\n\ndata: blue 1\n\n"
    seen = json.loads(exchange(proxy, b"GET /headers HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")[2])
    assert seen["host"] == "localhost"


def test_pipelined_requests_are_answered_in_order(proxy: RealProxy) -> None:
    one = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"
    requests = b"".join(one % n for n in range(4)) + b"GET /4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert re.findall(rb"blue /(\d)", exchange(proxy, requests)) == [b"0", b"1", b"2", b"3", b"4"]


def test_events_arrive_when_they_are_sent(proxy: RealProxy) -> None:
    with proxy.connect() as connection:
        connection.sendall(b"GET /events/20 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
        got = b""
        while b"blue 0" not in got:
            got += connection.recv(65536)
        assert b"blue 2" not in got
        connection.settimeout(2)
        while b"blue 2" not in got:
            got += connection.recv(65536)


def test_an_upload_reaches_the_application_while_it_is_being_sent(proxy: RealProxy) -> None:
    before = json.loads(proxy.get("/seen")[2])["bytes"]
    with proxy.connect() as connection:
        connection.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\nConnection: close\r\n\r\n")
        connection.sendall(b"x" * 100_000)
        eventually(lambda: json.loads(proxy.get("/seen")[2])["bytes"] >= before + 100_000, what="half of it is there")
        connection.sendall(b"x" * 200_000)
        assert b"blue 300000" in b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_chunked_upload_goes_through(proxy: RealProxy) -> None:
    body = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    head = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert b"blue 11" in exchange(proxy, head + body)


def test_a_body_over_the_limit_is_refused(proxy: RealProxy) -> None:
    head = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10000001\r\nConnection: close\r\n\r\n"
    with proxy.connect() as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


def test_a_websocket_is_upgraded_and_nothing_else_is(proxy: RealProxy) -> None:
    with proxy.connect() as connection:
        connection.sendall(
            b"GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        got = b""
        while b"\r\n\r\n" not in got:
            got += connection.recv(65536)
        assert got.startswith(b"HTTP/1.1 101")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in got
        connection.sendall(b"ping")
        assert connection.recv(65536) == b"blue ping"
    seen = exchange(
        proxy,
        b"GET /headers HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
    )
    assert b'"upgrade"' not in seen


def test_large_answers_are_whole_and_text_is_compressed_for_who_wants_it(proxy: RealProxy) -> None:
    assert len(proxy.get("/big/3000000")[2]) == 3_000_000
    status, headers, body = proxy.get("/big/50000", {"Accept-Encoding": "gzip"})
    assert (status, headers["content-encoding"], headers["vary"]) == (200, "gzip", "Accept-Encoding")
    assert gzip.decompress(body) == b"x" * 50_000


def test_the_applications_own_answers_are_left_alone(proxy: RealProxy) -> None:
    status, headers, body = proxy.get("/status/503")
    assert (status, body) == (503, b"blue\n")
    assert "retry-after" not in headers
    status, headers, _ = proxy.get("/redirect")
    assert (status, headers["location"]) == (301, "/login")
    assert headers["server"] == "nginx"
    assert not [name for name in headers if "bluegreen" in name]


ASSET = "app.3f2a9c8d.js"


def test_an_asset_by_its_hash_that_only_the_other_release_has_is_answered_by_that_one(proxy: RealProxy) -> None:
    told = {"X-Bluegreen-Token": token(proxy)}
    status, headers, body = proxy.get(f"/only/green/{ASSET}?v=1", told)
    assert (status, body) == (200, f"green has green/{ASSET}\n".encode())
    assert (headers["x-bluegreen-slot"], headers["x-bluegreen-fallback"]) == ("green", "asset")
    status, headers, body = proxy.get(f"/only/blue/{ASSET}", told)
    assert (status, body) == (200, f"blue has blue/{ASSET}\n".encode())
    assert headers["x-bluegreen-slot"] == "blue"
    assert "x-bluegreen-fallback" not in headers
    (line,) = eventually(lambda: [one for one in log_lines(proxy) if one["fallback"]], what="the log's line")
    assert (line["uri"], line["slot"], line["route"]) == (f"/only/green/{ASSET}", "green", "/")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/only/none/{ASSET}", 404),  # neither has it
        ("/only/green/app.js", 404),  # no hash
        ("/only/green/3f2a9c8d", 404),  # no asset
        (f"/only/green/down-{ASSET}", 503),
    ],
)
def test_nothing_else_is_answered_by_a_release_that_is_not_live(proxy: RealProxy, path: str, status: int) -> None:
    own = f"blue lacks {path.removeprefix('/only/')}\n".encode()
    assert proxy.get(path)[::2] == (status, own)


def test_an_asset_that_a_stopped_release_had_is_the_live_ones_404_soon(proxy: RealProxy) -> None:
    proxy.engine.stop(proxy.toy(Slot.GREEN), 1)
    try:
        began = time.monotonic()
        assert proxy.get(f"/only/green/{ASSET}")[::2] == (404, f"blue lacks green/{ASSET}\n".encode())
        assert time.monotonic() - began < 5
    finally:
        proxy.engine.start(proxy.toy(Slot.GREEN))
        proxy.await_toys()


def test_only_a_get_is_asked_of_the_other_release(proxy: RealProxy) -> None:
    request = f"DELETE /only/green/{ASSET} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = exchange(proxy, request.encode())
    assert answer.startswith(b"HTTP/1.1 404")
    assert answer.endswith(f"blue lacks green/{ASSET}\n".encode())


def test_which_slot_answered_is_told_to_nobody_without_the_token(proxy: RealProxy) -> None:
    for headers in ({}, {"X-Bluegreen-Token": "guess"}):
        assert not [name for name in proxy.get("/", headers)[1] if name.startswith("x-bluegreen")]
    assert proxy.get("/", {"X-Bluegreen-Token": token(proxy)})[1]["x-bluegreen-slot"] == "blue"
    assert "x-bluegreen-token" not in headers_seen(proxy, X_Bluegreen_Token=token(proxy))


def test_an_application_that_fails_to_answer_is_a_502_that_names_nothing(proxy: RealProxy) -> None:
    status, _, body = proxy.get("/close")
    assert status == 502
    assert b"10." not in body


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(proxy: RealProxy, request_: bytes) -> None:
    answer = exchange(proxy, request_.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
    assert re.match(rb"HTTP/1.1 (400|414|431|501) ", answer), answer[:100]
    assert b"smuggled" not in answer


# -- what is written down -------------------------------------------------------------------------------------------


def log_lines(proxy: RealProxy) -> list[dict[str, object]]:
    text = proxy.run("sh", "-c", "cat /var/log/bluegreen/access.log*")
    return [json.loads(line) for line in text.splitlines()]


def test_every_request_is_one_json_line_without_its_query(proxy: RealProxy) -> None:
    proxy.get('/seen/"quoted"?token=secret', {"User-Agent": 'a"b\\c'})
    line = eventually(
        lambda: [one for one in log_lines(proxy) if str(one["uri"]).startswith("/seen/")], what="the line is written"
    )[-1]
    assert {name: line[name] for name in ("method", "uri", "status", "slot", "route", "host")} == {
        "method": "GET",
        "uri": '/seen/"quoted"',
        "status": "200",
        "slot": "blue",
        "route": "/",
        "host": "127.0.0.1",
    }
    assert (line["upstream"], line["upstream_status"]) == (proxy.addresses[Slot.BLUE], "200")
    assert "secret" not in proxy.run("sh", "-c", "cat /var/log/bluegreen/access.log*")


def test_the_access_log_keeps_within_its_limit(proxy: RealProxy) -> None:
    def size(files: str = "access.log") -> int:
        return sum(map(int, proxy.run("sh", "-c", f"stat -c %s /var/log/bluegreen/{files}").split()))

    requests = b"GET /log HTTP/1.1\r\nHost: x\r\n\r\n" * 250 + b"GET /log HTTP/1.0\r\n\r\n"
    for _ in range(4):
        exchange(proxy, requests)
        eventually(lambda: size() < SETTINGS.log_limit // 4, what="the log is rotated")
    eventually(lambda: size("*") <= SETTINGS.log_limit, what="the log keeps within its limit")
    assert len(log_lines(proxy)) > 250


# -- what nobody gets -----------------------------------------------------------------------------------------------


def test_nginx_has_no_rights_that_it_does_not_need(proxy: RealProxy) -> None:
    status = proxy.run("cat", "/proc/1/status")
    assert re.search(r"^Uid:\t10101\t10101\t10101\t10101$", status, re.M)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
    assert set(re.findall(r"^Cap(?:Inh|Prm|Eff|Bnd|Amb):\t(\S+)$", status, re.M)) == {"0" * 16}
    assert "nginx: master" in proxy.run("cat", "/proc/1/cmdline")
    assert "read-only" in proxy.run("sh", "-c", "touch /opt/x 2>&1 || true").lower()


def test_the_control_socket_is_in_a_place_of_its_own(proxy: RealProxy) -> None:
    assert proxy.run("stat", "-c", "%a %u", "/run/bluegreen").strip() == "700 10101"
    for path in ("/.bluegreen/generation", "/.bluegreen/status", "/.bluegreen/direct"):
        status, _, body = proxy.get(path, {"X-Bluegreen-Address": "127.0.0.1:8081", "X-Bluegreen-Slot": "green"})
        assert (status, body.split()[0]) == (200, b"blue"), "a path like any other, for the application"


def test_the_preview_wants_its_token_from_slot_containers_too(proxy: RealProxy) -> None:
    ip = proxy.addresses[Slot.BLUE].rpartition(".")[0] + ".2"
    ask = f"import http.client as h; c = h.HTTPConnection('{ip}', 8081); c.request('GET', '/')"
    said = proxy.run("python3", "-c", f"{ask}; print(c.getresponse().status)", container=proxy.toy(Slot.BLUE))
    assert said.strip() == "403"


def test_the_preview_token_opens_the_idle_slot_and_goes_no_further(proxy: RealProxy) -> None:
    session = proxy.session()
    token = session.run([{"op": "preview"}])[0]["token"]
    session.close()
    assert re.fullmatch(r"[0-9a-f]{48}", token)
    assert proxy.get("/", inside=8081)[0] == 403
    assert proxy.get(f"/?token={token}", inside=8081)[0] == 403
    assert proxy.get("/.bluegreen/enter?token=wrong", inside=8081)[0] == 403
    status, headers, _ = proxy.get(f"/.bluegreen/enter?token={token}", inside=8081)
    assert (status, headers["location"]) == (302, "/")
    cookie = headers["set-cookie"].partition(";")[0]
    assert cookie == f"bluegreen_preview={token}"
    assert proxy.get("/", {"Cookie": cookie}, inside=8081)[2].startswith(b"green")
    for sent, passed in (
        (f"a=1; {cookie}; b=2", "a=1; b=2"),
        (cookie, ""),
        (f"{cookie}; b=2", "b=2"),
        (f"a=1; {cookie}", "a=1; "),
    ):
        seen = json.loads(proxy.get("/headers", {"Cookie": sent, "X-Bluegreen-Token": token}, inside=8081)[2])
        assert seen.get("cookie", "") == passed
        assert token not in json.dumps(seen)
    written = proxy.run("sh", "-c", "cat /var/log/bluegreen/access.log*; cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert token not in written


def test_trusted_proxies_are_believed(proxy: RealProxy) -> None:
    gateway = headers_seen(proxy)["x-real-ip"]
    settings = replace(SETTINGS, trusted_proxies=(f"{gateway}/32",))
    live = both(Slot.BLUE, 0, stack(1, proxy.addresses[Slot.BLUE]), stack(2, proxy.addresses[Slot.GREEN]))
    session = proxy.holding("trust")
    number = session.run([{"op": "read"}])[0]["generation"]
    session.run([{**topology(live, number), "generation": upload(live, settings)}])
    session.run([{"op": "settle", "gate": 2, "seconds": 10}])
    seen = headers_seen(proxy, X_Forwarded_For="1.2.3.4, 5.6.7.8", X_Forwarded_Proto="https", X_Forwarded_Port="443")
    assert seen["x-forwarded-for"] == f"1.2.3.4, 5.6.7.8, {gateway}"
    assert seen["x-real-ip"] == "5.6.7.8"
    assert (seen["x-forwarded-proto"], seen["x-forwarded-port"]) == ("https", "443")
    number = session.run([{"op": "read"}])[0]["generation"]
    session.run([{**topology(live, number), "generation": upload(live, SETTINGS)}])
    session.close()


def test_hosts_and_prefixes_reach_what_they_name(proxy: RealProxy) -> None:
    """One service in each slot's place: ``/api`` of every host, and a host of its own."""
    address = proxy.addresses[Slot.BLUE]
    services = {"api": ("/api",), "web": ("/api/", "shop.example/"), "all": ("*.example/",)}
    tables = {slot: stack(n, address, **services) for n, slot in enumerate(Slot, 1)}
    live = replace(both(Slot.BLUE), stacks=tables)
    session = proxy.holding("hosts")
    number = session.run([{"op": "read"}])[0]["generation"]
    session.run([{**topology(live, number), "generation": upload(live, SETTINGS)}])
    session.run([{"op": "settle", "gate": 2, "seconds": 10}])
    for host, path, status in (
        ("shop.example", "/", 200),
        ("a.b.example", "/", 200),
        ("example", "/", 404),
        ("elsewhere", "/", 404),
        ("elsewhere", "/api", 200),
        ("elsewhere", "/api/x", 200),
        ("elsewhere", "/apix", 404),
        ("SHOP.example:8080", "/", 200),
    ):
        assert proxy.get(path, {"Host": host})[0] == status, (host, path)
    session.close()


def test_idle_and_slow_clients_do_not_keep_others_out(proxy: RealProxy) -> None:
    sockets: list[socket.socket] = []
    try:
        for n in range(300):
            sockets.append(proxy.connect())
            sockets[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" if n % 2 else b"POST /x HTTP/1.1\r\n")
        assert proxy.get("/", {"Host": "shop.example"})[0] == 200
    finally:
        for one in sockets:
            one.close()
