"""How visitors keep their places: what is rendered for it, and what the agent keeps for it in the volume."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluegreen.agent.errors import Refusal
from bluegreen.agent.files import Files
from bluegreen.agent.force import write
from bluegreen.agent.store import Store
from bluegreen.model.codec import decode, encode
from bluegreen.model.errors import ProxyFailed
from bluegreen.model.names import COOKIE_DOMAIN, Slot
from bluegreen.model.project import Force, ProxySettings
from bluegreen.model.release import Routes
from bluegreen.proxy.memory import MemoryClock
from bluegreen.proxy.render import render
from tests.proxykit import SETTINGS, MemoryProxy, both, flip, stack, topology, upload, way_back
from tests.unit.proxy.test_proxy_render import structure, structures

TRIED = replace(both(Slot.BLUE), trial=True)
SECRET = "0123456789-abcdef_XYZ"  # noqa: S105 - guards nothing


# -- what is stored ---------------------------------------------------------------------------------------------------


def test_what_an_older_version_stored_says_that_no_candidate_is_tried() -> None:
    routes = encode(both(Slot.BLUE))
    for stacked in routes["stacks"].values():
        for name in ("affinity", "cookie_domain", "skew"):
            del stacked["release"]["proxy"][name]
    del routes["trial"]
    assert decode(Routes, routes) == both(Slot.BLUE)


def test_what_is_stored_says_that_one_is() -> None:
    assert decode(Routes, encode(TRIED)) == TRIED


def test_places_are_drawn_by_the_newest_release_whichever_is_live() -> None:
    for live in (None, Slot.BLUE, Slot.GREEN):
        assert both(live).salt == 2
        assert both(live, blue=stack(9)).salt == 9
    assert Routes(0).salt == 0


# -- what is rendered -------------------------------------------------------------------------------------------------


def test_without_a_candidate_nothing_is_rendered_that_a_request_would_pay_for() -> None:
    chosen = replace(SETTINGS, cookie_domain="shop.example")
    plain, other = render(both(Slot.BLUE), SETTINGS, 2), render(both(Slot.BLUE), chosen, 2)
    for name in ("nginx.conf", "slot.conf"):
        assert plain[name] == other[name]
    for text in plain.values():
        assert not re.search(r"Set-Cookie \$|bluegreen_place|bluegreen_page|force|skew|http_accept|\$msec ~", text)
    assert structures(both(Slot.BLUE)) == structures(both(Slot.BLUE), chosen)


@pytest.mark.parametrize(
    "routes", [replace(both(), trial=True), replace(TRIED, stacks={Slot.BLUE: stack(1)}), Routes(0, trial=True)]
)
def test_a_candidate_is_tried_only_beside_what_is_live(routes: Routes) -> None:
    assert render(routes, SETTINGS, 2) == render(replace(routes, trial=False), SETTINGS, 2)


def test_a_share_changes_nothing_that_is_compiled_and_a_promotion_not_the_topology() -> None:
    assert render(replace(TRIED, share=30), SETTINGS, 2) == render(TRIED, SETTINGS, 2)
    digests = [render(r, SETTINGS, 2)["digest"].strip() for r in (TRIED, both(Slot.BLUE), both(Slot.GREEN))]
    assert len(set(digests)) == 3
    assert len({digest.partition("-")[0] for digest in digests}) == 1


@pytest.mark.parametrize(
    "changed", [{"affinity": "address"}, {"affinity": "none"}, {"cookie_domain": "shop.example"}, {"skew": 60.0}]
)
def test_settings_are_part_of_the_topology(changed: dict[str, Any]) -> None:
    one, other = (render(TRIED, s, 2)["digest"] for s in (SETTINGS, replace(SETTINGS, **changed)))
    assert one.partition("-")[0] != other.partition("-")[0]
    structures(TRIED, replace(SETTINGS, **changed))


def test_pages_are_known_by_the_releases_that_are_there() -> None:
    text = render(both(Slot.GREEN), replace(SETTINGS, skew=60.0), 2)["upstreams.conf"]
    table = re.search(r"map \$cookie_bluegreen_page \$bg_page_slot \{(.*?)\}", text, re.S)
    assert table is not None
    assert table[1].split(";")[1:3] == ["\n    1 blue", "\n    2 green"]


@pytest.mark.parametrize(
    ("routes", "skew", "known"),
    [
        (both(), 0.0, []),
        (both(Slot.BLUE), 0.0, ["blue 1"]),  # a deploy fills green without a reload before its switch
        (both(Slot.GREEN), 0.0, ["green 2"]),
        (both(Slot.BLUE), 60.0, ["blue 1", "green 2"]),
        (TRIED, 0.0, ["blue 1", "green 2"]),
    ],
)
def test_the_log_is_told_releases_only_where_they_stay_until_the_next_reload(
    routes: Routes, skew: float, known: list[str]
) -> None:
    text = render(routes, replace(SETTINGS, skew=skew), 2)["upstreams.conf"]
    table = re.search(r'map \$bg_slot \$bg_release \{\n    default "";(.*?)\}', text, re.S)
    assert table is not None
    assert [entry.strip() for entry in table[1].split(";")[:-1]] == known


def test_no_map_has_a_regular_expression() -> None:
    chosen = replace(SETTINGS, skew=60.0, cookie_domain="shop.example", trusted_proxies=("10.0.0.0/8",))
    code = re.sub(r"#[^\n]*", "", "".join(render(TRIED, chosen, 2).values()))
    assert not re.search(r"map [^{]*\{[^}]*~", code)


DOMAINS = st.text(max_size=20) | st.sampled_from(
    ["a.b;", "a.b; HttpOnly", 'a.b"', "a.b$host", "a b.c", "a.b\n", ".a.b", "a..b", "com", "1.2.3.4", "a.b}", "*.a.b"]
)


@settings(max_examples=50, deadline=None)
@given(DOMAINS | st.from_regex(COOKIE_DOMAIN, fullmatch=True))
def test_no_domain_becomes_a_directive_or_an_attribute(text: str) -> None:
    try:
        files = render(TRIED, replace(SETTINGS, cookie_domain=text), 2)
    except ProxyFailed:
        assert text
        assert COOKIE_DOMAIN.fullmatch(text) is None
        return
    assert [structure(t) for n, t in files.items() if n.endswith(".conf")] == structures(TRIED)
    for line in re.findall(r'"bluegreen_\w+=[^"]*"', files["upstreams.conf"]):
        attributes = [part.partition("=")[0] for part in line.strip('"').split("; ")[1:]]
        assert attributes == ["Path", *(["Domain"] if text else []), "HttpOnly", "SameSite", "Max-Age"]


@pytest.mark.parametrize("value", ["", "Cookie", "cookie;", "$request_id", None, 1])
def test_an_affinity_is_one_of_three(value: Any) -> None:
    with pytest.raises(ProxyFailed, match="affinity"):
        render(TRIED, replace(SETTINGS, affinity=value), 2)


@pytest.mark.parametrize("value", ["1;", -1, 3601, float("nan"), float("inf"), True, [1]])
def test_a_time_for_pages_is_a_number_up_to_an_hour(value: Any) -> None:
    with pytest.raises(ProxyFailed, match="skew"):
        render(TRIED, replace(SETTINGS, skew=value), 2)


# -- testers ----------------------------------------------------------------------------------------------------------


def rules(root: Path, **changed: Any) -> str:
    files = Files(str(root), sync=False)
    write(files, {**encode(Force(secret=SECRET)), **changed})
    return (root / "force.conf").read_text()


WORDS = st.text(max_size=30) | st.sampled_from(
    ["X-A;", 'X"', "X A", "X\n", "X_A", "1X", "-X", "$x", "é", "a" * 65, "", "x}", "X-Release", "release"]
)


@settings(max_examples=50, deadline=None)
@given(
    WORDS | st.from_regex("[A-Za-z][A-Za-z0-9-]{0,63}", fullmatch=True), WORDS, WORDS | st.text("aB1-_", min_size=16)
)
def test_no_name_and_no_secret_becomes_a_rule(
    tmp_path_factory: pytest.TempPathFactory, header: str, cookie: str, secret: str
) -> None:
    root = tmp_path_factory.getbasetemp()
    usual = structure(rules(root))
    for changed in ({"header": header}, {"cookie": cookie}, {"secret": secret}):
        with contextlib.suppress(Refusal):
            assert structure(rules(root, **changed)) == usual


def test_a_refusal_does_not_say_the_secret(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        rules(tmp_path, secret="too short; ")
    assert "too short" not in refused.value.message
    assert not (tmp_path / "force.conf").exists()


def test_nobody_may_choose_any_more_once_the_file_says_so(tmp_path: Path) -> None:
    rules(tmp_path)
    files = Files(str(tmp_path), sync=False)
    assert not write(files, encode(Force(secret=SECRET))), "nothing changed"
    assert write(files, None)
    assert not (tmp_path / "force.conf").exists()
    assert not write(files, None)


def test_the_rules_come_with_a_topology_and_are_loaded_even_where_only_they_changed(tmp_path: Path) -> None:
    proxy = MemoryProxy(tmp_path)
    proxy.at_blue()
    session = proxy.holding()
    assert not (tmp_path / "force.conf").exists()
    first = session.run([topology(TRIED, 2, force=encode(Force(secret=SECRET)))])[0]
    assert SECRET in (tmp_path / "force.conf").read_text()
    again = session.run([topology(TRIED, first["generation"], force={**encode(Force(secret="x" * 16))})])[0]
    assert again["reloaded"]
    same = session.run([topology(TRIED, again["generation"])])[0]
    assert not same["reloaded"]
    assert "x" * 16 in (tmp_path / "force.conf").read_text(), "left as they are where nothing is said"
    session.run([topology(TRIED, same["generation"], force=None)])
    assert not (tmp_path / "force.conf").exists()


# -- pages of the former release --------------------------------------------------------------------------------------

PROTECTED = ProxySettings(skew=95.0)


def protected(live: Slot, **more: Any) -> Routes:
    routes = both(live, **more)
    stacks = {s: replace(k, release=replace(k.release, proxy=PROTECTED)) for s, k in routes.stacks.items()}
    return replace(routes, stacks=stacks)


class Protected:
    """A proxy with release 1 in blue live and 2 in green known, with skew protection."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.proxy = MemoryProxy(root)
        self.session = self.proxy.holding()
        self.session.run([topology(replace(protected(Slot.BLUE), live=None), 0)])
        self.session.run([flip(protected(Slot.BLUE), 1)])

    def kept(self) -> dict[str, list[int]]:
        """By slot: the tens of seconds in which pages keep their calls there."""
        skew = self.root / "current" / "skew"
        return {f.name: sorted(int(e.name) for e in f.iterdir()) for f in skew.iterdir()} if skew.exists() else {}

    @property
    def now(self) -> float:
        clock = self.proxy.nginx.clock
        assert isinstance(clock, MemoryClock)
        return clock.now()


@pytest.fixture
def shop(tmp_path: Path) -> Protected:
    return Protected(tmp_path)


def test_a_switch_forward_keeps_calls_at_the_former_release_for_as_long_as_it_says(shop: Protected) -> None:
    assert shop.kept() == {}, "before release 2 was live it had no pages"
    before = shop.now
    shop.session.run([flip(protected(Slot.GREEN), 2)])
    assert set(shop.kept()) == {"blue"}
    tens = shop.kept()["blue"]
    assert tens == list(range(int(before // 10), int((before + 95) // 10) + 1))


def test_a_rollback_ends_it_and_forward_again_begins_it_anew(shop: Protected) -> None:
    shop.session.run([flip(protected(Slot.GREEN), 2), way_back(3)])
    assert shop.kept() == {}
    shop.proxy.nginx.clock.pause(1000)
    shop.session.run([way_back(4)])
    assert set(shop.kept()) == {"blue"}
    assert min(shop.kept()["blue"]) == int(shop.now // 10)


def test_a_later_generation_neither_prolongs_nor_ends_it(shop: Protected) -> None:
    shop.session.run([flip(protected(Slot.GREEN), 2)])
    before = shop.kept()
    shop.proxy.nginx.clock.pause(50)
    shop.session.run([{**topology(protected(Slot.GREEN), 3), "generation": upload(protected(Slot.GREEN), PROTECTED)}])
    assert shop.kept() == before


def test_a_candidate_in_the_former_s_place_ends_it(shop: Protected) -> None:
    shop.session.run([flip(protected(Slot.GREEN), 2)])
    candidate = protected(Slot.GREEN, blue=stack(3))
    shop.session.run([topology(replace(candidate, trial=True), 3)])
    assert shop.kept() == {}


@pytest.mark.parametrize("op", [{"op": "drop_back"}, {"op": "drain", "addresses": ["10.213.1.16:8000"], "seconds": 1}])
def test_it_ends_before_the_former_release_is_stopped(shop: Protected, op: dict[str, Any]) -> None:
    shop.session.run([flip(protected(Slot.GREEN), 2)])
    assert shop.kept()
    shop.session.run([op])
    assert shop.kept() == {}


def test_without_the_setting_there_is_none_of_it(tmp_path: Path) -> None:
    proxy = MemoryProxy(tmp_path)
    proxy.at_blue()
    proxy.holding().run([flip(both(Slot.GREEN), 2)])
    assert not (tmp_path / "current" / "skew").exists()


@pytest.mark.parametrize("damage", [{"skew": "x"}, {"skew": None}, {"skew": [1]}, [], "x"])
def test_what_was_damaged_by_hand_stops_no_switch(tmp_path: Path, damage: Any) -> None:
    store = Store(Files(str(tmp_path), sync=False))
    routes = encode(protected(Slot.GREEN))
    store.mark_skew("whole", routes, "2026-01-01T00:00:00Z")
    assert (tmp_path / "whole" / "skew").exists()
    store.mark_skew("since", routes, "yesterday")
    routes["stacks"]["green"]["release"]["proxy"] = damage
    store.mark_skew("settings", routes, "2026-01-01T00:00:00Z")
    assert [entry.name for entry in tmp_path.iterdir()] == ["whole"]
