"""The screen of `proxy status`, and its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bluegreen.cli.layout import Page, count
from bluegreen.model.codec import encode

if TYPE_CHECKING:
    from bluegreen.app.doctor_proxy import ProxyLook


def data(found: ProxyLook) -> dict[str, Any]:
    answer: dict[str, Any] = encode(found)
    return answer


def lines(page: Page, found: ProxyLook) -> list[str]:
    page.line(f"PROXY    {found.container}  {found.state}", found.status)
    if found.state == "running":
        page.field("PUBLIC", found.url or "not published")
        page.field("PREVIEW", f"{found.preview}  (bg preview)" if found.preview else "not published")
        compiled = "" if found.up_to_date else ", its last reload is still to come"
        page.field("NOW", f"generation {found.generation}, {count(found.connections, 'connection')} to the "
                          f"stacks{compiled}")  # fmt: skip
        if found.draining_workers:
            page.field("DRAIN", f"{count(found.draining_workers, 'worker')} of an earlier configuration still serve")
        if found.journal != "ok":
            page.field("TROUBLE", f"the journal is {found.journal}: {found.detail}")
            page.commands("NEXT", ["bg proxy repair"])
    else:
        if found.detail:
            page.field("WHY", found.detail)
        page.commands("NEXT", ["bg proxy start", f"docker logs --tail 20 {found.container}"])
    page.field("MADE BY", f"bluegreen {found.version}" if found.version else "nobody knows")
    return page.lines
