"""Whether everything that a project has left on the engine is there for something."""

from __future__ import annotations

import re
import threading
from typing import Any

import docker

from bluegreen.model import labels
from tests.scenarios.stack import Stack
from tests.support import eventually

AGENT = "/opt/bluegreen/agent"


class Ledger:
    """Notes the volumes that containers of a project get without a name: nothing else tells whose they were."""

    def __init__(self, shop: Stack) -> None:
        self.shop = shop
        self.anonymous: set[str] = set()
        self._events = shop.engine.events(decode=True, filters={"type": "container", "event": ["create", "start"]})
        self._watch = threading.Thread(target=self._note, daemon=True)
        self._watch.start()

    def close(self) -> None:
        self._events.close()

    def check(self) -> None:
        """Raises AssertionError with what is unaccounted for. For a project that is clean and has a live release."""
        shop, containers = self.shop, self.shop.containers()
        others = {n for n in containers if n.partition("-")[0] not in ("blue", "green") and not _kept(n)}
        assert others == {"proxy", "store-1"}, f"unaccounted: {others}"
        found = shop.everything()
        networks = {f"{shop.name}-blue", f"{shop.name}-green", f"{shop.name}_default"}
        assert found["networks"] == networks, found["networks"]
        volumes = {f"{shop.name}-bluegreen", f"{shop.name}-bluegreen-log", f"{shop.name}_data"}
        assert found["volumes"] == volumes, found["volumes"]
        releases = {c["Labels"].get(labels.RELEASE) for c in containers.values()}
        tags = {t for t in found["images"] if t.startswith(f"bluegreen/{shop.name}/")}
        strange = {t for t in tags if t.rpartition(":r")[2] not in releases}
        assert not strange, f"unaccounted: {strange}, with containers of {releases}"
        self._check_anonymous({m["Name"] for c in containers.values() for m in c["Mounts"] if m["Type"] == "volume"})
        eventually(lambda: not self._agents(), what="the end of every agent")

    def check_gone(self) -> None:
        """Nothing of the project is there, but the data of its file."""
        found = self.shop.everything()
        assert found.pop("volumes") <= {f"{self.shop.name}_data"}, self.shop.everything()
        assert not any(found.values()), found
        self._check_anonymous(set())

    def _check_anonymous(self, mounted: set[str]) -> None:
        there = {v["Name"] for v in self.shop.engine.api.volumes()["Volumes"] or ()}
        left = (self.anonymous & there) - mounted
        assert not left, f"unaccounted: volumes without a name, {left}"

    def _agents(self) -> list[Any]:
        processes = self.shop.engine.api.top(f"{self.shop.name}-proxy")["Processes"]
        return [p for p in processes if AGENT in " ".join(p)]

    def _note(self) -> None:
        for event in self._events:
            if not str(event["Actor"]["Attributes"].get("name", "")).startswith(f"{self.shop.name}-"):
                continue
            try:
                mounts = self.shop.engine.api.inspect_container(event["id"])["Mounts"]
            except docker.errors.APIError:
                continue  # gone already, with what it had
            names = {m["Name"] for m in mounts if m["Type"] == "volume"}
            self.anonymous |= {n for n in names if re.fullmatch("[0-9a-f]{64}", n)}


def _kept(name: str) -> bool:
    return re.match(r"r\d+-", name) is not None
