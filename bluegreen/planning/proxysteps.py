"""The kinds of step on the proxy's side: the agent carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from bluegreen.model.names import Slot
from bluegreen.model.project import Force, ProxySettings, SmokeCheck
from bluegreen.model.release import Routes
from bluegreen.model.value import dataclass
from bluegreen.planning.steps import Step


class ProxyStep(Step):
    """A step that happens on the proxy's side: consecutive ones travel as one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropBack(ProxyStep):
    """Say that there is no warm way back from now on, before the standby is touched."""

    verb = "drop-back"
    phase = "retire"
    slot: Slot

    @property
    def subject(self) -> str:
        return self.slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain(ProxyStep):
    """Wait until the proxy holds no connection to these addresses, at most until the drain deadline."""

    verb = "drain"
    phase = "retire"
    slot: Slot
    addresses: tuple[str, ...]
    since: str  # when the slot lost its traffic, RFC 3339; "" means the deadline has passed
    deadline: float  # seconds after `since`

    @property
    def subject(self) -> str:
        return self.slot


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSlot(ProxyStep):
    """One health request per route, forced to a slot, through the proxy's upstreams."""

    verb = "probe"
    phase = "switch"
    slot: Slot
    requests: tuple[Mapping[str, Any], ...]

    @property
    def subject(self) -> str:
        return self.slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Activate(ProxyStep):
    """Activate a generation. Exactly one of topology and routes changes against the parent.

    ``routes`` None takes the way back as it was rendered; ``back`` None leaves none.
    """

    parent: int | None
    routes: Routes | None = None
    back: Routes | None = None
    settings: ProxySettings | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivateTopology(Activate):
    """``testers`` are told to the proxy with a candidate; None leaves those that it knows."""

    verb = "topology"
    phase = "topology"
    testers: Force | None = field(default=None, repr=False)

    @property
    def subject(self) -> str:
        stacks = self.routes.stacks if self.routes else {}
        return ", ".join(f"{slot}: {stack.release.tag}" for slot, stack in sorted(stacks.items())) or "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip(Activate):
    """Move the traffic. Reported once the proxy itself answers from the new generation."""

    verb = "switch"
    phase = "switch"
    slot: Slot
    tag: str

    @property
    def subject(self) -> str:
        return f"all traffic to {self.tag} in {self.slot}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift(Activate):
    """Give the candidate another share of the visitors, 0..100 percent; live stays live. Never reloads nginx.

    Reported once the proxy itself answers from the new generation.
    """

    verb = "shift"
    phase = "switch"
    slot: Slot
    tag: str
    share: int

    @property
    def subject(self) -> str:
        return f"{self.share} % of visitors to {self.tag} in {self.slot}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle(ProxyStep):
    """Wait for a gate: 1 the proxy answers the current generation, 2 no old worker accepts, 3 none is left."""

    verb = "settle"
    phase = "switch"
    gate: int
    seconds: float

    @property
    def subject(self) -> str:
        return f"gate {self.gate}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(ProxyStep):
    """Append facts to the journal."""

    verb = "record"
    phase = ""
    events: tuple[Mapping[str, Any], ...]

    @property
    def subject(self) -> str:
        return ", ".join(str(e["event"]) for e in self.events)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneGenerations(ProxyStep):
    verb = "prune-generations"
    phase = "prune"
    keep: int

    @property
    def subject(self) -> str:
        return f"keeping {self.keep}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoke(ProxyStep):
    """A project's own HTTP assertions against a slot."""

    verb = "smoke"
    phase = "smoke"
    slot: Slot
    tag: str
    checks: tuple[SmokeCheck, ...]

    @property
    def subject(self) -> str:
        return f"{len(self.checks)} checks on {self.slot}"
