"""``tssd.few_bits``: a snnTorch module in few bits, to be trained in any loop, then exported.

few = tssd.few_bits(module, samples, bits="4", target="loihi2")
few(x)                                            logits (B, classes) of samples as the module's
few.export(samples, labels, out="build/few")      the integers that fired, on disk
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tssd.chain.few_bits import as_trained, chip_widths, same_spikes, whole_of
from tssd.chain.float_import import halves_note, material_of
from tssd.chain.module_export import proofs
from tssd.chain.module_source import named_module
from tssd.chain.own_module import Taken, check_no_encoder, reading_of, take_over
from tssd.chain.pipeline import ExportOptions, deploy, write
from tssd.chain.user_data import gather
from tssd.chain.user_samples import fitting
from tssd.chain.weights import load_weights
from tssd.contracts import require
from tssd.errors import ConfigError, DataError
from tssd.export.bundle.place import check_place
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.widths import precision_of
from tssd.live.bundles import Exported
from tssd.live.exporting import inference
from tssd.train.config import Surrogate
from tssd.train.handover.input_map import InputMap
from tssd.train.handover.mapped_input import with_input_map
from tssd.train.networks.neuron import NeuronModel
from tssd.train.quantization.graph.network import QuantizedGraph

MOST = 256  # samples on which the module is compared, and that say how the input enters


def few_bits(
    module: nn.Module | str,
    samples: Any,
    labels: Any = None,
    *,
    bits: str = "4",
    target: str = "loihi2",
    weights: str | Path | None = None,
    time_steps: int | None = None,
    output: str | None = None,
    readout: str | None = None,
    population: int | None = None,
    swap_max_pool: bool = False,
    surrogate: str = "rectangular",
    surrogate_width: float = 1.0,
) -> "FewBits":
    """The network of *module* (or of ``pkg.module:build``) with weights of *bits*, as a torch
    module: 2 to 8, "ternary" or "binary", "4,fc1=8" with exceptions.

    *module* is read and proved equal to its network on *samples*, as ``tssd.export`` does; then it
    is done with. *surrogate_width* counts in thresholds.
    """
    own = named_module(module) if isinstance(module, str) else module
    if weights is not None:
        load_weights(own, Path(weights))
    given = gather(samples, labels, MOST).part(slice(MOST))
    with inference(own):
        taken = take_over(
            own,
            given.as_seen(),
            reading_of(output, readout, population, swap_max_pool, time_steps),
        )
        proofs(taken, given)
    check_no_encoder(
        taken.recording,
        "give the frames that it makes as samples, and a module without the encoder",
    )
    entered = fitting(given, taken.network.populations[0].shape)
    network = with_input_map(taken.network, entered.entry)
    neuron = NeuronModel(width=surrogate_width, surrogate=_surrogate(surrogate))
    graph = QuantizedGraph(network, bits, chip_widths(target), neuron)
    told = module if isinstance(module, str) else type(module).__name__
    few = FewBits(graph, entered.entry, taken, target, {"model": told, "bits": bits})
    graph.begin(few.on_levels(torch.from_numpy(given.as_seen())))
    return few


def _surrogate(name: str) -> Surrogate:
    if name not in list(Surrogate):
        raise ConfigError("surrogate", found=repr(name), allowed=", ".join(Surrogate))
    return Surrogate(name)


class FewBits(nn.Module):
    """A network in few bits: its forward pass is the chip's, its gradient that of the floats."""

    def __init__(
        self,
        graph: QuantizedGraph,
        entry: InputMap,
        taken: Taken,
        target: str,
        told: dict[str, Any],
    ) -> None:
        super().__init__()
        self.graph, self.entry, self.taken = graph, entry, taken
        self.target, self.told = target, told

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes) of samples (B, ...), or frames (B, T, ...), as the module takes
        them: what is read after T steps, over T."""
        logits: Tensor = self.graph(self.on_levels(x))
        return logits

    def on_levels(self, x: Tensor) -> Tensor:
        """The samples as levels 0 .. 1 of the input, time first."""
        if not x.is_floating_point():
            hint = "pixels: x / 255"
            raise DataError("samples", found=f"{x.dtype}", allowed="floats", hint=hint)
        first = 2 if self.taken.recording.frames else 1
        shaped = x.reshape(*x.shape[:first], *self.graph.input_shape)
        low, span = (torch.as_tensor(a).to(shaped) for a in (self.entry.low, self.entry.span))
        level = ((shaped - low) / torch.where(span == 0, 1, span)).clamp(0, 1)
        return level.transpose(0, 1) if first == 2 else level

    def export(
        self,
        samples: Any,
        labels: Any = None,
        *,
        out: str | Path,
        force: bool = False,
        options: ExportOptions | None = None,
    ) -> Exported:
        """The bundle of the integers as they stand now; ContractError where one spike differs from
        this module's on *samples*."""
        asked = replace(options or ExportOptions(), target=self.target)
        check_place(Path(out), force)
        given = gather(samples, labels)
        shown = fitting(given, self.graph.input_shape, self.entry)
        steps = self.graph.network.time_steps
        found = same_spikes(self.graph, shown.images, steps, precision_of(load_chip(self.target)))
        require([found])
        asked = replace(asked, quantize=as_trained(self.graph, asked.quantize, asked.weight_bits))
        material = material_of(shown, asked)
        deployable = deploy(whole_of(self.graph, steps), material, asked, contracts=(found,))
        notes = (*shown.notes, *halves_note(shown, material, asked))
        source = {**self.told, **self.taken.told()}
        bundle = write(deployable, material, Path(out), asked, source, notes=notes, force=force)
        checked = replace(shown, images=material.checked, labels=material.labels, values=None)
        return Exported(bundle, checked)
