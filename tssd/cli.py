"""The command line: lazily loaded commands, and the one place where errors are printed."""

import sys
from typing import Any

import click

from tssd import __version__
from tssd.commands.group import LazyGroup
from tssd.errors import TssdError


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
