"""The effect of each kind of step on the engine and on the operator's side. Each can be repeated."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bluegreen.engine.protocol import Engine
from bluegreen.execution.readiness import await_overtaken, await_ready, probe_replicas
from bluegreen.model.errors import BluegreenError, NotFound, SmokeFailed, Unhealthy, without_passwords
from bluegreen.model.events import Event, Sink
from bluegreen.model.value import dataclass
from bluegreen.planning import steps

if TYPE_CHECKING:
    from bluegreen.execution.executor import Session

SAVED_LINES = 2000
SMOKE_COMMAND_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Workplace:
    """What effects work with."""

    engine: Engine
    session: Session | None
    preview: Callable[[], tuple[str, str]] | None  # the preview listener's address and token
    emit: Sink
    pause: Callable[[float], None]
    clock: Callable[[], float]


def _network(at: Workplace, step: steps.EnsureNetwork) -> None:
    at.engine.ensure_network(step.network, step.labels)


def _volume(at: Workplace, step: steps.EnsureVolume) -> None:
    at.engine.ensure_volume(step.volume, step.labels)


def _keep_image(at: Workplace, step: steps.KeepImage) -> None:
    at.engine.tag(step.image, step.ref)


def _create(at: Workplace, step: steps.CreateContainer) -> None:
    at.engine.create(step.spec)


def _clone(at: Workplace, step: steps.CloneContainer) -> None:
    at.engine.clone(step.spec)


def _start(at: Workplace, step: steps.StartContainer) -> None:
    if step.restart is not None:
        at.engine.set_restart(step.name, step.restart)
    at.engine.start(step.name)


def _start_worker(at: Workplace, step: steps.StartWorker) -> None:
    """Somebody has removed its container: nothing can start it, and nothing that comes after depends on it."""
    try:
        _start(at, step)
    except NotFound:
        gone = "its container is gone, so it can't be started; bg status goes on saying so"
        at.emit(Event("notice", "start", step.name, gone))


def _stop(at: Workplace, step: steps.StopContainer) -> None:
    try:
        at.engine.set_restart(step.id, "no")
        at.engine.stop(step.id, step.grace)
    except NotFound:
        return  # what is gone does not run


def _keep(at: Workplace, step: steps.KeepContainer) -> None:
    at.engine.set_restart(step.id, "no")
    at.engine.stop(step.id, step.grace)
    _rename(at, step)


def _rename(at: Workplace, step: steps.RenameContainer | steps.KeepContainer) -> None:
    if at.engine.container(step.id).container.name != step.new:
        at.engine.rename(step.id, step.new)


def _remove(at: Workplace, step: steps.RemoveContainer) -> None:
    at.engine.remove(step.id)


def _job(at: Workplace, step: steps.RunJob) -> None:
    at.engine.start(step.name)
    code = at.engine.wait(step.name, step.timeout)
    if code != 0:
        lines = tuple(line.decode(errors="replace") for line in at.engine.logs(step.name, tail=10))
        raise Unhealthy(
            "job.failed",
            f"the job {step.service} exited with code {code}",
            service=step.service,
            why=f"the job exited with code {code}",
            logs=lines,
        )


def _await(at: Workplace, step: steps.AwaitReady) -> None:
    await_ready(at.engine, step, at.pause, at.clock)


def _probe(at: Workplace, step: steps.ProbeReplicas) -> None:
    assert at.session is not None  # noqa: S101 - a probe goes through the proxy
    probe_replicas(at.engine, at.session, step, at.pause, at.clock)


def _await_overtaken(at: Workplace, step: steps.AwaitOvertaken) -> None:
    assert at.session is not None  # noqa: S101 - the journal is on the proxy's side
    await_overtaken(at.session, step, at.pause, at.clock)


def _save_logs(at: Workplace, step: steps.SaveLogs) -> None:
    assert at.session is not None  # noqa: S101 - logs are saved in the proxy's volume
    for name in step.names:
        try:
            lines = list(at.engine.logs(name, tail=SAVED_LINES))
        except NotFound:
            continue
        text = b"\n".join(lines).decode(errors="replace")
        try:
            at.session.run([{"op": "put", "path": f"{step.folder}/{name}.log", "text": text, "append": False}])
        except BluegreenError as error:
            # Logs are a help, not a duty: a full volume must not keep the candidate in place.
            at.emit(Event("notice", "save-logs", name, f"its last output could not be saved: {error}"))


def _smoke_command(at: Workplace, step: steps.SmokeCommand) -> None:
    import subprocess

    assert at.preview is not None  # noqa: S101 - the app hands it in with every deploy
    url, token = at.preview()
    env: Mapping[str, str] = {
        **os.environ,
        "BG_PREVIEW_URL": url,
        "BG_PREVIEW_TOKEN": token,
        "BG_SLOT": step.slot,
        "BG_SMOKE_COMMAND": step.command.text,
    }
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", 'eval "$BG_SMOKE_COMMAND"'],  # where a list of processes does not show its variables
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SMOKE_COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SmokeFailed(
            "smoke.timeout", f"{step.command}: not done within {SMOKE_COMMAND_SECONDS} s", where="x-bluegreen.smoke"
        ) from error
    lines = done.stdout.decode(errors="replace").splitlines()
    for line in lines[-200:]:
        at.emit(Event("progress", "smoke", step.subject, line.replace(token, "[token]")))
    if done.returncode != 0:
        tail = "\n".join(line.replace(token, "[token]") for line in lines[-5:])
        failed = SmokeFailed(
            "smoke.failed",
            f"{step.command} exited with code {done.returncode}\n{tail}".rstrip(),
            where="x-bluegreen.smoke",
        )
        failed.quoted = without_passwords(tail)
        raise failed


def _remove_image(at: Workplace, step: steps.RemoveImage) -> None:
    at.engine.remove_image(step.ref)


def _remove_network(at: Workplace, step: steps.RemoveNetwork) -> None:
    at.engine.remove_network(step.name)


def _remove_volume(at: Workplace, step: steps.RemoveVolume) -> None:
    at.engine.remove_volume(step.name)


EFFECTS: Mapping[type[steps.Step], Callable[[Workplace, Any], None]] = {
    steps.EnsureNetwork: _network,
    steps.EnsureVolume: _volume,
    steps.KeepImage: _keep_image,
    steps.CreateContainer: _create,
    steps.CloneContainer: _clone,
    steps.StartContainer: _start,
    steps.StartWorker: _start_worker,
    steps.StopContainer: _stop,
    steps.KeepContainer: _keep,
    steps.RenameContainer: _rename,
    steps.RemoveContainer: _remove,
    steps.RunJob: _job,
    steps.AwaitReady: _await,
    steps.ProbeReplicas: _probe,
    steps.AwaitOvertaken: _await_overtaken,
    steps.SaveLogs: _save_logs,
    steps.SmokeCommand: _smoke_command,
    steps.RemoveImage: _remove_image,
    steps.RemoveNetwork: _remove_network,
    steps.RemoveVolume: _remove_volume,
}
"""Dispatch by type; a test checks that every kind of step that is not the proxy's has its effect."""
