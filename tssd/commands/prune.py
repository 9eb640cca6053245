"""`tssd prune`: a run with fewer channels, and what that frees on a chip."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tssd import terminal
from tssd.commands import completing
from tssd.report import words

if TYPE_CHECKING:  # --help reads this module; torch can wait
    from tssd.budget.pruning import Pruned


@click.command(epilog="Example: tssd prune runs/fmnist --keep 0.5 --out runs/fmnist-half")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--keep",
    required=True,
    metavar="SHARE",
    help="Of the channels of every layer: 0.5; 0.5,conv1=1 with exceptions.",
)
@click.option(
    "--samples",
    "calibration_samples",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="Training samples on which channels are scored.",
)
@click.option(
    "--check-samples",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    help="Validation samples that the accuracies are of.",
)
@click.option("--seed", default=0, show_default=True, help="Of the samples that are drawn.")
@click.option(
    "--target",
    type=completing.CHIP,
    default="loihi2",
    show_default=True,
    help="The chip that the costs are of.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder with the data files of RUN; or your own samples: .npz, pkg.module:data_set.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The run folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(
    run: Path,
    out: Path,
    data: Path | None,
    keep: str,
    calibration_samples: int,
    check_samples: int,
    seed: int,
    target: str,
    as_json: bool,
) -> None:
    """Take the channels of RUN that move least out of every layer; write a smaller run.

    The neurons that stay fire as they would with the others silent, spike for spike. The smaller
    run has to be trained on: calibrate it, or train --start-from it.
    """
    from tssd.budget.pruning import PruneOptions, prune_run

    options = PruneOptions(keep, target, calibration_samples, check_samples, seed)
    found = prune_run(run, out, options, data)
    if as_json:
        click.echo(json.dumps({"out": str(out), **asdict(found)}))
        return
    rows = [(name, str(stay), str(of)) for name, (stay, of) in found.kept.items()]
    columns = ("layer", "channels", "of")
    click.echo(terminal.to_text(terminal.plain_table(columns, rows, right=columns[1:])))
    terminal.say(outcome(found))
    for contract in found.contracts:
        terminal.say(f"{contract.name}: {contract.found}")
    terminal.say(f"wrote {out}")
    where = ["--data", data] if data is not None else []
    longer = f"{out.resolve().name}-8"
    terminal.say_next("tssd", "calibrate", out, "--bits", "8", *where, "--out", f"runs/{longer}")


def outcome(found: "Pruned") -> str:
    """What was freed and lost, in sentences."""
    before, after = found.cost
    share = words.percent(after.synops / before.synops, 1)
    return (
        f"cores {before.cores} -> {after.cores}, synaptic memory {before.memory_bytes:,} ->"
        f" {after.memory_bytes:,} bytes, synaptic operations {words.number(before.synops)} ->"
        f" {words.number(after.synops)} an inference ({share}), with the chip's bits\n"
        f"accuracy in float, on validation samples, before any training:"
        f" {words.percent(found.accuracy[0], 2)} -> {words.percent(found.accuracy[1], 2)}"
    )
