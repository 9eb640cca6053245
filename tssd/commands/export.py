"""``tssd export``: a trained run becomes a bundle for a chip."""

import json
from pathlib import Path
from typing import Any

import click

from tssd.progress import Steps


@click.command(epilog="Example: tssd export --target loihi2 runs/fmnist --out build/fmnist")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--target", default="loihi2", show_default=True, help="A chip's name or TOML file.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The bundle folder.")
@click.option(
    "--pooling",
    type=click.Choice(["fold", "population"]),
    default="fold",
    show_default=True,
    help="Average pooling: into the next weights, or relay neurons.",
)
@click.option("--weight-bits", type=click.IntRange(2, 8), default=8, show_default=True)
@click.option(
    "--calibration-samples",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="Drawn from the training split only.",
)
@click.option(
    "--check-samples",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    help="Validation samples on which the integers' accuracy is checked.",
)
@click.option(
    "--tolerance",
    "tolerance_points",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Points of accuracy that the integers may cost.",
)
@click.option("--placement", type=click.Path(path_type=Path), help="A placement of your own.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder with the data files.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--seed", default=0, show_default=True)
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    run: Path, out: Path, data: Path | None, force: bool, as_json: bool, **choices: Any
) -> None:
    """Strip, fold, quantize and place the network of RUN; write a bundle."""
    from tssd.pipeline import ExportOptions, export_run

    steps = Steps(quiet=as_json)
    options = ExportOptions(**choices)
    bundle = export_run(run, out, options, data=data, force=force, on_step=steps.start)
    steps.done()
    if as_json:
        click.echo(json.dumps({"out": str(out), **bundle.manifest}))
        return
    click.echo(f"wrote {out}: {', '.join(sorted(bundle.manifest['files']))}")
    reasons = bundle.manifest["netx"]["reasons"]
    if reasons:
        more = f" (and {len(reasons) - 1} more in manifest.json)" if len(reasons) > 1 else ""
        click.echo(f"no network.net: {reasons[0].splitlines()[0]}{more}")
    click.echo(f"next: tssd verify {out} --against gpu,onnx")
