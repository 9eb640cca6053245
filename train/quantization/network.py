"""QuantizedNet: a SpikingNet whose deployed stages run in integers, from its first batch on.

Until ``begin`` it is the float network, so that weights can be loaded or initialised; then every
deployed stage has a step per channel (``step_<stage>``) and the input has levels (``levels``), both
in the state that a checkpoint keeps. Weak classifiers stay in float: they vanish.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tssd.train.handover.float_network import FloatNetwork
from tssd.train.networks.network import READOUT, Span, SpikingNet, Unrolling, input_span
from tssd.train.networks.neuron import NeuronModel
from tssd.train.networks.stages import StageSpec
from tssd.train.quantization import stage as run_stage
from tssd.train.quantization.entering import input_levels, on_levels
from tssd.train.quantization.weights import first_step
from tssd.train.quantization.widths import ChipWidths, WeightBits, weight_bits

STEP, LEVELS_KEY = "step_", "levels"  # in the state of a checkpoint


class QuantizedNet(SpikingNet):
    """The network of a configuration with ``bits``."""

    levels: Tensor  # the largest payload of the input; 0: not begun

    def __init__(
        self,
        specs: Sequence[StageSpec],
        input_shape: tuple[int, ...],
        neuron: NeuronModel,
        learn_leak: bool,
        text: str,
        chip: ChipWidths,
    ) -> None:
        super().__init__(specs, input_shape, neuron, learn_leak)
        self.chip = chip
        deployed = self.reachable([READOUT])
        self.bits: Mapping[str, WeightBits] = weight_bits(text, deployed, chip)
        self.register_buffer("levels", torch.zeros((), dtype=torch.int64))
        for name in deployed:
            channels = self.shapes[name][0] if self.stage(name).spiking else 1
            self.register_buffer(STEP + name, torch.ones(channels, dtype=torch.float64))

    def kept_weights(self) -> dict[str, list[tuple[WeightBits, int]]]:
        """Bits and exponent of the weights into each population."""
        return {name: [(bits, 0)] for name, bits in self.bits.items()}

    @property
    def begun(self) -> bool:
        return bool(self.levels)

    def layer(self, name: str) -> run_stage.RoundedLayer:
        """What the integers of a deployed stage follow from."""
        stage = self.stage(name)
        link = run_stage.only_link(stage)
        first = link.source == "input"
        pool = link.pool * (1 if first else self.stage(link.source).pool)
        payload = int(self.levels) if first else 1
        step = self.get_buffer(STEP + name)
        rest = (pool * pool, payload, self.neuron, self.chip)
        return run_stage.RoundedLayer(stage, link, step, self.bits[name], *rest)

    @torch.no_grad()
    def begin(self, images: Tensor) -> None:
        """First steps from the weights, and levels of the input from training *images* (currents):
        as many as leave the layers behind it their bits."""
        for name in self.bits:
            weight = run_stage.only_link(self.stage(name)).weights.weight
            step = self.get_buffer(STEP + name)
            assert isinstance(weight, Tensor)
            step.copy_(first_step(weight, self.bits[name], not self.stage(name).spiking))
        self.levels.fill_(input_levels(images, self.chip, self._lost))

    def _lost(self, level: int) -> Tensor:
        """Bits that each channel behind the input loses to the chip's fields."""
        self.levels.fill_(level)
        layers = [self.layer(n) for n in self.bits if "input" in self.stage(n).sources]
        lost = [(run_stage.fitting_step(x) / x.step).log2() for x in layers]
        return torch.cat(lost).clamp(0, 16)

    def emit(self, images: Tensor, run: Unrolling, stages: Sequence[str]) -> dict[str, Span]:
        if not self.begun:
            return super().emit(images, run, stages)
        emitted = {"input": input_span(self.on_levels(images), run)}
        for name in stages:
            if name in self.bits:
                emitted[name] = self._in_integers(name, emitted, run)
            else:
                emitted[name] = self.stage(name)(emitted, run, self.neuron)
        return emitted

    def _in_integers(self, name: str, emitted: dict[str, Span], run: Unrolling) -> Span:
        layer = self.layer(name)
        if self.training and torch.is_grad_enabled():
            run_stage.follow(layer)
        source = emitted[layer.link.source]
        if layer.stage.spiking:
            return run_stage.fire(layer, source, run, layer.stage.pool)
        return run_stage.read_out(layer, source, run)

    def on_levels(self, images: Tensor) -> Tensor:
        """Currents 0 .. 1 of pixels -> payloads, as the deployed network's input is coded."""
        return on_levels(images, int(self.levels))

    def in_integers(self, time_steps: int) -> FloatNetwork | None:
        from tssd.train.quantization.whole import whole_network

        return whole_network(self, time_steps)
