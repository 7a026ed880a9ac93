"""The rules by which a tester's requests go to the slot that they name: `/bg/force.conf`, which holds a secret.

nginx reads it within each server of the public listener while a candidate is tried, after ``$bg_slot`` and
``$bg_cookie`` are set. The secret is not passed on to any container.
"""

from __future__ import annotations

from .errors import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .files import Files

FILE = "force.conf"
DIGITS = "0123456789"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
SETS = (
    'if ($http_{header} = "{secret}:live") {{ set $bg_force live; set $bg_said ""; }}',
    'if ($http_{header} = "{secret}:candidate") {{ set $bg_force candidate; set $bg_said ""; }}',
    'if ($cookie_{cookie} = "{secret}:live") {{ set $bg_force live; set $bg_hidden $bg_cookie; }}',
    'if ($cookie_{cookie} = "{secret}:candidate") {{ set $bg_force candidate; set $bg_hidden $bg_cookie; }}',
)


def write(files: Files, rules: dict[str, Any] | None) -> bool:
    """Put the rules into the volume, for the next reload; None takes away what is there. Raises ``invalid``.

    Answers whether that changed anything.
    """
    before = files.read(FILE)
    if rules is None:
        files.unlink(FILE)
        return before is not None
    text = _text(str(rules.get("header")), str(rules.get("cookie")), str(rules.get("secret")))
    if before != text:
        files.write(FILE, text)
    return before != text


def _text(header: str, cookie: str, secret: str) -> str:
    if not (header[:1] in LETTERS and _made_of(header, LETTERS + DIGITS + "-", 1, 64)):
        raise Refusal("invalid", f"{header!r} is no name for the header that forces a slot")
    if not (cookie[:1] in LETTERS and _made_of(cookie, LETTERS + DIGITS + "_", 1, 64)):
        raise Refusal("invalid", f"{cookie!r} is no name for the cookie that forces a slot")
    if not _made_of(secret, LETTERS + DIGITS + "_-", 16, 128):
        raise Refusal("invalid", "the secret that forces a slot is 16 to 128 letters, digits, - and _")
    names = {"header": header.lower().replace("-", "_"), "cookie": cookie.lower(), "secret": secret}
    return "\n".join(
        (
            "# Written by bluegreen: testers who know this secret choose their slot.",
            f"set $bg_said $http_{names['header']};",
            'set $bg_hidden "";',
            *(line.format(**names) for line in SETS),
            f'if ($bg_hidden ~* "^(.*; *)?{cookie}=[^;]*;? *(.*)$") {{ set $bg_cookie "$1$2"; }}',
            f"proxy_set_header {header} $bg_said;",
            "",
        )
    )


def _made_of(text: str, allowed: str, least: int, most: int) -> bool:
    return least <= len(text) <= most and set(text) <= set(allowed)
