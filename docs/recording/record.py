"""Makes the recording in the README: types commands into a real bash, and draws what came of them.

    .venv/bin/python docs/recording/record.py

Deploys a copy of the sample under a name and port of its own, records `session.svg` and `session.txt` beside this
file, and removes the copy from the engine. It wants what `make deploy` sets up: an engine, base images, a venv.

Every character comes from the terminal and nothing is edited. Lines of the picture brighten in the order and at the
pace in which they came; waits longer than `LONGEST_WAIT` are shortened to it, the times on the screen are not.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pexpect

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROJECT = "demo"
PORT = "8090"
COLUMNS = 80
LONGEST_WAIT = 1.2  # seconds in the picture
PROMPT = "$ "
BEFORE = ("deploy v1.0.0",)  # not recorded: a first release has nothing to go back to
COMMANDS = (
    "bg deploy v1.1.0",
    "LISTEN=127.0.0.1 bg deploy v1.2.0     # listens where nobody can reach it",
    'bg rollback --reason "500s on /simulate"',
)

CELL, LINE, MARGIN, BAR = 8.4, 19, 18, 30  # pixels
COLOURS = {"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "36": "#79c0ff"}
STYLE = f"""
    text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #d6dde4; }}
    .prompt {{ fill: #7ee787; font-weight: bold; }} .typed {{ fill: #ffffff; font-weight: bold; }}
    .bold {{ font-weight: bold; }} {" ".join(f".c{n} {{ fill: {c}; }}" for n, c in COLOURS.items())}
    .line {{ animation: come 0.15s both; }}
    @keyframes come {{ from {{ opacity: 0.4; }} to {{ opacity: 1; }} }}
    @media (prefers-reduced-motion: reduce) {{ .line {{ animation: none; }} }}
"""


@dataclass
class Row:
    """One line of the screen: its characters with their style, and when it last changed."""

    cells: list[tuple[str, str]] = field(default_factory=list)
    at: float = 0.0

    @property
    def text(self) -> str:
        return "".join(character for character, _ in self.cells).rstrip()


@dataclass
class Screen:
    """As much of a terminal as bash and bluegreen use. It has no end at the bottom."""

    rows: list[Row] = field(default_factory=lambda: [Row()])
    x: int = 0
    y: int = 0
    style: str = ""

    _TOKEN = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b[=>]|([\s\S])")

    def write(self, text: str, at: float) -> None:
        for match in self._TOKEN.finditer(text):
            parameters, command, character = match.groups()
            if command:
                self._control(parameters, command, at)
            elif character == "\n":
                self.y += 1
                while len(self.rows) <= self.y:
                    self.rows.append(Row())
            elif character == "\r":
                self.x = 0
            elif character == "\b":
                self.x -= 1
            elif character and character.isprintable():
                self._put(character, at)

    def _put(self, character: str, at: float) -> None:
        row = self.rows[self.y]
        row.cells.extend([(" ", "")] * (self.x + 1 - len(row.cells)))
        if row.cells[self.x] != (character, self.style):
            row.cells[self.x] = (character, self.style)
            row.at = at
        self.x += 1

    def _control(self, parameters: str, command: str, at: float) -> None:
        if command == "A":
            self.y -= int(parameters or 1)
        elif command == "K":
            row = self.rows[self.y]
            del row.cells[0 if parameters == "2" else self.x :]
            row.at = at
        elif command == "m":
            self.style = "" if parameters in ("", "0") else parameters
        elif command not in ("h", "l"):
            raise ValueError(f"the terminal was sent \\e[{parameters}{command}, which this script does not draw")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bluegreen-recording-") as temporary:
        sample = Path(temporary) / PROJECT
        shutil.copytree(ROOT / "compose/tokenlab", sample)
        file = sample / "compose.yaml"
        text = file.read_text()
        for old, new in (("name: tokenlab", f"name: {PROJECT}"), ('listen: "8080"', f'listen: "{PORT}"')):
            if text.count(old) != 1:
                raise SystemExit(f"{old!r} is not once in the sample's Compose file any more")
            text = text.replace(old, new)
        file.write_text(text)
        try:
            for command in BEFORE:
                _quietly(sample, command)
            screen = _record(sample)
        finally:
            _quietly(sample, "down --yes --volumes --images")
    while not screen.rows[-1].text or screen.rows[-1].text == PROMPT.strip():
        screen.rows.pop()
    (HERE / "session.txt").write_text("".join(f"{row.text}\n" for row in screen.rows))
    (HERE / "session.svg").write_text(_draw(screen.rows))
    sys.stderr.write(f"{len(screen.rows)} lines in {HERE / 'session.svg'}\n")
    return 0


def _environment() -> dict[str, str]:
    bases = ROOT / ".state/base-images.env"
    chosen = dict(line.split("=", 1) for line in bases.read_text().split()) if bases.is_file() else {}
    path = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"
    return {**os.environ, **chosen, "PATH": path, "TERM": "xterm-256color", "PS1": f"\n{PROMPT}", "LC_ALL": "C.UTF-8"}


def _quietly(directory: Path, command: str) -> None:
    said, code = pexpect.run(
        f"bluegreen {command}", cwd=str(directory), env=_environment(), timeout=600, withexitstatus=True
    )
    if code:
        raise SystemExit(f"bluegreen {command} ended with {code}:\n{said.decode()}")


def _record(directory: Path) -> Screen:
    plain = directory / ".inputrc"
    plain.write_text("set enable-bracketed-paste off\n")
    bash = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile"],
        cwd=str(directory),
        env={**_environment(), "INPUTRC": str(plain)},
        dimensions=(100, COLUMNS),
        timeout=300,
        encoding="utf-8",
    )
    bash.expect_exact(PROMPT)
    bash.sendline('eval "$(bluegreen shell-init bash)"')
    bash.expect_exact(f"\n{PROMPT}")
    screen, began = Screen(), time.monotonic()
    screen.write(PROMPT, 0.0)  # every later one comes after an empty line, as PS1 says
    for command in COMMANDS:
        bash.send(command + "\r")
        tail = ""
        # The prompt, once the echo of what was typed has gone by.
        while not re.search(rf"\n{re.escape(PROMPT)}$", tail):
            came = bash.read_nonblocking(65536, timeout=300)
            screen.write(came, time.monotonic() - began)
            tail = (tail + came)[-200:]
    bash.sendline("exit")
    bash.expect(pexpect.EOF)
    return screen


def _draw(rows: list[Row]) -> str:
    width = COLUMNS * CELL + 2 * MARGIN
    height = len(rows) * LINE + BAR + 2 * MARGIN
    said = escape("\n".join(row.text for row in rows))
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">',
        f"  <title>A deploy, a bad release, and a rollback</title>\n  <desc>{said}</desc>",
        f"  <style>{STYLE}  </style>",
        f'  <rect width="{width:g}" height="{height:g}" rx="8" fill="#12181f"/>',
        *(f'  <circle cx="{MARGIN + 6 + 20 * n}" cy="{BAR / 2 + 4:g}" r="6" fill="#3b4653"/>' for n in range(3)),
    ]
    shown, before = 0.0, 0.0
    for number, row in enumerate(rows):
        latest = max(row.at, before)  # a line that was drawn again may have come before the one above it
        shown += min(latest - before, LONGEST_WAIT)
        before = latest
        if row.text:
            y = BAR + MARGIN + (number + 0.75) * LINE
            out.append(f'  <g class="line" style="animation-delay:{shown:.2f}s">{_line(row, y)}</g>')
    return "\n".join([*out, "</svg>", ""])


def _line(row: Row, y: float) -> str:
    """One text element for each run of one style, each as wide as its cells in whatever font there is."""
    cells = row.cells[: len(row.text)]
    if row.text.startswith(PROMPT):
        cells = [(character, "prompt" if x == 0 else "typed") for x, (character, _) in enumerate(cells)]
    out, start = [], 0
    for x in range(1, len(cells) + 1):
        if x < len(cells) and cells[x][1] == cells[start][1]:
            continue
        text = "".join(character for character, _ in cells[start:x])
        left = start + len(text) - len(text.lstrip())
        text = text.strip()
        if text:
            kind = _class(cells[start][1])
            out.append(
                f'<text x="{MARGIN + left * CELL:.1f}" y="{y:g}"{kind} textLength="{len(text) * CELL:.1f}" '
                f'xml:space="preserve">{escape(text)}</text>'
            )
        start = x
    return "".join(out)


def _class(style: str) -> str:
    if style in ("prompt", "typed"):
        return f' class="{style}"'
    names = ["bold" if part == "1" else f"c{part}" for part in style.split(";") if part == "1" or part in COLOURS]
    return f' class="{" ".join(names)}"' if names else ""


if __name__ == "__main__":
    raise SystemExit(main())
