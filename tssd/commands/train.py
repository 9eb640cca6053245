"""`tssd train`: one training run into a run folder."""

import json
from pathlib import Path
from typing import Any

import click

from tssd import terminal
from tssd.commands import completing
from tssd.commands.training import followed, proof
from tssd.commands.training_help import TrainingCommand
from tssd.errors import ConfigError


@click.command(
    cls=TrainingCommand,
    epilog="Example: tssd train --dataset digits --epochs 10 --out runs/digits",
)
@click.option("--dataset", type=completing.DATA_SET, help="A name listed below; digits without it.")
@click.option(
    "--model", type=completing.MODEL, help="A name listed below, or your own: pkg.module:build."
)
@click.option("--epochs", type=int, help="Passes over the training samples.")
@click.option("--batch-size", type=int, help="Samples of one update.")
@click.option("--lr", type=float, help="Largest learning rate.")
@click.option("--seed", type=int, help="Of everything that is drawn at random.")
@click.option("--method", type=completing.METHOD, help="A name listed below.")
@click.option("--reset", help="soft or hard.")
@click.option("--student-steps", type=int, help="T_s, the steps of one inference.")
@click.option("--teacher-steps", type=int, help="T_t, the steps of the teacher.")
@click.option(
    "--bits", help="Of the weights, as the chip computes: 2 to 8, ternary, binary; 4,conv1=8."
)
@click.option(
    "--target", type=completing.CHIP, help="The chip that the bits are for: loihi2, or a TOML file."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any option below.")
@click.option("--config", "path", type=click.Path(path_type=Path), help="A TOML file of options.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The run folder.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder with the data files; or your own samples: .npz, pkg.module:data_set.",
)
@click.option("--download", is_flag=True, help="Fetch Fashion-MNIST into --data.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option(
    "--start-from",
    type=click.Path(path_type=Path),
    help="A run folder whose weights to begin with.",
)
@click.option(
    "--teacher",
    type=click.Path(path_type=Path),
    help="With --bits and --set gamma=1: the float run that teaches; --start-from's without it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def train(
    path: Path | None,
    settings: tuple[str, ...],
    out: Path,
    data: Path | None,
    download: bool,
    resume: bool,
    start_from: Path | None,
    teacher: Path | None,
    target: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a spiking network with temporal-spatial self-distillation."""
    from tssd.chain.own_data import OWN, data_of, is_own
    from tssd.train.config import configure, parse_setting
    from tssd.train.loop.folder import CONFIG, check_folder
    from tssd.train.named import check_named
    from tssd.train.networks import distributed

    changes = {key: value for key, value in options.items() if value is not None}
    changes |= dict(parse_setting(text) for text in settings)
    if distributed.rank() == 0:
        check_folder(out, resume)
    if resume and path is None and (out / CONFIG).is_file():
        path = out / CONFIG
    if "dataset" not in changes and path is None and is_own(data):
        changes["dataset"] = OWN
    config = configure(changes.get("dataset"), path, changes)
    check_named(config.model, changes.get("model"), str(path))
    config = _for_chip(config, target, resume)
    dataset = data_of(config, data, download)
    if ":" in config.model:
        _check_users_module(config, dataset)
    module = f" --model {config.model}" if ":" in config.model else ""
    again = f"tssd train --resume{module} --out {out}"
    outcome = followed(
        config, dataset, out, resume=resume, start_from=start_from, teacher=teacher, again=again
    )
    if distributed.rank() > 0:
        return
    found = proof(outcome, config, dataset)
    if as_json:
        proved = {} if found is None else {"contracts": [vars(found)]}
        click.echo(json.dumps({"out": str(out), **outcome.accuracy, **proved}))
        return
    accuracy = outcome.accuracy
    terminal.say(
        f"{config.model} on {config.dataset}: test {accuracy['test']:.2f} % at T = "
        f"{config.student_steps} (validation {accuracy['val']:.2f} %); run folder {out}"
    )
    if found is not None:
        terminal.say(f"{found.name}: {found.found}")
    own = ["--model", config.model] if ":" in config.model else []
    where = ["--data", data] if data is not None else []
    name = out.resolve().name
    terminal.say_next("tssd", "export", out, *own, *where, "--out", f"build/{name}")


def _for_chip(config: Any, target: str | None, resume: bool) -> Any:
    """*config* with the ranges of the chip that its bits are for; a resumed run has its own."""
    from tssd.chain.few_bits import for_chip

    if target is not None and not config.bits:
        raise ConfigError(
            f"--target {target}",
            found="a training in float, which no chip takes part in",
            allowed="--target with --bits",
        )
    if not config.bits or (resume and target is None):
        return config
    return for_chip(config, target or "loihi2")


def _check_users_module(config: Any, dataset: Any) -> None:
    """Refuse before the training what could not be exported after it."""
    from tssd.chain.users_module import take_over_trained
    from tssd.contracts import require
    from tssd.train.networks.models import build_users

    net, shown = build_users(config, dataset.shape, len(dataset.classes)), dataset.train.images[:8]
    require([take_over_trained(net, shown, config.student_steps).agreement.contract()])
