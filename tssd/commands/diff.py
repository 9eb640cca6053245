"""``tssd diff``: two networks or two spike records compared, first difference first."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from tssd import terminal


@click.command(
    "diff",
    epilog="Example: tssd diff build/a build/b",
)
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_context
def command(ctx: click.Context, a: Path, b: Path, as_json: bool) -> None:
    """Compare A and B layer by layer: bundles, .nir files, or .npz records of spikes.

    Exit code 0 when they are the same, 1 when they differ.
    """
    from tssd.inspecting.difference import diff

    found = diff(a, b)
    if as_json:
        click.echo(json.dumps([asdict(d) for d in found]))
    elif not found:
        click.echo("the same")
    else:
        for d in found:
            share = f" ({d.differing:,} of {d.of:,} values)" if d.of > 1 else ""
            terminal.say(f"{d.where}: {d.a} | {d.b}{share}")
    if found:
        ctx.exit(1)
