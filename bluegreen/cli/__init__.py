"""The command line: `bluegreen`, and `bg` for short.

Importing this imports nothing: a command pays only for what it uses.
"""

from __future__ import annotations


def main() -> int:
    """The console scripts' entry point; answers the exit code."""
    from bluegreen.cli.program import run

    return run()
