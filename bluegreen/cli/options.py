"""Options of the whole program, accepted before a command's name and after it."""

from __future__ import annotations

from typing import Any

import click


def _store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value not in (None, False):
        ctx.obj.take(str(param.name), value)


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from bluegreen import __version__

        click.echo(f"bluegreen {__version__}")
        ctx.exit()


class GlobalOption(click.Option):
    """Its value goes to the run, whichever side of the command's name it stood on."""


def duration(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """``90``, ``1.5s``, ``15m``, ``1h30m``: seconds."""
    if value is None:
        return None
    import re

    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?", value)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != value:
        raise click.BadParameter(f"{value!r} is no time such as 30s, 15m or 1h30m")
    if len(parts) > 1 and any(not unit for _, unit in parts):
        raise click.BadParameter(f"{value!r} lacks a unit")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def global_options(taken: frozenset[str] = frozenset()) -> list[click.Parameter]:
    """All of them; those spelt as one in ``taken`` keep only their other spellings."""
    out: list[click.Parameter] = []
    for spellings, settings in _OPTIONS:
        free = [s for s in spellings if s not in taken]
        out.append(GlobalOption(free, expose_value=False, **{"callback": _store, **settings}))
    return out


_OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--file", "-f"), {"metavar": "PATH", "help": "The Compose file (BG_FILE; else compose.yaml and its kin here)."}),
    (("--project", "-p"), {"metavar": "NAME", "help": "The project (BG_PROJECT; else the file's)."}),
    (("--engine", "-H"), {"metavar": "ADDRESS", "help": "The engine (DOCKER_HOST; else the docker context's)."}),
    (("--json",), {"is_flag": True, "help": "Print one JSON document on standard output."}),
    (("--events",), {"is_flag": True, "help": "Print progress as JSON lines, the result last."}),
    (("--no-color", "no_color"), {"is_flag": True, "help": "No colour (NO_COLOR)."}),
    (("--verbose", "-v"), {"is_flag": True, "help": "Every step, not only their sums."}),
    (("--version",), {"is_flag": True, "is_eager": True, "callback": _version, "help": "Show the version."}),
)


class Command(click.Command):
    """A command with the program's options beside its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        taken = frozenset(s for p in self.params for s in (*p.opts, *p.secondary_opts))
        self.params.extend(global_options(taken))
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])

    def invoke(self, ctx: click.Context) -> Any:
        ctx.obj.command = path_of(ctx)
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        shared: list[str] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if isinstance(param, GlobalOption):
                shared.append(param.opts[0])
            elif record is not None:
                own.append(record)
        with formatter.section("Options"):
            formatter.write_dl(own)
        with formatter.section("Also, as before every command"):
            formatter.write_text(" ".join(shared))


def path_of(ctx: click.Context) -> str:
    """The command's words without the program's: ``proxy start``."""
    words: list[str] = []
    here: click.Context | None = ctx
    while here is not None and here.parent is not None:
        words.insert(0, here.info_name or "")
        here = here.parent
    return " ".join(words)


__all__ = ["Command", "GlobalOption", "duration", "global_options", "path_of"]
