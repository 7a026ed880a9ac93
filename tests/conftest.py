"""What is said of all tests at once."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)  # before the workers' own, which reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test` runs with two workers. What needs the engine stays together by file, in the file's order: there
    stacks are shared, and one test goes on where another has ended."""
    for item in items:
        if item.get_closest_marker("engine") is not None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
