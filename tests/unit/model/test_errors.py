"""What errors say, wherever it comes from."""

from __future__ import annotations

import pytest

from bluegreen.model.errors import BluegreenError, Unhealthy


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "fatal: 'https://bot:hunter2@git.example/shop.git' denied",
            "fatal: 'https://bot:********@git.example/shop.git' denied",
        ),
        ("through http://:p%40ss@proxy:3128, and a@b", "through http://:********@proxy:3128, and a@b"),
        ("at ssh://deploy@shop.example", "at ssh://deploy@shop.example"),
        ("GET http://shop.example:80/a@b", "GET http://shop.example:80/a@b"),
    ],
)
def test_no_error_says_a_password_of_an_address(said: str, shown: str) -> None:
    error = BluegreenError("x", said)
    assert str(error) == error.problem.message == shown


def test_the_journal_gets_a_message_without_what_an_application_said() -> None:
    error = Unhealthy("x", "web answers GET / with 500: DB=canary", service="web", why="", quoted=": DB=canary")
    assert error.own_words == "web answers GET / with 500"
    assert BluegreenError("x", "nothing is quoted").own_words == "nothing is quoted"
