"""The kinds of step. A plan is data: the dry run prints it, the journal names it, tests compare it.

A step says *what*, completely; `execution` makes no choices. Every step can be repeated after a crash in its
middle. ``cause`` is the reason a person reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import ClassVar

from bluegreen.model.containers import CloneSpec, ContainerSpec
from bluegreen.model.names import Slot
from bluegreen.model.project import HealthCheck, Network, Route, Script, Volume
from bluegreen.model.value import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    verb: ClassVar[str] = ""
    phase: ClassVar[str] = ""  # the line of the screen it counts towards
    cause: str = ""

    @property
    def subject(self) -> str:
        return ""

    def __str__(self) -> str:
        cause = f"  ({self.cause})" if self.cause else ""
        return f"{self.verb} {self.subject}{cause}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Named(Step):
    """A step about one thing on the engine, by its name."""

    name: str

    @property
    def subject(self) -> str:
        return self.name


# -- the ground ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureNetwork(Step):
    verb = "network"
    phase = "prepare"
    network: Network
    labels: Mapping[str, str] = field(repr=False)

    @property
    def subject(self) -> str:
        return self.network.name


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureVolume(Step):
    verb = "volume"
    phase = "prepare"
    volume: Volume
    labels: Mapping[str, str] = field(repr=False)

    @property
    def subject(self) -> str:
        return self.volume.name


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepImage(Step):
    """Hold a tag of bluegreen's own on an image."""

    verb = "keep-image"
    phase = "prepare"
    image: str
    ref: str

    @property
    def subject(self) -> str:
        return self.ref


# -- containers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateContainer(Step):
    verb = "create"
    phase = "start"
    spec: ContainerSpec

    @property
    def subject(self) -> str:
        return self.spec.name


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneContainer(Step):
    verb = "recreate"
    phase = "start"
    spec: CloneSpec

    @property
    def subject(self) -> str:
        return f"{self.spec.name} from {self.spec.source}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartContainer(Named):
    """Give it its restart policy, then start it. ``restart`` None: it was created with the one that it is to have."""

    verb = "start"
    phase = "start"
    restart: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartWorker(StartContainer):
    phase = "workers"


@dataclass(frozen=True, slots=True, kw_only=True)
class OneContainer(Named):
    """A step that takes something from one container, and means that one: names are handed on, ids are not.

    A deploy that was overtaken between the check of its epoch and its effect must not stop the container that a
    rollback has meanwhile made under the same name.
    """

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopContainer(OneContainer):
    """Take its restart policy away, so that no engine restart revives it, then stop it."""

    verb = "stop"
    phase = "workers"
    grace: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepContainer(OneContainer):
    """Stop it and rename it by its release: it stays as the record of its configuration and environment."""

    verb = "keep"
    phase = "retire"
    new: str
    grace: float

    @property
    def subject(self) -> str:
        return f"{self.name} as {self.new}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveContainer(OneContainer):
    verb = "remove"
    phase = "retire"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameContainer(OneContainer):
    verb = "rename"
    phase = "prepare"
    new: str

    @property
    def subject(self) -> str:
        return f"{self.name} to {self.new}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJob(Named):
    """Start a job's container and wait until it has exited with 0."""

    verb = "run-job"
    phase = "start"
    service: str
    timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitReady(Step):
    """Wait until containers run and, where they define a health check, are healthy by it."""

    verb = "await"
    phase = "health"
    service: str
    names: tuple[str, ...]
    deadline: float

    @property
    def subject(self) -> str:
        return self.service


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReplicas(Step):
    """Ask every replica through the proxy until each answered well ``rise`` times in a row."""

    verb = "probe"
    phase = "health"
    service: str
    targets: Mapping[str, str]  # container name -> ip:port
    health: HealthCheck
    routes: tuple[Route, ...] = ()

    @property
    def subject(self) -> str:
        return self.service


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitOvertaken(Step):
    """Wait until the last effect of an operation that was taken over from is over: its outcome is journaled, or its
    process is gone. At most ``seconds``; going on too early is no error."""

    verb = "await"
    phase = "workers"
    operation: str
    seconds: float

    @property
    def subject(self) -> str:
        return self.operation


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveLogs(Step):
    """Keep the last output of containers that are about to be removed, for `why` and `logs`."""

    verb = "save-logs"
    phase = "restore"
    names: tuple[str, ...]
    folder: str  # below failures/

    @property
    def subject(self) -> str:
        return self.folder


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveImage(Step):
    verb = "remove-image"
    phase = "prune"
    ref: str

    @property
    def subject(self) -> str:
        return self.ref


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveNetwork(Named):
    verb = "remove-network"
    phase = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveVolume(Named):
    verb = "remove-volume"
    phase = "down"


# -- the operator's side ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeCommand(Step):
    """A command on the operator's machine, with the preview's address and token in its environment."""

    verb = "smoke"
    phase = "smoke"
    command: Script
    slot: Slot

    @property
    def subject(self) -> str:
        return self.command.written


# -- plans -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Together:
    """Steps that do not depend on each other and may run side by side."""

    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return " | ".join(str(s) for s in self.steps)


@dataclass(frozen=True, slots=True)
class Plan:
    """Ordered steps. ``str(plan)`` is the dry run."""

    steps: tuple[Step | Together, ...] = ()
    notices: tuple[str, ...] = ()

    def flat(self) -> tuple[Step, ...]:
        out: list[Step] = []
        for item in self.steps:
            out.extend(item.steps if isinstance(item, Together) else (item,))
        return tuple(out)

    def __str__(self) -> str:
        return "\n".join(f"{n:3}  {step}" for n, step in enumerate(self.steps, 1))

    def __add__(self, other: Plan) -> Plan:
        return Plan(self.steps + other.steps, self.notices + other.notices)
