"""Services of every kind, on the way from release to release: replicas, order, jobs, workers, shared ones, data.

The tests of this module go on from one another, in this order, as a project's life does.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.scenarios.conftest import MakeStack
from tests.scenarios.stack import Service, Stack, web, worker

pytestmark = pytest.mark.engine

LISTENS = "import socket; socket.create_connection(('127.0.0.1', 8000))"


@pytest.fixture(scope="module")
def shop(make_stack: MakeStack) -> Stack:
    stack = make_stack()
    (stack.directory / "key").write_text("first key\n")
    write(stack)
    return stack


def write(stack: Stack, **store: str) -> None:
    """Two replicas behind the proxy, what they depend on, and a store that all releases share."""
    toy: Service = {"image": stack.image, "environment": {"TAG": "${TAG}"}}
    data = {"volumes": ["data:/data"]}
    checked = {"healthcheck": {"test": ["CMD", "python3", "-c", LISTENS], "interval": "0.2s", "retries": 100}}
    services: dict[str, Service] = {
        "web": web(
            stack.image,
            deploy={"replicas": 2},
            secrets=["key"],
            configs=[{"source": "page", "target": "/etc/page"}],
            depends_on={
                "cache": {"condition": "service_healthy"},
                "migrate": {"condition": "service_completed_successfully"},
                "store": {"condition": "service_started"},
            },
        ),
        "cache": {**toy, **checked, "x-bluegreen": {"internal": True}},
        "migrate": {
            **toy,
            **data,
            "environment": {"MODE": "job", "TAG": "${TAG}"},
            "x-bluegreen": {"job": True, "shared_volume": True},
        },
        "worker": worker(stack.image),
        "store": {**toy, **data, "environment": {"TAG": "store", **store}, "x-bluegreen": {"shared": True}},
    }
    top: dict[str, Any] = {
        "volumes": {"data": None},
        "secrets": {"key": {"file": "./key"}},
        "configs": {"page": {"content": "page of ${TAG}"}},
    }
    stack.write(copy.deepcopy(services), top=top)  # without YAML aliases


def test_what_a_release_depends_on_is_ready_before_it_starts(shop: Stack) -> None:
    deploying = shop.begin("--events", "deploy", "v1")
    events = [(e["kind"], e["name"], e["subject"]) for e in deploying.events()]
    deploying.end().succeeded()
    name = shop.name
    started = [events.index(("step", "start", f"{name}-blue-web-{number}")) for number in (1, 2)]
    for before in (
        ("step-done", "start", f"{name}-store-1"),
        ("step-done", "await", "cache"),
        ("step-done", "run-job", f"{name}-blue-migrate-1"),
    ):
        assert events.index(before) < min(started), before


def test_every_replica_gets_requests(shop: Stack) -> None:
    assert shop.status()["live"]["running"] == 3  # with the cache
    hosts = {shop.answers()["host"] for _ in range(20)}
    assert len(hosts) == 2


def test_secrets_and_configs_are_files_of_the_release(shop: Stack) -> None:
    assert shop.get("/file?path=/run/secrets/key").text == "first key\n"
    assert shop.get("/file?path=/etc/page").text == "page of v1"


def test_services_of_a_slot_find_each_other_and_the_shared_one_by_name(shop: Stack) -> None:
    ask = "import sys, urllib.request as r; print(r.urlopen(f'http://{sys.argv[1]}:8000/').read().decode())"
    assert '"tag": "v1"' in shop.run_in("blue-web-1", "python3", "-c", ask, "cache")
    assert '"tag": "store"' in shop.run_in("blue-web-1", "python3", "-c", ask, "store")


def test_a_job_runs_once_a_release_and_a_worker_in_the_live_slot_only(shop: Stack) -> None:
    assert jobs(shop) == ["v1"]
    assert shop.running(service="worker") == {"blue-worker-1"}
    (shop.directory / "key").write_text("second key\n")
    shop.deploy("v2").succeeded()
    assert jobs(shop) == ["v1", "v2"]
    assert shop.running(service="worker") == {"green-worker-1"}
    stopped = shop.container("blue-worker-1")
    assert stopped["HostConfig"]["RestartPolicy"]["Name"] in ("", "no"), "it would come back with the engine"
    assert shop.container("green-worker-1")["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    shop.is_clean()


def test_a_rollback_takes_environment_and_files_and_the_worker_back_and_runs_no_job(shop: Stack) -> None:
    assert shop.get("/file?path=/run/secrets/key").text == "second key\n"
    shop.bg("rollback").succeeded()
    assert shop.serving == "v1"
    assert shop.get("/file?path=/run/secrets/key").text == "first key\n"
    assert shop.get("/file?path=/etc/page").text == "page of v1"
    assert shop.running(service="worker") == {"blue-worker-1"}
    assert jobs(shop) == ["v1", "v2"]
    shop.is_clean()


def test_a_shared_service_is_never_restarted_and_its_changed_definition_is_said(shop: Stack) -> None:
    before = shop.container("store-1")
    write(shop, COLOUR="red")
    answer = shop.deploy("v3").succeeded()
    assert "store runs with an older definition and is not restarted" in answer.notices
    after = shop.container("store-1")
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])


def test_a_cold_rollback_brings_back_files_and_dependencies_and_runs_no_job(shop: Stack) -> None:
    (shop.directory / "key").unlink()
    # v2 is marked bad by the rollback: by its number it is meant.
    number = next(k["release"] for k in shop.status()["kept"] if k["tag"] == "v2")
    moved = shop.bg("rollback", "--to", str(number)).succeeded().data
    assert (moved["how"], shop.serving) == ("cold", "v2")
    assert shop.get("/file?path=/run/secrets/key").text == "second key\n"
    assert jobs(shop) == ["v1", "v2", "v3"]
    shop.is_clean()


def test_a_kept_release_that_is_no_longer_whole_is_said_and_pruned_with_its_images(shop: Stack) -> None:
    kept = shop.status()["kept"][0]["release"]
    shop.engine.api.remove_container(f"{shop.name}-r{kept}-cache-1", force=True)
    assert [t["code"] for t in shop.status()["troubles"]] == ["kept.incomplete"]
    shop.bg("prune").succeeded()
    shop.is_clean()
    assert not [i for i in shop.everything()["images"] if i.endswith(f":r{kept}")]


def test_down_keeps_the_data_and_down_with_volumes_leaves_nothing_at_all(shop: Stack) -> None:
    shop.bg("down", "--yes").succeeded()
    assert shop.everything() == {
        "containers": set(),
        "networks": set(),
        "volumes": {f"{shop.name}_data"},
        "images": set(),
    }
    (shop.directory / "key").write_text("third key\n")
    shop.deploy("v4").succeeded()
    assert jobs(shop) == ["v1", "v2", "v3", "v4"]

    shop.bg("down", "--yes", "--volumes").succeeded()
    assert shop.everything() == {"containers": set(), "networks": set(), "volumes": set(), "images": set()}


def jobs(shop: Stack) -> list[str]:
    """The tags whose job has run, in order."""
    return shop.run_in("store-1", "cat", "/data/jobs").split()
