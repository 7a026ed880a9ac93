"""What is said of all tests at once."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test` runs with two workers. Those that need the engine share one, in their order: one engine, and times
    that are measured on it."""
    for item in items:
        if item.get_closest_marker("engine") is not None:
            item.add_marker(pytest.mark.xdist_group("engine"))
