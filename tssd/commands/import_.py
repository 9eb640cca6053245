"""``tssd import``: a network trained elsewhere becomes a bundle."""

from pathlib import Path
from typing import Any

import click

from tssd.commands import bundle_options, bundle_shown, ending
from tssd.progress import ProgressSteps

FLOAT_ONLY = (
    *("calibration", "profile", "dt", "rule", "reset", "gain", "pooling", "weight_bits", "device"),
    *("calibration_samples", "check_samples", "tolerance_points", "onnx", "granularity", "search"),
    *("rounding", "tuning", "for_netx"),
)
NETX_ONLY = ("time_steps", "coding")  # an integer .nir says both


@click.command(
    "import",
    epilog="Example: tssd import cnn.nir --profile sinabs --calibration x.npz --out build/cnn",
)
@click.argument("path", type=click.Path(path_type=Path))
@bundle_options.placing
@bundle_options.foreign
@bundle_options.answers
@click.option(
    "--inputs",
    "samples",
    type=click.Path(path_type=Path),
    help="Golden samples of an integer network: .npy, (N, *input shape) or frames (N, T, ...).",
)
@bundle_options.quantizing
def command(
    path: Path,
    out: Path,
    force: bool,
    quiet: bool,
    verbose: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Take over PATH as a bundle: a NIR graph of any tool, a lava-dl netx file (.net), or an
    integer network of tssd (.nir).

    What a NIR graph does not say about time (dt, rule, reset) comes from the options or the
    profile; it is never guessed. Its weights are quantized on --calibration samples.
    """
    from tssd.chain.bundle_writing import ExportOptions
    from tssd.chain.importing import ImportOptions, import_bundle, is_float_graph
    from tssd.export.nir.graphs.profiles import Answers

    ending.check_loudness(quiet, verbose, as_json)
    if is_float_graph(path):
        bundle_options.refuse_idle(("samples",), "--calibration, for a graph of floats")
    else:
        kind = "an integer network" if path.suffix == ".nir" else "a .net"
        idle = FLOAT_ONLY + (NETX_ONLY if path.suffix == ".nir" else ())
        bundle_options.refuse_idle(idle, f"what {kind} leaves open: see tssd import --help")
    answers = Answers(*(choices.pop(key) for key in ("profile", "dt", "reset", "rule", "gain")))
    coding = bundle_options.coding_of(choices.pop("coding"))
    own = {key: choices.pop(key) for key in ("time_steps", "samples", "calibration")}
    choices["optimise"] = bundle_options.goal_of(choices["optimise"])
    asked = (choices.pop("input_from"), choices.pop("formats"))
    choices["layout"] = bundle_options.layout_of(*asked)
    quantize = bundle_options.quantize_of(choices)
    export = ExportOptions(**choices, quantize=quantize, command=bundle_options.typed())
    options = ImportOptions(**own, coding=coding, answers=answers, export=export)
    steps = ProgressSteps(quiet=as_json or quiet)
    bundle = import_bundle(path, out, options, force=force, on_step=steps.start)
    steps.done()
    bundle_shown.show(out, bundle, as_json, quiet, verbose)
