"""What every engine must do, as `bluegreen.engine.protocol` says it: seeing, and keeping containers."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace

import pytest

from bluegreen.engine.behaviour import Behaviour
from bluegreen.engine.protocol import Engine
from bluegreen.model import labels
from bluegreen.model.containers import Attachment, CloneSpec, ContainerSpec
from bluegreen.model.errors import EngineConflict, EngineFailed, NotFound
from bluegreen.model.project import File
from tests.contract.conftest import Ground
from tests.support import eventually, free_port

ENDS_WITH_3 = ("exit 3", Behaviour(exits=3))


# -- observing ---------------------------------------------------------------------------------------------
def test_a_projects_containers_are_listed_by_name_whether_they_run_or_not(ground: Ground) -> None:
    ground.run("b")
    ground.engine.create(ground.spec("a"))
    ground.engine.create(replace(ground.spec("other"), labels={labels.PROJECT: ground.name("else")}))
    try:
        found = ground.engine.containers(ground.project)
        assert [(c.name, c.state) for c in found] == [(ground.name("a"), "created"), (ground.name("b"), "running")]
        assert ground.name("other") in [c.name for c in ground.engine.containers()]
    finally:
        ground.engine.remove(ground.name("other"))


def test_a_listed_container_has_its_labels_and_those_of_its_image(ground: Ground) -> None:
    ground.engine.create(ground.spec(release=7))
    (found,) = ground.engine.containers(ground.project)
    assert (found.project, found.release, found.role) == (ground.project, 7, "slot")
    assert found.labels["colour"] == "blue"
    image = ground.engine.image(ground.image)
    assert image is not None
    assert found.image == image.id


def test_the_containers_of_compose_are_foreign_until_they_are_ours(ground: Ground) -> None:
    theirs = replace(ground.spec("theirs"), labels={labels.COMPOSE_PROJECT: ground.project})
    ours = ground.spec("ours")
    ours = replace(ours, labels={**ours.labels, labels.COMPOSE_PROJECT: ground.project})
    ground.engine.create(theirs)
    ground.engine.create(ours)
    assert [c.name for c in ground.engine.foreign_containers(ground.project)] == [ground.name("theirs")]


def test_a_container_that_ended_tells_its_exit_code(ground: Ground) -> None:
    name = ground.run("one", *ENDS_WITH_3)
    assert ground.engine.wait(name, 10) == 3
    (listed,) = ground.engine.containers(ground.project)
    assert (listed.state, listed.exit_code) == ("exited", 3)
    inspected = ground.engine.container(name).container
    assert (inspected.state, inspected.exit_code, inspected.running) == ("exited", 3, False)


def test_a_container_that_never_ran_has_no_exit_code(ground: Ground) -> None:
    ground.engine.create(ground.spec())
    assert ground.engine.containers(ground.project)[0].exit_code is None
    assert ground.engine.container(ground.name("one")).container.exit_code is None


@pytest.mark.parametrize(("test", "health"), [("true", "healthy"), ("false", "unhealthy")])
def test_dockers_own_health_is_told(ground: Ground, test: str, health: str) -> None:
    check = {"Test": ["CMD", test], "Interval": 200_000_000, "Timeout": 10**9, "Retries": 1}
    behaviour = Behaviour(health="healthy" if health == "healthy" else "unhealthy")
    name = ground.run("one", behaviour=behaviour, body={"Healthcheck": check})
    eventually(lambda: ground.engine.container(name).container.health == health, what=f"{name} {health}")
    assert ground.engine.containers(ground.project)[0].health == health
    ground.engine.stop(name, 0)
    assert ground.engine.containers(ground.project)[0].health is None


def test_without_a_health_check_there_is_no_health(ground: Ground) -> None:
    name = ground.run()
    assert ground.engine.containers(ground.project)[0].health is None
    assert ground.engine.container(name).container.health is None


def test_an_inspection_tells_policy_limit_and_volumes(ground: Ground) -> None:
    volume = {"Type": "volume", "Source": ground.name("data"), "Target": "/data"}
    ground.engine.create(ground.spec(restart="on-failure:3", host={"Memory": 64 << 20, "Mounts": [volume]}))
    details = ground.engine.container(ground.name("one"))
    assert details.restart_policy == "on-failure:3"
    assert details.memory_limit == 64 << 20
    assert details.mounts == (ground.name("data"),)
    assert ground.name("data") in ground.engine.volumes()


def test_a_container_killed_for_its_memory_says_so(ground: Ground) -> None:
    eats = "x=aaaaaaaa; while :; do x=$x$x; done"
    name = ground.run("one", eats, Behaviour(oom=True), host={"Memory": 8 << 20, "MemorySwap": 8 << 20})
    assert ground.engine.wait(name, 20) == 137
    assert ground.engine.container(name).oom_killed


def test_what_is_not_there_is_not_found(ground: Ground) -> None:
    engine, name = ground.engine, ground.name("nothing")
    calls: list[Callable[[], object]] = [
        lambda: engine.container(name),
        lambda: engine.logs(name),
        lambda: engine.start(name),
        lambda: engine.stop(name, 1),
        lambda: engine.set_restart(name, "no"),
        lambda: engine.rename(name, ground.name("new")),
        lambda: engine.wait(name, 1),
        lambda: engine.exec_stream(name, ["true"]),
        lambda: engine.clone(CloneSpec(ground.name("copy"), name, {}, ())),
        lambda: engine.create(ContainerSpec(name, ground.name("nothing:1"), {}, {}, ())),
        lambda: engine.tag(ground.name("nothing:1"), ground.name("x:1")),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()
    assert engine.image(ground.name("nothing:1")) is None


def test_a_missing_image_is_named(ground: Ground) -> None:
    with pytest.raises(NotFound, match="nothing:1") as caught:
        ground.engine.create(ContainerSpec(ground.name("x"), ground.name("nothing:1"), {}, {}, ()))
    assert caught.value.code == "engine.no-image"


def test_logs_have_both_streams_and_can_be_cut(ground: Ground) -> None:
    name = ground.run("one", "echo a; echo b; echo c", Behaviour(exits=0, logs=("a", "b", "c")))
    ground.engine.wait(name, 10)
    assert list(ground.engine.logs(name)) == [b"a", b"b", b"c"]
    assert list(ground.engine.logs(name, tail=2)) == [b"b", b"c"]
    assert list(ground.engine.logs(name, tail=0)) == []
    assert list(ground.engine.logs(name, follow=True)) == [b"a", b"b", b"c"]
    (stamped,) = ground.engine.logs(name, tail=1, timestamps=True)
    assert stamped.startswith(b"20")
    assert stamped.endswith(b"Z c")


@pytest.mark.engine
def test_a_long_log_line_stays_one_line_and_standard_error_is_there(ground: Ground) -> None:
    if not ground.real:
        return  # in memory nothing cuts lines into frames
    name = ground.run("one", "head -c 70000 /dev/zero | tr '\\0' x; echo; echo oops >&2; printf rest")
    eventually(lambda: ground.engine.container(name).container.state == "exited")
    assert sorted(map(len, ground.engine.logs(name))) == [4, 4, 70000]
    assert b"oops" in list(ground.engine.logs(name, since="2020-01-01T00:00:00.123456789Z"))
    assert list(ground.engine.logs(name, since="2099-01-01T00:00:00+02:00")) == []


def test_who_publishes_a_port_is_found_while_it_runs(ground: Ground) -> None:
    port = free_port()
    name = ground.run(host={"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}})
    holder = ground.engine.port_holder(port)
    assert holder is not None
    assert holder.name == name
    assert ("127.0.0.1", port, 80) in holder.ports
    ground.engine.stop(name, 0)
    assert ground.engine.port_holder(port) is None


# -- creating ----------------------------------------------------------------------------------------------
def test_creating_the_same_twice_is_creating_it_once(ground: Ground) -> None:
    network, address = ground.network()
    spec = ground.spec(networks=[Attachment(network.name, address(4), ("web",))], files={"/etc/x": File(b"1")})
    first = ground.engine.create(spec)
    assert ground.engine.create(spec) == first
    ground.engine.start(spec.name)
    assert ground.engine.create(spec) == first
    assert ground.engine.containers(ground.project)[0].running


def test_creating_another_under_a_used_name_is_a_conflict(ground: Ground) -> None:
    ground.engine.create(ground.spec(release=1))
    with pytest.raises(EngineConflict) as caught:
        ground.engine.create(ground.spec(release=2))
    assert caught.value.code == "engine.name-held"
    assert labels.RELEASE in str(caught.value)
    assert not isinstance(caught.value, NotFound)


def test_a_half_made_container_is_completed(ground: Ground) -> None:
    """As after a crash between creating it and the rest."""
    first, _ = ground.network("first")
    second, address = ground.network("second")
    spec = ground.spec(
        networks=[Attachment(first.name), Attachment(second.name, address(5))], files={"/srv/deep/x": File(b"1")}
    )
    ground.engine.create(replace(spec, networks=spec.networks[:1], files={}))
    ground.engine.create(spec)
    ground.engine.start(spec.name)
    found = ground.engine.containers(ground.project)[0]
    assert set(found.addresses) == {first.name, second.name}
    assert found.addresses[second.name] == address(5)
    assert ground.file(spec.name, "/srv/deep/x")[0] == b"1"


def test_files_have_their_owner_and_mode(ground: Ground) -> None:
    files = {"/run/secrets/key": File(b"s3cret", 0o400, 33, 33), "/etc/app/conf": File(b"", 0o644)}
    name = ground.run(files=files)
    assert ground.file(name, "/run/secrets/key") == (b"s3cret", 0o400, 33, 33)
    assert ground.file(name, "/etc/app/conf") == (b"", 0o644, 0, 0)
    assert ground.engine.container(name).container.labels[labels.FILES] == '["/etc/app/conf", "/run/secrets/key"]'


def test_files_get_into_a_read_only_container_and_are_not_hidden_by_a_tmpfs(ground: Ground) -> None:
    host = {"ReadonlyRootfs": True, "Tmpfs": {"/run": "mode=755"}}
    name = ground.run(host=host, files={"/run/secrets/key": File(b"s3cret"), "/opt/conf": File(b"x")})
    assert ground.file(name, "/run/secrets/key")[0] == b"s3cret"
    assert ground.file(name, "/opt/conf")[0] == b"x"


# -- cloning -----------------------------------------------------------------------------------------------
CONFIGURED = {
    "Env": ["A=1", "B=with spaces and $dollars", "EMPTY="],
    "User": "33:33",
    "WorkingDir": "/tmp",  # noqa: S108 - a directory that every image has
    "Labels": {"team": "tokens"},
    "StopSignal": "SIGINT",
    "StopTimeout": 7,
    "Healthcheck": {"Test": ["CMD-SHELL", "exit 0"], "Interval": 10**10},
    "ExposedPorts": {"8080/tcp": {}, "9090/tcp": {}},
    "Volumes": {"/cache": {}},
    "Tty": False,
}
LIMITED = {
    "Memory": 64 << 20,
    "NanoCpus": 500_000_000,
    "CapDrop": ["ALL"],
    "CapAdd": ["NET_BIND_SERVICE"],
    "ReadonlyRootfs": True,
    "Tmpfs": {"/run": "size=1m"},
    "Init": True,
    "ExtraHosts": ["db:10.0.0.9"],
    "PidsLimit": 50,
    "ShmSize": 8 << 20,
    "SecurityOpt": ["no-new-privileges:true"],
    "Ulimits": [{"Name": "nofile", "Soft": 512, "Hard": 1024}],
    "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
}


def test_a_clone_has_the_configuration_of_its_source(ground: Ground) -> None:
    source = ground.run(body=CONFIGURED, host=LIMITED, restart="unless-stopped", files={"/run/secrets/x": File(b"1")})
    ground.engine.set_restart(source, "no")
    ground.engine.clone(CloneSpec(ground.name("copy"), source, {labels.SLOT: "green"}, (), "unless-stopped"))
    original, copy = ground.configuration(source), ground.configuration(ground.name("copy"))
    if ground.real:
        assert copy["HostConfig"].pop("RestartPolicy") != original["HostConfig"].pop("RestartPolicy")
        assert copy["Config"].pop("Labels") == {**original["Config"].pop("Labels"), labels.SLOT: "green"}
        # Each has its own generated host name, and the clone's image is named by id.
        assert copy["Config"].pop("Hostname") != original["Config"].pop("Hostname")
        assert copy["Config"].pop("Image") == original["Image"]
        original["Config"].pop("Image")
    assert copy == original
    ground.engine.start(ground.name("copy"))
    assert ground.file(ground.name("copy"), "/run/secrets/x")[0] == b"1"


def test_a_clone_has_volumes_of_its_own_where_its_source_has_nameless_ones(ground: Ground) -> None:
    ground.engine.create(ground.spec(body={"Volumes": {"/cache": {}}}))
    ground.engine.clone(CloneSpec(ground.name("copy"), ground.name("one"), {}, ()))
    (first,) = ground.engine.container(ground.name("one")).mounts
    (second,) = ground.engine.container(ground.name("copy")).mounts
    assert first != second


def test_a_clone_runs_the_image_of_its_source_even_when_the_tag_has_moved(ground: Ground) -> None:
    tag = ground.name("app:1")
    ground.engine.tag(ground.image, tag)
    ground.engine.create(replace(ground.spec(), image=tag))
    if ground.real:
        ground.engine.remove_image(tag)
    else:
        ground.memory.add_image(tag, id="sha256:other")
    ground.engine.clone(CloneSpec(ground.name("copy"), ground.name("one"), {}, ()))
    images = {c.image for c in ground.engine.containers(ground.project)}
    assert len(images) == 1


def test_an_entry_point_that_was_taken_away_stays_away_in_a_clone(ground: Ground) -> None:
    ground.engine.create(ground.spec(body={"Entrypoint": [""]}))
    ground.engine.clone(CloneSpec(ground.name("copy"), ground.name("one"), {}, ()))
    ground.engine.start(ground.name("copy"))
    assert ground.engine.container(ground.name("copy")).container.running


def test_cloning_is_idempotent_and_minds_the_name(ground: Ground) -> None:
    network, address = ground.network()
    ground.engine.create(ground.spec(files={"/etc/x": File(b"1")}))
    wanted = CloneSpec(
        ground.name("copy"), ground.name("one"), {labels.SLOT: "blue"}, (Attachment(network.name, address(6)),)
    )
    assert ground.engine.clone(wanted) == ground.engine.clone(wanted)
    with pytest.raises(EngineConflict):
        ground.engine.clone(replace(wanted, labels={labels.SLOT: "green"}))


# -- starting, stopping ------------------------------------------------------------------------------------
def test_starting_and_stopping_are_idempotent(ground: Ground) -> None:
    name = ground.run()
    ground.engine.start(name)
    assert ground.engine.container(name).container.running
    ground.engine.stop(name, 0)
    ground.engine.stop(name, 0)
    assert not ground.engine.container(name).container.running
    ground.engine.start(name)
    assert ground.engine.container(name).container.running


def test_stopping_what_never_ran_changes_nothing(ground: Ground) -> None:
    ground.engine.create(ground.spec())
    ground.engine.stop(ground.name("one"), 0)
    assert ground.engine.container(ground.name("one")).container.state == "created"


def test_a_command_that_does_not_exist_is_said_in_words(ground: Ground) -> None:
    ground.engine.create(
        ground.spec(behaviour=Behaviour(cannot_start="the command 'nope' was not found in the image"),
                    body={"Cmd": ["nope"]})
    )  # fmt: skip
    with pytest.raises(EngineFailed, match="'nope' was not found in the image") as caught:
        ground.engine.start(ground.name("one"))
    assert caught.value.code == "engine.cannot-start"


def test_a_port_held_by_a_container_names_it(ground: Ground) -> None:
    port = free_port()
    host = {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": str(port)}]}}
    holder = ground.run("holder", host=host)
    with pytest.raises(EngineFailed, match=f"port {port} is held by the container {holder}") as caught:
        ground.run("late", host=host)
    assert caught.value.code == "engine.port-held"
    ground.engine.stop(holder, 0)
    ground.engine.start(ground.name("late"))
    assert ground.engine.container(ground.name("late")).container.running


def test_a_port_held_by_a_process_names_it(ground: Ground) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("0.0.0.0", 0))
        sock.listen()
        port = sock.getsockname()[1]
        if not ground.real:
            ground.memory.processes[port] = "python (pid 1)"
        with pytest.raises(EngineFailed, match=rf"port {port} is held by the process \S+ \(pid \d+\)") as caught:
            ground.run(host={"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": str(port)}]}})
    assert caught.value.code == "engine.port-held"


def test_a_fixed_address_survives_a_restart_and_others_don_t_get_it(ground: Ground) -> None:
    network, address = ground.network()
    name = ground.run("one", networks=[Attachment(network.name, address(9))])
    ground.run("two", networks=[Attachment(network.name)])
    for _ in range(2):
        found = {c.name: c.addresses[network.name] for c in ground.engine.containers(ground.project)}
        assert found[name] == address(9) != found[ground.name("two")]
        ground.engine.stop(name, 0)
        assert ground.engine.container(name).container.addresses == {network.name: ""}
        ground.engine.start(name)


def test_a_held_address_is_a_conflict_that_names_the_holder(ground: Ground) -> None:
    network, address = ground.network()
    holder = ground.run("holder", networks=[Attachment(network.name, address(9))])
    with pytest.raises(EngineConflict, match=holder) as caught:
        ground.run("late", networks=[Attachment(network.name, address(9))])
    assert caught.value.code == "engine.address-held"


def test_the_restart_policy_can_be_changed(ground: Ground) -> None:
    name = ground.run(restart="unless-stopped")
    for policy in ("no", "on-failure:2", "always", "always", "unless-stopped"):
        ground.engine.set_restart(name, policy)
        assert ground.engine.container(name).restart_policy == policy


def test_what_ends_by_itself_is_restarted_by_its_policy_and_stopped_for_good(ground: Ground) -> None:
    name = ground.run("again", *ENDS_WITH_3, restart="unless-stopped")
    eventually(lambda: ground.engine.container(name).restarts >= 2, what="two restarts")
    ground.engine.stop(name, 0)
    assert ground.engine.container(name).container.state == "exited"
    once = ground.run("once", *ENDS_WITH_3)
    ground.engine.wait(once, 10)
    assert ground.engine.container(once).restarts == 0


def test_waiting_ends_at_its_deadline(ground: Ground) -> None:
    with pytest.raises(EngineFailed, match=r"0\.2 s") as caught:
        ground.engine.wait(ground.run(), 0.2)
    assert caught.value.code == "engine.timeout"


def test_every_engine_is_one(ground: Ground) -> None:
    engine: Engine = ground.engine
    info = engine.info()
    assert info.processors >= 1
    assert info.memory > 0
    assert ground.engine.public == "localhost"
    assert info.api >= "1.41"


def test_a_container_tells_the_memory_that_it_uses_while_it_runs(ground: Ground) -> None:
    name = ground.run("one")
    used = ground.engine.memory(name)
    assert used is not None
    assert 1 << 14 < used < 1 << 30
    ground.engine.stop(name, 0)
    assert ground.engine.memory(name) is None
