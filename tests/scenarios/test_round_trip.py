"""What a container was made with is what it has, byte for byte: so a cold rollback makes the same one again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from bluegreen.engine.connect import connect
from bluegreen.engine.docker import DockerEngine
from bluegreen.model import labels
from bluegreen.model.codec import decode, encode
from bluegreen.model.containers import CloneSpec, ContainerSpec
from bluegreen.model.names import Kind
from bluegreen.model.project import HealthCheck, Route
from bluegreen.model.release import Release, ServiceRelease
from tests.support import base_image, unique

pytestmark = pytest.mark.engine

VALUES = (
    *("", " ", " a ", "a=b", "=", "'", '"', "\\", "\\n", "a\nb", "\r\n", "\t", "$HOME", "${A:-b}", "$$", "%s", "`id`"),
    *("{{ .Env }}", "{", "#", ";", "&&", "--", "é", "日本", "\u202e", "\x85", "\u2028", "\x7f", "\x01", "a" * 50_000),
)


@pytest.fixture
def engine() -> Iterator[DockerEngine]:
    with closing(connect(None, os.environ)) as made:
        yield made


def test_environments_and_labels_come_back_as_they_were_given(engine: DockerEngine) -> None:
    project = unique()
    environment = [f"V{number}={value}" for number, value in enumerate(VALUES)]
    health = HealthCheck("/health?a=%22", body="'\"\\ {tag} $x; é", host="h.example")
    service = ServiceRelease(Kind.ROUTED, "sha256:1", routes=(Route("/a%20b/", "*.h.example"),), port=80, health=health)
    release = Release(7, "v1", "c", {"web": service}, subject='"; rm -rf / #\\ 日本', by="a'b@h")
    given = {
        labels.PROJECT: project,
        labels.MANIFEST: json.dumps(encode(release)),
        **{f"x.v{number}": value for number, value in enumerate(VALUES)},
    }
    body = {"Env": environment, "Cmd": ["true", *VALUES[:20]], "HostConfig": {}}
    names = [f"{project}-one", f"{project}-two"]
    try:
        engine.create(ContainerSpec(names[0], base_image("PYTHON_IMAGE"), body, given, ()))
        engine.clone(CloneSpec(names[1], names[0], {}, ()))
        for container in engine.containers(project):
            found = container.labels
            assert {key: found[key] for key in given} == given
            assert decode(Release, json.loads(found[labels.MANIFEST])) == release
            inspected = engine._inspect(container.name)["Config"]
            assert [v for v in inspected["Env"] if v.startswith("V")] == environment
            assert inspected["Cmd"] == body["Cmd"]
        assert len(engine.containers(project)) == 2
    finally:
        for name in names:
            engine.remove(name)
