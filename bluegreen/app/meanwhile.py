"""A call that runs while something else is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Meanwhile(Generic[T]):
    """Begins the call. ``concurrent.futures`` does more, and a rollback would wait for its import."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._answer: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="bluegreen-meanwhile", daemon=True)
        self._thread.start()

    def result(self) -> T:
        """What the call answered, waited for. Raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._answer[0]

    def _run(self) -> None:
        try:
            self._answer.append(self._call())
        except BaseException as error:  # it belongs to whoever asks for the result
            self._error = error
