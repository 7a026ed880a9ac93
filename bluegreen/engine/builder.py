"""Images: built by buildx where the plugin is there, else by the engine's classic builder, or pulled."""

from __future__ import annotations

from collections.abc import Mapping

from bluegreen.engine.api import Api
from bluegreen.engine.protocol import BuildRequest, Progress


def build(api: Api, env: Mapping[str, str], request: BuildRequest, progress: Progress) -> str:
    raise NotImplementedError


def pull(api: Api, ref: str, progress: Progress) -> str:
    raise NotImplementedError
