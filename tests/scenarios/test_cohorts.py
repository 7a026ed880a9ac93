"""Who gets the candidate: as many visitors as were asked for, always the same ones, with all that they do."""

from __future__ import annotations

import http.client
import json
import math
import random
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import pytest

from bluegreen.model.codec import encode
from bluegreen.model.names import Slot
from bluegreen.model.project import Force, ProxySettings
from bluegreen.model.release import Routes, Stack
from tests.proxyground import RealProxy, real_proxy
from tests.proxykit import both, stack, upload
from tests.support import eventually

SETTINGS = ProxySettings(listen="127.0.0.1:0", workers=2)
BEHIND = replace(SETTINGS, trusted_proxies=("0.0.0.0/0",))
"""Something in front names the visitors' addresses."""

SHARES = (1, 5, 10, 25, 50, 90)
VISITORS = 100_000
SECRET = "s-" + "5" * 20
PIPELINED, CONNECTIONS = 400, 12

ROUTES = ("/app/", "/headers", "/status/")

pytestmark = pytest.mark.engine


class Shop:
    """A proxy with release 1 live in blue, and what becomes of green.

    What has no route is answered by the proxy alone, and quickly.
    """

    def __init__(self, proxy: RealProxy) -> None:
        self.proxy = proxy
        self.session = proxy.holding("cohorts")
        self.token = self.session.run([{"op": "preview"}])[0]["token"]
        self.port = proxy.port()
        self.settings = SETTINGS
        self.routes = Routes(0)

    def tries(self, number: int = 2, settings: ProxySettings = SETTINGS, force: Force | None = None) -> None:
        """Release ``number`` is a candidate in green, with a share of 0."""
        self._prepares(replace(self._stacks(number, settings), live=Slot.BLUE, trial=True), settings, force)

    def shifts(self, share: int) -> None:
        before = self._compiled()
        self._activate({"generation": upload(replace(self.routes, share=share), self.settings), "back": None})
        self.routes = replace(self.routes, share=share)
        assert self._compiled() == before, "a share needs no reload"

    def switches(self, live: Slot = Slot.GREEN) -> None:
        """To the other release, forward or back, with all traffic."""
        self.routes = replace(self.routes, live=live, share=0, trial=False)
        self._activate({"generation": upload(self.routes, self.settings), "settle": "verified"})
        self._settled()

    def deploys(self, number: int = 2, settings: ProxySettings = SETTINGS) -> None:
        """Release ``number`` instead of release 1, with no candidate in between."""
        self._prepares(replace(self._stacks(number, settings), live=Slot.BLUE), settings, None)
        self.switches()

    def ask(self, path: str = "/app/x", **headers: str) -> Seen:
        """As a visitor of its own; names with ``_`` for ``-``."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, headers={**sent, "X-Bluegreen-Token": self.token})
            return Seen(connection.getresponse())
        finally:
            connection.close()

    def rapidly(self, requests: Sequence[Mapping[str, str]]) -> list[tuple[str, int | None]]:
        """(slot, bucket that a cookie was set for) of each, pipelined over a few connections."""
        common = f"GET /nowhere HTTP/1.1\r\nHost: shop.example\r\nX-Bluegreen-Token: {self.token}\r\n"
        parts = [requests[first : first + PIPELINED] for first in range(0, len(requests), PIPELINED)]
        idle: SimpleQueue[socket.socket] = SimpleQueue()

        def ask(part: Sequence[Mapping[str, str]]) -> list[tuple[str, int | None]]:
            connection = idle.get()
            lines = ("".join(f"{n}: {v}\r\n" for n, v in headers.items()) for headers in part)
            connection.sendall("".join(f"{common}{text}\r\n" for text in lines).encode())
            found = _answers(connection.recv, len(part))
            idle.put(connection)
            return found

        with ExitStack() as open_, ThreadPoolExecutor(CONNECTIONS) as pool:
            for _ in range(CONNECTIONS):
                idle.put(open_.enter_context(self.proxy.connect()))
            return [answer for found in pool.map(ask, parts) for answer in found]

    def logged(self, path: str) -> dict[str, Any]:
        """The access log's last line about a path."""

        def look() -> list[str]:
            # Of all of it: each worker writes its own lines after a moment, and a busy one many behind this one.
            log = self.proxy.run("cat", "/var/log/bluegreen/access.log")
            return [line for line in log.splitlines() if json.dumps(path) in line]

        found: dict[str, Any] = json.loads(eventually(look, what=f"{path} in the access log")[-1])
        return found

    # -- inside ----------------------------------------------------------------------------------------------
    def _stacks(self, number: int, settings: ProxySettings) -> Routes:
        def one(of: int, slot: Slot) -> Stack:
            made = stack(of, self.proxy.addresses[slot], web=ROUTES)
            return replace(made, release=replace(made.release, proxy=settings))

        return both(None, 0, one(1, Slot.BLUE), one(number, Slot.GREEN))

    def _prepares(self, wanted: Routes, settings: ProxySettings, force: Force | None) -> None:
        """Both stacks known and release 1 live: one activation, unless blue has to become live first."""
        self.settings = settings
        if self.routes.live is None:
            self._topology(replace(wanted, live=None), None)
        if self.routes.live is not Slot.BLUE or self.routes.share:
            self.routes = replace(self.routes, live=Slot.BLUE, share=0)
            self._activate({"generation": upload(self.routes, settings)})
        self._topology(wanted, force)

    def _topology(self, routes: Routes, force: Force | None) -> None:
        rules = None if force is None else encode(force)
        self._activate({"generation": upload(routes, self.settings), "topology": True, "force": rules})
        self.routes = routes
        self._settled()

    def _activate(self, op: dict[str, Any]) -> None:
        parent = self.session.run([{"op": "read"}])[0]["generation"]
        self.session.run([{"op": "activate", "parent": parent, "topology": False, **op}])

    def _settled(self) -> None:
        """What asks from now on asks the new configuration."""
        self.session.run([{"op": "reload"}, {"op": "settle", "gate": 2, "seconds": 15}])
        eventually(lambda: self._compiled() == self.session.run([{"op": "read"}])[0]["rendered"])

    def _compiled(self) -> str:
        return str(self.session.run([{"op": "read"}])[0]["compiled"])


class Seen:
    """An answer: which slot, and what cookies it sets."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.slot = answer.headers["X-Bluegreen-Slot"] or ""
        self.text = answer.read().decode()
        self.set = answer.headers.get_all("Set-Cookie") or []
        self.cookies = dict(line.partition(";")[0].split("=", 1) for line in self.set)


def _answers(receive: Callable[[int], bytes], count: int) -> list[tuple[str, int | None]]:
    """The same of ``count`` answers on a connection."""
    data = b""
    while data.count(b"</html>\r\n") < count:
        more = receive(1 << 20)
        assert more, data[-500:]
        data += more
    found = []
    for head in re.findall(rb"HTTP/1\.1 404.*?\r\n\r\n", data, re.S):
        slot = re.search(rb"\r\nX-Bluegreen-Slot: (\w+)", head)
        place = re.search(rb"\r\nSet-Cookie: bluegreen_place=\d+-(\d+);", head)
        assert slot is not None, head
        found.append((slot[1].decode(), int(place[1]) if place else None))
    assert len(found) == count
    return found


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with real_proxy(SETTINGS) as proxy:
        yield Shop(proxy)


def identities(seed: int, count: int = VISITORS) -> list[str]:
    """As the proxy gives them out."""
    draw = random.Random(seed)  # noqa: S311 - no secret, and the same ones each time
    return [f"{draw.getrandbits(128):032x}" for _ in range(count)]


def by_cookie(known: Sequence[str]) -> list[dict[str, str]]:
    return [{"Cookie": f"bluegreen_visitor={identity}"} for identity in known]


def within(measured: int, of: int, percent: int, errors: float = 4.0) -> bool:
    share = percent / 100
    return abs(measured - of * share) <= errors * math.sqrt(of * share * (1 - share))


# -- as many as were asked for ---------------------------------------------------------------------------------------


def test_of_100_000_visitors_with_a_cookie_each_share_gets_its_part(shop: Shop) -> None:
    shop.tries()
    shop.shifts(10)
    answers = shop.rapidly(by_cookie(identities(1)))
    buckets = [bucket for _, bucket in answers]
    assert all(bucket is not None and (slot == "green") == (bucket < 10) for slot, bucket in answers)
    assert within(sum(slot == "green" for slot, _ in answers), VISITORS, 10)
    for share in SHARES:
        assert within(sum(bucket < share for bucket in buckets if bucket is not None), VISITORS, share), share


def test_of_100_000_addresses_behind_a_trusted_proxy_each_share_gets_its_part(shop: Shop) -> None:
    shop.tries(settings=BEHIND)
    draw = random.Random(2)  # noqa: S311 - as above
    addresses = draw.sample(range(1 << 24, 223 << 24), VISITORS)
    named = [{"X-Forwarded-For": ".".join(str(a >> s & 255) for s in (24, 16, 8, 0))} for a in addresses]
    shop.shifts(50)
    answers = shop.rapidly(named)
    assert all(bucket is not None and (slot == "green") == (bucket < 50) for slot, bucket in answers)
    for share in SHARES:
        assert within(sum(bucket < share for _, bucket in answers if bucket is not None), VISITORS, share), share


def test_a_share_is_the_places_below_it_and_nobody_moves_back_while_it_grows(shop: Shop) -> None:
    shop.tries()
    places = [{"Cookie": f"a=b; bluegreen_place=2-{bucket}; bluegreen_visitor={'0' * 32}"} for bucket in range(100)]
    before: set[int] = set()
    for share in (0, *SHARES, 100):
        shop.shifts(share)
        answers = shop.rapidly(places)
        there = {bucket for bucket, (slot, _) in enumerate(answers) if slot == "green"}
        assert there == set(range(share))
        assert before <= there
        assert {bucket for _, bucket in answers} == {None}, "who has a place is given none"
        before = there
    shop.shifts(0)
    assert {slot for slot, _ in shop.rapidly(places)} == {"blue"}


def test_visitors_keep_their_places_with_the_share_s_growth_and_another_candidate_draws_others(shop: Shop) -> None:
    known = by_cookie(identities(3, 10_000))
    shop.tries(2)
    shop.shifts(10)
    first = shop.rapidly(known)
    shop.shifts(25)
    grown = shop.rapidly(known)
    assert [bucket for _, bucket in grown] == [bucket for _, bucket in first]
    assert all(now == "green" for (then, _), (now, _) in zip(first, grown, strict=True) if then == "green")
    shop.tries(3)
    shop.shifts(10)
    other = shop.rapidly(known)
    pairs = [
        (float(a), float(b)) for (_, a), (_, b) in zip(first, other, strict=True) if a is not None and b is not None
    ]
    assert len(pairs) == len(known)
    assert abs(correlation(pairs)) < 4 / math.sqrt(len(pairs))
    both_times = sum(a == b == "green" for (a, _), (b, _) in zip(first, other, strict=True))
    assert within(both_times, len(known), 1), "a tenth of a tenth"


def correlation(pairs: Sequence[tuple[float, float]]) -> float:
    """Pearson's."""
    means: list[float] = [sum(values) / len(pairs) for values in zip(*pairs, strict=True)]
    moved = [(a - means[0], b - means[1]) for a, b in pairs]
    spread: float = math.sqrt(sum(a * a for a, _ in moved) * sum(b * b for _, b in moved))
    return sum(a * b for a, b in moved) / spread


def test_with_affinity_none_each_request_is_drawn_by_itself(shop: Shop) -> None:
    shop.tries(settings=replace(SETTINGS, affinity="none"))
    shop.shifts(25)
    answers = shop.rapidly([{"Cookie": "bluegreen_place=2-0"}] * 10_000)
    assert within(sum(slot == "green" for slot, _ in answers), 10_000, 25)
    assert {bucket for _, bucket in answers} == {None}


# -- always the same release -----------------------------------------------------------------------------------------


def test_all_first_requests_of_a_visitor_and_all_later_ones_meet_one_release(shop: Shop) -> None:
    shop.tries()
    shop.shifts(50)
    met = set()
    with ThreadPoolExecutor(6) as pool:
        for visitor in range(40):
            agent = f"browser {visitor}"
            paths = [f"/app/{name}" for name in ("page", "api/1", "api/2", "api/3", "style", "script")]
            seen = list(pool.map(lambda path, agent=agent: shop.ask(path, User_Agent=agent), paths))
            assert len({one.slot for one in seen}) == 1
            assert len({one.cookies["bluegreen_place"] for one in seen}) == 1
            assert len({one.cookies["bluegreen_visitor"] for one in seen}) == 6
            cookie = "; ".join(f"{name}={value}" for name, value in seen[-1].cookies.items())
            later = shop.ask("/app/api/4", User_Agent="another now", Cookie=cookie)
            assert later.slot == seen[0].slot
            assert later.text.split()[0] == later.slot
            met.add(later.slot)
    assert met == {"blue", "green"}


def test_the_address_alone_keeps_a_visitor_s_place_where_no_cookie_is_wanted(shop: Shop) -> None:
    shop.tries(settings=replace(BEHIND, affinity="address"))
    shop.shifts(50)
    asked = [{"X-Forwarded-For": f"192.0.2.{n}"} for n in range(200)]
    first, again = shop.rapidly(asked), shop.rapidly(asked)
    assert first == again
    assert {bucket for _, bucket in first} == {None}
    assert {slot for slot, _ in first} == {"blue", "green"}
    seen = shop.ask("/app/by-address", X_Forwarded_For="192.0.2.7", Cookie=f"bluegreen_visitor={'0' * 32}")
    assert seen.slot == first[7][0]
    assert shop.logged("/app/by-address")["client"] == "192.0.2.7", "what keeps the place is who counts"


def test_who_has_been_given_a_number_by_an_earlier_candidate_keeps_it_and_gets_another_place(shop: Shop) -> None:
    shop.tries(2)
    first = shop.ask()
    number = first.cookies["bluegreen_visitor"]
    shop.tries(3)
    cookie = f"bluegreen_visitor={number}; bluegreen_place={first.cookies['bluegreen_place']}"
    again = shop.ask(Cookie=cookie)
    assert set(again.cookies) == {"bluegreen_place"}
    assert again.cookies["bluegreen_place"].startswith("3-")


# -- the cookies -----------------------------------------------------------------------------------------------------


def test_the_cookies_are_no_script_s_business_and_belong_to_the_host(shop: Shop) -> None:
    shop.tries()
    lines = sorted(shop.ask().set)
    assert len(lines) == 2
    assert re.fullmatch(r"bluegreen_place=2-\d+; Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000", lines[0])
    assert re.fullmatch(r"bluegreen_visitor=[0-9a-f]{32}; Path=/; HttpOnly; SameSite=Lax; Max-Age=31536000", lines[1])


def test_over_https_the_cookies_are_for_https_only_and_a_domain_is_said_where_the_file_says_it(shop: Shop) -> None:
    shop.tries(settings=replace(BEHIND, cookie_domain="shop.example"))
    for scheme, secure in (("https", True), ("http", False)):
        lines = shop.ask(X_Forwarded_Proto=scheme).set
        assert len(lines) == 2
        assert all("; Domain=shop.example; " in line and line.endswith("; Secure") is secure for line in lines)
    shop.tries()
    assert "Secure" not in "".join(shop.ask(X_Forwarded_Proto="https").set), "only a trusted proxy can say so"


def test_a_cookie_that_nobody_gave_out_counts_as_none(shop: Shop) -> None:
    shop.tries()
    shop.shifts(50)
    usual = shop.ask().cookies["bluegreen_place"]
    for place in ("2-100", "2--1", "2-1x", "1-0", "99-0", "0", "../../etc", "2-0%0a", "x" * 4000):
        assert shop.ask(Cookie=f"bluegreen_place={place}").cookies["bluegreen_place"] == usual
    for visitor in ("x", "0" * 31, "0" * 33, "G" * 32, "0" * 31 + "%"):
        seen = shop.ask(Cookie=f"bluegreen_visitor={visitor}").cookies
        assert seen["bluegreen_place"] == usual
        assert re.fullmatch("[0-9a-f]{32}", seen["bluegreen_visitor"])


def test_without_a_candidate_no_cookie_is_set(shop: Shop) -> None:
    shop.deploys()
    for path in ("/app/x", "/nowhere", "/app/status/500"):
        seen = shop.ask(path)
        assert seen.slot == "green"
        assert seen.set == []
    assert shop.ask(Cookie="bluegreen_place=2-0; bluegreen_visitor=x").slot == "green"


def test_a_place_comes_with_failed_answers_too(shop: Shop) -> None:
    shop.tries()
    for path in ("/status/500", "/nowhere"):
        assert set(shop.ask(path).cookies) == {"bluegreen_place", "bluegreen_visitor"}


def test_an_asset_by_its_content_s_hash_gets_no_cookie(shop: Shop) -> None:
    shop.tries()
    seen = shop.ask("/app/app.5f3a1b2c9d0e.css")
    assert (seen.status, seen.slot) == (200, "blue")
    assert seen.set == []


# -- testers ---------------------------------------------------------------------------------------------------------


def test_a_tester_with_the_secret_chooses_a_slot_by_header_or_cookie(shop: Shop) -> None:
    shop.tries(force=Force(secret=SECRET))
    for share in (0, 100):
        shop.shifts(share)
        for word, slot in (("candidate", "green"), ("live", "blue")):
            assert shop.ask(X_Release=f"{SECRET}:{word}").slot == slot
            assert shop.ask(Cookie=f"a=b; release={SECRET}:{word}; c=d").slot == slot


def test_what_is_not_the_secret_chooses_nothing(shop: Shop) -> None:
    shop.tries(force=Force(secret=SECRET))
    for value in ("candidate", ":candidate", f"{SECRET[:-1]}:candidate", f"{SECRET}x:candidate", f"{SECRET}:green"):
        assert shop.ask(X_Release=value).slot == "blue", value
        assert shop.ask(Cookie=f"release={value}").slot == "blue", value
    assert shop.ask(Release=f"{SECRET}:candidate").slot == "blue", "another header"
    shop.tries(3)
    assert shop.ask(X_Release=f"{SECRET}:candidate").slot == "blue", "none may choose any more"


def test_a_forced_request_is_said_to_be_one_and_no_container_learns_the_secret(shop: Shop) -> None:
    shop.tries(force=Force("X-Shop", "pick", SECRET))
    by_header = shop.ask("/app/forced", X_Shop=f"{SECRET}:candidate")
    assert by_header.text.startswith("green")
    assert shop.logged("/app/forced")["bucket"] == "forced"
    assert shop.logged("/app/forced")["slot"] == "green"
    for headers in ({"X_Shop": f"{SECRET}:candidate"}, {"Cookie": f"a=b; PICK={SECRET}:candidate; c=d"}):
        seen = shop.ask("/headers", **headers)
        assert seen.slot == "green"
        assert SECRET not in seen.text
        assert "x-shop" not in json.loads(seen.text)
    assert json.loads(seen.text)["cookie"] == "a=b; c=d"
    plain = shop.ask("/headers/plain", X_Shop="of the application", Cookie="pick=its own; a=b")
    assert plain.slot == "blue"
    told = json.loads(plain.text)
    assert (told["x-shop"], told["cookie"]) == ("of the application", "pick=its own; a=b")
    assert shop.logged("/headers/plain")["bucket"] != "forced"


# -- pages of the former release -------------------------------------------------------------------------------------

PROTECTED = replace(SETTINGS, skew=600.0)
PAGE = {"Sec_Fetch_Mode": "navigate"}
CALL = {"Sec_Fetch_Mode": "cors"}


def test_what_a_page_of_the_former_release_asks_for_is_answered_there_for_a_while(shop: Shop) -> None:
    shop.deploys(settings=PROTECTED)
    cookie = "a=b; bluegreen_page=1"
    assert shop.ask(**CALL, Cookie=cookie).slot == "blue"
    assert shop.ask(Cookie=cookie, Accept="application/json").slot == "blue"
    page = shop.ask(**PAGE, Cookie=cookie)
    assert page.slot == "green"
    assert page.cookies == {"bluegreen_page": "2"}
    assert shop.ask(Cookie=cookie, Accept="text/html,application/xhtml+xml,*/*;q=0.8").slot == "green"
    assert shop.ask(**CALL, Cookie="bluegreen_page=2").slot == "green"
    for other in ("", "bluegreen_page=", "bluegreen_page=7", "bluegreen_page=blue", "bluegreen_page=../idle"):
        assert shop.ask(**CALL, Cookie=other).slot == "green", other


def test_a_rollback_ends_it_at_once(shop: Shop) -> None:
    shop.deploys(settings=PROTECTED)
    shop.switches(Slot.BLUE)
    for page in ("1", "2"):
        assert shop.ask(**CALL, Cookie=f"bluegreen_page={page}").slot == "blue"
    shop.switches(Slot.GREEN)
    assert shop.ask(**CALL, Cookie="bluegreen_page=1").slot == "blue", "forward again"


def test_it_ends_before_the_former_release_is_stopped(shop: Shop) -> None:
    shop.deploys(settings=PROTECTED)
    assert shop.ask(**CALL, Cookie="bluegreen_page=1").slot == "blue"
    address = shop.proxy.addresses[Slot.BLUE]
    shop.session.run([{"op": "drain", "addresses": [address], "seconds": 10}])
    assert shop.ask(**CALL, Cookie="bluegreen_page=1").slot == "green"


def test_only_pages_get_the_cookie_and_none_without_being_asked_for(shop: Shop) -> None:
    shop.deploys(settings=PROTECTED)
    assert shop.ask(**PAGE).cookies == {"bluegreen_page": "2"}
    assert shop.ask(**PAGE, Cookie="bluegreen_page=2").cookies == {}
    assert shop.ask(**CALL).cookies == {}
    shop.deploys()
    assert shop.ask(**PAGE).cookies == {}
    assert shop.ask(**CALL, Cookie="bluegreen_page=1").slot == "green"
