"""The command line: `bluegreen`, and `bg` for short.

Importing this imports nothing: a command pays only for what it uses.
"""

from __future__ import annotations


def main() -> int:
    """The console scripts' entry point; answers the exit code."""
    import gc

    # Imports are most of a short command's time. Nothing that they make is garbage, and looking for it there, while
    # they run and once more at the interpreter's end, is a fifth of that time.
    gc.set_threshold(50_000, 20, 100)
    from bluegreen.cli.program import run

    code = run()
    gc.freeze()
    return code
