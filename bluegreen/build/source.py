"""The door to this package: what the rest of bluegreen imports."""

from __future__ import annotations

from bluegreen.build.digest import content_digest
from bluegreen.build.export import Export, export
from bluegreen.build.jobs import BuildJob, image_name, plan_builds, run_builds
from bluegreen.build.origin import Source, resolve

__all__ = [
    "BuildJob",
    "Export",
    "Source",
    "content_digest",
    "export",
    "image_name",
    "plan_builds",
    "resolve",
    "run_builds",
]
