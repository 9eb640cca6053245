"""``tssd export``: a trained network becomes a bundle for a chip."""

from pathlib import Path
from typing import Any

import click

from tssd.commands import bundle_options, bundle_shown, ending
from tssd.progress import ProgressSteps

MODULE_ONLY = (
    *("weights", "input_shape", "samples", "time_steps"),
    *("output", "readout", "population", "swap_max_pool"),
)


@click.command(
    epilog="Example: tssd export --target loihi2 runs/fmnist --out build/fmnist",
)
@click.argument("run", type=click.Path(path_type=Path), required=False)
@bundle_options.placing
@click.option("--placement", type=click.Path(path_type=Path), help="A placement of your own.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Of RUN: the folder with its data files, or your own samples.",
)
@bundle_options.model
@bundle_options.reading
@bundle_options.quantizing
def command(
    run: Path | None,
    out: Path,
    data: Path | None,
    model: str | None,
    force: bool,
    quiet: bool,
    verbose: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Strip, fold, quantize and place the network of RUN; write a bundle.

    With --model and no RUN: the snnTorch module that BUILD returns, as its author wrote it. It runs
    on the samples by its own code and is read from what it does; every neuron of the network that
    is deployed then has to fire as in the module. What cannot be said exactly is refused by the
    path of the module. A RUN of your own module needs its --model too: code runs only if you name
    it.
    """
    from tssd.chain.pipeline import ExportOptions, export_run

    ending.check_loudness(quiet, verbose, as_json)
    if run is None and model is None:
        raise click.UsageError("give a run folder or --model")
    if run is None and data is not None:
        raise click.UsageError("--data: only with a run folder; a module's are --samples")
    steps = ProgressSteps(quiet=as_json or quiet)
    own = {key: choices.pop(key) for key in MODULE_ONLY}
    coding = bundle_options.coding_of(choices.pop("coding"))
    choices["optimise"] = bundle_options.goal_of(choices["optimise"])
    asked = (choices.pop("input_from"), choices.pop("formats"))
    choices["layout"] = bundle_options.layout_of(*asked)
    command = bundle_options.typed()
    quantize = bundle_options.quantize_of(choices)
    options = ExportOptions(**choices, input_coding=coding, quantize=quantize, command=command)
    if run is not None:
        given = [f"--{key.replace('_', '-')}" for key in MODULE_ONLY if own[key]]
        if given:
            raise click.UsageError(f"{', '.join(given)}: not with a run folder")
        bundle = export_run(
            run, out, options, data=data, module=model, force=force, on_step=steps.start
        )
    else:
        from tssd.chain.module_export import export_model
        from tssd.chain.module_source import ModelSource
        from tssd.chain.own_module import reading_of

        source = ModelSource(str(model), own.pop("weights"), own.pop("input_shape"))
        samples = own.pop("samples")
        reading = reading_of(**own)
        bundle = export_model(
            source, samples, reading, out, options, force=force, on_step=steps.start
        )
    steps.done()
    bundle_shown.show(out, bundle, as_json, quiet, verbose)
