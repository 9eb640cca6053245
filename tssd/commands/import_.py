"""``tssd import``: a network trained elsewhere becomes a bundle."""

import json
from pathlib import Path

import click

from tssd.calibration.int_network import InputCoding


@click.command(
    "import", epilog="Example: tssd import network.net --out build/pilotnet --time-steps 16"
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The bundle to write.")
@click.option(
    "--time-steps",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Steps of one sample; a .net file does not say.",
)
@click.option(
    "--input",
    "coding",
    type=click.Choice(["spikes", "graded"]),
    default="spikes",
    show_default=True,
    help="What the input carries, unless it is a bias.",
)
@click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    help="Samples for the golden answers: .npy, integers, (N, C, H, W) or (N, inputs).",
)
@click.option("--target", default="loihi2", show_default=True, help="The chip to place on.")
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    path: Path,
    out: Path,
    time_steps: int,
    coding: str,
    inputs: Path | None,
    target: str,
    force: bool,
    as_json: bool,
) -> None:
    """Take over a lava-dl netx file (.net) or an integer network of tssd (.nir) as a bundle."""
    from tssd.importing import ImportOptions, import_bundle

    options = ImportOptions(time_steps, InputCoding(coding), target, inputs)
    bundle, notes = import_bundle(path, out, options, force=force)
    rows = [
        {"name": p.name, "kind": str(p.kind), "shape": list(p.shape)}
        for p in bundle.network.populations
    ]
    if as_json:
        click.echo(json.dumps({"bundle": str(out), "populations": rows, "notes": list(notes)}))
        return
    for row in rows:
        click.echo(f"{row['name']:<12} {row['kind']:<8} {'x'.join(map(str, row['shape']))}")
    for note in notes:
        click.echo(f"note: {note}")
    click.echo(f"wrote {out}")
