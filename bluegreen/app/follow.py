"""Following several containers' output at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from bluegreen.app.site import Site
from bluegreen.model.errors import BluegreenError


def follow_all(
    site: Site, names: list[str], tail: int | None, since: str | None, timestamps: bool
) -> Iterator[tuple[str, bytes]]:
    """Lines of all as they come. Ends when every container has."""
    lines: queue.Queue[tuple[str, bytes] | None] = queue.Queue(maxsize=1000)

    def read(name: str) -> None:
        try:
            for line in site.engine.logs(name, tail=tail, since=since, follow=True, timestamps=timestamps):
                lines.put((name, line))
        except BluegreenError as error:
            lines.put((name, f"[{error.problem}]".encode()))
        finally:
            lines.put(None)

    for name in names:
        threading.Thread(target=read, args=(name,), daemon=True).start()
    left = len(names)
    while left:
        item = lines.get()
        if item is None:
            left -= 1
        else:
            yield item
