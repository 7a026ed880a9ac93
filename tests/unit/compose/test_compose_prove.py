"""``x-bluegreen.prove``: what `bg prove` may ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from bluegreen.compose.digest import release_digest
from bluegreen.model.project import Project
from bluegreen.model.prove import ProveSettings
from tests.unit.compose.composefile import around, problems, read


def project(directory: Path, block: str) -> Project:
    return read(directory, f"x-bluegreen: {{prove: {block}}}\n" + around(""))


def test_everything_that_may_be_asked_is_read_and_no_part_of_a_release(tmp_path: Path) -> None:
    found = project(
        tmp_path, "{get: [/a, /b], post: /p?x=1, counted: '/p?id=', upload: /u, upload_size: 1m, host: h.io}"
    )
    assert found.prove == ProveSettings(
        get=("/a", "/b"), post="/p?x=1", counted="/p?id=", upload="/u", upload_size=1 << 20, host="h.io"
    )
    plain = project(tmp_path, "{}")
    assert plain.prove == ProveSettings()
    assert release_digest(found) == release_digest(plain)


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("{posts: /p}", ".prove.posts: unknown key 'posts'; did you mean 'post'?"),
        ("{post: 'a b'}", ".prove.post: 'a b' is no path such as /api/count"),
        ('{events: "/a\\r\\nX: y"}', "is no path such as /api/count"),
        ("{counted: /c}", ".prove.counted: counts what post and upload send, and neither is there"),
        ("{upload: /u, upload_size: 2g}", ".prove.upload_size: must be from 1 byte to 1g"),
        ("{host: '*.shop.io'}", ".prove.host: a request goes to one host; write it without *"),
        ("[/a]", ".prove: expected a mapping, found a list"),
    ],
)
def test_what_cannot_be_asked_is_an_error(tmp_path: Path, block: str, problem: str) -> None:
    found = problems(tmp_path, f"x-bluegreen: {{prove: {block}}}\n" + around(""))
    assert problem in "\n".join(found)
