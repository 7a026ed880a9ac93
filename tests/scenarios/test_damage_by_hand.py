"""What somebody stops or deletes behind the tool's back: status says so, and the ways on all work."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from bluegreen.model import labels
from bluegreen.model.errors import Exit
from tests.scenarios.conftest import MakeStack
from tests.scenarios.stack import Stack, health, web
from tests.support import eventually

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
    with deployed.lent(_next) as stack:
        yield stack


def test_a_stopped_proxy_is_said_and_a_rollback_starts_it_first(shop: Stack) -> None:
    former = shop.status()["standby"]["tag"]
    shop.engine.api.stop(f"{shop.name}-proxy", timeout=2)
    assert _troubles(shop) == {"proxy.not-running"}
    assert not _reachable(shop)
    answer = shop.bg("rollback").succeeded()
    assert "starting it first" in answer.notices
    assert shop.serving == former


def test_a_proxy_that_ends_comes_back_by_itself_with_what_was_live(shop: Stack) -> None:
    live = shop.serving
    started = shop.container("proxy")["State"]["StartedAt"]
    shop.run_in("proxy", "sh", "-c", "kill -TERM 1")  # nobody asked the engine to
    eventually(lambda: shop.container("proxy")["State"]["StartedAt"] != started, what="the proxy's restart")
    eventually(lambda: _reachable(shop), what="the proxy serving again")
    assert shop.serving == live
    assert not _troubles(shop)


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


def test_a_live_container_that_is_killed_is_said_and_why_and_a_rollback_leaves_for_the_standby(shop: Stack) -> None:
    before = shop.status()
    shop.engine.api.kill(f"{shop.name}-{_live_web(shop)}")  # by a person: the engine doesn't restart it
    assert _said(shop, "live.incomplete", "web-1 (exited)")
    assert _said(shop, "live.ended", "exited with code 137")
    shop.bg("rollback").succeeded()
    assert shop.serving == before["standby"]["tag"]
    shop.deploy(_next()).succeeded()


def test_a_live_container_that_is_paused_is_said_and_a_rollback_leaves_for_the_standby(shop: Stack) -> None:
    before = shop.status()
    shop.engine.api.pause(f"{shop.name}-{_live_web(shop)}")
    assert _said(shop, "live.incomplete", "web-1 (paused)")
    shop.bg("rollback").succeeded()
    assert shop.serving == before["standby"]["tag"]
    shop.deploy(_next()).succeeded()


def test_a_live_container_that_runs_out_of_memory_is_restarted_by_the_engine_and_status_says_so(shop: Stack) -> None:
    name, live = _live_web(shop), shop.serving
    with contextlib.suppress(httpx.HTTPError):
        shop.get("/eat?megabytes=2000")  # its limit is 256
    eventually(lambda: shop.container(name)["RestartCount"] and shop.container(name)["State"]["Running"])
    eventually(lambda: _serves(shop, live), what="the restarted container's answer")
    # Whole seconds are what the engine tells of how long it is up, and of when it was made.
    eventually(lambda: _troubles(shop) == {"live.restarted"}, what="the restart being said")
    assert _said(shop, "live.restarted", f"{name} ended and was restarted by the engine, once")
    shop.deploy(_next()).succeeded()


def test_a_live_container_that_is_restarted_is_found_where_it_was(make_stack: MakeStack) -> None:
    stack = make_stack()
    slow = {"x-bluegreen": {"route": "/other/", "port": 8000, "health": health()}}
    other = web(stack.image, environment={"TAG": "other"}, **slow)
    stack.write({"web": web(stack.image), "other": other})
    stack.deploy("v1").succeeded()
    names = [f"{stack.name}-blue-{service}-1" for service in ("other", "web")]
    for name in names:
        stack.engine.api.stop(name, timeout=0)
    for name in reversed(names):  # an address that is given out first come, first served would be the other's now
        stack.engine.api.start(name)
    eventually(lambda: _serves(stack, "v1"), what="the restarted containers' answers")
    eventually(lambda: stack.get("/other/").status_code == 200, what="the other's answer")
    assert stack.get("/other/").json()["tag"] == "other"
    stack.is_clean()


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


def test_a_kept_release_whose_image_is_gone_is_said_and_no_rollback_goes_there(make_stack: MakeStack) -> None:
    stack = make_stack()
    stack.write({"web": web("${IMAGE}")})
    for tag in ("v1", "v2", "v3"):
        stack.deploy(tag, IMAGE=_image(stack, tag)).succeeded()
    stack.engine.api.remove_image(f"{stack.name}:v1")
    assert not _troubles(stack), "bluegreen's own tag holds it"
    stack.engine.api.remove_image(f"bluegreen/{stack.name}/web:r1", force=True)
    assert _troubles(stack) == {"kept.incomplete"}
    assert _said(stack, "kept.incomplete", "v1", "image")
    with stack.untouched():
        answer = stack.bg("rollback", "--to", "v1")
        answer.failed(Exit.REFUSED, "rollback.not-kept", "v1", "an image of it", "deploy v1")
    stack.bg("prune").succeeded()
    stack.is_clean()


def test_containers_that_somebody_put_in_a_slot_s_place_are_said_and_never_taken_for_it(shop: Stack) -> None:
    standby = shop.status()["standby"]
    name = f"{shop.name}-{standby['slot']}-web-1"
    own = shop.container(f"{standby['slot']}-web-1")["Config"]["Labels"]
    shop.engine.api.remove_container(name, force=True)
    garbage = {**own, labels.RELEASE: "seven", labels.MANIFEST: "{", labels.REPLICA: "-1"}
    other = shop.engine.containers.create(shop.image, name=f"{shop.name}-stray", labels=garbage)
    copy = shop.engine.containers.create(shop.image, name=name, labels={labels.PROJECT: shop.name})
    try:
        assert "standby.incomplete" in _troubles(shop)
        with shop.untouched():
            shop.deploy(_next()).failed(Exit.FAILED, "engine.name-held", name, "docker inspect")
        assert "bug" not in shop.text("status").err
    finally:
        copy.remove(force=True)
        other.remove(force=True)
    if shop.status()["operation"] is not None:
        shop.bg("abort").succeeded()
    shop.deploy(_next()).succeeded()


def test_with_the_clock_set_back_an_hour_draining_takes_no_longer_than_its_deadline(make_stack: MakeStack) -> None:
    stack = make_stack()
    stack.write(drain="2s")
    for tag in ("v1", "v2"):
        stack.deploy(tag).succeeded()
    stack.bg("rollback").succeeded()
    with httpx.stream("GET", f"{stack.url}/stream?parts=2", timeout=60, trust_env=False) as held:
        next(held.iter_lines())
        stack.bg("switch", "v2").succeeded()
        # As if the clock had been set back since: the slot lost its traffic in an hour from now.
        script = "import json,sys;p='/bg/current/routes.json';r=json.load(open(p));r['since']=sys.argv[1];"
        later = f"{(datetime.now(UTC) + timedelta(hours=1)):%Y-%m-%dT%H:%M:%S.000Z}"
        stack.run_in("proxy", "python3", "-c", script + "json.dump(r,open(p,'w'))", later)
        assert stack.status()["live"]["since"] == later
        begun = time.monotonic()
        stack.deploy("v3").succeeded()
        assert time.monotonic() - begun < 30
    assert stack.serving == "v3"


def test_a_last_line_of_the_journal_that_was_torn_off_is_passed_over(shop: Stack) -> None:
    shop.run_in("proxy", "sh", "-c", """printf '{"v":1,"event":"beg' >> /bg/journal.jsonl""")
    assert not _troubles(shop)
    tag = _next()
    shop.deploy(tag).succeeded()
    history = shop.bg("history").succeeded()
    assert history.data["releases"][0]["tag"] == tag
    assert not history.notices


def test_garbage_in_the_middle_of_the_journal_is_said_by_the_history_and_can_be_repaired(shop: Stack) -> None:
    shop.run_in("proxy", "sh", "-c", "sed -i '2s/.*/garbage/' /bg/journal.jsonl")
    assert "the journal is corrupt (line 2" in shop.bg("history").succeeded().notices
    shop.deploy(_next()).succeeded()  # what it needs is in the journal's tail
    shop.bg("rollback").succeeded()
    shop.bg("proxy", "repair").succeeded()
    assert not shop.bg("history").succeeded().notices


@pytest.mark.parametrize("damage", ["corrupt", "missing", "schema"])
def test_a_lost_journal_stops_everything_but_a_rollback_and_can_be_repaired(shop: Stack, damage: str) -> None:
    former = shop.status()["standby"]["tag"]
    # The tail is what commands read: from the last operation's end on.
    newer = json.dumps({"v": 2, "t": "2030-01-01T00:00:00.000Z", "op": "deploy-1", "event": "hologram"})
    script = {
        "corrupt": "echo no event >> /bg/journal.jsonl",
        "missing": "rm /bg/journal.jsonl",
        "schema": f"echo '{newer}' >> /bg/journal.jsonl",
    }[damage]
    shop.run_in("proxy", "sh", "-c", script)
    assert _troubles(shop) == {f"journal.{damage}"}
    with shop.untouched():
        shop.deploy(_next()).failed(Exit.FAILED, f"journal.{damage}", "rollback", "proxy repair")
    answer = shop.bg("rollback").succeeded()
    assert f"the journal is {damage}" in answer.notices
    assert shop.serving == former
    if damage != "missing":  # where it is missing the rollback has begun a new one
        assert f"the journal is {damage} (line " in shop.bg("history").succeeded().notices
        shop.bg("proxy", "repair").succeeded()
        assert not shop.bg("history").succeeded().notices
    shop.deploy(_next()).succeeded()


@pytest.mark.parametrize("command", ["proxy start", "deploy"])
def test_a_deleted_volume_is_made_anew_from_what_containers_say_and_what_is_lost_is_said(
    shop: Stack, command: str
) -> None:
    shop.bg("rollback").succeeded()  # so that the newer one is not the live one
    before = shop.status()
    live, other = before["live"]["tag"], before["standby"]["tag"]
    assert shop.serving == live
    eventually(lambda: live in shop.get().text and _logged(shop), what="a line in the access log")
    shop.engine.api.remove_container(f"{shop.name}-proxy", force=True)
    shop.engine.api.remove_volume(f"{shop.name}-bluegreen")
    assert _troubles(shop) >= {"proxy.not-running"}
    tag = _next()
    words = ("deploy", tag) if command == "deploy" else tuple(command.split())
    answer = shop.bg(*words).succeeded()
    for said in ("volume was lost", f"{live} in {before['live']['slot']} has the traffic", "access log", "Lost are"):
        assert said in answer.notices, answer
    assert shop.serving == {"proxy start": live, "deploy": tag}[command]
    # The deploy keeps one more, and as many as the file says.
    kept = set(sorted(r["release"] for r in before["kept"])[-3:])
    assert kept <= {r["release"] for r in shop.status()["kept"]}, "what was kept is kept"
    assert {live, other} <= {r["tag"] for r in shop.bg("history").succeeded().data["releases"]}


@pytest.mark.parametrize("restarted", [False, True], ids=["", "and the proxy restarted"])
def test_an_emptied_volume_is_said_and_filled_again_by_a_rollback(shop: Stack, restarted: bool) -> None:
    before = shop.status()
    shop.run_in("proxy", "sh", "-c", "rm -rf /bg/*")
    if restarted:
        shop.engine.api.restart(f"{shop.name}-proxy", timeout=5)
        eventually(lambda: _reachable(shop), what="the proxy's answer")
        assert shop.get().status_code == 503
    else:
        assert shop.serving == before["live"]["tag"]
    live = before["live"]
    assert _said(shop, "proxy.forgotten", live["tag"], live["slot"], "volume was lost")
    answer = shop.bg("rollback").succeeded()
    assert f"{before['live']['tag']} in {before['live']['slot']} has the traffic" in answer.notices
    assert shop.serving == before["standby"]["tag"]


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


def _live_web(shop: Stack) -> str:
    """The name, without the project's, of the live slot's one container."""
    return f"{shop.status()['live']['slot']}-web-1"


def _image(stack: Stack, tag: str) -> str:
    """An image like the toy's, and yet another one."""
    ref = f"{stack.name}:{tag}"
    stack.engine.images.build(fileobj=io.BytesIO(f"FROM {stack.image}\nLABEL other={tag}\n".encode()), tag=ref, rm=True)
    return ref


def _logged(shop: Stack) -> bool:
    """Whether the last line of the access log tells the live slot."""
    slot = shop.status()["live"]["slot"]
    return f'"slot":"{slot}"' in shop.run_in("proxy", "tail", "-n", "1", "/var/log/bluegreen/access.log")


def _said(shop: Stack, code: str, *words: str) -> bool:
    """Whether status has this trouble, with these words."""
    found = [t["message"] for t in shop.status()["troubles"] if t["code"] == code]
    return bool(found) and all(word in found[0] for word in words)


def _serves(shop: Stack, tag: str) -> bool:
    try:
        return shop.serving == tag
    except (httpx.HTTPError, AssertionError):
        return False


def _troubles(shop: Stack) -> set[str]:
    return {t["code"] for t in shop.status()["troubles"]}


def _reachable(shop: Stack) -> bool:
    try:
        shop.get()
    except httpx.HTTPError:
        return False
    return True
