"""What holds while something is being changed: a closed terminal doesn't end it, and its progress is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from bluegreen.cli.guard import ignore_hangup

if TYPE_CHECKING:
    from bluegreen.cli.run import Run
    from bluegreen.model.events import Event


class Progress(Protocol):
    def __call__(self, event: Event) -> None: ...

    def close(self) -> None: ...


@contextmanager
def operating(run: Run, *, live: bool = False) -> Iterator[None]:
    """``live``: redraw in place where standard error is a terminal."""
    ignore_hangup()
    if run.output.form != "text":
        yield
        return
    progress = _progress(run, live=live)
    run.watch(progress)
    try:
        yield
    finally:
        progress.close()
        run.unwatch(progress)


def _progress(run: Run, *, live: bool) -> Progress:
    if live and not run.verbose and run.output.redraws:
        from bluegreen.cli.tree import Tree

        return Tree(run)
    from bluegreen.cli.progress import PlainProgress

    return PlainProgress(run)
