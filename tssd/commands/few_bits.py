"""Few bits trained: what `tssd calibrate --bits` begins with, its run, and the proof after it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tssd import terminal
from tssd.commands.export import MODULE_ONLY
from tssd.commands.training import followed, proof

if TYPE_CHECKING:  # --help reads this module; torch can wait
    from tssd.train.config import TrainConfig
    from tssd.train.data.data_sets import Dataset
    from tssd.train.handover.float_network import FloatNetwork


def train_on(
    *,
    run: Path | None,
    out: Path,
    data: Path | None,
    model: str | None,
    target: str,
    settings: tuple[str, ...],
    resume: bool,
    teacher: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train the network of a run, or a module, on with few bits."""
    from tssd.train.loop.folder import check_folder

    own = {key: options.pop(key) for key in MODULE_ONLY}
    _check_given(run, model, data, own)
    check_folder(out, resume)
    changes = {key: value for key, value in options.items() if value is not None}
    samples = own["samples"]
    if run is None:
        given = _of_module(str(model), own, changes, settings, target)
    else:
        given = _of_run(run, model, data, changes, settings, target)
    config, dataset, graph = given
    first = f"{run}" if run is not None else f"--model {model} --samples {samples}"
    again = f"tssd calibrate --resume {first} --bits {config.bits} --out {out}, and your options"
    outcome = followed(
        config,
        dataset,
        out,
        resume=resume,
        start_from=run,
        teacher=teacher,
        again=again,
        graph=graph,
    )
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
    seen = samples if run is None else data
    where = ["--data", seen] if seen is not None else []
    terminal.say_next("tssd", "export", out, *where, "--out", f"build/{out.resolve().name}")


def _check_given(
    run: Path | None, model: str | None, data: Path | None, own: dict[str, Any]
) -> None:
    if run is None and model is None:
        raise click.UsageError("give a run folder or --model")
    if run is None and data is not None:
        raise click.UsageError("--data: only with a run folder; a module's are --samples")
    if run is None and own["samples"] is None:
        raise click.UsageError("--model: with --samples, labelled, to train on")
    given = [f"--{key.replace('_', '-')}" for key in MODULE_ONLY if own[key]]
    if run is not None and given:
        raise click.UsageError(f"{', '.join(given)}: not with a run folder")


def _of_run(
    run: Path,
    model: str | None,
    data: Path | None,
    changes: dict[str, Any],
    settings: tuple[str, ...],
    target: str,
) -> "tuple[TrainConfig, Dataset, FloatNetwork | None]":
    from tssd.chain.begun_from import check_method, graph_of_run
    from tssd.chain.few_bits import for_chip, trained_on
    from tssd.chain.own_data import data_of
    from tssd.train.config import parse_setting
    from tssd.train.loop.checkpoint import load_net
    from tssd.train.quantization.graph.network import QuantizedGraph

    net, began = load_net(run, model)
    changes |= dict(parse_setting(text) for text in settings)
    config = for_chip(trained_on(began.config, changes), target)
    entry = net.network.entry if isinstance(net, QuantizedGraph) else None
    dataset = data_of(config, data, entry=entry)
    graph = graph_of_run(net, began, dataset)
    if graph is not None:
        check_method(config)
    return config, dataset, graph


def _of_module(
    model: str,
    own: dict[str, Any],
    changes: dict[str, Any],
    settings: tuple[str, ...],
    target: str,
) -> "tuple[TrainConfig, Dataset, FloatNetwork | None]":
    from tssd.chain.begun_from import begin_module, check_method
    from tssd.chain.few_bits import for_chip, trained_on
    from tssd.chain.module_source import ModelSource
    from tssd.chain.own_module import reading_of
    from tssd.train.config import TrainConfig, parse_setting

    source = ModelSource(model, own.pop("weights"), own.pop("input_shape"))
    samples = own.pop("samples")
    begun = begin_module(source, samples, reading_of(**own))
    changes = {**begun.settings(model), **changes}
    changes |= dict(parse_setting(text) for text in settings)
    config = for_chip(trained_on(TrainConfig(), changes), target)
    check_method(config)
    return config, begun.data, begun.network
