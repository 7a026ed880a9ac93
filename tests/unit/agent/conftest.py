"""A proxy in memory for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proxykit import MemoryProxy


@pytest.fixture
def proxy(tmp_path: Path) -> MemoryProxy:
    return MemoryProxy(tmp_path)
