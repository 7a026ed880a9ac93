"""How a command opens: a session with the agent, and the first questions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from bluegreen.app.meanwhile import Meanwhile
from bluegreen.model.errors import ProxyFailed

if TYPE_CHECKING:
    from bluegreen.app.site import Site
    from bluegreen.model.containers import Container
    from bluegreen.proxy.session import ProxySession


class Opening:
    """What the engine and the agent say, asked for at once and answered when it is needed.

    The agent takes as long to start as a command takes to import what it needs for the answer. So the imports come
    after this. With a ``session`` that is open already nothing is opened, and it stays open.
    """

    containers: list[Container]

    def __init__(self, site: Site, session: ProxySession | None = None) -> None:
        self._open = ExitStack()
        self._session: ProxySession | None = None
        self._answer: Meanwhile[dict[str, Any]] | None = None
        self._failed: ProxyFailed | None = None
        try:
            session = session or self._open.enter_context(site.session())
        except ProxyFailed as error:
            self._failed = error
        else:
            self._session = opened = session
            self._answer = Meanwhile(lambda: opened.run([{"op": "read", "history": False}])[0])
        try:
            self.containers = site.engine.containers(site.name)
        except BaseException:
            self._open.close()
            raise

    def __enter__(self) -> Opening:
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.close()

    def read(self) -> tuple[ProxySession, Mapping[str, Any]]:
        """The session, and what the agent answered. Raises `ProxyFailed` where the proxy doesn't run or answer."""
        if self._session is None or self._answer is None:
            assert self._failed is not None  # noqa: S101 - it is why there is no session
            raise self._failed
        return self._session, self._answer.result()
