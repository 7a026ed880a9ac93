"""``x-bluegreen``: kinds, routes, health, the listener, smoke checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bluegreen.model.names import Kind
from bluegreen.model.project import HealthCheck, ProxySettings, Route, Script, SmokeCheck
from bluegreen.planning.deploy import draft
from tests.unit.compose.composefile import around, notices, problems, read, service

REST = "  other: {image: a, x-bluegreen: {route: /other/, port: 80}}\n"


@pytest.mark.parametrize(
    ("extension", "kind"),
    [
        ("route: /, port: 80", Kind.ROUTED),
        ("internal: true", Kind.INTERNAL),
        ("worker: yes", Kind.WORKER),
        ("job: true", Kind.JOB),
        ("shared: true", Kind.SHARED),
        ("worker: false, internal: true", Kind.INTERNAL),
    ],
)
def test_kinds(tmp_path: Path, extension: str, kind: Kind) -> None:
    made = read(tmp_path, around("", extension) + REST).services["web"]
    assert made.kind is kind
    assert (made.health is None) == (kind is not Kind.ROUTED)


@pytest.mark.parametrize(
    ("extension", "routes"),
    [
        ("route: /", [Route("/")]),
        ("route: /api/v1", [Route("/api/v1")]),
        ("route: shop.example/api/", [Route("/api/", "shop.example")]),
        ("route: '*.shop.example/'", [Route("/", "*.shop.example")]),
        ("route: /api/, host: Shop.Example", [Route("/api/", "shop.example")]),
        ("route: [/a/, /b/]", [Route("/a/"), Route("/b/")]),
        ("route: [/a/, x.example/b/], host: y.example", [Route("/a/", "y.example"), Route("/b/", "x.example")]),
        ("route: {path: /a/, host: x.example}", [Route("/a/", "x.example")]),
        ("route: [{path: /a/}, {path: /a/, host: x.example}]", [Route("/a/"), Route("/a/", "x.example")]),
    ],
)
def test_routes(tmp_path: Path, extension: str, routes: list[Route]) -> None:
    assert service(tmp_path, "", f"port: 80, {extension}").routes == tuple(routes)


@pytest.mark.parametrize(
    ("extension", "problem"),
    [
        ("route: api", ".route: 'api' is no path such as /api/"),
        ("route: '/a b/'", ".route: '/a b/' is no path such as /api/"),
        ("route: '/a;b/'", ".route: '/a;b/' is no path such as /api/"),
        ("route: '/a{b/'", ".route: '/a{b/' is no path such as /api/"),
        ('route: "/a\\nb/"', ".route: '/a\\nb/' is no path such as /api/"),
        ('route: "/a\\n"', ".route: '/a\\n' is no path such as /api/"),
        ("route: '/a$$host/'", ".route: '/a$host/' is no path such as /api/"),
        ("route: /a//b", ".route: '/a//b' is no path such as /api/"),
        ("route: /../a", ".route: '/../a' is no path such as /api/"),
        ("route: /a%20b/", ".route: '/a%20b/' is no path such as /api/"),
        ("route: '/a?b'", ".route: '/a?b' is no path such as /api/"),
        ("route: 'a b/x'", ".route: 'a b/x' is no path such as /api/"),
        ("route: ", ".route: needs a path such as /api/, or a list of them"),
        ("route: []", ".route: needs a path such as /api/, or a list of them"),
        ("route: {host: a}", ".route: needs 'path'"),
        ("route: {path: /, hst: a}", ".route.hst: unknown key 'hst'; did you mean 'host'?"),
        ("route: /, host: 'a;b'", ".host: 'a;b' is no host name"),
        ("route: /, port: 0", ".port: '0' is no whole number from 1 to 65535"),
        ("route: /, port: http", ".port: 'http' is no whole number from 1 to 65535"),
        ("route: /, worker: true", ": a service is of one kind, and this one says route, worker"),
        ("job: true, shared: true", ": a service is of one kind, and this one says job, shared"),
        ("internal: true, health: /", ".health: only a routed service has a health; this one is internal"),
        ("worker: true, port: 80", ".port: only a routed service has a port; this one is worker"),
        ("worker: maybe", ".worker: 'maybe' is neither true nor false"),
        ("routes: /", ".routes: unknown key 'routes'; did you mean 'route'?"),
        ("route: /, helth: /", ".helth: unknown key 'helth'; did you mean 'health'?"),
        ("route: /, health: health", ".health: 'health' is no path such as /health"),
        ("route: /, health: '/a b'", ".health: '/a b' is no path such as /health"),
        ("route: /, health: {rise: 0}", ".health.rise: '0' is no whole number from 1 to 100"),
        ("route: /, health: {expect: {status: ok}}", ".health.expect.status: 'ok' is no whole number from 100 to 599"),
        ('route: /, health: {expect: {body: "a\\nb"}}', ".health.expect.body: 'a\\nb' is no single line of text"),
        ("route: /, health: {status: 200}", ".health.status: unknown key 'status': it belongs under expect"),
        ("route: /, health: {host: '*.x'}", ".health.host: a request goes to one host; write it without *"),
        ("route: /, health: {interval: 0}", ".health.interval: must be from 0.01s to 3600s"),
        (
            "route: /, health: {rise: 10, interval: 10s}",
            ".health: 10 successes 10s apart take 90s, and the deadline is 60s",
        ),
        (
            "route: /, health: {start_period: 2m}",
            ".health: the start period of 120s does not end before the deadline of 60s",
        ),
    ],
)
def test_a_wrong_extension(tmp_path: Path, extension: str, problem: str) -> None:
    port = "" if "port" in extension else ", port: 80"
    found = problems(tmp_path, around("", extension + (port if "route" in extension else "")) + REST)
    assert f"compose.yaml:4 services.web.x-bluegreen{problem}" in found


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        ("/health?full=1", HealthCheck("/health?full=1")),
        ("{}", HealthCheck()),
        (
            (
                "{path: /h, expect: {status: [200, 204], body: ok}, host: x.example, rise: 3, interval: 100ms, timeout: 2, "
                "start_period: 1.5, deadline: 2m}"
            ),
            HealthCheck("/h", (200, 204), "ok", "x.example", 3, 0.1, 2.0, 1.5, 120.0),
        ),
    ],
)
def test_health(tmp_path: Path, health: str, expected: HealthCheck) -> None:
    assert service(tmp_path, "", f"route: /, port: 80, health: {health}").health == expected


# The port a routed service listens on


@pytest.mark.parametrize(
    ("block", "port"),
    [
        ("expose: [8000]", 8000),
        ("ports: ['8080:80']", 80),
        ("ports: ['8080:80']\nexpose: ['80']", 80),
        ("expose: [8000, 53/udp]", 8000),
    ],
)
def test_the_one_port_the_file_names_is_where_it_listens(tmp_path: Path, block: str, port: int) -> None:
    assert service(tmp_path, block, "route: /").port == port


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ("expose: [80, 81]", "the file names several ports: 80, 81"),
        ("init: true", "the file names no port"),
    ],
)
def test_an_ambiguous_port_is_asked_for(tmp_path: Path, block: str, why: str) -> None:
    assert problems(tmp_path, around(block, "route: /")) == [
        f"compose.yaml:4 services.web.x-bluegreen: needs x-bluegreen.port, where the service listens; {why}"
    ]


# Published ports and the listener


def published(*services: str, settings: str = "") -> str:
    return f"{settings}services:\n" + "".join(f"  {line}\n" for line in services)


WEB = "web: {image: a, ports: ['8080:80'], x-bluegreen: {route: /}}"
API = "api: {image: a, ports: ['8000:8000'], x-bluegreen: {route: /api/}}"


def test_a_routed_service_s_host_port_is_taken_over_by_the_proxy(tmp_path: Path) -> None:
    project = read(tmp_path, published(WEB))
    assert project.proxy.listen == "8080"
    assert notices(project) == ["compose.yaml:2 services.web.ports[0]: the proxy takes over the host port 8080"]
    assert "PortBindings" not in project.services["web"].body.get("HostConfig", {})


def test_of_several_the_root_route_s_is_taken_over(tmp_path: Path) -> None:
    project = read(tmp_path, published(API, WEB))
    assert project.proxy.listen == "8080"
    assert notices(project) == [
        "compose.yaml:2 services.api.ports[0]: the host port 8000 is no longer published; the proxy listens on 8080",
        "compose.yaml:3 services.web.ports[0]: the proxy takes over the host port 8080",
    ]


def test_the_address_is_taken_over_too(tmp_path: Path) -> None:
    for written, listen in (("127.0.0.1:8080:80", "127.0.0.1:8080"), ("[::1]:8080:80", "[::1]:8080")):
        project = read(tmp_path, published(WEB.replace("8080:80", written)))
        assert project.proxy.listen == listen


def test_what_the_file_says_of_the_listener_goes_first(tmp_path: Path) -> None:
    project = read(tmp_path, published(WEB, settings="x-bluegreen: {proxy: {listen: 80}}\n"))
    assert project.proxy.listen == "80"
    assert "no longer published; the proxy listens on 80" in project.notices[0].message


def test_without_published_ports_the_listener_is_80(tmp_path: Path) -> None:
    assert read(tmp_path, around("")).proxy == ProxySettings()


@pytest.mark.parametrize("kind", ["internal", "worker", "job"])
def test_a_fixed_host_port_that_two_slots_can_not_hold(tmp_path: Path, kind: str) -> None:
    text = published(WEB, f"side: {{image: a, ports: ['9000:9000'], x-bluegreen: {{{kind}: true}}}}")
    assert problems(tmp_path, text) == [
        (
            "compose.yaml:3 services.side.ports[0]: two slots can't both hold the host port 9000; remove it (services "
            "reach this one by its name), or make it routed or shared under x-bluegreen"
        )
    ]


def test_a_port_the_engine_would_pick_is_dropped_with_a_notice(tmp_path: Path) -> None:
    project = read(tmp_path, published(WEB, "side: {image: a, ports: [9000], x-bluegreen: {internal: true}}"))
    assert notices(project)[1] == (
        "compose.yaml:3 services.side.ports[0]: is not published on the host: two slots can't both hold a host port; "
        "services reach this one by its name"
    )
    assert project.services["side"].body == {"ExposedPorts": {"9000/tcp": {}}}


def test_udp_of_a_routed_service(tmp_path: Path) -> None:
    web = "web: {image: a, ports: ['53:53/udp'], x-bluegreen: {route: /, port: 80}}"
    (problem,) = problems(tmp_path, published(web))
    assert "53/udp can't go through the proxy" in problem


def test_two_owners_of_one_host_port(tmp_path: Path) -> None:
    db = "db: {image: a, ports: ['127.0.0.1:8080:5432'], x-bluegreen: {shared: true}}"
    mail = "mail: {image: a, ports: ['8080:25'], x-bluegreen: {shared: true}}"
    assert problems(tmp_path, published(WEB, db, mail)) == [
        "compose.yaml:3 services.db.ports[0]: the host port 8080 is taken by the proxy's public listener",
        "compose.yaml:4 services.mail.ports[0]: the host port 8080 is taken by the proxy's public listener",
        (
            "compose.yaml:4 services.mail.ports[0]: the host port 8080 is taken by the service 'db', at compose.yaml:3 "
            "services.db.ports[0]"
        ),
    ]


def test_the_preview_on_the_public_port(tmp_path: Path) -> None:
    text = "x-bluegreen: {proxy: {listen: 81, preview: 81}}\n" + around("")
    assert problems(tmp_path, text) == [
        "compose.yaml:1 x-bluegreen.proxy: the host port 81 is taken by the proxy's public listener"
    ]


# The top-level block


def settings(directory: Path, block: str, **more: Any) -> Any:
    return read(directory, f"x-bluegreen: {block}\n" + around(""), **more)


def test_the_whole_top_level_block(tmp_path: Path) -> None:
    project = settings(
        tmp_path,
        """
  proxy:
    listen: 0.0.0.0:8080
    preview: 8081
    body_limit: 1g
    connect_timeout: 2s
    read_timeout: 1h
    send_timeout: 90
    gzip: off
    asset_fallback: off
    workers: 4
    trusted_proxies: [10.0.0.0/8, 192.0.2.1, 'fd00::/8']
    log_limit: 16m
  keep: 3
  source: tree
  drain: 10m
  smoke:
    - GET: /api/v1/version?x=1
      status: [200, 201]
      body: '"version": "{tag}"'
      host: shop.example
      headers: {Accept: application/json, X-N: 1}
      timeout: 2s
    - POST: /orders
      status: 405
    - command: ./smoke.sh "$$URL"
""",
    )
    assert project.proxy == ProxySettings(
        listen="0.0.0.0:8080",
        preview="127.0.0.1:8081",
        body_limit=1024**3,
        connect_timeout=2.0,
        read_timeout=3600.0,
        send_timeout=90.0,
        gzip=False,
        asset_fallback=False,
        workers=4,
        trusted_proxies=("10.0.0.0/8", "192.0.2.1/32", "fd00::/8"),
        log_limit=16 * 1024**2,
    )
    assert (project.keep, project.source, project.drain) == (3, "tree", 600.0)
    assert project.smoke == (
        SmokeCheck(
            "GET",
            "/api/v1/version?x=1",
            (200, 201),
            '"version": "{tag}"',
            "shop.example",
            {"Accept": "application/json", "X-N": "1"},
            2.0,
        ),
        SmokeCheck("POST", "/orders", (405,)),
    )
    assert project.smoke_commands == (Script('./smoke.sh "$URL"', './smoke.sh "$URL"'),)


def test_what_may_be_a_secret_in_a_smoke_check_is_carried_by_no_release(tmp_path: Path) -> None:
    text = """
      - {GET: /a, headers: {Accept: text/plain}}
      - {GET: /b, headers: {X-Shop: "${KEY}"}}
      - {GET: /c, headers: {authorization: Basic eDp5}}
      - {command: 'check "${KEY}" "$$LATER"'}
    """
    project = settings(tmp_path, f"\n  smoke:{text}", env={"KEY": "canary"})
    assert [(check.path, check.once) for check in project.smoke] == [("/a", False), ("/b", True), ("/c", True)]
    assert [notice.where.partition(" ")[2] for notice in project.notices] == [
        "x-bluegreen.smoke[1].headers.X-Shop",
        "x-bluegreen.smoke[2].headers.authorization",
    ]
    (command,) = project.smoke_commands
    assert command.text == 'check "canary" "$LATER"'
    assert str(command) == 'check "${KEY}" "$$LATER"'
    assert "canary" not in repr(command)
    carried = draft(project, 1, "v1", "config", {"web": "sha256:x"})
    assert [check.path for check in carried.smoke] == ["/a"]
    assert carried.smoke_of_deploys == 3
    assert "canary" not in repr(carried)


def test_no_body_limit_is_0(tmp_path: Path) -> None:
    assert settings(tmp_path, "{proxy: {body_limit: 0}}").proxy.body_limit == 0


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("{kep: 3}", ".kep: unknown key 'kep'; did you mean 'keep'?"),
        ("{listen: 80}", ".listen: unknown key 'listen': it belongs under x-bluegreen.proxy"),
        ("{route: /}", ".route: unknown key 'route': it belongs under a service's x-bluegreen"),
        ("{keep: 0}", ".keep: '0' is no whole number from 1 to 100"),
        ("{source: svn}", ".source: 'svn' is none of auto, git, tree"),
        ("{drain: 2d}", ".drain: must be from 0s to 86400s"),
        ("{proxy: {listen: web}}", ".proxy.listen: 'web' is no [ADDRESS:]PORT of the host"),
        ("{proxy: {listen: 'localhost:80'}}", ".proxy.listen: 'localhost:80' is no [ADDRESS:]PORT of the host"),
        ("{proxy: {listen: '80; include /x'}}", ".proxy.listen: '80; include /x' is no [ADDRESS:]PORT of the host"),
        ("{proxy: {listen: 0}}", ".proxy.listen: '0' is no [ADDRESS:]PORT of the host"),
        ("{proxy: {listen: '::1:80'}}", ".proxy.listen: '::1:80' is no [ADDRESS:]PORT of the host"),
        (
            "{proxy: {preview: '0.0.0.0:81'}}",
            ".proxy.preview: the preview listens on loopback only, such as 127.0.0.1:8081",
        ),
        ("{proxy: {trusted_proxies: [all]}}", ".proxy.trusted_proxies[0]: 'all' is no network such as 10.0.0.0/8"),
        ("{proxy: {log_limit: 1k}}", ".proxy.log_limit: must be at least 1m"),
        ("{proxy: {workers: 0}}", ".proxy.workers: '0' is no whole number from 1 to 64"),
        ("{proxy: {connect_timeout: 90s}}", ".proxy.connect_timeout: must be from 0.1s to 75s"),
        ("{proxy: {body_limits: 1m}}", ".proxy.body_limits: unknown key 'body_limits'; did you mean 'body_limit'?"),
        ("{smoke: [{get: /}]}", ".smoke[0].get: unknown key 'get'; did you mean 'GET'?"),
        ("{smoke: [{GET: /, POST: /}]}", ".smoke[0]: a check is one request, such as GET: /path, or one command: ..."),
        ("{smoke: [{status: 200}]}", ".smoke[0]: a check is one request, such as GET: /path, or one command: ..."),
        ("{smoke: [{command: a, status: 1}]}", ".smoke[0].status: a command's exit code decides; it has no status"),
        ("{smoke: [{GET: 'a b'}]}", ".smoke[0].GET: 'a b' is no path such as /api/version"),
        ("{smoke: [{GET: /, headers: {'a b': c}}]}", ".smoke[0].headers.a b: 'a b' is no name of a header"),
        (
            '{smoke: [{GET: /, headers: {a: "b\\r\\nc"}}]}',
            ".smoke[0].headers.a: a header's value is one line of plain text",
        ),
        ("{smoke: [{GET: /, headers: {Host: c}}]}", ".smoke[0].headers.Host: write it as 'host'"),
        ("{smoke: {GET: /}}", ".smoke: expected a list, found a mapping"),
        ("[a]", ": expected a mapping, found a list"),
    ],
)
def test_a_wrong_top_level_block(tmp_path: Path, block: str, problem: str) -> None:
    assert f"compose.yaml:1 x-bluegreen{problem}" in problems(tmp_path, f"x-bluegreen: {block}\n" + around(""))


def test_variables_count_in_the_extension_too(tmp_path: Path) -> None:
    made = service(tmp_path, "", "route: '${PREFIX:-/}', port: '${PORT}'", env={"PORT": "8000"})
    assert (made.routes, made.port) == ((Route("/"),), 8000)
