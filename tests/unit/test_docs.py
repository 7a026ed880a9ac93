"""What the documents promise: links that lead somewhere, commands and options that exist, every key of the file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest
import yaml

from bluegreen.cli.program import COMMANDS, program
from bluegreen.compose import canary, extension, guard, keys, load, prove, settings
from bluegreen.model.project import Project

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("compose/*/README.md")])
REFERENCE = (ROOT / "docs" / "compose-file.md").read_text()

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_INLINE = re.compile(r"`([^`\n]+)`")
_COMMAND_BLOCKS = ("console", "sh", "bash", "yaml")
_NAMES = ("bg", "bluegreen")
_JOB_CONTROL = re.compile(r"bg( %?\d+)?")


def pages() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


# ---- links ----


@pages()
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in _LINK.findall(_FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} is not there"
        if anchor:
            assert anchor in _anchors(file), f"{target}: no such heading"


def _anchors(page: Path) -> set[str]:
    """As code-hosting pages make them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


# ---- commands ----


@pages()
def test_every_command_shown_exists_with_its_options(page: Path) -> None:
    for words in _commands(page.read_text()):
        _check(words)


@pages()
def test_every_make_target_shown_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text()
    shown = re.findall(r"^(?:\$ )?make ([a-z-]+)", "".join(b for _, b in _FENCE.findall(text)), re.MULTILINE)
    shown += re.findall(r"`make ([a-z-]+)", text)
    assert set(shown) <= targets


def _commands(text: str) -> Iterator[list[str]]:
    lines = [line for kind, block in _FENCE.findall(text) if kind in _COMMAND_BLOCKS for line in block.splitlines()]
    typed = [line.removeprefix("$ ") for line in lines]
    typed += re.findall(r"\$\(([^()]+)\)", "\n".join(lines))
    inline = [words for words in _INLINE.findall(_FENCE.sub("", text)) if not _JOB_CONTROL.fullmatch(words)]
    for line in [*typed, *inline]:
        match = re.match(r"(?:[A-Z_]+=\S+ )*(?:\S*/)?(bg|bluegreen) (?=[a-z-])(.*)", line)
        if match is None:
            continue
        words = shlex.split(match[2].replace("...", ""), comments=True)
        if words:
            yield words


def _check(words: list[str]) -> None:
    command: click.Command = program
    context = click.Context(program, info_name="bluegreen", resilient_parsing=True)
    options = {"-h", "--help", *(option for parameter in program.params for option in parameter.opts)}
    values = 0
    for word in words:
        name = word.partition("=")[0]
        if values:
            values -= 1
        elif name.startswith("-"):
            assert name in options, f"bg {' '.join(words)}: there is no option {name}"
            found = next((p for p in [*command.params, *program.params] if name in p.opts), None)
            takes = isinstance(found, click.Option) and not found.is_flag and "=" not in word
            values = 1 if takes else 0
        elif isinstance(command, click.Group):
            found_command = command.get_command(context, word)
            assert found_command is not None, f"bg {' '.join(words)}: there is no command {word}"
            command = found_command
            options |= {option for parameter in command.params for option in parameter.opts}


def test_every_command_is_shown_somewhere() -> None:
    shown = {words[0] for page in PAGES for words in _commands(page.read_text())}
    assert set(COMMANDS) <= shown


# ---- the Compose file's reference ----


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The page's example of everything, as a file."""
    blocks = [block for kind, block in _FENCE.findall(REFERENCE) if kind == "yaml" and "services:" in block]
    assert len(blocks) == 1
    file = tmp_path / "compose.yaml"
    file.write_text(blocks[0])
    for context in ("api", "page"):
        (tmp_path / context).mkdir()
    return file


def _load(file: Path) -> Project:
    return load(file, env={}, tag="v1.0.0")


def test_the_example_of_everything_is_valid_and_without_a_notice(example: Path) -> None:
    assert _load(example).notices == ()


def test_the_example_of_everything_has_every_key(example: Path) -> None:
    top = yaml.safe_load(example.read_text())
    ours = top["x-bluegreen"]
    services = [service["x-bluegreen"] for service in top["services"].values()]
    assert set(ours) == set(settings._KEYS)
    assert set(ours["proxy"]) == set(settings._PROXY)
    assert set(ours["proxy"]["canary"]) == set(canary.KEYS)
    assert set(ours["proxy"]["canary"]["force"]) == set(canary.FORCE)
    methods = set(settings._METHODS)
    assert {key for check in ours["smoke"] for key in check} - methods == set(settings._SMOKE) - methods
    assert set(ours["prove"]) == set(prove.KEYS)
    assert set(ours["guard"]) == set(guard.KEYS)
    assert {key for check in ours["guard"]["checks"] for key in check} == set(guard.CHECK)
    assert {key for service in services for key in service} == set(extension._KEYS)
    health = services[0]["health"]
    assert set(health) == set(extension._HEALTH)
    assert set(health["expect"]) == set(extension._EXPECT)


def test_the_example_differs_from_every_default(example: Path) -> None:
    """So that it shows what a value looks like, and that it is carried out."""
    project, plain = _load(example), _load(_plain(example.parent))
    for name in (*settings._PROXY, "cookie_domain", "skew"):
        if name == "canary":
            continue
        assert getattr(project.proxy, name) != getattr(plain.proxy, name), name
    assert project.force != plain.force
    for name in prove.KEYS:
        assert getattr(project.prove, name) != getattr(plain.prove, name), name
    for name in ("keep", "source", "drain", "smoke", "smoke_commands"):
        assert getattr(project, name) != getattr(plain, name), name
    health, usual = project.services["api"].health, plain.services["web"].health
    assert health is not None
    assert usual is not None
    for name in ("path", "body", "host", "rise", "interval", "timeout", "start_period", "deadline"):
        assert getattr(health, name) != getattr(usual, name), name


@pytest.mark.parametrize("heading", ["At the top", "`proxy`", "`canary`", "`prove`", "`health`"])
def test_the_defaults_of_the_reference_are_the_defaults(tmp_path: Path, heading: str) -> None:
    rows = _rows(heading)
    defaults = {key: cells[1].strip("`") for key, cells in rows.items() if cells[1]}
    assert len(defaults) >= (1 if heading == "`prove`" else 2 if heading == "`canary`" else 4)
    written = ", ".join(f"{key}: {value}" for key, value in defaults.items())
    blocks = {
        "At the top": (f"{{{written}}}", "{route: /}"),
        "`proxy`": (f"{{proxy: {{{written}}}}}", "{route: /}"),
        "`canary`": (f"{{proxy: {{canary: {{{written}}}}}}}", "{route: /}"),
        "`prove`": (f"{{prove: {{{written}}}}}", "{route: /}"),
        "`health`": ("{}", f"{{route: /, health: {{{written}}}}}"),
    }
    project = _load(_plain(tmp_path, *blocks[heading]))
    plain = _load(_plain(tmp_path))
    assert project == plain


def test_the_reference_has_a_row_for_every_key_of_ours() -> None:
    assert set(_rows("At the top")) == set(settings._KEYS)
    assert set(_rows("`proxy`")) == set(settings._PROXY)
    assert set(_rows("`canary`")) == set(canary.KEYS)
    assert set(_rows("Smoke checks")) == set(settings._SMOKE)
    assert set(_rows("`prove`")) == set(prove.KEYS)
    assert set(_rows("`health`")) == set(extension._HEALTH)
    assert set(_rows("In a service")) == set(extension._KEYS)


def test_the_reference_lists_every_key_of_compose() -> None:
    carried, not_carried = _section("What of Compose is carried out"), _section("What is not carried out")
    assert _listed(carried.split("In a service:")[1].split("\n\n")[0]) == set(keys.SERVICE)
    assert _listed(not_carried.split("In a service:")[1].split("\n\n")[0]) == set(keys.SERVICE_KNOWN)
    assert _listed(not_carried.split("At the top:")[1].split("\n\n")[0]) == set(keys.TOP_KNOWN)
    rows = _rows("What of Compose is carried out")
    for row, wanted in {
        "build": keys.BUILD,
        "deploy": (*keys.DEPLOY, *keys.LIMITS, *keys.RESERVATIONS),
        "healthcheck": keys.HEALTHCHECK,
        "depends_on": keys.DEPENDENCY,
        "env_file": keys.ENV_FILE,
        "logging": keys.LOGGING,
        "ports": keys.PORT,
    }.items():
        assert _listed(rows[row][1]) - {"limits", "reservations"} == set(wanted), row
    nested = (*keys.MOUNT, *keys.MOUNT_BIND, *keys.MOUNT_VOLUME, *keys.MOUNT_TMPFS, *keys.GRANT, *keys.MEMBERSHIP)
    tops = (*keys.NETWORK, *keys.IPAM, *keys.IPAM_CONFIG, *keys.VOLUME, *keys.SECRET, *keys.CONFIG)
    assert {*nested, *tops} <= _listed(carried)


def _plain(directory: Path, top: str = "{}", service: str = "{route: /}") -> Path:
    file = directory / "plain.yaml"
    file.write_text(
        f"name: shop\nx-bluegreen: {top}\nservices:\n  web:\n    image: web\n    expose: [80]\n"
        f"    x-bluegreen: {service}\n"
    )
    return file


def _section(heading: str) -> str:
    """What stands under a heading, up to the next one."""
    return REFERENCE.split(f"# {heading}\n", 1)[1].split("\n#", 1)[0]


def _rows(heading: str) -> dict[str, list[str]]:
    """The rows of a section's tables by the keys in their first cell; of several for one key the last."""
    found: dict[str, list[str]] = {}
    for line in _section(heading).splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for key in _INLINE.findall(cells[0]) if cells else ():
            found[key] = cells
    return found


def _listed(text: str) -> set[str]:
    return set(_INLINE.findall(text))


# ---- the recording ----


def test_the_recording_fits_its_place() -> None:
    picture, text = ROOT / "docs/recording/session.svg", (ROOT / "docs/recording/session.txt").read_text()
    assert picture.stat().st_size < 150_000
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")  # noqa: S314 - our own file
    assert max(map(len, text.splitlines())) <= 80
