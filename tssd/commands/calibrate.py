"""`tssd calibrate`: a trained run goes on with few bits, in the integers that are deployed."""

import json
from pathlib import Path
from typing import Any

import click

from tssd import terminal
from tssd.commands import completing
from tssd.commands.training import followed, proof


@click.command(epilog="Example: tssd calibrate runs/fmnist --bits 4 --out runs/fmnist-4")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--bits",
    required=True,
    help="Of the weights, sign included: 2 to 8, ternary or binary; 4,conv1=8 with exceptions.",
)
@click.option("--epochs", default=2, show_default=True, help="Passes over the training samples.")
@click.option("--lr", default=1e-3, show_default=True, help="Largest learning rate.")
@click.option("--seed", type=int, help="Of everything that is drawn at random; RUN's without it.")
@click.option("--method", type=completing.METHOD, help="As tssd train's; RUN's without it.")
@click.option(
    "--target",
    type=completing.CHIP,
    default="loihi2",
    show_default=True,
    help="A chip or TOML file.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="As tssd train's.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The run folder.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder with the data files of RUN; or your own samples: .npz, pkg.module:data_set.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(
    run: Path,
    out: Path,
    data: Path | None,
    target: str,
    settings: tuple[str, ...],
    resume: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train the network of RUN on with few bits, as the chip computes.

    The forward pass is the integer neuron's: weights on a step per channel, thresholds and biases
    as they are stored. After it the exported integers have to fire the same spikes, all of them.
    """
    from tssd.chain.few_bits import for_chip, trained_on
    from tssd.chain.own_data import data_of
    from tssd.train.config import parse_setting
    from tssd.train.loop.checkpoint import CHECKPOINT, read_checkpoint
    from tssd.train.loop.folder import check_folder

    check_folder(out, resume)
    began = read_checkpoint(run / CHECKPOINT).config
    changes = {key: value for key, value in options.items() if value is not None}
    changes |= dict(parse_setting(text) for text in settings)
    config = for_chip(trained_on(began, changes), target)
    dataset = data_of(config, data)
    again = f"tssd calibrate --resume {run} --bits {config.bits} --out {out}, and your options"
    outcome = followed(config, dataset, out, resume=resume, start_from=run, again=again)
    found = proof(outcome, config, dataset)
    assert found is not None
    if as_json:
        told = {"out": str(out), **outcome.accuracy, "contracts": [vars(found)]}
        click.echo(json.dumps(told))
        return
    terminal.say(
        f"{config.model} on {config.dataset} with {config.bits} bits: test "
        f"{outcome.accuracy['test']:.2f} % at T = {config.student_steps} (validation "
        f"{outcome.accuracy['val']:.2f} %); run folder {out}\n{found.name}: {found.found}"
    )
    where = ["--data", data] if data is not None else []
    terminal.say_next("tssd", "export", out, *where, "--out", f"build/{out.resolve().name}")
