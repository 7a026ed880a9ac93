"""Whatever stands in the file: a project, or a UsageError whose problems all have a place. Never anything else."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bluegreen.compose import keys, load
from bluegreen.compose.digest import release_digest
from bluegreen.compose.extension import _KEYS as EXTENSION_KEYS
from bluegreen.compose.propose import propose
from bluegreen.compose.render import to_data
from bluegreen.compose.settings import _PROXY as PROXY_KEYS
from bluegreen.model.errors import UsageError

WORDS = sorted(
    {
        *keys.TOP,
        *keys.SERVICE,
        *keys.BUILD,
        *keys.DEPLOY,
        *keys.HEALTHCHECK,
        *keys.MOUNT,
        *keys.PORT,
        *keys.NETWORK,
        *keys.VOLUME,
        *keys.CONFIG,
        *keys.GRANT,
        *keys.DEPENDENCY,
        *keys.ENV_FILE,
        *keys.IPAM,
        *EXTENSION_KEYS,
        *PROXY_KEYS,
        "x-bluegreen",
        "web",
        "db",
        "limits",
        "GET",
        "smoke",
        "<<",
        "path",
        "expect",
        "status",
        "resources",
        "aliases",
    }
)
TEXTS = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(
        [
            "/",
            "/api/",
            "8080:80",
            "80",
            "1s",
            "512m",
            "data:/data",
            "./x:/x",
            "${A}",
            "${A:?b}",
            "$",
            "*",
            "true",
            "no",
            "a=b",
            "[::1]:80:80",
            "~/x",
            "0644",
            "a b",
            "a;b",
            "\n",
            "\u2028",
            "\x85",
            "-1",
            "99999999999999999999",
            "1e9",
            "NaN",
            "http://localhost/x",
            "CMD",
            "NONE",
            "'",
            '"',
            "a\\",
        ]
    ),
    st.text(max_size=8),
)
SCALARS = st.one_of(TEXTS, st.none(), st.booleans(), st.integers(-5, 70000), st.floats(allow_nan=True), st.dates())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.sampled_from(WORDS), TEXTS), inner, max_size=4)
    ),
    max_leaves=8,
)
EXTENSIONS = st.one_of(
    st.sampled_from([{"route": "/", "port": 80}, *({kind: True} for kind in ("internal", "worker", "job", "shared"))]),
    st.dictionaries(st.sampled_from(EXTENSION_KEYS), VALUES, max_size=3),
)
SERVICES = st.dictionaries(st.sampled_from(keys.SERVICE), VALUES, max_size=5).flatmap(
    lambda block: EXTENSIONS.map(lambda extension: {"image": "x", **block, "x-bluegreen": extension})
)
FILES = st.fixed_dictionaries(
    {"services": st.dictionaries(st.sampled_from(["web", "db", "api"]), SERVICES, min_size=1, max_size=3)},
    optional={
        key: st.one_of(VALUES, st.dictionaries(st.sampled_from(["data", "default", "s"]), VALUES, max_size=2))
        for key in (*keys.TOP, "x-bluegreen")
        if key != "services"
    },
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


def check(directory: Path, text: str) -> None:
    file = directory / "compose.yaml"
    file.write_bytes(text.encode(errors="surrogatepass"))
    try:
        project = load(None, directory=directory, env={"A": "a", "HOME": "/h"}, tag="v1", project_name="shop")
    except UsageError as error:
        for problem in error.problems:
            assert problem.where
            assert problem.code
            assert "\n" not in str(problem)
    else:
        release_digest(project)
        to_data(project)
    with suppress(UsageError):
        propose(text)


@settings(max_examples=300, deadline=None)
@given(FILES)
def test_files_that_look_like_compose(directory: Path, data: Any) -> None:
    check(directory, yaml.safe_dump(data, allow_unicode=True))


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_any_structure(directory: Path, data: Any) -> None:
    check(directory, yaml.safe_dump(data))


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from(" \n\t-:?[]{}&*!|>'\"%@#,ab<x$\\\x00\x85\u2028\ud800"), max_size=60))
@example("? [a]\n: b\n")
@example("? \n")
@example("!!set {a, b}")
@example('a: "\\0"\n')
@example('"a\\ud800": 1\n')
@example("&a a: *a\n")
@example("<<: {<<: {a: 1}}\n")
@example("%YAML 9.9\n---\na: 1\n")
@example("services: {web: {<<: [[1]]}}\n")
def test_any_text(directory: Path, text: str) -> None:
    check(directory, text)


def test_fifty_services_load_in_no_time(tmp_path: Path) -> None:
    """The bound is loose, for a machine under load; unloaded it takes about a fifth of it."""
    blocks = "".join(
        f"""\
  s{n}:
    image: registry.example/shop/s{n}:${{TAG}}
    command: ["python", "-m", "app.s{n}", "--port", "8000"]
    environment:
      A: "1"
      DATABASE_URL: postgres://db/${{NAME:-shop}}
      LOG: ${{LOG:-info}}
    depends_on: [{f"s{n - 1}" if n else ""}]
    healthcheck: {{test: [CMD, "true"], interval: 5s, timeout: 2s, retries: 3}}
    volumes: ["./conf/s{n}:/etc/app:ro", "data{n}:/data:ro"]
    labels: {{com.example.n: "{n}"}}
    deploy: {{replicas: 2, resources: {{limits: {{memory: 64M, cpus: "0.5"}}}}}}
    logging: {{driver: json-file, options: {{max-size: 10m}}}}
    x-bluegreen: {{route: /s{n}/, port: 8000, health: /health}}
"""
        for n in range(50)
    )
    volumes = "volumes:\n" + "".join(f"  data{n}:\n" for n in range(50))
    (tmp_path / "compose.yaml").write_text(f"services:\n{blocks}{volumes}")

    def once() -> float:
        started = time.perf_counter()
        project = load(None, directory=tmp_path, env={}, tag="v1", project_name="shop")
        assert len(project.services) == 50
        return time.perf_counter() - started

    assert min(once() for _ in range(5)) < 0.15
