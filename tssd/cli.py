"""The command line: lazily loaded commands, and the one place where errors are printed."""

import importlib
import sys
from typing import Any

import click

from tssd import __version__
from tssd.errors import TssdError

COMMANDS: dict[str, str] = {
    "demo": "tssd.commands.demo:command",
    "doctor": "tssd.commands.doctor:command",
    "train": "tssd.commands.train:train",
    "study": "tssd.commands.study:study",
    "export": "tssd.commands.export:command",
    "import": "tssd.commands.import_:command",
    "convert": "tssd.commands.convert:command",
    "verify": "tssd.commands.verify:command",
    "simulate": "tssd.commands.simulate:command",
    "sweep": "tssd.commands.sweep:command",
    "report": "tssd.commands.report:command",
    "inspect": "tssd.commands.inspect_:command",
    "diff": "tssd.commands.diff:command",
    "check": "tssd.commands.check:command",
    "targets": "tssd.commands.targets:command",
    "lava": "tssd.commands.lava:command",
}  # name -> "module:command", loaded only when called


class LazyGroup(click.Group):
    """A click group that imports a command's module on first use, so that --help stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tssd")
def cli() -> None:
    """From a self-distilled spiking network to a neuromorphic chip."""


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; a TssdError becomes one message and its exit code."""
    try:
        return cli.main(args=arguments, prog_name="tssd")
    except TssdError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
