"""What happens around every command: signals, errors, and the exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from bluegreen.cli.run import Run

INTERRUPTED = 130
USAGE = 2


def guarded(run: Run, work: Callable[[], int]) -> int:
    """Run a command and turn everything that can happen into an answer and an exit code."""
    _listen_to_signals()
    try:
        code = work()
    except KeyboardInterrupt as error:
        code = _interrupted(run, error)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.Abort:
        code = _interrupted(run, None)
    except click.ClickException as error:
        code = _usage(run, error)
    except BrokenPipeError as error:
        code = _failed(run, error) if run.command else 0  # whoever asked for help has read enough of it
    except Exception as error:  # the last resort: nobody is shown a traceback
        code = _failed(run, error)
    _let_go_of_streams()
    return code


def _failed(run: Run, error: Exception) -> int:
    from dataclasses import replace

    from bluegreen.model.errors import BluegreenError, UsageError

    if not isinstance(error, BluegreenError):
        return run.fail(_crash(error))
    if not error.problem.next and not isinstance(error, UsageError):  # whose problems say what to edit
        error.problem = replace(error.problem, next=("bg status    how things stand now",))
    return run.fail(error)


def _interrupted(run: Run, error: BaseException | None) -> int:
    from bluegreen.model.errors import BluegreenError, Exit

    notes = tuple(getattr(error, "__notes__", ()))
    if run.output.form == "text" and run.output.is_terminal("err"):
        run.output.note([""])  # the line that ^C stands on
    return run.fail(
        BluegreenError(
            "interrupted",
            "; ".join(("interrupted", *notes)),
            next=("bg status    how things stand now",),
            exit=Exit.INTERRUPTED,
        )
    )


def _usage(run: Run, error: click.ClickException) -> int:
    from bluegreen.model.errors import UsageError

    context = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".")
    hint = f"{context.command_path} --help" if context is not None else "bg --help"
    if context is not None:
        from bluegreen.cli.options import path_of

        run.command = path_of(context)
    return run.fail(UsageError("usage", message[:1].lower() + message[1:], next=(hint,)))


def _crash(error: Exception) -> Any:
    """A bug of ours: said in two lines, its traceback kept for the report."""
    import tempfile
    import traceback

    from bluegreen import __version__
    from bluegreen.model.errors import BluegreenError

    text = f"bluegreen {__version__}, Python {sys.version}\n\n{''.join(traceback.format_exception(error))}"
    kept = ""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="bluegreen-bug-", suffix=".txt", delete=False) as file:
            file.write(text)
        kept = f" What happened is in {file.name}."
    except OSError:
        sys.stderr.write(text)
    last = traceback.extract_tb(error.__traceback__)[-1]
    detail = str(error).splitlines()[0][:200] if str(error) else ""
    return BluegreenError(
        "bug",
        f"bluegreen ran into a mistake of its own: {type(error).__name__}{': ' if detail else ''}{detail}.{kept}",
        where=f"{os.path.basename(last.filename)}:{last.lineno}",  # noqa: PTH119 - nothing else of pathlib is needed
        next=("bg status    how things stand now",),
    )


def _listen_to_signals() -> None:
    """SIGTERM cleans up as Ctrl-C does. Where that can't be had (another thread, a test), nothing is changed."""
    import signal

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    try:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, stop)
    except ValueError:
        return


def ignore_hangup() -> None:
    """Let an operation go on when its terminal is closed."""
    import signal

    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    except ValueError:
        return


def _let_go_of_streams() -> None:
    """A reader that left must not have the interpreter complain at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            except (OSError, ValueError, AttributeError):
                continue
