"""Names of images."""

from __future__ import annotations


def split_ref(ref: str) -> tuple[str, str]:
    """Name and tag of an image reference; ``latest`` where it has none."""
    name, colon, tag = ref.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (ref, "latest")


def full_ref(ref: str) -> str:
    """The reference with its tag spelled out."""
    return ":".join(split_ref(ref))
