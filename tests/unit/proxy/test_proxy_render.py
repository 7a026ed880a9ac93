"""What is rendered says what it should, and no value can make it say anything else."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.model.errors import ProxyFailed
from bluegreen.model.names import Kind, Slot
from bluegreen.model.project import ProxySettings, Route
from bluegreen.model.release import Routes, Stack
from bluegreen.proxy.assets import image_context, image_tag
from bluegreen.proxy.render import render
from tests.proxykit import SETTINGS, both, stack
from tests.support import ROOT

WORD = re.compile(
    r"""\s+ | \#[^\n]* | (?P<open>\{) | (?P<close>\}) | (?P<end>;)
    | (?P<word>"(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | [^\s{};]+)""",
    re.X,
)


def structure(text: str) -> list[Any]:
    """A configuration as nginx reads it: directives by their number of words, blocks by what is in them."""
    blocks: list[list[Any]] = [[]]
    words: list[str] = []
    at = 0
    while at < len(text):
        token = WORD.match(text, at)
        assert token is not None, text[at : at + 40]
        at = token.end()
        if token["word"]:
            words.append(token["word"])
        elif token["open"]:
            blocks[-1].append(len(words))
            blocks.append([])
            words = []
        elif token["end"]:
            blocks[-1].append(len(words))
            words = []
        elif token["close"]:
            assert not words, words
            block = blocks.pop()
            blocks[-1].append(block)
    assert len(blocks) == 1
    assert not words
    return blocks[0]


def structures(routes: Routes, settings: ProxySettings = SETTINGS) -> list[Any]:
    files = render(routes, settings, 2)
    return [structure(text) for name, text in files.items() if name.endswith(".conf")]


# -- what it says -------------------------------------------------------------------------------------------------


def test_what_the_image_brings_is_what_is_rendered_before_the_first_deploy() -> None:
    """Else: ``for each (name, text) of render(Routes(0), ProxySettings(), 2)``, write nginx/bootstrap/name."""
    expected = {**render(Routes(0), ProxySettings(), 2), "generation": "0\n"}
    assert {p.name: p.read_text() for p in (ROOT / "nginx" / "bootstrap").iterdir()} == expected


def test_generations_that_differ_in_what_is_live_share_their_topology() -> None:
    digests = [render(both(live), SETTINGS, 2)["digest"].strip() for live in (None, Slot.BLUE, Slot.GREEN)]
    assert len(set(digests)) == 3
    assert len({d.partition("-")[0] for d in digests}) == 1
    assert [d.partition("-")[2] for d in digests] == ["none.2", "blue1.2", "green2.2"]


def test_a_share_changes_nothing_that_is_compiled() -> None:
    assert render(both(Slot.BLUE, 30), SETTINGS, 2) == render(both(Slot.BLUE), SETTINGS, 2)


def test_a_flip_changes_only_what_says_what_is_live() -> None:
    one, other = render(both(Slot.BLUE), SETTINGS, 2), render(both(Slot.GREEN), SETTINGS, 2)
    assert {name for name in one if one[name] != other[name]} == {"upstreams.conf", "slot.conf", "digest"}


@pytest.mark.parametrize(
    "changed",
    [
        {"body_limit": 0},
        {"read_timeout": 1.5},
        {"gzip": False},
        {"asset_fallback": False},
        {"workers": 3},
        {"trusted_proxies": ("10.0.0.0/8", "::1")},
        {"listen": "8443"},
    ],
)
def test_settings_are_part_of_the_topology(changed: dict[str, Any]) -> None:
    changed_settings = replace(SETTINGS, **changed)
    one, other = render(both(), SETTINGS, 2)["digest"], render(both(), changed_settings, 2)["digest"]
    assert one.partition("-")[0] != other.partition("-")[0]
    structures(both(), changed_settings)


def test_the_two_colours_are_never_in_one_upstream() -> None:
    text = render(both(Slot.BLUE), SETTINGS, 2)["upstreams.conf"]
    upstreams = re.findall(r"upstream (\S+) \{(.*?)\}", text, re.S)
    assert {name: re.findall(r"server (\S+?);", body) for name, body in upstreams} == {
        "web_blue": ["10.213.1.16:8000"],
        "web_green": ["10.213.2.16:8000"],
    }


def test_what_findings_forbid_is_not_there() -> None:
    text = "".join(render(both(Slot.BLUE), replace(SETTINGS, trusted_proxies=("10.0.0.0/8",)), 2).values())
    code = re.sub(r"#[^\n]*", "", text)
    for word in ("worker_shutdown_timeout", "reuseport", "resolver ", "worker_processes auto"):
        assert word not in code
    assert not re.search(r"map [^{]*\{[^}]*~", code), "a regular expression in a map"
    assert "keepalive_min_timeout 5s;" in code


# -- routes --------------------------------------------------------------------------------------------------------

PREFIXES = st.sampled_from(["/", "/api", "/api/", "/api/v1/", "/api/v1", "/apix/", "/a/b/", "/files/"])
HOSTS = st.sampled_from(["", "shop.example", "*.example", "a.shop.example"])
TABLES = st.dictionaries(st.tuples(HOSTS, PREFIXES), st.sampled_from(["api", "web", "files"]), max_size=6)


def stack_of(number: int, table: dict[tuple[str, str], str]) -> Stack:
    services: dict[str, tuple[str, ...]] = {}
    for (host, prefix), service in table.items():
        services[service] = (*services.get(service, ()), host + prefix)
    return stack(number, **services) if services else Stack(stack(number).release, {"web": ("10.213.1.16:8000",)})


def expected_service(table: dict[tuple[str, str], str], host: str, path: str) -> str | None:
    """The rule in words: the longest prefix, of equal ones the more particular host."""

    def covers(pattern: str, prefix: str) -> bool:
        below = prefix if prefix.endswith("/") else prefix + "/"
        there = path == prefix or path.startswith(below)
        return there and (pattern in ("", host) or (pattern[:2] == "*." and host.endswith(pattern[1:])))

    found = [(len(p), len(pattern), table[pattern, p]) for pattern, p in table if covers(pattern, p)]
    # `/api` and `/api/` are one folder; the one with the slash is the more particular for what is below.
    return max(found)[2] if found else None


def nginx_service(text: str, upstreams: str, slot: str, host: str, path: str) -> str | None:
    """The same by what nginx would do with the rendered configuration."""
    servers: dict[str, str] = {}
    for block in re.split(r"\n    server \{", text)[1:]:
        if "listen 8080" in block:
            name = re.search(r"server_name (\S+);", block)
            assert name is not None
            servers[name[1]] = block
    wild = [n for n in servers if n.startswith("*.") and host.endswith(n[1:])]
    block = servers.get(host) or (servers[max(wild, key=len)] if wild else servers["_"])
    locations = re.findall(r'location (= )?"([^"]+)" \{(.*?)\n        \}', block, re.S)
    exact = [body for equal, where, body in locations if equal and where == path]
    below = [(len(where), body) for equal, where, body in locations if not equal and path.startswith(where)]
    body = exact[0] if exact else max(below)[1]
    target = re.search(r"proxy_pass http://(\S+);", body)
    if target is None:
        return None
    upstream = target[1].replace("$bg_slot", slot)
    if upstream.startswith("$"):
        table = re.search(rf"map \$bg_slot {re.escape(upstream)} {{(.*?)\n}}", upstreams, re.S)
        assert table is not None
        line = re.search(rf"^    {slot} (\S+);", table[1], re.M)
        upstream = line[1] if line else ""
    return upstream.removesuffix(f"_{slot}") or None


def test_the_redirect_that_nginx_would_make_is_taken_out() -> None:
    routes = both(Slot.BLUE, blue=stack(1, api=("/api/",), web=("/",)), green=stack(2, api=("/api/",), web=("/",)))
    files = render(routes, SETTINGS, 2)
    assert nginx_service(files["nginx.conf"], files["upstreams.conf"], "blue", "x", "/api") == "web"


def test_a_slot_that_is_not_there_answers_nothing() -> None:
    one = replace(both(Slot.BLUE), stacks={Slot.BLUE: stack(1)})
    files = render(one, SETTINGS, 2)
    assert nginx_service(files["nginx.conf"], files["upstreams.conf"], "blue", "x", "/") == "web"
    assert nginx_service(files["nginx.conf"], files["upstreams.conf"], "green", "x", "/") is None


# -- values --------------------------------------------------------------------------------------------------------

EVIL = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "/;",
            "/a;b",
            "/{",
            "/}",
            "/$host",
            '/"',
            "/a b",
            "/a\n",
            "/#",
            "/'",
            "/\\",
            "/..",
            "/%22",
            "/%24x",
            "/%0a",
            "/%ff",
        ]
    ),
    st.text(alphabet="/ab.%{}$;\"'\\#\n 0", max_size=12).map(lambda text: "/" + text),
)
HARMLESS = {
    prefix: structures(both(Slot.BLUE, blue=stack(1, web=(prefix,)), green=stack(2, web=(prefix,))))
    for prefix in ("/", "/x", "/x/")
}
WITH_HOST = structures(both(Slot.BLUE, blue=stack(1, web=("h.example/",)), green=stack(2, web=("h.example/",))))


def renders_the_same_or_not_at_all(routes: Routes, settings: ProxySettings, harmless: list[Any]) -> None:
    with contextlib.suppress(ProxyFailed):
        assert structures(routes, settings) == harmless


@given(EVIL)
def test_no_prefix_becomes_a_directive(text: str) -> None:
    harmless = HARMLESS["/" if text == "/" else "/x/" if text.endswith("/") else "/x"]
    stacks = {slot: _with_route(n, Route(text)) for n, slot in enumerate(Slot, 1)}
    renders_the_same_or_not_at_all(replace(both(Slot.BLUE), stacks=stacks), SETTINGS, harmless)


@given(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(["a;b", "a b", "~.*", "a{", "*.", "a.*", '"', "$host", "_", "a\n", "*.a.b"]),
    )
)
def test_no_host_becomes_a_directive(text: str) -> None:
    stacks = {slot: _with_route(n, Route("/", text)) for n, slot in enumerate(Slot, 1)}
    harmless = WITH_HOST if text else structures(both(Slot.BLUE))
    renders_the_same_or_not_at_all(replace(both(Slot.BLUE), stacks=stacks), SETTINGS, harmless)


@given(st.one_of(st.text(max_size=30), st.sampled_from(["a;", "a b", "a}", "$x", "a\n", ".", "A.b-c_d"])))
def test_no_service_becomes_a_directive(text: str) -> None:
    stacks = {slot: stack(n, **{text: ("/",)}) for n, slot in enumerate(Slot, 1)}
    renders_the_same_or_not_at_all(replace(both(Slot.BLUE), stacks=stacks), SETTINGS, structures(both(Slot.BLUE)))


@given(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            ["1.2.3.4:80;", "1.2.3.4", "h:80", "1.2.3.4:0", "1.2.3.4:99999", "1.2.3.4:８０", "01.2.3.4:80"]
        ),
    )
)
def test_no_address_becomes_a_directive(text: str) -> None:
    stacks = {slot: stack(n, text) for n, slot in enumerate(Slot, 1)}
    renders_the_same_or_not_at_all(replace(both(Slot.BLUE), stacks=stacks), SETTINGS, structures(both(Slot.BLUE)))


@given(st.text(max_size=20) | st.sampled_from(["80;", "a:80", "[::1]:80", "::1:80", "127.0.0.1:80 x", "65536"]))
def test_no_listen_address_becomes_a_directive(text: str) -> None:
    renders_the_same_or_not_at_all(both(Slot.BLUE), replace(SETTINGS, listen=text), structures(both(Slot.BLUE)))


@given(st.text(max_size=20) | st.sampled_from(["10.0.0.0/8;", "10.0.0.1/8", "unix:", "all", "::/0"]))
def test_no_trusted_proxy_becomes_a_directive(text: str) -> None:
    harmless = structures(both(Slot.BLUE), replace(SETTINGS, trusted_proxies=("10.0.0.0/8",)))
    renders_the_same_or_not_at_all(both(Slot.BLUE), replace(SETTINGS, trusted_proxies=(text,)), harmless)


@pytest.mark.parametrize(
    "name", ["body_limit", "connect_timeout", "read_timeout", "send_timeout", "workers", "log_limit"]
)
@pytest.mark.parametrize("value", ["1;", "1", -1, float("nan"), float("inf"), 10**20, True, [1]])
def test_a_number_is_one(name: str, value: object) -> None:
    changes: dict[str, Any] = {name: value}
    with pytest.raises(ProxyFailed, match=name):
        render(both(), replace(SETTINGS, **changes), 2)


def test_what_nginx_could_not_tell_apart_is_refused() -> None:
    for broken in (
        stack(1, api=("/",), API=("/x/",)),
        stack(1, api=("/",), web=("/",)),
        replace(stack(1), upstreams={}),
        replace(stack(1), upstreams={"web": ()}),
    ):
        with pytest.raises(ProxyFailed):
            render(replace(both(), stacks={Slot.BLUE: broken}), SETTINGS, 2)


def _with_route(number: int, route: Route) -> Stack:
    made = stack(number)
    services = {name: replace(s, routes=(route,), kind=Kind.ROUTED) for name, s in made.release.services.items()}
    return replace(made, release=replace(made.release, services=services))


# -- the image's context --------------------------------------------------------------------------------------------


def test_the_image_is_built_from_everything_it_copies() -> None:
    with image_context() as context:
        for line in (context / "Dockerfile").read_text().splitlines():
            if line.startswith("COPY ") and "--from" not in line:
                for source in line.split()[1:-1]:
                    assert (context / source).exists(), line
        assert (context / "agent" / "__main__.py").is_file()
        assert not (context / "templates").exists()
        kept = Path(context)
    assert not kept.exists()


def test_the_images_name_follows_from_its_content(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = image_tag()
    assert before == image_tag()
    assert re.fullmatch(r"bluegreen-proxy:[\w.-]+-[0-9a-f]{12}", before)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    monkeypatch.setattr("bluegreen.proxy.assets._nginx", lambda: tmp_path)
    assert image_tag() != before
