"""What can go wrong with measuring."""

from __future__ import annotations


class BenchmarkFailed(Exception):
    """Something that was to be measured did not work; no figure would mean anything."""
