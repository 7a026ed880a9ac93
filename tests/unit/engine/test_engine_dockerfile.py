"""What in a Dockerfile needs BuildKit."""

from __future__ import annotations

import pytest

from bluegreen.engine.dockerfile import Need, buildkit_need


@pytest.mark.parametrize(
    ("text", "need"),
    [
        ("FROM x\nRUN --mount=type=cache,target=/c make", Need(2, "RUN --mount")),
        ("FROM x\nRUN --network=none --mount=type=cache,target=/c make", Need(2, "RUN --mount")),
        ("FROM x\nrun --network=none make", Need(2, "RUN --network")),
        ("FROM x\nCOPY --link a b", Need(2, "COPY --link")),
        ("FROM x\nCOPY --from=y --chmod=755 a b", Need(2, "COPY --chmod")),
        ("FROM x\nADD --checksum=sha256:1 http://x/y /y", Need(2, "ADD --checksum")),
        ("FROM x\nRUN <<EOF\necho\nEOF", Need(2, "a here-document (<<) in RUN")),
        ("FROM x\nCOPY <<-'END' /x\ny\nEND", Need(2, "a here-document (<<) in COPY")),
        ("FROM x\n\n# comment\nRUN true && \\\n # in between\n\n  true --mount \\\n && true\nCOPY --link a b",
         Need(9, "COPY --link")),
        ("FROM x\nONBUILD RUN --mount=type=bind,target=/x true", Need(2, "RUN --mount")),
        ("FROM --platform=$BUILDPLATFORM x", Need(1, "FROM with $BUILDPLATFORM")),
        ("FROM x\nARG TARGETARCH", Need(2, "ARG TARGETARCH")),
        ("# syntax=docker/dockerfile:1-labs\nFROM x", Need(1, "# syntax=docker/dockerfile:1-labs")),
        ("# syntax = example.org/own:1\nFROM x", Need(1, "# syntax=example.org/own:1")),
        ("# escape=`\n# syntax=example.org/own:1\nFROM x", Need(2, "# syntax=example.org/own:1")),
    ],
)  # fmt: skip
def test_needs(text: str, need: Need) -> None:
    assert buildkit_need(text) == need


@pytest.mark.parametrize(
    "text",
    [
        "FROM x\nRUN echo --mount",
        "FROM x\nRUN cp --link a b",
        "FROM x\nCOPY --from=y --chown=1:1 a b",
        "FROM x AS y\nFROM --platform=linux/amd64 y",
        "FROM x\nRUN echo $((1 << 2)) && cat <<< word",
        "FROM x\nARG TARGETARCH=amd64",
        "# syntax=docker/dockerfile:1\nFROM x",
        "# syntax=docker/dockerfile:1.7\nFROM x",
        "FROM x\n# syntax=example.org/own:1",
        'FROM x\nRUN ["a", "--mount=b"]',
        "",
    ],
)
def test_needs_not(text: str) -> None:
    assert buildkit_need(text) is None


def test_a_platform_given_as_an_argument_is_no_need() -> None:
    assert buildkit_need("FROM x\nARG TARGETARCH", ["TARGETARCH"]) is None
