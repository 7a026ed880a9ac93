"""What every engine must do: names, execs, networks, volumes, images and builds."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from bluegreen.engine.protocol import BuildRequest
from bluegreen.model import labels
from bluegreen.model.containers import Attachment
from bluegreen.model.errors import BuildFailed, EngineConflict, EngineFailed, NotFound
from bluegreen.model.project import Build, Network, Volume
from tests.contract.conftest import Ground
from tests.support import base_image, eventually


# -- renaming, removing ------------------------------------------------------------------------------------
def test_a_running_container_can_be_renamed(ground: Ground) -> None:
    network, address = ground.network()
    name = ground.run(networks=[Attachment(network.name, address(3))])
    ground.engine.rename(name, ground.name("kept"))
    (found,) = ground.engine.containers(ground.project)
    assert (found.name, found.running) == (ground.name("kept"), True)
    assert found.addresses == {network.name: address(3)}
    ground.engine.create(ground.spec())  # the old name is free


def test_renaming_to_a_used_name_is_a_conflict(ground: Ground) -> None:
    ground.engine.create(ground.spec("one"))
    ground.engine.create(ground.spec("two"))
    with pytest.raises(EngineConflict) as caught:
        ground.engine.rename(ground.name("one"), ground.name("two"))
    assert not isinstance(caught.value, NotFound)
    assert {c.name for c in ground.engine.containers(ground.project)} == {ground.name("one"), ground.name("two")}


def test_removing_takes_what_runs_and_its_nameless_volumes_and_is_idempotent(ground: Ground) -> None:
    named = {"Type": "volume", "Source": ground.name("data"), "Target": "/data"}
    name = ground.run(body={"Volumes": {"/cache": {}}}, host={"Mounts": [named]})
    mounts = set(ground.engine.container(name).mounts)
    ground.engine.remove(name)
    ground.engine.remove(name)
    assert ground.engine.containers(ground.project) == []
    assert mounts & set(ground.engine.volumes()) == {ground.name("data")}


# -- execs -------------------------------------------------------------------------------------------------
def test_an_exec_answers_line_by_line(ground: Ground) -> None:
    stream = ground.engine.exec_stream(ground.run(), ground.echo())
    for line in (b"one", b"x" * 70_000, b"\xc3\xa9"):
        stream.send(line + b"\n")
        assert stream.receive(10) == b"got " + line
    stream.close()
    stream.close()
    with pytest.raises(EngineFailed):
        stream.send(b"more\n")


def test_an_exec_that_is_silent_times_out_and_goes_on(ground: Ground) -> None:
    stream = ground.engine.exec_stream(ground.run(), ground.echo())
    with pytest.raises(EngineFailed) as caught:
        stream.receive(0.1)
    assert caught.value.code == "engine.timeout"
    stream.send(b"late\n")
    assert stream.receive(10) == b"got late"
    stream.close()


def test_an_exec_ends_with_its_container(ground: Ground) -> None:
    name = ground.run()
    stream = ground.engine.exec_stream(name, ground.echo())
    stream.send(b"one\n")
    assert stream.receive(10) == b"got one"
    ground.engine.remove(name)
    assert stream.receive(10) == b""
    stream.close()


def test_nothing_runs_in_a_stopped_container(ground: Ground) -> None:
    ground.engine.create(ground.spec())
    with pytest.raises(EngineConflict) as caught:
        ground.engine.exec_stream(ground.name("one"), ground.echo())
    assert not isinstance(caught.value, NotFound)


@pytest.mark.engine
def test_an_exec_has_errors_an_end_and_an_end_of_its_input(ground: Ground) -> None:
    if not ground.real:
        return  # in memory a function answers, not a process
    name = ground.run()
    stream = ground.engine.exec_stream(name, ["sh", "-c", "echo early; echo oops >&2; printf rest"])
    assert [stream.receive(10) for _ in range(3)] == [b"early", b"rest", b""]
    assert stream.errors() == "oops\n"
    stream.close()

    missing = ground.engine.exec_stream(name, ["nope"])
    with pytest.raises(EngineFailed, match="'nope' was not found") as caught:
        missing.receive(10)
    assert caught.value.code == "engine.cannot-start"
    missing.close()

    waiting = ground.engine.exec_stream(name, ["sh", "-c", "cat; touch /tmp/ended"])
    waiting.send(b"hello\n")
    assert waiting.receive(10) == b"hello"
    waiting.close()
    eventually(lambda: _exists(ground, name, "/tmp/ended"), what="the end of its input")  # noqa: S108 - in a container


def _exists(ground: Ground, container: str, path: str) -> bool:
    stream = ground.engine.exec_stream(container, ["sh", "-c", f"test -e {path} && echo yes || echo no"])
    answer = stream.receive(10)
    stream.close()
    return answer == b"yes"


# -- networks ----------------------------------------------------------------------------------------------
def test_a_network_is_created_once_with_its_subnet_and_labels(ground: Ground) -> None:
    network, _ = ground.network()
    ground.engine.ensure_network(network, {labels.PROJECT: ground.project})
    (found,) = [n for n in ground.engine.networks() if n.name == network.name]
    assert found.labels[labels.PROJECT] == ground.project
    assert network.ipam is not None
    assert found.subnets == (network.ipam["Config"][0]["Subnet"],)


def test_a_subnet_that_overlaps_is_a_conflict(ground: Ground) -> None:
    network, _ = ground.network()
    with pytest.raises(EngineConflict) as caught:
        ground.engine.ensure_network(Network(ground.name("other"), ipam=network.ipam), {})
    assert caught.value.code == "engine.subnet-held"


def test_a_network_without_a_subnet_gets_one(ground: Ground) -> None:
    ground.engine.ensure_network(Network(ground.name("plain")), {})
    name = ground.run(networks=[Attachment(ground.name("plain"), None, ("web",))])
    assert ground.engine.container(name).container.addresses[ground.name("plain")] != ""


def test_what_is_external_must_exist_and_is_left_alone(ground: Ground) -> None:
    with pytest.raises(NotFound):
        ground.engine.ensure_network(Network(ground.name("theirs"), external=True), {})
    with pytest.raises(NotFound):
        ground.engine.ensure_volume(Volume(ground.name("theirs"), external=True), {})
    ground.engine.ensure_network(Network(ground.name("theirs")), {})
    ground.engine.ensure_volume(Volume(ground.name("theirs")), {})
    ground.engine.ensure_network(Network(ground.name("theirs"), external=True), {})
    ground.engine.ensure_volume(Volume(ground.name("theirs"), external=True), {})


def test_connecting_is_idempotent_and_can_move_an_address(ground: Ground) -> None:
    network, address = ground.network()
    first, _ = ground.network("first")
    name = ground.run(networks=[Attachment(first.name)])
    for wanted in (address(4), address(4), address(5)):
        ground.engine.connect(network.name, name, wanted, ("web",))
        assert ground.engine.container(name).container.addresses[network.name] == wanted
    ground.engine.connect(network.name, name)
    assert ground.engine.container(name).container.addresses[network.name] == address(5)
    ground.engine.stop(name, 0)
    ground.engine.connect(network.name, name, address(6))
    ground.engine.start(name)
    assert ground.engine.container(name).container.addresses[network.name] == address(6)


def test_connecting_to_a_held_address_is_a_conflict(ground: Ground) -> None:
    network, address = ground.network()
    holder = ground.run("holder", networks=[Attachment(network.name, address(4))])
    ground.run("late")
    with pytest.raises(EngineConflict, match=holder):
        ground.engine.connect(network.name, ground.name("late"), address(4))


def test_connecting_needs_both(ground: Ground) -> None:
    network, _ = ground.network()
    ground.engine.create(ground.spec())
    with pytest.raises(NotFound):
        ground.engine.connect(network.name, ground.name("nothing"))
    with pytest.raises(NotFound):
        ground.engine.connect(ground.name("nothing"), ground.name("one"))


def test_a_network_in_use_stays_and_says_who_uses_it(ground: Ground) -> None:
    network, _ = ground.network()
    name = ground.run(networks=[Attachment(network.name)])
    with pytest.raises(EngineConflict, match=name):
        ground.engine.remove_network(network.name)
    ground.engine.remove(name)
    ground.engine.remove_network(network.name)
    ground.engine.remove_network(network.name)
    assert network.name not in [n.name for n in ground.engine.networks()]


@pytest.mark.engine
def test_aliases_answer_inside_their_network(ground: Ground) -> None:
    if not ground.real:
        return  # in memory nobody resolves names
    network, address = ground.network()
    ground.run("web", networks=[Attachment(network.name, address(5), ("backend",))])
    name = ground.run("asks", networks=[Attachment(network.name)])
    stream = ground.engine.exec_stream(name, ["getent", "hosts", "backend"])
    assert stream.receive(10).split()[0] == address(5).encode()
    stream.close()


# -- volumes -----------------------------------------------------------------------------------------------
def test_a_volume_is_created_once_and_removed_once(ground: Ground) -> None:
    volume = Volume(ground.name("data"), labels={"a": "b"})
    ground.engine.ensure_volume(volume, {labels.PROJECT: ground.project})
    ground.engine.ensure_volume(volume, {labels.PROJECT: ground.project})
    assert ground.engine.volumes().count(volume.name) == 1
    ground.engine.remove_volume(volume.name)
    ground.engine.remove_volume(volume.name)
    assert volume.name not in ground.engine.volumes()


def test_a_project_s_volumes_are_those_that_it_or_compose_labelled(ground: Ground) -> None:
    ground.engine.ensure_volume(Volume(ground.name("ours")), {labels.PROJECT: ground.project})
    ground.engine.ensure_volume(Volume(ground.name("composes")), {labels.COMPOSE_PROJECT: ground.project})
    ground.engine.ensure_volume(Volume(ground.name("alike")), {labels.PROJECT: ground.name("other")})
    assert ground.engine.volumes(ground.project) == [ground.name("composes"), ground.name("ours")]


def test_a_volume_in_use_stays_and_says_who_uses_it(ground: Ground) -> None:
    ground.engine.create(ground.spec(host={"Binds": [f"{ground.name('data')}:/data"]}))
    with pytest.raises(EngineConflict, match=ground.name("one")):
        ground.engine.remove_volume(ground.name("data"))
    assert ground.name("data") in ground.engine.volumes()


# -- images ------------------------------------------------------------------------------------------------
def test_an_image_is_found_by_tag_and_id(ground: Ground) -> None:
    image = ground.engine.image(ground.image)
    assert image is not None
    assert 8080 in image.exposed
    assert image.labels["colour"] == "blue"
    assert ground.image in image.tags
    assert ground.engine.image(image.id) == image


def test_tagging_is_idempotent_and_removing_takes_one_tag_at_a_time(ground: Ground) -> None:
    first, second = ground.name("a/b:r1"), ground.name("a/b:r2")
    for tag in (first, first, second):
        ground.engine.tag(ground.image, tag)
    (found,) = ground.engine.images(ground.name("a/"))
    assert {first, second} <= set(found.tags)
    assert ground.engine.remove_image(first)
    assert not ground.engine.remove_image(first)
    assert ground.engine.image(first) is None
    assert ground.engine.image(second) is not None


def test_the_last_tag_of_an_image_in_use_stays(ground: Ground, context: Path) -> None:
    tag = ground.name("own:1")
    ground.engine.build(_request(ground, context, tag), lambda _: None)
    spec = ground.spec()
    ground.engine.create(type(spec)(spec.name, tag, spec.body, spec.labels, ()))
    assert not ground.engine.remove_image(tag)
    ground.engine.remove(spec.name)
    assert ground.engine.remove_image(tag)
    assert ground.engine.image(tag) is None


def test_what_no_registry_has_cannot_be_pulled(ground: Ground) -> None:
    with pytest.raises(EngineFailed, match="nothing:1"):
        ground.engine.pull("registry.invalid/nothing:1", lambda _: None)


# -- building ----------------------------------------------------------------------------------------------
def _request(
    ground: Ground, context: Path, *tags: str, text: str = "COPY page /page", **fields: object
) -> BuildRequest:
    del ground
    inline = f"ARG BASE\nFROM ${{BASE}}\n{text}\n"
    build = Build(context, dockerfile_inline=inline, args=(("BASE", base_image("NGINX_IMAGE")),))
    return BuildRequest(context, build, tags, {labels.SOURCE: f"digest of {context}"}, **fields)  # type: ignore[arg-type] # the keyword arguments of the dataclass


def test_a_build_has_all_its_tags_and_labels_and_is_repeatable(ground: Ground, context: Path) -> None:
    first, second = ground.name("app:1"), ground.name("other:1")
    lines: list[str] = []
    built = ground.engine.build(_request(ground, context, first, second), lines.append)
    image = ground.engine.image(first)
    assert image is not None
    assert image.id == built
    assert {first, second} <= set(image.tags)
    assert image.labels[labels.SOURCE] == f"digest of {context}"
    assert lines
    assert ground.engine.build(_request(ground, context, first, second), lines.append) == built


@pytest.mark.engine
@pytest.mark.parametrize("builder", ["classic", "chosen"])
def test_a_failing_build_tells_the_step_and_its_last_lines(
    ground: Ground, context: Path, builder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not ground.real:
        return  # in memory builds run no steps
    if builder == "classic":
        monkeypatch.setenv("BG_BUILDER", "classic")
    request = _request(ground, context, ground.name("bad:1"), text="RUN echo almost; exit 5")
    with pytest.raises(BuildFailed, match="RUN echo almost; exit 5`: exit code 5") as caught:
        ground.engine.build(request, lambda _: None)
    assert caught.value.code == "build.failed"
    assert caught.value.log == ("almost",)
    assert ground.engine.image(ground.name("bad:1")) is None


@pytest.mark.engine
def test_the_classic_builder_says_what_it_cannot_do(
    ground: Ground, context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not ground.real:
        return  # in memory builds run no steps
    monkeypatch.setenv("BG_BUILDER", "classic")
    request = _request(ground, context, ground.name("bad:1"), text="RUN --mount=type=cache,target=/c true")
    with pytest.raises(BuildFailed, match="RUN --mount needs BuildKit") as caught:
        ground.engine.build(request, lambda _: None)
    assert caught.value.code == "build.needs-buildkit"
    assert caught.value.problem.where == "dockerfile_inline:3"


@pytest.mark.engine
@pytest.mark.parametrize("builder", ["classic", "chosen"])
def test_a_build_ends_when_it_is_stopped(
    ground: Ground, context: Path, builder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not ground.real:
        return  # in memory builds take no time
    if builder == "classic":
        monkeypatch.setenv("BG_BUILDER", "classic")
    stop = threading.Event()

    def line(text: str) -> None:
        if "sleep" in text:
            stop.set()

    request = _request(ground, context, ground.name("slow:1"), text="RUN sleep 600", stop=stop)
    with pytest.raises(BuildFailed) as caught:
        ground.engine.build(request, line)
    assert caught.value.code == "build.stopped"


def test_a_build_that_fails_in_memory_fails_as_it_was_told(ground: Ground, context: Path) -> None:
    if ground.real:
        return  # the real ones are above
    ground.memory.builds[context] = BuildFailed("build.failed", "no")
    with pytest.raises(BuildFailed, match="no"):
        ground.engine.build(_request(ground, context, ground.name("x:1")), lambda _: None)
