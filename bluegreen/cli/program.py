"""The program: its commands by name, each imported when it is used."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from bluegreen.cli.guard import guarded
from bluegreen.cli.options import global_options
from bluegreen.cli.run import Run

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Releases": {
        "deploy": "Put a release into the idle slot, prove it, switch to it.",
        "rollback": "Take the traffic back to the release before, at once.",
        "canary": "Send a share of the visitors to the candidate.",
        "promote": "Give the candidate all visitors.",
        "switch": "Go forward to a release that is warm.",
        "preview": "How to look at the idle slot before it gets traffic.",
        "resume": "Go on with an operation that was interrupted.",
        "abort": "End an interrupted operation, or the candidate.",
    },
    "What is there": {
        "status": "What is live, what stands by, and what is wrong.",
        "history": "Every release: when, by whom, what became of it.",
        "logs": "Output of the live stack, or of what you name.",
        "why": "The last failure's reason, again.",
        "watch": "Judge what visitors are answered, take a bad release back.",
        "wait": "Wait until a candidate or a new release is decided about.",
    },
    "The project and its engine": {
        "init": "Propose the blocks that a Compose file needs.",
        "config": "The file as it is understood, everything resolved.",
        "doctor": "Check the engine, the file, ports, memory and disk.",
        "proxy": "Look at, start, upgrade or repair the proxy.",
        "prove": "Show under load that a switch loses nothing.",
        "drain": "Wait for the former release's connections, or end them.",
        "prune": "Remove releases beyond the number that is kept.",
        "down": "Remove the project from the engine.",
    },
    "Your shell": {
        "shell-init": "A function that lets you type bg for bluegreen.",
        "completion": "Commands and options by the tab key.",
    },
}
COMMANDS: Mapping[str, str] = {name: text for section in SECTIONS.values() for name, text in section.items()}


class Program(click.Group):
    """Knows its commands by a name and a line each: help needs no more than that."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module

        command: click.Command = import_module(f"bluegreen.cli.commands.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], COMMANDS, 1)
            hint = f"did you mean {close[0]}?" if close else f"{ctx.info_name} --help lists them all"
            raise click.UsageError(f"there is no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - too
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(10), text) for name, text in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(n, help=text) for n, text in COMMANDS.items() if n.startswith(incomplete)]


@click.group(
    cls=Program,
    params=global_options(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    invoke_without_command=True,
    subcommand_metavar="COMMAND ...",
    help="Run a project's containers twice, as a blue and a green stack behind one nginx, and move traffic between "
    "them: forward with deploy, back with rollback.",
    epilog="Options may stand before the command or after it.",
)
@click.pass_context
def program(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(args: Sequence[str] | None = None, this: Run | None = None) -> int:
    """Run the program; answers the exit code. Never raises for what a user, a file or an engine did."""
    arguments = list(sys.argv[1:] if args is None else args)
    this = this or Run.of_process()
    this.foresee(arguments)

    def invoke() -> int:
        if instruction := this.env.get("_BLUEGREEN_COMPLETE"):
            from click.shell_completion import shell_complete

            return shell_complete(program, {"obj": this}, this.name, "_BLUEGREEN_COMPLETE", instruction)
        # Not `main`: it answers a Ctrl-C itself.
        with program.make_context(this.name, arguments, obj=this) as context:
            answer = program.invoke(context)
        return answer if isinstance(answer, int) else 0

    return guarded(this, invoke)
