"""``tssd lava install | status``: the isolated Python 3.10 environment."""

import json
from dataclasses import asdict

import click

from tssd.commands.group import NamingGroup
from tssd.hw_targets.lava import environment
from tssd.hw_targets.lava.environment import Environment


@click.group(
    cls=NamingGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
)
def command() -> None:
    """Build or inspect the environment that runs Lava (Python 3.10, apart from everything else)."""


@command.command(epilog="Example: tssd lava install --full")
@click.option("--full", is_flag=True, help="With lava-dl and its netx loader (about 5.6 GB).")
@click.option("--python", "choice", metavar="PATH", help="The Python 3.10 to build with.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def install(full: bool, choice: str | None, as_json: bool) -> None:
    """Build the environment, unless it is there already."""
    flavour: environment.Flavour = "full" if full else "light"
    if not as_json and environment.existing(flavour) is None:
        click.echo(f"building the {flavour} Lava environment; this takes minutes ...")
    _show({flavour: environment.install(flavour, choice)}, as_json)


@command.command(epilog="Example: tssd lava status --json")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def status(as_json: bool) -> None:
    """Say what is installed and what supplies the rest."""
    found = environment.status()
    if as_json:
        click.echo(json.dumps(asdict(found), default=str))
        return
    click.echo(f"Python 3.10  {found.interpreter or 'not found'}")
    _show({"light": found.light, "full": found.full}, as_json=False)
    if found.fix:
        click.echo(f"to add the rest: {found.fix}")


def _show(environments: dict[environment.Flavour, Environment | None], as_json: bool) -> None:
    if as_json:
        table = {name: e and asdict(e) for name, e in environments.items()}
        click.echo(json.dumps(table, default=str))
        return
    for name, found in environments.items():
        if found is None:
            click.echo(f"{name:<11}  not installed ({environment.install_line(name)})")
        else:
            versions = ", ".join(f"{k} {v}" for k, v in found.versions.items())
            click.echo(f"{name:<11}  {versions} at {found.python.parents[1]}")
