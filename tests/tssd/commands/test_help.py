"""What `--help` says: whole sentences in 80 columns, an example for every command."""

import click
import pytest
from click.testing import CliRunner

from tssd.cli import COMMANDS, cli


def test_no_summary_is_cut_short() -> None:
    said = CliRunner().invoke(cli, ["--help"], terminal_width=80).output
    assert all(f"\n  {name} " in said for name in COMMANDS)
    assert "..." not in said.partition("Commands:")[2]
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example_and_explains_each_option(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    options = [p for p in command.params if isinstance(p, click.Option)]
    assert not [option.name for option in options if not option.help]
    if not isinstance(command, click.Group) or command.epilog:
        assert str(command.epilog).startswith(f"Example: tssd {name}")
