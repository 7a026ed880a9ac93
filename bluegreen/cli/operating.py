"""What holds while something is being changed: a closed terminal doesn't end it, and its progress is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bluegreen.cli.guard import ignore_hangup
from bluegreen.cli.progress import PlainProgress

if TYPE_CHECKING:
    from bluegreen.cli.run import Run


@contextmanager
def operating(run: Run) -> Iterator[None]:
    ignore_hangup()
    progress = PlainProgress(run)
    if run.output.form == "text":
        run.watch(progress)
    try:
        yield
    finally:
        progress.close()
