"""`tssd study`: the ablation of the training method, run by run."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tssd import terminal
from tssd.commands import completing
from tssd.commands.training_help import TrainingCommand
from tssd.interrupts import Interrupted

if TYPE_CHECKING:
    from tssd.train.config import TrainConfig
    from tssd.train.study.runs import Outcome


@click.command(
    cls=TrainingCommand,
    epilog="Example: tssd study --dataset digits --seeds 3 --out runs/study",
)
@click.option("--dataset", type=completing.DATA_SET, help="A name listed below; digits without it.")
@click.option("--model", type=completing.MODEL, help="A name listed below.")
@click.option("--epochs", type=int, help="Passes over the training samples.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Runs of each.")
@click.option("--only", multiple=True, metavar="NAME", help="Only this condition; repeatable.")
@click.option("--front", metavar="KEY=V,V,..", help="Instead of methods: one option's values.")
@click.option(
    "--variant",
    multiple=True,
    metavar="KEY=V,KEY=V",
    help="Instead of methods: the configured one with these options; repeatable.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any option below.")
@click.option("--config", "path", type=click.Path(path_type=Path), help="A TOML file of options.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the study.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder with the data files.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def study(
    seeds: int,
    only: tuple[str, ...],
    front: str | None,
    variant: tuple[str, ...],
    settings: tuple[str, ...],
    path: Path | None,
    out: Path,
    data: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train every method with every seed and compare them pair by pair.

    Runs that are done are not repeated: the same command goes on with a stopped study.
    """
    from tssd.train.config import configure, parse_setting
    from tssd.train.data.data_sets import load
    from tssd.train.named import check_named
    from tssd.train.study.report import markdown, write_report
    from tssd.train.study.runs import study as run_study

    changes = {key: value for key, value in options.items() if value is not None}
    changes |= dict(parse_setting(text) for text in settings)
    config = configure(changes.get("dataset"), path, changes)
    check_named(config.model, changes.get("model"), str(path))
    compared = _compared(config, only, front, variant)

    def began(condition: str, seed: int) -> None:
        click.echo(f"{condition}, seed {seed}", err=True)

    try:
        outcomes = run_study(
            config,
            load(config.dataset, data, framing=config.framing()),
            range(seeds),
            out,
            began,
            compared,
        )
    except Interrupted as stop:
        stop.note = f"{stop.note or 'runs that are done stay'}; the same command goes on"
        raise
    write_report(outcomes, config, seeds, out)
    if as_json:
        click.echo(json.dumps([asdict(outcome) for outcome in outcomes]))
    else:
        click.echo(markdown(outcomes, config, seeds))
        _say_next(outcomes, config, out, data)


def _say_next(
    outcomes: "tuple[Outcome, ...]", config: "TrainConfig", out: Path, data: Path | None
) -> None:
    """The best run of the best condition that has runs of its own."""
    from tssd.train.study.runs import CUT, run_folder

    best = max((o for o in outcomes if o.condition != CUT), key=lambda outcome: outcome.mean)
    folder = run_folder(out, best.condition, best.accuracy.index(max(best.accuracy)))
    module = ["--model", config.model] if ":" in config.model else []
    where = ["--data", data] if data is not None else []
    place = f"build/{out.resolve().name}"
    terminal.say_next("tssd", "export", folder, *module, *where, "--out", place)


def _compared(
    config: "TrainConfig", only: tuple[str, ...], front: str | None, variant: tuple[str, ...]
) -> "dict[str, TrainConfig] | None":
    """The conditions asked for; None are all methods."""
    from tssd.train.study import runs as study

    if sum((bool(only), front is not None, bool(variant))) > 1:
        raise click.UsageError("--only, --front and --variant choose the conditions: give one kind")
    if only:
        return study.chosen(config, only)
    if front is not None:
        return study.front(config, front)
    return study.variants(config, variant) if variant else None
