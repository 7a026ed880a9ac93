"""A project from release to release: going back, further back and forward, looking before, proving, cleaning up.

The tests of one stack go on from one another, in this order, as a project's life does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest

from bluegreen.model.errors import Exit
from tests.scenarios.conftest import MakeStack
from tests.scenarios.stack import Stack, web

pytestmark = pytest.mark.engine


# -- back and forth ----------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def shop(make_stack: MakeStack) -> Stack:
    """Four releases, each of its own colour; v4 is live, v3 stands by, v2 and v1 are kept."""
    stack = make_stack()
    for tag, colour in (("v1", "red"), ("v2", "green"), ("v3", "blue"), ("v4", "grey")):
        stack.deploy(tag, "--reason", f"painted {colour}", COLOUR=colour).succeeded()
    return stack


def test_deploying_what_is_live_already_is_nothing_to_do(shop: Stack) -> None:
    with shop.unchanged():
        assert shop.deploy("v4", COLOUR="grey").succeeded().document["outcome"] == "nothing"


def test_deploying_what_stands_by_unchanged_is_a_switch(shop: Stack) -> None:
    before = shop.running()
    assert shop.deploy("v3", COLOUR="blue").succeeded().document["outcome"] == "warm-switched"
    assert (shop.serving, shop.running()) == ("v3", before)
    shop.bg("switch", "v4").succeeded()
    assert (shop.serving, shop.running()) == ("v4", before)


def test_the_same_tag_with_another_environment_is_another_release(shop: Stack) -> None:
    planned = shop.deploy("v4", "--dry-run", COLOUR="pink").succeeded()
    assert planned.document["outcome"] == "planned"
    assert planned.data["release"] == 5


def test_a_cold_rollback_needs_no_file_and_brings_the_environment_back(shop: Stack, tmp_path: Path) -> None:
    answer = shop.bg("rollback", "-p", shop.name, "--to", "v1", "--reason", "the colour", at=tmp_path).succeeded()
    assert (answer.data["how"], answer.data["previous"]["tag"]) == ("cold", "v4")
    found = shop.answers()
    assert (found["tag"], found["colour"]) == ("v1", "red")
    status = shop.is_clean()
    assert (status["standby"]["tag"], status["standby"]["mark"]) == ("v4", "bad")


def test_a_rollback_never_goes_by_itself_to_what_is_marked_bad_and_a_switch_does(shop: Stack) -> None:
    with shop.unchanged():
        shop.bg("rollback").failed(Exit.REFUSED, "rollback.standby-bad", "v4", "the colour", "switch v4")
    shop.bg("switch", "v4").succeeded()
    assert (shop.answers()["tag"], shop.answers()["colour"]) == ("v4", "grey")


def test_a_rollback_does_not_read_a_file_that_is_broken(shop: Stack) -> None:
    shop.write_text(f"name: {shop.name}\nservices: [broken\n")
    answer = shop.bg("rollback").succeeded()
    assert shop.serving == "v1"
    assert (answer.data["public"]["status"], answer.data["public"]["release"]) == (200, answer.data["release"])
    shop.write()


def test_the_version_table_tells_what_became_of_every_release(shop: Stack) -> None:
    rows = {r["tag"]: r for r in shop.bg("history").succeeded().data["releases"]}
    assert list(rows) == ["v4", "v3", "v2", "v1"]
    assert (rows["v1"]["state"], rows["v4"]["state"], rows["v4"]["mark"]) == ("live", "standby", "bad")
    assert rows["v2"]["state"] == "kept"
    table = shop.text("history", "--markdown").succeeded().out.splitlines()
    assert table[0] == "| Version | Date | Deployed By | Status | Notes |"
    assert len(table) == 6
    assert table[2].startswith("| v4 | ")


DRY_RUNS = {
    "recreate": ("rollback", "--to", "v3"),
    "switch": ("switch", "v4"),
    "remove": ("prune", "--keep", "0"),
    "remove-volume": ("down",),
}


@pytest.mark.parametrize("step", DRY_RUNS)
def test_a_dry_run_says_what_would_be_done_and_changes_nothing(shop: Stack, step: str) -> None:
    with shop.unchanged():
        answer = shop.bg(*DRY_RUNS[step], "--dry-run").succeeded()
        assert answer.document["outcome"] == "planned"
        assert step in {s["step"] for s in answer.data["plan"]}


def test_prune_removes_what_is_older_than_is_kept_with_its_image_tags(shop: Stack) -> None:
    kept = [k["tag"] for k in shop.status()["kept"]]
    assert kept == ["v3", "v2"]
    with shop.untouched():
        shop.bg("prune", "--keep", "1").succeeded()
    assert [k["tag"] for k in shop.is_clean()["kept"]] == ["v3"]
    refs = {i.rpartition(":")[2] for i in shop.everything()["images"]}
    assert refs == {"r1", "r3", "r4"}
    shop.bg("rollback", "--to", "v2").failed(Exit.REFUSED, "rollback.unknown", "v2", "deploy v2")


def test_connections_to_the_release_that_lost_its_traffic_can_be_waited_for_and_ended(shop: Stack) -> None:
    with httpx.stream("GET", f"{shop.url}/stream?parts=2", timeout=30, trust_env=False) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "v1 0"
        shop.bg("switch", "v4").succeeded()
        waited = shop.bg("drain", "--timeout", "0.2").succeeded()
        assert (waited.document["outcome"], waited.data["connections"]) == ("open", 1)
        shop.bg("drain", "--now").succeeded()
        with pytest.raises(httpx.HTTPError):
            next(lines)
    assert shop.is_clean()["standby"]["tag"] == "v1"


# -- looking and proving before traffic --------------------------------------------------------------------
CHECKS = [{"GET": "/", "status": 200, "body": '"tag": "{tag}"'}]
LOOK = (
    "import os, sys, urllib.request as r; "
    "ask = r.Request(os.environ['BG_PREVIEW_URL'], headers={'X-Bluegreen-Token': os.environ['BG_PREVIEW_TOKEN']}); "
    "text = r.urlopen(ask).read().decode(); print(text); sys.exit(sys.argv[1] not in text)"
)


@pytest.fixture(scope="module")
def proven(make_stack: MakeStack) -> Stack:
    """A project whose releases are checked before they get traffic; v1 is live."""
    stack = make_stack()
    command = f'{sys.executable} -c "{LOOK}" ${{TAG:-none}}'
    stack.write(smoke=[*CHECKS, {"command": command}])
    stack.deploy("v1").succeeded()
    return stack


def test_a_staged_release_is_seen_with_the_token_only_and_gets_traffic_by_a_switch(proven: Stack) -> None:
    with proven.untouched():
        staged = proven.deploy("v2", "--stage").succeeded()
        assert (staged.document["outcome"], staged.data["candidate"]["tag"]) == ("staged", "v2")
        found = proven.bg("preview").succeeded().data
        assert found["tag"] == "v2"
        assert _preview(found["url"], "").status_code == 403
        assert _preview(found["url"], "guessed").status_code == 403
        assert _preview(found["url"], found["token"]).json()["tag"] == "v2"
    proven.bg("switch", "v2").succeeded()
    assert proven.serving == "v2"
    assert proven.is_clean()["standby"]["tag"] == "v1"


def test_a_candidate_that_nobody_wants_is_aborted_and_the_former_standby_comes_back(proven: Stack) -> None:
    with proven.untouched():
        proven.deploy("v3", "--stage").succeeded()
        proven.bg("abort").succeeded()
        status = proven.is_clean()
    assert (status["candidate"], status["standby"]["tag"]) == (None, "v1")


def test_a_smoke_check_that_fails_stops_the_deploy_before_the_switch(proven: Stack) -> None:
    proven.write(smoke=[{"GET": "/", "status": 200, "body": "never said"}])
    with proven.untouched():
        answer = proven.deploy("v4")
        answer.failed(Exit.VERDICT, "smoke.failed", "GET /", "never said")
    status = proven.is_clean()
    assert (status["candidate"], status["standby"]["tag"]) == (None, "v1")


def test_a_smoke_command_that_fails_stops_the_deploy_and_its_last_lines_are_shown(proven: Stack) -> None:
    proven.write(smoke=[{"command": f'{sys.executable} -c "{LOOK}" another-tag'}])
    with proven.untouched():
        answer = proven.deploy("v4")
        error = answer.failed(Exit.VERDICT, "smoke.failed", "exited with code 1", '"tag": "v4"').document
    token = proven.bg("preview").data["token"]
    assert token not in str(error)
    assert proven.is_clean()["standby"]["tag"] == "v1"


def test_a_smoke_check_that_fails_after_a_rollback_is_said_and_moves_nothing(proven: Stack) -> None:
    command = ["sh", "-c", "touch /tmp/page; exec python3 -I -S /app.py"]
    proven.write({"web": web(proven.image, command=command)}, smoke=[{"GET": "/file?path=/tmp/page"}, {"GET": "/"}])
    for tag in ("v5", "v6"):
        proven.deploy(tag).succeeded()
    proven.run_in(f"{proven.status()['standby']['slot']}-web-1", "rm", "/tmp/page")  # noqa: S108 - inside a container
    answer = proven.bg("rollback")
    answer.failed(Exit.INCOMPLETE, "smoke.failed", "GET /file?path=", "logs v5", "switch v6")
    assert answer.data["smoke"] == {"passed": 1, "all": 2}
    assert proven.serving == "v5"
    proven.is_clean()


def _preview(url: str, token: str) -> httpx.Response:
    headers = {"X-Bluegreen-Token": token} if token else {}
    with httpx.Client(timeout=10, trust_env=False) as client:
        return client.get(url, headers=headers)
