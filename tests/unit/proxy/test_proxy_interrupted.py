"""Ctrl-C while an answer is waited for: the session goes on, and nobody takes the answer for his own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bluegreen.proxy.session import ProxySession


class Late:
    """A stream whose first answer comes after its asker was interrupted."""

    def __init__(self) -> None:
        self.answers: list[bytes | BaseException] = [KeyboardInterrupt()]

    def send(self, line: bytes) -> None:
        request: dict[str, Any] = json.loads(line)
        results = [{"ok": True, "to": op["op"]} for op in request["do"]]
        self.answers.append(json.dumps({"id": request["id"], "results": results}).encode())

    def receive(self, timeout: float | None = None) -> bytes:
        del timeout
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def errors(self) -> str:
        return ""

    def close(self) -> None:
        """Nothing to close."""


def test_the_answer_that_nobody_waited_for_is_passed_over() -> None:
    session = ProxySession(Late())
    with pytest.raises(KeyboardInterrupt):
        session.run([{"op": "drain", "seconds": 300}])
    assert session.run([{"op": "read"}]) == [{"ok": True, "to": "read"}]
    assert session.run([{"op": "append"}]) == [{"ok": True, "to": "append"}]
