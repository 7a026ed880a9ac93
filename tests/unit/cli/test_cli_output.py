"""Streams: colours where they are wanted, other encodings, readers that leave and disks that are full."""

from __future__ import annotations

import io

import pytest

from bluegreen.cli.output import Output
from bluegreen.cli.run import Run


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("env", "terminal", "coloured"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "xterm", "CLICOLOR": "0"}, True, False),
        ({"TERM": "xterm", "CLICOLOR_FORCE": "1"}, False, True),
        ({"TERM": "xterm", "CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, True, False),
    ],
)
def test_colour(env: dict[str, str], terminal: bool, coloured: bool) -> None:
    stream = Terminal() if terminal else io.StringIO()
    output = Output(stream, stream, env)
    output.result(["LIVE     v1"])
    assert ("\x1b[" in stream.getvalue()) is coloured


def test_no_color_as_an_option() -> None:
    stream = Terminal()
    run = Run({"TERM": "xterm"}, stream, stream)
    run.take("no_color", True)
    run.output.result(["LIVE     v1"])
    assert stream.getvalue() == "LIVE     v1\n"


def test_only_the_first_word_is_painted_and_only_whole() -> None:
    stream = Terminal()
    output = Output(stream, stream, {"TERM": "xterm"})
    output.result(["LIVELY text", "NOT DEPLOYED  v1"])
    assert stream.getvalue() == "LIVELY text\n\x1b[1;31mNOT DEPLOYED\x1b[0m  v1\n"


def test_an_encoding_without_the_characters() -> None:
    raw = io.BytesIO()
    output = Output(io.TextIOWrapper(raw, "ascii"), io.StringIO(), {})
    output.result(["⚠️ Unstable, Größe"])
    assert raw.getvalue() == b"?? Unstable, Gr??e\n"


def test_a_full_disk_is_said_once() -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    err = io.StringIO()
    output = Output(Full(), err, {})
    output.result(["one"])
    output.result(["two"])
    assert err.getvalue() == "standard output can't be written to: [Errno 28] No space left on device\n"
    assert output.gone


def test_a_reader_that_left_is_no_news() -> None:
    class Left(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    err = io.StringIO()
    output = Output(Left(), err, {})
    output.result(["one"])
    assert err.getvalue() == ""
    assert output.gone


def test_a_closed_stream_is_nobody() -> None:
    stream = io.StringIO()
    stream.close()
    output = Output(stream, stream, {})
    output.result(["one"])
    output.note(["two"])
    assert not output.is_terminal("out")
    assert output.width == 80
