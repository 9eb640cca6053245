"""``tssd.export``: a module and samples in memory -> a bundle on disk, and what to do with it.

net = tssd.export(module, samples, labels, target="loihi2", out="build/x")
net.verify()        every engine against the integer definition
net.simulate()      time and energy on the simulated chip
net.report()        report.html, shown in a notebook
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import nn

from tssd.calibration.int_network import InputCoding
from tssd.chain.importing import ImportOptions
from tssd.chain.module_export import export_module, most_of
from tssd.chain.module_source import named_module
from tssd.chain.own_module import reading_of
from tssd.chain.pipeline import ExportOptions
from tssd.chain.user_data import gather
from tssd.chain.weights import load_weights
from tssd.errors import ConfigError
from tssd.export.nir.graphs.profiles import Answers
from tssd.hw_targets.optimising.goal import goal_named
from tssd.live.bundles import Exported
from tssd.live.graphs import export_nir, is_graph

if TYPE_CHECKING:
    from nir import NIRGraph


def export(
    module: "nn.Module | str | NIRGraph",
    samples: Any,
    labels: Any = None,
    *,
    target: str = "loihi2",
    out: str | Path,
    weights: str | Path | None = None,
    time_steps: int | None = None,
    output: str | None = None,
    readout: str | None = None,
    population: int | None = None,
    swap_max_pool: bool = False,
    input_coding: Literal["auto", "graded", "spikes", "bias"] = "auto",
    answers: Answers | None = None,
    optimise: Literal["cores", "time", "energy"] = "cores",
    force: bool = False,
    options: ExportOptions | None = None,
) -> "Exported":
    """The bundle of *module* (or of ``pkg.module:build``) in the folder *out*; of a NIR graph in
    memory or the path of one too, whose missing words about time are *answers*.

    *samples*: arrays (N, ...), or frames (N, T, ...); a torch Dataset, a tonic data set or a file.
    The other arguments are the options of ``tssd export --model``; what is wrong raises as there.
    """
    coding = None if input_coding == "auto" else InputCoding(input_coding)
    given_options = options or ExportOptions()
    goal = goal_named(optimise)
    chosen = replace(given_options, target=target, input_coding=coding, optimise=goal)
    if is_graph(module):
        idle = {"weights": weights, "output": output, "readout": readout, "population": population,
                "swap_max_pool": swap_max_pool or None}  # fmt: skip
        refuse_idle(idle, "a snnTorch module: a NIR graph says it itself")
        asked = ImportOptions(time_steps or ImportOptions.time_steps, coding,
                              answers=answers or Answers(), export=chosen)  # fmt: skip
        return Exported(*export_nir(module, samples, labels, Path(out), asked, force=force))
    refuse_idle({"answers": answers}, "a NIR graph: a module says its time itself")
    reading = reading_of(output, readout, population, swap_max_pool, time_steps)
    own = named_module(module) if isinstance(module, str) else module
    if weights is not None:
        load_weights(own, Path(weights))
    most = most_of(chosen)
    given = gather(samples, labels, most, chosen.seed).part(slice(most))
    told = {"model": module if isinstance(module, str) else type(module).__name__}
    with inference(own):
        made = export_module(own, given, reading, Path(out), chosen, told, force=force)
    return Exported(made.bundle, made.samples)


def refuse_idle(given: Mapping[str, object], allowed: str) -> None:
    """ConfigError for an argument that was given and has nothing to act on."""
    for name, value in given.items():
        if value is not None:
            raise ConfigError(name, found="an argument with nothing to act on", allowed=allowed)


@contextmanager
def inference(module: nn.Module) -> Iterator[None]:
    """*module* in inference mode, and then as it was."""
    was = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in was:
            part.training = training
