"""``tssd export``: a trained network becomes a bundle for a chip."""

from pathlib import Path
from typing import Any

import click

from tssd.commands import bundle_options
from tssd.progress import ProgressSteps

MODULE_ONLY = ("weights", "input_shape", "calibration")


@click.command(
    epilog="Example: tssd export --target loihi2 runs/fmnist --out build/fmnist",
)
@click.argument("run", type=click.Path(path_type=Path), required=False)
@bundle_options.placing
@click.option("--placement", type=click.Path(path_type=Path), help="A placement of your own.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder with the data files.")
@bundle_options.model
@bundle_options.foreign
@bundle_options.quantizing
def command(
    run: Path | None,
    out: Path,
    data: Path | None,
    model: str | None,
    force: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Strip, fold, quantize and place the network of RUN; write a bundle.

    With --model and no RUN: the snnTorch module that BUILD returns, one time step per call. It is
    traced; what cannot be said exactly is refused by the path of the module. A RUN of your own
    module needs its --model too: code runs only if you name it.
    """
    from tssd.chain.float_import import FloatSource, export_model
    from tssd.chain.module_source import ModelSource
    from tssd.chain.pipeline import ExportOptions, export_run

    if run is None and model is None:
        raise click.UsageError("give a run folder or --model")
    steps = ProgressSteps(quiet=as_json)
    own = {key: choices.pop(key) for key in (*MODULE_ONLY, "time_steps")}
    coding = bundle_options.coding_of(choices.pop("coding"))
    command = bundle_options.typed()
    options = ExportOptions(**choices, input_coding=coding, command=command)
    if run is not None:
        given = [f"--{key.replace('_', '-')}" for key in MODULE_ONLY if own[key] is not None]
        if given:
            raise click.UsageError(f"{', '.join(given)}: not with a run folder")
        bundle = export_run(
            run, out, options, data=data, module=model, force=force, on_step=steps.start
        )
    else:
        made = ModelSource(str(model), own["weights"], own["input_shape"])
        source = FloatSource(own["calibration"], own["time_steps"])
        bundle = export_model(made, out, source, options, force=force, on_step=steps.start)
    steps.done()
    bundle_options.show(out, bundle, as_json)
