"""`bg init`'s proposals: what they are, that the rest of the text stays, that the result loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bluegreen.compose.propose import Proposal, propose
from bluegreen.model.errors import UsageError
from bluegreen.model.names import Kind
from tests.unit.compose.composefile import read

SHOP = """\
# My shop
services:
  # the page
  frontend:
    build: ./frontend
    ports:
      - "8080:80"   # public
    depends_on: [backend]

  backend:
    build: ./backend
    command: uvicorn app:app --port 8000
    volumes:
      - uploads:/srv/uploads
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
    healthcheck:
      test: ["CMD", "curl", "-f", "http://localhost:8000/api/v1/health"]
    # end of backend

  migrate: {build: ./backend, command: alembic upgrade head}
  worker:
    build: ./backend
    command: |
      celery -A app

      worker

  # the data
  db:
    image: postgres:17
    volumes: [data:/var/lib/postgresql/data]
    environment:
volumes:
  data:
  uploads:
"""

SHOP_PROPOSED = """\
# My shop
services:
  # the page
  frontend:
    build: ./frontend
    ports:
      - "8080:80"   # public
    depends_on: [backend]
    x-bluegreen: {route: /, port: 80, health: /}  # guessed: the published port 8080

  backend:
    build: ./backend
    command: uvicorn app:app --port 8000
    volumes:
      - uploads:/srv/uploads
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
    healthcheck:
      test: ["CMD", "curl", "-f", "http://localhost:8000/api/v1/health"]
    x-bluegreen: {route: /api/, port: 8000, health: /api/v1/health, shared_volume: true}  \
# guessed: its name; both slots write to its volume
    # end of backend

  migrate: {x-bluegreen: {job: true}, build: ./backend, command: alembic upgrade head}
  worker:
    build: ./backend
    command: |
      celery -A app

      worker
    x-bluegreen: {worker: true}  # guessed: its name

  # the data
  db:
    image: postgres:17
    volumes: [data:/var/lib/postgresql/data]
    environment:
    x-bluegreen: {shared: true}  # guessed: the image, postgres
volumes:
  data:
  uploads:
"""


def kinds(text: str) -> dict[str, str]:
    return {choice.service: choice.kind.value for choice in propose(text).choices}


def test_a_whole_file(tmp_path: Path) -> None:
    proposal = propose(SHOP)
    assert proposal.text == SHOP_PROPOSED
    project = read(tmp_path, proposal.text)
    assert project.proxy.listen == "8080"
    assert {s.name: s.kind.value for s in project.services.values()} == kinds(SHOP)


def test_what_has_blocks_already_is_left_alone() -> None:
    assert propose(SHOP_PROPOSED) == Proposal(SHOP_PROPOSED, ())
    assert not propose(SHOP_PROPOSED).changed


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ("{site: {image: x}}", {"site": "routed"}),
        ("{thing: {image: x}}", {"thing": "routed"}),
        ("{db: {image: postgres}}", {"db": "routed"}),
        ("{web: {image: x}, redis: {image: 'redis:7'}}", {"web": "routed", "redis": "shared"}),
        ("{web: {image: x}, q: {image: 'bitnami/rabbitmq:3'}}", {"web": "routed", "q": "shared"}),
        ("{web: {image: x}, database: {image: custom}}", {"web": "routed", "database": "shared"}),
        ("{web: {image: x}, database: {build: .}}", {"web": "routed", "database": "internal"}),
        ("{web: {image: x}, store: {image: y, volumes: ['d:/d']}}", {"web": "routed", "store": "shared"}),
        ("{web: {image: x}, calc: {image: y}}", {"web": "routed", "calc": "internal"}),
        ("{web: {image: x}, celery-beat: {image: y}}", {"web": "routed", "celery-beat": "worker"}),
        ("{web: {image: x}, emailWorker: {image: y}}", {"web": "routed", "emailWorker": "worker"}),
        ("{web: {image: x}, worker: {image: y, ports: ['5555:5555']}}", {"web": "routed", "worker": "routed"}),
        ("{web: {image: x}, db-migrate: {image: y}}", {"web": "routed", "db-migrate": "job"}),
        ("{web: {image: x}, init: {image: y, restart: always}}", {"web": "routed", "init": "internal"}),
        (
            "{web: {image: x, depends_on: {prep: {condition: service_completed_successfully}}}, prep: {image: y}}",
            {"web": "routed", "prep": "job"},
        ),
        ("{web: {image: x, depends_on: [queue]}, queue: {image: y}}", {"web": "routed", "queue": "internal"}),
        (
            "{web: {image: x}, store: {image: y, volumes: ['d:/d'], depends_on: [web]}}",
            {"web": "routed", "store": "internal"},
        ),
        ("{web: {image: x}, dns: {image: y, ports: ['53:53/udp']}}", {"web": "routed", "dns": "shared"}),
    ],
)
def test_guesses(services: str, expected: dict[str, str]) -> None:
    assert kinds(f"services: {services}\n") == expected


@pytest.mark.parametrize(
    ("services", "routes"),
    [
        ("{api: {image: x}}", {"api": "/"}),
        ("{frontend: {image: x}, backend: {image: x}}", {"frontend": "/", "backend": "/api/"}),
        (
            "{backend: {image: x, ports: ['8000:8000']}, ui: {image: x, ports: ['80:80']}}",
            {"ui": "/", "backend": "/api/"},
        ),
        ("{web: {image: x}, admin: {image: x, ports: ['81:81']}}", {"web": "/", "admin": "/admin/"}),
        (
            "{api: {image: x}, backend: {image: x}, web: {image: x}}",
            {"web": "/", "api": "/api/", "backend": "/backend/"},
        ),
    ],
)
def test_routes(tmp_path: Path, services: str, routes: dict[str, str]) -> None:
    project = read(tmp_path, propose(f"services: {services}\n").text)
    assert {s.name: str(s.routes[0]) for s in project.of_kind(Kind.ROUTED)} == routes


def test_blocks_that_are_there_count(tmp_path: Path) -> None:
    text = "services:\n  old: {image: x, x-bluegreen: {route: [/, /api/], port: 1}}\n  backend:\n    image: y\n"
    assert propose(text).choices[0].service == "backend"
    assert str(read(tmp_path, propose(text).text).services["backend"].routes[0]) == "/backend/"


def test_line_endings_byte_order_mark_and_a_missing_last_line_break_stay() -> None:
    text = "\ufeffservices:\r\n  web:\r\n    image: x  # é"
    assert propose(text).text == (
        "\ufeffservices:\r\n  web:\r\n    image: x  # é\r\n"
        "    x-bluegreen: {route: /, port: 80, health: /}  # guessed: its name\r\n"
    )


@pytest.mark.parametrize(
    "block",
    [
        "    command: |+\n      a\n\n",
        "    command: >-\n      a\n\n      # no comment\n",
        "    command: 'a\n\n      b'\n",
        "    command: [\n      a,  # c\n    ]  # d\n",
        "    command: {x: [\n      a\n    ],\n    }\n",
        "    environment: &e\n      A: b\n",
        "    environment: *x\n",
        "    environment:\n    # nothing\n",
        "    labels:\n    - a\n    -  b\n",
        "    command: a\n     b\n",
    ],
)
@pytest.mark.parametrize("rest", ["", "\n  # next\n  other:\n    image: y\n", "volumes: {}\n"])
def test_the_line_goes_behind_the_block_whatever_ends_it(block: str, rest: str) -> None:
    text = f"x-a: &x {{A: b}}\nservices:\n  web:\n    image: x\n{block}{rest}"
    proposed = propose(text).text
    before, after = yaml.safe_load(text), yaml.safe_load(proposed)
    for service in after["services"].values():
        del service["x-bluegreen"]
    assert after == before


@pytest.mark.parametrize(
    "text",
    [
        "services: {web: {image: x}, db: {image: postgres}}",
        "services: {web: {\n  image: x, # c\n}, db: &d { image: postgres }}",
        "{services: {web: {image: x,}}}",
        "services:\n  web: {image: x}\n  db:\n    {image: postgres}\n",
    ],
)
def test_flow_mappings_get_theirs_inside(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, propose(text + "\n").text).services["web"].kind is Kind.ROUTED


def test_an_alias_can_not_be_given_a_block_of_its_own() -> None:
    proposal = propose("services:\n  web: &w\n    image: x\n  two: *w\n")
    assert (proposal.left, [c.service for c in proposal.choices]) == (("two",), ["web"])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "services-missing"),
        ("a: 1", "services-missing"),
        ("services: [a]", "services-missing"),
        ("services: {}", "services-missing"),
        ("a: [", "file-not-yaml"),
        ("[1]", "services-missing"),
    ],
)
def test_what_is_no_compose_file_is_refused(text: str, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        propose(text)
    assert caught.value.code == code


# Any sensible file loads once the proposal is in it.

NAMES = ["frontend", "backend", "api", "web", "worker", "celery", "db", "redis", "migrate", "init", "store", "calc"]


@st.composite
def compose_files(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=7, unique=True))
    services: dict[str, Any] = {}
    for index, name in enumerate(names):
        service: dict[str, Any] = draw(st.sampled_from([{"build": "."}, {"image": "x"}, {"image": "postgres:17"}]))
        service = dict(service)
        choices: dict[str, list[Any]] = {
            "ports": [[f"{8000 + index}:80"], ["80"], [f"{9000 + index}:80", "443"]],
            "expose": [["3000"], ["3000", "4000"]],
            "volumes": [[f"v{index}:/v"], ["./x:/x"], [f"v{index}:/v:ro"], ["/anonymous"]],
            "restart": ["always", "on-failure"],
            "healthcheck": [{"test": "curl http://localhost/health?a=1,2"}],
        }
        for key, options in choices.items():
            if draw(st.booleans()):
                service[key] = draw(st.sampled_from(options))
        if index and draw(st.booleans()):
            service["depends_on"] = draw(st.lists(st.sampled_from(names[:index]), unique=True))
        services[name] = service
    return {"services": services, "volumes": {f"v{index}": None for index in range(len(names))}}


@settings(max_examples=150, deadline=None)
@given(compose_files(), st.sampled_from([False, None, True]))
def test_the_result_loads_and_is_final(
    tmp_path_factory: pytest.TempPathFactory, file: dict[str, Any], flow: bool | None
) -> None:
    text = yaml.safe_dump(file, sort_keys=False, default_flow_style=flow)
    proposal = propose(text)
    project = read(tmp_path_factory.mktemp("shop"), proposal.text)
    assert {c.service: c.kind for c in proposal.choices} == {s.name: s.kind for s in project.services.values()}
    assert propose(proposal.text).text == proposal.text
