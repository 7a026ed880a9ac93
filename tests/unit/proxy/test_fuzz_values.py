"""Whatever stands in a file: it is refused with its place, or it is a value and nothing more, wherever it goes.

Where it goes is nginx's configuration, requests that the agent sends, labels, and containers' environments.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import crossplane
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bluegreen.agent.files import Files
from bluegreen.agent.force import write
from bluegreen.agent.wire import head
from bluegreen.compose import load
from bluegreen.compose.digest import config_digest, release_digest
from bluegreen.execution.proxyside import smoke_request
from bluegreen.model.codec import decode, encode
from bluegreen.model.errors import ProxyFailed, UsageError
from bluegreen.model.names import TAG, Slot
from bluegreen.model.project import Force, Project, Service
from bluegreen.model.release import Release, Routes, Stack
from bluegreen.planning.deploy import draft
from bluegreen.planning.traffic import health_request
from bluegreen.proxy.render import render

FRAGMENTS = (
    *("/", "a", "api", ".", "..", "%", "%2e", "%00", "%0a", "*", "~", "@", ":", "-", "_", "0", "8000", "10.0.0.0/8"),
    *(
        ";",
        "{",
        "}",
        "$",
        "$host",
        "${A}",
        "#",
        "'",
        '"',
        "\\",
        "\n",
        "\r\n",
        "\t",
        " ",
        "\0",
        "\x7f",
        "\x85",
        "\u2028",
    ),
    *(
        "é",
        "日本",
        "\u202e",
        "ａ",
        "；",
        "return 200;",
        "include /etc/passwd;",
        "proxy_pass http://evil;",
        "Host: evil",
    ),
    *("server { listen 1; }", "$(id)", "`id`", "{{ 1 }}", "{% raw %}", "unix:/x", "[::1]", "1s", "1m", "-1", "1e9"),
)
HOSTILE = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=5).map("".join),
    st.sampled_from(("/", "/a", "/a/", "a.b", "80")).flatmap(
        lambda start: st.sampled_from(FRAGMENTS).map(lambda end: start + end)
    ),
    st.text(max_size=20),
    st.sampled_from(("a", "/a", "é", "$")).map(lambda unit: unit * 5000),
)

Put = Callable[[dict[str, Any], str], None]


def _web(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["services"]["web"]
    return found


def _routed(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _web(document)["x-bluegreen"]
    return found


def _proxy(key: str) -> Put:
    return lambda document, text: document["x-bluegreen"]["proxy"].update({key: text})


def _health(key: str) -> Put:
    return lambda document, text: _routed(document)["health"].update({key: text})


def _canary(key: str) -> Put:
    return lambda document, text: document["x-bluegreen"]["proxy"]["canary"].update({key: text})


def _force(key: str) -> Put:
    return lambda document, text: document["x-bluegreen"]["proxy"]["canary"]["force"].update({key: text})


def _check(key: str) -> Put:
    return lambda document, text: document["x-bluegreen"]["smoke"][0].update({key: text})


FIELDS: dict[str, Put] = {
    **{f"x-bluegreen.proxy.{key}": _proxy(key) for key in ("listen", "preview", "body_limit", "workers", "log_limit")},
    **{f"x-bluegreen.proxy.{key}_timeout": _proxy(f"{key}_timeout") for key in ("connect", "read", "send")},
    "x-bluegreen.proxy.trusted_proxies": lambda d, t: d["x-bluegreen"]["proxy"].update(trusted_proxies=[t]),
    **{f"x-bluegreen.proxy.canary.{key}": _canary(key) for key in ("affinity", "cookie_domain", "skew")},
    **{f"x-bluegreen.proxy.canary.force.{key}": _force(key) for key in ("header", "cookie", "secret")},
    "x-bluegreen.drain": lambda d, t: d["x-bluegreen"].update(drain=t),
    "services.web.x-bluegreen.route": lambda d, t: _routed(d).update(route=t),
    "services.web.x-bluegreen.host": lambda d, t: _routed(d).update(host=t),
    "services.web.x-bluegreen.port": lambda d, t: _routed(d).update(port=t),
    **{f"services.web.x-bluegreen.health.{key}": _health(key) for key in ("path", "host", "interval", "timeout")},
    "services.web.x-bluegreen.health.expect.body": lambda d, t: _routed(d)["health"]["expect"].update(body=t),
    "services.web.x-bluegreen.health.expect.status": lambda d, t: _routed(d)["health"]["expect"].update(status=t),
    **{f"x-bluegreen.smoke[0].{key}": _check(key) for key in ("GET", "body", "host", "timeout")},
    "x-bluegreen.smoke[0].headers": lambda d, t: d["x-bluegreen"]["smoke"][0].update(headers={t: "value"}),
    "x-bluegreen.smoke[0].headers.X-Value": lambda d, t: d["x-bluegreen"]["smoke"][0].update(headers={"X-Value": t}),
    "services": lambda d, t: d["services"].update({t: d["services"].pop("web")}),
    "name": lambda d, t: d.update(name=t),
    "services.web.image": lambda d, t: _web(d).update(image=t),
}


def document() -> dict[str, Any]:
    return {
        "name": "shop",
        "x-bluegreen": {
            "source": "tree",
            "proxy": {
                "listen": "80",
                "trusted_proxies": ["192.0.2.1"],
                "canary": {
                    "affinity": "cookie",
                    "cookie_domain": "shop.example",
                    "skew": "1m",
                    "force": {"header": "X-Release", "cookie": "release", "secret": "0123456789abcdef"},
                },
            },
            "smoke": [{"GET": "/version", "headers": {"X-Value": "a"}}],
        },
        "services": {
            "web": {
                "image": "web:1",
                "x-bluegreen": {
                    "route": "/web/",
                    "host": "h.example",
                    "port": 8000,
                    "health": {"path": "/health", "expect": {"status": 200}},
                },
            }
        },
    }


def loaded(directory: Path, data: dict[str, Any]) -> Project:
    # What is escaped here is what a file has to escape for Compose's own interpolation.
    text = yaml.safe_dump(data).replace("$", "$$")
    (directory / "compose.yaml").write_text(text, encoding="utf-8", newline="")
    return load(None, directory=directory, env={"A": "a"}, tag="v1")


def rules(force: Any) -> str:
    """What the agent writes for testers."""
    with TemporaryDirectory() as root:
        files = Files(root, sync=False)
        assert write(files, force)
        return files.read("force.conf") or ""


def released(project: Project) -> Release:
    return draft(project, 7, "v1", release_digest(project), dict.fromkeys(project.services, "sha256:1"))


def shape(block: list[dict[str, Any]], of: str = "") -> list[Any]:
    """Directives by name and by how many arguments they have, and what is in their blocks. A ``geo``'s are values: the
    networks themselves."""
    return [
        ("" if of == "geo" else d["directive"], len(d["args"]), shape(d.get("block") or [], d["directive"]))
        for d in block
    ]


def shapes(directory: Path, project: Project) -> list[Any]:
    release = released(project)
    stacks = {
        slot: Stack(release, {n: (f"10.213.{k}.16:{s.port}",) for n, s in release.services.items()})
        for k, slot in enumerate(Slot)
    }
    # A skew of 0 leaves it out, which is what it is for.
    chosen = replace(project.proxy, skew=project.proxy.skew or 1.0)
    files = {
        **render(Routes(3, 2, Slot.BLUE, stacks=stacks, project=project.name, trial=True), chosen, 2),
        "force.conf": rules(encode(project.force if project.force.secret else Force(secret="x" * 16))),
    }
    out = []
    for name, text in files.items():
        if name.endswith(".conf"):
            (directory / name).write_text(text)
            parsed = crossplane.parse(str(directory / name), single=True, check_ctx=False, check_args=False)
            assert parsed["status"] == "ok", parsed["errors"]
            out.append(shape(parsed["config"][0]["parsed"]))
    return out


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


class Shapes(dict[str, list[Any]]):
    """Shown short where a test fails."""

    def __repr__(self) -> str:
        return "Shapes()"


@pytest.fixture(scope="module")
def expected(directory: Path) -> Shapes:
    """The shape with a harmless value, for routes that make other locations too."""
    out = Shapes()
    for route in ("/", "/web", "/web/"):
        data = document()
        _routed(data)["route"] = route
        out[route] = shapes(directory, loaded(directory, data))
    return out


@pytest.mark.parametrize("field", FIELDS)
@settings(max_examples=16, deadline=None)
@given(text=HOSTILE)
def test_a_hostile_value_is_refused_with_its_place_or_stays_a_value(
    directory: Path, expected: Shapes, field: str, text: str
) -> None:
    data = document()
    FIELDS[field](data, text)
    try:
        project = loaded(directory, data)
    except UsageError as error:
        refused_at_its_place(error, field)
        return
    stays_a_value(directory, project, expected)


def refused_at_its_place(error: UsageError, field: str) -> None:
    for problem in error.problems:
        assert problem.code
        assert problem.where
        said = f"{problem.where}: {problem.message}"
        assert "\n" not in said
        assert len(said) < 2000, "nobody reads that"
        assert problem.where.isprintable(), repr(problem.where)
    # Two values that don't go together are told where both stand.
    around = field.rpartition(".")[0] or field
    assert any(field in str(p.where) or around in str(p.where) for p in error.problems), error.problems


def stays_a_value(directory: Path, project: Project, expected: Shapes) -> None:
    [service] = [s for s in project.services.values() if s.routes]
    [route] = service.routes
    kind = "/" if route.prefix == "/" else "/web/" if route.prefix.endswith("/") else "/web"
    try:
        assert shapes(directory, project) == expected[kind]
    except ProxyFailed as error:
        raise AssertionError(f"the file's loader let it through, and the renderer does not: {error}") from error
    release = released(project)
    label = json.dumps(encode(release))
    assert decode(Release, json.loads(label)) == release
    assert not project.force.secret or project.force.secret not in label
    requests_are_one_request(project, service)


def requests_are_one_request(project: Project, service: Service) -> None:
    assert service.health is not None
    asked = [health_request("slot:blue", service.name, service.health, service.routes)]
    asked += [smoke_request(check, "blue", "v1") for check in project.smoke]
    for one in asked:
        headers = {"Host": one.get("host", "localhost"), **one.get("headers", {})}
        written = head(one["method"], one["path"], headers).decode()
        first, *rest = written.removesuffix("\r\n\r\n").split("\r\n")
        assert first.split(" ") == [one["method"], one["path"], "HTTP/1.1"]
        names = [line.partition(": ")[0] for line in rest]
        assert names == [*headers, *(["Connection"] if "connection" not in map(str.lower, headers) else [])]
        assert not set(written) & set("\0\x0b\x0c\x85\u2028")


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)


@settings(max_examples=60, deadline=None)
@given(name=NAMES, text=HOSTILE)
def test_an_environments_value_reaches_the_container_as_it_stands_or_not_at_all(
    directory: Path, name: str, text: str
) -> None:
    data = document()
    _web(data)["environment"] = {name: text}
    try:
        project = loaded(directory, data)
    except UsageError as error:
        if "\0" not in text or f"environment.{name}" not in str(error.problem.where):
            raise
        return
    assert project.services["web"].body["Env"] == [f"{name}={text}"]
    # And never the release's label, which anybody may read.
    assert text not in json.dumps(encode(released(project))) or len(text) < 12


@settings(max_examples=60, deadline=None)
@given(text=HOSTILE)
def test_two_values_that_differ_are_two_configurations(directory: Path, text: str) -> None:
    """What is joined for a digest can't be split elsewhere."""
    data = document()
    _web(data)["environment"] = {"A": text, "B": ""}
    other = document()
    _web(other)["environment"] = {"A": "", "B": text}
    try:
        one, two = loaded(directory, data).services["web"], loaded(directory, other).services["web"]
    except UsageError:
        return
    assert (config_digest(one) == config_digest(two)) == (text == "")


@settings(max_examples=200, deadline=None)
@given(method=HOSTILE, path=HOSTILE, name=HOSTILE, value=HOSTILE)
def test_whatever_the_agent_is_told_to_send_is_one_request_or_none(
    method: str, path: str, name: str, value: str
) -> None:
    try:
        written = head(method, path, {name: value})
    except ValueError:
        return
    lines = written.decode().split("\r\n")
    assert lines[-2:] == ["", ""]
    assert len(lines) == 3 + (name.lower() != "connection") + 1 + (method in ("POST", "PUT", "PATCH"))
    assert "\n" not in written.decode().replace("\r\n", "")


@settings(max_examples=100, deadline=None)
@given(text=HOSTILE | st.from_regex(TAG, fullmatch=True))
def test_a_tag_is_one_word_of_the_registrys_grammar_or_refused(directory: Path, text: str) -> None:
    (directory / "compose.yaml").write_text(yaml.safe_dump(document()))
    try:
        load(None, directory=directory, env={}, tag=text)
    except UsageError:
        if TAG.fullmatch(text):
            raise
    else:
        assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
        assert 0 < len(text) <= 128
        assert text[0] not in ".-"
