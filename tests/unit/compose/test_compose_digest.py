"""Digests and the view of the resolved project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bluegreen.compose.digest import config_digest, release_digest
from bluegreen.compose.render import MASK, to_data, to_yaml
from bluegreen.model.project import Project
from tests.unit.compose.composefile import read

BASE = """\
name: shop
services:
  web:
    image: shop/web:${TAG}
    environment: {A: "1", B: "2"}
    networks: [front, default]
    depends_on: [db, job]
    secrets: [s]
    x-bluegreen: {route: [/a/, /b/], port: 80}
  job: {image: a, x-bluegreen: {job: true}}
  db: {image: a, environment: {P: x}, x-bluegreen: {shared: true}}
networks: {front: }
secrets: {s: {file: s.txt}}
"""


def project(directory: Path, text: str = BASE, content: str = "s3cret", tag: str = "v1") -> Project:
    directory.mkdir(exist_ok=True)
    return read(directory, text, files={"s.txt": content}, tag=tag)


def test_the_order_of_keys_and_the_place_of_the_file_do_not_count(tmp_path: Path) -> None:
    turned = """\
name: shop
secrets: {s: {environment: S}}
networks: {front: }
services:
  db: {x-bluegreen: {shared: true}, image: a, environment: {P: x}}
  job: {x-bluegreen: {job: true}, image: a}
  web:
    x-bluegreen: {port: 80, route: [/b/, /a/]}
    secrets: [{source: s}]
    depends_on: {job: {condition: service_started}, db: {condition: service_started}}
    networks: {default: , front: }
    environment: [B=2, A=1]
    image: shop/web:${TAG}
"""
    one = project(tmp_path / "one")
    other = read(tmp_path / "one", turned, env={"S": "s3cret"}, tag="v1")
    assert release_digest(one) == release_digest(other)
    assert config_digest(one.services["web"]) == config_digest(other.services["web"])
    assert release_digest(one) == release_digest(project(tmp_path / "two"))


@pytest.mark.parametrize(
    "change",
    [
        {"text": BASE.replace('A: "1"', 'A: "3"')},
        {"text": BASE.replace("port: 80", "port: 81")},
        {"text": BASE.replace("port: 80", "port: 80, health: /h")},
        {"text": BASE.replace("[/a/, /b/]", "[/a/]")},
        {"text": BASE.replace("[db, job]", "[db]")},
        {"text": BASE.replace("depends_on: [db, job]", "deploy: {replicas: 2}")},
        {"text": BASE.replace("secrets: [s]", "restart: always")},
        {"text": BASE.replace("secrets: [s]", "secrets: [{source: s, mode: 0400}]")},
        {"text": BASE + "x-bluegreen: {smoke: [{GET: /}]}\n"},
        {"text": BASE + "x-bluegreen: {drain: 1m}\n"},
        {"content": "other"},
        {"tag": "v2"},
    ],
)
def test_whatever_a_release_carries_counts(tmp_path: Path, change: dict[str, Any]) -> None:
    assert release_digest(project(tmp_path)) != release_digest(project(tmp_path, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"text": BASE.replace("P: x", "P: y")},
        {"text": BASE + "x-bluegreen: {keep: 9, proxy: {listen: 8080}}\n"},
        {"text": "# a comment\n" + BASE},
    ],
)
def test_what_is_not_a_release_s_does_not_count(tmp_path: Path, change: dict[str, Any]) -> None:
    assert release_digest(project(tmp_path)) == release_digest(project(tmp_path, **change))


def test_a_shared_service_has_a_digest_of_its_own(tmp_path: Path) -> None:
    before = config_digest(project(tmp_path).services["db"])
    after = config_digest(project(tmp_path, BASE.replace("P: x", "P: y")).services["db"])
    assert before != after


SECRETS = """\
services:
  web:
    image: web
    build: {context: ., args: {NPM_TOKEN: canary-1, MODE: prod}}
    environment:
      DB_PASSWORD: canary-2
      DATABASE_URL: postgres://shop:canary-4@db:5432/shop
      INNOCENT: canary-3
      EMPTY: ""
    command: [serve, "--db=postgres://shop:canary-7@db/shop"]
    secrets: [s]
    configs: [c]
    x-bluegreen: {route: /, port: 80}
secrets: {s: {environment: S}}
configs: {c: {content: canary-6}}
x-bluegreen:
  smoke:
    - {GET: /, headers: {X-Api: canary-8}}
    - command: curl https://shop:canary-9@shop.example/
"""


def test_secrets_are_masked_wherever_they_come_from(tmp_path: Path) -> None:
    made = read(tmp_path, SECRETS, env={"S": "canary-5"})
    text = to_yaml(made)
    assert "canary" not in text
    web = to_data(made)["services"]["web"]
    assert web["container"]["Env"] == [
        f"DATABASE_URL={MASK}",
        f"DB_PASSWORD={MASK}",
        "EMPTY=",
        f"INNOCENT={MASK}",
    ]
    assert web["container"]["Cmd"] == ["serve", f"--db=postgres://shop:{MASK}@db/shop"]
    assert web["build"]["args"] == [f"MODE={MASK}", f"NPM_TOKEN={MASK}"]
    assert web["files"]["/run/secrets/s"]["size"] == len("canary-5")


def test_reveal_shows_variables_and_still_no_files(tmp_path: Path) -> None:
    text = to_yaml(read(tmp_path, SECRETS, env={"S": "canary-5"}), reveal=True)
    assert all(f"canary-{n}" in text for n in (1, 2, 3, 4, 7, 8, 9))
    assert "canary-5" not in text
    assert "canary-6" not in text


def test_the_data_is_plain_and_the_yaml_says_the_same(tmp_path: Path) -> None:
    made = project(tmp_path)
    data = to_data(made)
    assert json.loads(json.dumps(data)) == data
    assert yaml.safe_load(to_yaml(made)) == data
    assert data["digest"] == release_digest(made)
    assert data["services"]["web"]["routes"] == ["/a/", "/b/"]
    assert data["services"]["web"]["depends_on"]["db"] == {"condition": "service_started", "required": True}
