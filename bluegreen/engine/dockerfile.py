"""What in a Dockerfile only BuildKit understands. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_PLATFORM = r"(?:BUILD|TARGET)(?:PLATFORM|OS|ARCH|VARIANT)"
_HEREDOC = re.compile(r"""(?:^|\s)\d*<<-?["']?[A-Za-z_]""")
_FLAGS = {
    "RUN": ("mount", "network", "security", "device"),
    "COPY": ("link", "chmod", "parents", "exclude"),
    "ADD": ("link", "chmod", "checksum", "keep-git-dir", "exclude"),
}


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that the classic builder refuses or, worse, silently reads as something else."""

    line: int
    feature: str


def buildkit_need(text: str, args: Sequence[str] = ()) -> Need | None:
    """The first need of BuildKit in a Dockerfile; ``args`` are the names that get a value from outside.

    A ``# syntax=docker/dockerfile:...`` line alone is none: the classic builder reads it as a comment, and
    what it would bring is found by itself.
    """
    for number, line in _directives(text):
        frontend = re.fullmatch(r"#\s*syntax\s*=\s*(\S+)\s*", line)
        if frontend and (not re.match(r"(docker\.io/)?docker/dockerfile(:|$)", frontend[1]) or "labs" in frontend[1]):
            return Need(number, f"# syntax={frontend[1]}")
    for number, instruction in _instructions(text):
        if feature := _feature(instruction, args):
            return Need(number, feature)
    return None


def _feature(instruction: str, args: Sequence[str]) -> str | None:
    word, _, rest = instruction.partition(" ")
    word = word.upper()
    if word == "ONBUILD":
        return _feature(rest.strip(), args)
    for flag in _FLAGS.get(word, ()):
        if re.match(rf"(?:\s*--\S+)*?\s*--{flag}(?:=|\s|$)", rest):
            return f"{word} --{flag}"
    if word in ("RUN", "COPY", "ADD") and _HEREDOC.search(rest):
        return f"a here-document (<<) in {word}"
    if word == "FROM" and (platform := re.search(rf"\$\{{?({_PLATFORM})\b", rest)):
        return f"FROM with ${platform[1]}"
    if word == "ARG":
        for name in re.findall(rf"(?:^|\s)({_PLATFORM})(?=\s|$)", rest):
            if name not in args:
                return f"ARG {name}"
    return None


def _directives(text: str) -> Iterator[tuple[int, str]]:
    """The comments at the very top, which is where parser directives are."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip().startswith("#"):
            return
        yield number, line.strip()


def _instructions(text: str) -> Iterator[tuple[int, str]]:
    """Instructions with the lines they start on, continuations joined and comments left out."""
    started, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if bare.startswith("#") or (not bare and parts):
            continue
        if not bare:
            continue
        started = started or number
        parts.append(bare.removesuffix("\\").strip())
        if not bare.endswith("\\"):
            yield started, " ".join(parts)
            started, parts = 0, []
    if parts:
        yield started, " ".join(parts)
