"""What somebody stops or deletes behind the tool's back: status says so, and the ways on all work."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import httpx
import pytest

from bluegreen.model.errors import Exit
from tests.scenarios.conftest import MakeStack
from tests.scenarios.stack import Stack

pytestmark = pytest.mark.engine

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def deployed(make_stack: MakeStack) -> Stack:
    stack = make_stack()
    stack.deploy(_next()).succeeded()
    return stack


@pytest.fixture
def shop(deployed: Stack) -> Iterator[Stack]:
    """A project with a live release and a good standby; a test must leave it clean."""
    deployed.deploy(_next()).succeeded()
    yield deployed
    deployed.is_clean()


def test_a_stopped_proxy_is_said_and_a_rollback_starts_it_first(shop: Stack) -> None:
    former = shop.status()["standby"]["tag"]
    shop.engine.api.stop(f"{shop.name}-proxy", timeout=2)
    assert _troubles(shop) == {"proxy.not-running"}
    assert not _reachable(shop)
    answer = shop.bg("rollback").succeeded()
    assert "starting it first" in answer.notices
    assert shop.serving == former


def test_a_deleted_proxy_is_said_and_a_rollback_makes_it_anew_without_the_file(shop: Stack) -> None:
    former = shop.status()["standby"]["tag"]
    shop.engine.api.remove_container(f"{shop.name}-proxy", force=True)
    assert _troubles(shop) == {"proxy.not-running"}
    shop.bg("rollback", "-p", shop.name, at=shop.directory.parent).succeeded()
    assert shop.serving == former


def test_a_deleted_proxy_is_made_anew_by_a_deploy(shop: Stack) -> None:
    shop.engine.api.remove_container(f"{shop.name}-proxy", force=True)
    tag = _next()
    shop.deploy(tag).succeeded()
    assert shop.serving == tag


def test_a_deleted_proxy_serves_what_was_live_after_proxy_start(shop: Stack) -> None:
    live = shop.serving
    shop.engine.api.remove_container(f"{shop.name}-proxy", force=True)
    shop.bg("proxy", "start").succeeded()
    assert shop.serving == live


def test_a_live_container_that_is_deleted_is_said_and_a_rollback_leaves_for_the_standby(shop: Stack) -> None:
    before = shop.status()
    _delete_live(shop)
    trouble = shop.status()["troubles"][0]
    assert trouble["code"] == "live.incomplete"
    assert "web-1 (gone)" in trouble["message"]
    shop.bg("rollback").succeeded()
    assert shop.serving == before["standby"]["tag"]
    # The slot that was damaged is whole again with the next release.
    shop.deploy(_next()).succeeded()


def test_a_live_container_that_is_deleted_is_healed_by_deploying_the_same_again(shop: Stack) -> None:
    live = shop.serving
    _delete_live(shop)
    shop.deploy(live, "--force").succeeded()
    assert shop.serving == live
    assert _troubles(shop) == {"standby.incomplete"}  # where the deleted container was
    shop.deploy(_next()).succeeded()


def test_a_standby_that_is_not_whole_is_said_and_no_rollback_goes_there_unseen(shop: Stack) -> None:
    before = shop.status()
    shop.engine.api.remove_container(f"{shop.name}-{before['standby']['slot']}-web-1", force=True)
    assert _troubles(shop) == {"standby.incomplete"}
    answer = shop.bg("rollback")
    if answer.code == Exit.DONE:  # an older release is kept: cold, and said
        assert answer.data["how"] == "cold", answer
        assert answer.notices, answer
    else:
        answer.failed(Exit.REFUSED, "rollback.nowhere")
    shop.deploy(_next()).succeeded()


def test_a_kept_release_that_is_not_whole_is_said_and_a_rollback_to_it_is_refused(shop: Stack) -> None:
    shop.deploy(_next()).succeeded()
    kept = shop.status()["kept"][0]
    shop.engine.api.remove_container(f"{shop.name}-r{kept['release']}-web-1", force=True)
    with shop.untouched():
        answer = shop.bg("rollback", "--to", kept["tag"])
        answer.failed(Exit.REFUSED, "rollback.unknown", kept["tag"], "deploy")


@pytest.mark.parametrize("damage", ["corrupt", "missing"])
def test_a_lost_journal_stops_everything_but_a_rollback_and_can_be_repaired(shop: Stack, damage: str) -> None:
    former = shop.status()["standby"]["tag"]
    # The tail is what commands read: from the last operation's end on.
    script = {"corrupt": "echo no event >> /bg/journal.jsonl", "missing": "rm /bg/journal.jsonl"}[damage]
    shop.run_in("proxy", "sh", "-c", script)
    assert _troubles(shop) == {f"journal.{damage}"}
    with shop.untouched():
        shop.deploy(_next()).failed(Exit.FAILED, f"journal.{damage}", "rollback", "proxy repair")
    answer = shop.bg("rollback").succeeded()
    assert f"the journal is {damage}" in answer.notices
    assert shop.serving == former
    if damage == "corrupt":  # where it is missing the rollback has begun a new one
        assert "the journal is corrupt (line " in shop.bg("history").succeeded().notices
        shop.bg("proxy", "repair").succeeded()
        assert not shop.bg("history").succeeded().notices
    shop.deploy(_next()).succeeded()


def test_a_proxy_of_another_version_is_replaced_and_serves_what_was_live(shop: Stack) -> None:
    live, before = shop.serving, shop.container("proxy")["Id"]
    shop.bg("proxy", "upgrade").succeeded()
    assert shop.container("proxy")["Id"] != before
    assert shop.serving == live


def _next() -> str:
    return f"v{next(NUMBERS)}"


def _delete_live(shop: Stack) -> None:
    slot = shop.status()["live"]["slot"]
    shop.engine.api.remove_container(f"{shop.name}-{slot}-web-1", force=True)


def _troubles(shop: Stack) -> set[str]:
    return {t["code"] for t in shop.status()["troubles"]}


def _reachable(shop: Stack) -> bool:
    try:
        shop.get()
    except httpx.HTTPError:
        return False
    return True
