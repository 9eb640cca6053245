"""``tssd import-nir``: a NIR graph from another tool becomes a bundle."""

import json
from pathlib import Path

import click

from tssd.export.nirio.rules import DISCRETISATIONS, PROFILES, Answers


@click.command(
    "import-nir",
    epilog="Example: tssd import-nir cnn.nir --profile sinabs --samples x.npy --out build/cnn",
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The bundle to write.")
@click.option(
    "--samples",
    required=True,
    type=click.Path(path_type=Path),
    help="Calibration samples: .npy, uint8, (N, *input shape).",
)
@click.option("--profile", type=click.Choice(list(PROFILES)), help="The platform that made it.")
@click.option("--dt", "dt_seconds", type=float, help="Length of a step, in the unit of tau.")
@click.option("--rule", type=click.Choice(DISCRETISATIONS), help="Discretisation.")
@click.option("--reset", type=click.Choice(["zero", "subtract", "none"]), help="Reset rule.")
@click.option("--time-steps", type=click.IntRange(1), default=16, show_default=True)
@click.option("--target", default="loihi2", show_default=True, help="The chip to place on.")
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    path: Path,
    out: Path,
    samples: Path,
    profile: str | None,
    dt_seconds: float | None,
    rule: str | None,
    reset: str | None,
    time_steps: int,
    target: str,
    force: bool,
    as_json: bool,
) -> None:
    """Convert, calibrate, quantize and place the NIR graph in PATH.

    What the graph does not say about time (dt, rule, reset) comes from the options or the
    profile; it is never guessed.
    """
    from tssd.nir_import import NirOptions, import_graph

    answers = Answers(profile, dt_seconds, reset, rule)
    options = NirOptions(answers, samples, time_steps, target)
    bundle = import_graph(path, out, options, force=force)
    rows = [
        {"name": p.name, "kind": str(p.kind), "shape": list(p.shape)}
        for p in bundle.network.populations
    ]
    if as_json:
        click.echo(json.dumps({"bundle": str(out), "populations": rows}))
        return
    for population in bundle.network.populations:
        size = "x".join(map(str, population.shape))
        click.echo(f"{population.name:<12} {population.kind:<8} {size}")
    click.echo(f"wrote {out}")
