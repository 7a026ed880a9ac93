"""Every command end to end in memory: what it says, and what its JSON has. The keys of ``data`` are pinned here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bluegreen.engine.behaviour import Answer as Reply
from bluegreen.engine.behaviour import Behaviour
from tests.strikes import Killed
from tests.unit.cli.conftest import Program
from tests.world import Kill, World

ENVELOPE = {"schema", "command", "outcome", "data", "errors"}
ERROR = {"code", "message", "where", "next"}
PLACE = {"slot", "release", "tag", "at", "since", "running", "wanted", "workers", "connections", "mark", "share"}
STEP = {"step", "subject", "cause", "phase"}
MOVE = {
    "project",
    "kind",
    "how",
    "release",
    "tag",
    "slot",
    "previous",
    "since",
    "url",
    "verified_ms",
    "timings",
    "public",
    "smoke",
    "connections",
    "plan",
    "share",
    "notices",
}
LINE = (
    b'{"t":%.3f,"slot":"blue","bucket":"7","service":"api","status":"200","time":0.013,"upstream_status":"200",'
    b'"upstream_time":"0.012","method":"GET","route":"/api/","fallback":"","bytes":512,"upstream":"10.0.0.2:80",'
    b'"client":"203.0.%d.%d","address":"203.0.113.9","host":"localhost","uri":"/"}\n'
)
CANARY = {"project", "live", "candidate", "share", "previous", "url", "shifts", "plan", "notices"}
DEPLOY = {
    "canary",
    "project",
    "release",
    "tag",
    "revision",
    "slot",
    "previous",
    "seconds",
    "public",
    "plan",
    "proof",
    "url",
    "generation",
    "live",
    "standby",
    "candidate",
    "verified",
    "notices",
}


@pytest.mark.usefixtures("file")
def test_deploy(bg: Program) -> None:
    answer = bg("deploy", "v1", "--json")
    assert (answer.code, answer.err) == (0, "")
    document = answer.document
    assert set(document) == ENVELOPE
    assert (document["schema"], document["command"], document["outcome"], document["errors"]) == (
        1,
        "deploy",
        "switched",
        [],
    )
    data = document["data"]
    assert set(data) == DEPLOY
    assert (data["project"], data["tag"], data["release"], data["slot"], data["verified"]) == (
        "shop",
        "v1",
        1,
        "blue",
        True,
    )
    assert set(data["live"]) == PLACE
    assert data["standby"] is None

    said = bg("deploy", "v2")
    assert said.code == 0
    assert not said.wide
    assert "LIVE     v2  green" in said.out
    assert "STANDBY  v1  blue  warm until the next deploy starts" in said.out
    assert "UNDO     bluegreen rollback" in said.out
    assert "shop  release 2  v2" in said.err
    assert "  switch   100 % to green at " in said.err


@pytest.mark.usefixtures("file")
def test_deploy_of_what_is_live_is_nothing_to_do(bg: Program) -> None:
    bg("deploy", "v1")
    answer = bg("deploy", "v1")
    assert answer.code == 0
    assert answer.out.startswith("NOTHING TO DO  v1 is live already, unchanged")
    assert bg("deploy", "v1", "--json").document["outcome"] == "nothing"


@pytest.mark.usefixtures("file")
def test_a_deploy_that_fails_says_who_serves_and_why(bg: Program, world: World) -> None:
    bg("deploy", "v1")
    world.image("v3", behaviour=Behaviour(answer=Reply(500, b"broken"), logs=("starting", "cannot reach the moon")))
    answer = bg("deploy", "v3")
    assert answer.code == 1
    assert answer.out == ""
    assert not answer.wide
    assert "NOT DEPLOYED  v1 (blue) has all the traffic; nothing was lost." in answer.err
    assert "WHY      api answers GET /health with 500 instead of 200" in answer.err
    assert "| cannot reach the moon" in answer.err
    assert "NEXT     bluegreen logs v3" in answer.err

    failed = bg("deploy", "v3", "--json")
    document = failed.document
    assert set(document) == ENVELOPE
    assert document["outcome"] == "failed"
    (error,) = document["errors"]
    assert set(error) == ERROR
    assert error["code"] == "health.status"
    data = document["data"]
    assert set(data) == {
        "project",
        "tag",
        "log",
        "url",
        "generation",
        "live",
        "standby",
        "candidate",
        "verified",
        "notices",
    }
    assert data["live"]["tag"] == "v1"
    assert data["log"][-1] == "cannot reach the moon"

    why = bg("why", "--json")
    assert set(why.data) == {"why", "notices"}
    assert set(why.data["why"]) == {
        "release",
        "tag",
        "at",
        "code",
        "message",
        "where",
        "logs",
        "operation",
        "shifts",
        "judgements",
    }
    assert "WHY      api answers GET /health with 500" in bg("why").out


@pytest.mark.usefixtures("file")
def test_stage_and_switch(bg: Program) -> None:
    bg("deploy", "v1")
    staged = bg("deploy", "v2", "--stage")
    assert staged.out.startswith("STAGED   v2  green")
    status = bg("status", "--json").data
    assert (status["live"]["tag"], status["candidate"]["tag"]) == ("v1", "v2")
    assert "bluegreen promote " in bg("status").out
    assert bg("abort", "--json").data["live"] == {"release": 1, "tag": "v1"}
    bg("deploy", "v2", "--stage")
    answer = bg("switch", "v2", "--json")
    assert (answer.code, answer.document["outcome"]) == (0, "switched")
    assert set(answer.data) == MOVE


def test_rollback(bg: Program, world: World) -> None:
    world.deploy("v1")
    world.deploy("v2")
    answer = bg("rollback", "--reason", "500s on /simulate", "--json")
    assert answer.code == 0
    assert set(answer.data) == MOVE
    assert (answer.data["kind"], answer.data["how"], answer.data["tag"]) == ("rollback", "warm", "v1")
    assert answer.data["previous"] == {"release": 2, "tag": "v2"}
    assert answer.data["verified_ms"] > 0
    assert set(answer.data["timings"]) == {"probe", "switch"}
    assert answer.data["notices"] == [{"where": "", "message": "project shop: the only one on this engine"}]
    world.check_clean()


def test_the_screen_of_a_rollback(bg: Program, world: World) -> None:
    world.deploy("v1")
    world.deploy("v2")
    answer = bg("rollback", "-p", "shop")
    assert answer.code == 0
    assert not answer.wide
    first, second, *rest = answer.out.splitlines()
    assert first.startswith("ROLLED BACK in ")
    assert "new requests answered by v1 since" in first
    assert "start and look" in second
    assert "v2 is now marked bad: a plain rollback will not go back to it." in rest
    assert "shop  v2 (green) -> v1 (blue, warm)" in answer.err

    refused = bg("rollback", "-p", "shop")
    assert refused.code == 3
    assert refused.err.startswith("REFUSED  v2 stands by, but it is marked bad")
    assert "bluegreen -p shop switch v2" in refused.err


def test_a_rollback_is_announced_before_its_workers_are_done(bg: Program, world: World) -> None:
    world.deploy("v1")
    world.deploy("v2")
    announced: list[bool] = []

    def note(method: str, _args: tuple[Any, ...]) -> None:
        if method == "stop":
            announced.append("ROLLED BACK" in bg.out.getvalue())

    world.engine.before_call = note
    assert bg("rollback").code == 0
    assert announced
    assert all(announced)


def test_rollback_to_two_releases_is_refused(bg: Program) -> None:
    answer = bg("rollback", "v1", "--to", "v2")
    assert answer.code == 2
    assert "v1 and --to v2 are two releases; name one" in answer.err


def test_status(bg: Program, world: World) -> None:
    world.deploy("v1")
    world.deploy("v2")
    data = bg("status", "--json").data
    assert set(data) == {
        "project",
        "url",
        "generation",
        "live",
        "standby",
        "candidate",
        "kept",
        "shared",
        "operation",
        "lease",
        "journal",
        "troubles",
        "notices",
    }
    assert set(data["live"]) == set(data["standby"]) == PLACE
    assert (data["live"]["slot"], data["live"]["release"], data["live"]["tag"]) == ("green", 2, "v2")
    said = bg("status")
    assert not said.wide
    assert "LIVE     v2  release 2  green" in said.out
    assert "NEXT     bluegreen rollback   back to v1, in milliseconds" in said.out


def test_history(bg: Program, world: World) -> None:
    world.deploy("v1")
    world.deploy("v2")
    bg("rollback", "--reason", "Monte Carlo | bugs")
    data = bg("history", "--json").data
    assert set(data) == {"releases", "notices"}
    assert set(data["releases"][0]) == {
        "release",
        "tag",
        "at",
        "by",
        "state",
        "mark",
        "revision",
        "subject",
        "dirty",
        "note",
        "live_since",
        "shifts",
        "judgements",
    }
    table = bg("history", "--markdown").out.splitlines()
    assert table[0] == "| Version | Date | Deployed By | Status | Notes |"
    assert "⚠️ Unstable" in table[2]
    assert "Monte Carlo \\| bugs" in table[2]
    assert not bg("history").wide


def test_logs(bg: Program, world: World) -> None:
    world.image("v1", behaviour=Behaviour(logs=("one", "two", "three")))
    world.deploy("v1")
    data = bg("logs", "api", "--tail", "1", "--json").data
    assert data["lines"] == [
        {"container": "shop-blue-api-1", "line": "three"},
        {"container": "shop-blue-api-2", "line": "three"},
    ]
    assert bg("logs", "api", "-n", "1").out == "api-1 | three\napi-2 | three\n"
    events = bg("logs", "api", "-n", "1", "--events").events
    assert [e["kind"] for e in events] == ["notice", "progress", "progress", "result"]
    nothing = bg("logs", "v9")
    assert nothing.code == 3
    assert "no container or saved output matches v9" in nothing.err


def test_following_as_json_is_refused(bg: Program) -> None:
    answer = bg("logs", "--follow", "--json")
    assert answer.code == 2
    assert answer.document["errors"][0]["code"] == "logs.endless"


def test_resume_and_abort(bg: Program, world: World) -> None:
    world.deploy("v1")
    with pytest.raises(Killed):
        world.deploy("v2", Kill(at=20))
    world.site()  # the next process is alive
    status = bg("status")
    assert "TROUBLE  an operation was interrupted: deploy v2" in status.out
    assert not status.wide
    answer = bg("abort", "--json")
    assert (answer.code, answer.document["outcome"]) == (0, "aborted")
    assert set(answer.data) == {"operation", "live", "standby", "candidate", "share", "notices"}
    refused = bg("resume", "-p", "shop")
    assert (refused.code, refused.err.splitlines()[0]) == (3, "REFUSED  no operation is unfinished")


def test_prune_drain_preview(bg: Program, world: World) -> None:
    for tag in ("v1", "v2", "v3"):
        world.deploy(tag)
    planned = bg("prune", "--keep", "0", "--dry-run", "--json")
    assert planned.document["outcome"] == "planned"
    assert set(planned.data) == {"plan", "notices"}
    assert set(planned.data["plan"][0]) == STEP
    assert bg("prune", "--keep", "0").out.startswith("PRUNED")
    assert bg("prune", "--keep", "0", "--json").document["outcome"] == "nothing"
    assert bg("drain", "--json").data == {"connections": 0, "ended": 0, "notices": [_only_one()]}
    former = bg("preview", "--json").data
    assert set(former) == {"url", "token", "enter", "tag", "notices"}
    assert former["token"] == bg("preview", "--json").data["token"]
    assert (
        former["token"] != bg("preview", "--new-token", "--json").data["token"] == bg("preview", "--json").data["token"]
    )


def test_proxy(bg: Program, world: World) -> None:
    world.deploy("v1")
    data = bg("proxy", "--json").data
    assert set(data) == {
        "project",
        "state",
        "container",
        "status",
        "version",
        "url",
        "preview",
        "generation",
        "up_to_date",
        "connections",
        "draining_workers",
        "disk_free",
        "journal",
        "detail",
        "notices",
    }
    assert data["state"] == "running"
    assert bg("proxy", "status", "--json").document["command"] == "proxy status"
    world.engine.stop("shop-proxy", 1)
    assert "PROXY    shop-proxy  stopped" in bg("proxy").out
    assert bg("proxy", "start").code == 0


def test_down_asks_or_wants_yes(bg: Program, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.deploy("v1")
    unconfirmed = bg("down")
    assert unconfirmed.code == 3
    assert "nobody is at a terminal to confirm it" in unconfirmed.err
    assert "bluegreen down --yes" in unconfirmed.err
    planned = bg("down", "--dry-run", "--json")
    assert set(planned.data) == {"project", "plan", "notices"}
    bg.terminal = True
    monkeypatch.setattr("click.confirm", lambda *_a, **_k: False)
    assert bg("down").err.startswith("note     project shop: the only one on this engine\nREFUSED  nothing was removed")
    monkeypatch.setattr("click.confirm", lambda *_a, **_k: True)
    assert bg("down").code == 0
    assert world.engine.containers("shop") == []
    assert bg("down", "-p", "shop", "--json").document["outcome"] == "nothing"


@pytest.mark.usefixtures("file")
def test_config(bg: Program) -> None:
    assert "name: shop" in bg("config", "v1").out
    data = bg("config", "v1", "--json").data
    assert set(data) == {"project", "notices"}
    assert bg("config", "--quiet").out == ""


def test_init_proposes_and_writes(bg: Program, tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    plain = "# mine\nservices:\n  web:\n    image: nginx:1\n    ports: ['80:80']\n  db:\n    image: postgres:17\n"
    path.write_text(plain)
    shown = bg("init")
    assert shown.code == 0
    assert "+    x-bluegreen:" in shown.out
    assert "bluegreen init --write" in shown.out
    assert path.read_text() == plain
    written = bg("init", "--write", "--json")
    assert written.document["outcome"] == "written"
    assert set(written.data) == {"file", "written", "choices", "left", "text", "notices"}
    assert path.read_text() == written.data["text"]
    assert path.read_text().startswith("# mine\n")
    assert bg("init", "--json").document["outcome"] == "nothing"


def test_events_stream_and_end_with_the_result(bg: Program, world: World) -> None:
    world.deploy("v1")
    world.deploy("v2")
    events = bg("rollback", "--events").events
    assert {"schema", "at", "kind", "name", "subject", "message", "ms", "data"} == set(events[0])
    assert [e["name"] for e in events if e["kind"] == "step-done"][:2] == ["probe", "switch"]
    last = events[-1]
    assert last["kind"] == "result"
    assert set(last["data"]) == ENVELOPE
    assert last["data"]["data"]["verified_ms"] > 0


@pytest.mark.usefixtures("file")
def test_a_dry_run_changes_nothing(bg: Program, world: World) -> None:
    bg("deploy", "v1")
    before = world.engine.containers("shop")
    for words in (["deploy", "v2"], ["deploy", "v1"], ["rollback"], ["prune"], ["down"]):
        answer = bg(*words, "--dry-run")
        assert answer.code in (0, 3), answer.err
        assert not answer.wide
    assert world.engine.containers("shop") == before
    plan = bg("deploy", "v2", "--dry-run", "--json").data["plan"]
    assert set(plan[0]) == STEP


def test_shell_init_and_completion(bg: Program) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "BLUEGREEN_SHELL=1 command bluegreen" in bg("shell-init", shell).out
        assert set(bg("shell-init", shell, "--json").data) == {"shell", "script", "notices"}
        assert "_bluegreen_completion" in bg("completion", shell).out
    bg.env["SHELL"] = "/bin/dash"
    assert bg("shell-init").code == 2


def test_options_stand_before_and_after_the_command(bg: Program, world: World) -> None:
    world.deploy("v1")
    for words in (["-p", "shop", "status", "--json"], ["--json", "status", "-p", "shop"]):
        assert bg(*words).data["project"] == "shop"


def _only_one() -> dict[str, str]:
    return {"where": "", "message": "project shop: the only one on this engine"}


@pytest.mark.usefixtures("file")
def test_canary_and_promote(bg: Program, world: World) -> None:
    bg("deploy", "v1")
    answer = bg("canary", "--json")
    assert (answer.code, answer.document["outcome"], answer.data["candidate"]) == (0, "none", None)
    refused = bg("canary", "10")
    assert (refused.code, refused.out) == (3, "")
    assert "there is no candidate: v1 has all visitors" in refused.err
    bg("deploy", "v2", "--stage")

    answer = bg("canary", "10", "--json")
    assert (answer.code, answer.document["outcome"]) == (0, "shifted")
    assert set(answer.data) == CANARY
    assert (answer.data["share"], answer.data["previous"], answer.data["live"]["tag"]) == (10, 0, "v1")
    assert set(answer.data["candidate"]) == {"release", "tag", "slot", "share", "since", "mark"}
    assert set(answer.data["shifts"][0]) == {"at", "release", "share", "source", "operation", "by", "reason"}
    assert bg("status", "--json").data["candidate"]["share"] == 10
    assert set(bg("canary", "25", "--dry-run", "--json").data) == CANARY
    assert bg("canary", "10%", "--json").document["outcome"] == "nothing"

    answer = bg("promote", "--json")
    assert (answer.code, answer.document["outcome"], answer.data["kind"]) == (0, "switched", "promote")
    assert set(answer.data) == MOVE
    assert (answer.data["share"], answer.data["tag"]) == (10, "v2")
    world.check_clean()


@pytest.mark.usefixtures("file")
def test_the_screens_of_a_canary(bg: Program, world: World) -> None:
    bg("deploy", "v1")
    assert "NO CANDIDATE  v1 has all visitors" in bg("canary").out
    staged = bg("deploy", "v2", "--stage").out
    assert "bluegreen canary 10   10 % of visitors to it" in staged
    assert "CANARY   v2 (green) has no visitors" in bg("canary").out

    answer = bg("canary", "10")
    at = r"\d\d:\d\d:\d\d|\d{4}-\d\d-\d\d \d\d:\d\d"
    headline = re.escape("CANARY   10 % of visitors to v2 (green) since ") + f"(?:{at})" + ", confirmed by the proxy"
    assert re.match(headline, " ".join(answer.out.split()).replace("CANARY ", "CANARY   ", 1)), answer.out
    assert "LIVE     90 % of visitors to v1; who is on v2 stays on it" in answer.out
    assert "bluegreen canary 25   25 % of visitors to v2" in answer.out
    assert "bluegreen rollback" in answer.out
    assert "NOTHING TO DO  10 % of visitors to v2 (green)" in bg("canary", "10").out
    status = bg("status")
    assert re.search(f"CANARY   v2  release 2  green +10 % of visitors since (?:{at})\n", status.out), status.out
    assert "         90 % of visitors\n" in status.out
    history = bg("history").out
    assert "candidate 10 %" in history

    refused = bg("deploy", "v3")
    assert "REFUSED  10 % of visitors are on the candidate v2" in refused.err
    assert "bluegreen abort " in refused.err
    all_of_them = bg("canary", "100")
    assert (all_of_them.code, "bluegreen promote" in all_of_them.err) == (2, True)
    assert bg("canary", "ten").code == 2

    back = bg("rollback", "--reason", "500s")
    assert back.err.startswith("shop  v2 (green, 10 % of visitors) -> v1 (blue, live)")
    assert re.match(r"ROLLED BACK in [\dm.]+s   all visitors on v1 since \d\d:\d\d:\d\d\.\d{3}\n", back.out), back.out
    assert "v2 is now marked bad, and stays as a candidate at 0 %; v1 was not touched." in back.out
    assert "bluegreen abort " in back.out
    again = bg("rollback")
    assert (again.code, "v2 was taken back already (500s)" in again.err.replace("\n         ", " ")) == (3, True)
    why = bg("why").out
    assert "WHY      500s" in why
    assert re.search(f"SHARES   10 % at (?:{at}), 0 % at (?:{at})", why), why
    bg("canary", "5")
    aborted = bg("abort").out
    assert "ABORTED  v2 has lost its 5 % of visitors; the candidate is removed" in aborted
    for answered in (answer, status, refused, back, again, bg("canary")):
        assert not answered.wide
    world.check_clean()


@pytest.mark.usefixtures("file")
def test_what_a_share_can_show_is_explained_beforehand(bg: Program, world: World) -> None:
    bg("deploy", "v1")
    quiet = bg("canary", "--explain")
    assert "the access log has no request" in quiet.out
    assert "there are no new clients now" in quiet.out
    now = world.nginx.clock.now()
    for number in range(3 * 1200):  # three new ones a second, for twenty minutes
        ended = now - 1200 + number / 3
        world.nginx.log(LINE % (ended, number // 250, number % 250))
    explained = bg("canary", "--explain")
    assert re.search(
        r"10 %     184 clean clients needed for 'below 2 %'; at (3|2.99|3.0\d) new clients a second and", explained.out
    )
    assert "about 10 minutes" in explained.out
    assert "taken back at 3 clients with errors while live has none" in explained.out
    assert not explained.wide
    data = bg("canary", "25", "--explain", "--json").data
    assert set(data) == {"project", "clients_per_second", "requests", "warning", "steps", "notices"}
    assert [step["share"] for step in data["steps"]] == [25]
    assert data["steps"][0]["clean_needed"] == 184
    assert 230 < data["steps"][0]["seconds_to_pass"] < 260


@pytest.mark.usefixtures("file")
def test_a_canary_by_itself_without_traffic(bg: Program, world: World) -> None:
    for words in (["--hold", "1s"], ["--canary", "25,5"], ["--canary", "0,5"], ["--canary", "5,100"]):
        assert bg("deploy", "v1", *words).code == 2
    assert bg("deploy", "v1", "--canary", "5", "--stage").code == 2
    first = bg("deploy", "v1", "--canary", "5,50")
    assert (first.code, "LIVE     v1 has all visitors" in first.out) == (0, True), first
    assert "nothing to compare v1 with" in first.err
    held = bg("deploy", "v2", "--canary", "5,50", "--hold", "50ms")
    assert held.code == 6
    assert "INCONCLUSIVE" in held.out
    assert "v2 keeps its 5 % of visitors until you say otherwise" in held.out
    assert "bluegreen canary --explain" in held.out
    assert not first.wide
    assert not held.wide
    bg("abort")
    answer = bg("deploy", "v2", "--canary", "5,50", "--hold", "50ms", "--json")
    assert answer.document["outcome"] == "inconclusive"
    assert answer.document["errors"][0]["code"] == "canary.inconclusive"
    assert set(answer.data) == DEPLOY
    assert set(answer.data["canary"]) == {"outcome", "share", "steps", "against", "harm", "ms"}
    assert set(answer.data["canary"]["steps"][0]) == {"share", "outcome", "seconds", "verdict"}
    assert answer.data["candidate"]["share"] == 5
    world.check_clean()
