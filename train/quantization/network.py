"""QuantizedNet: a SpikingNet whose deployed stages run in integers, from its first batch on.

Until ``begin`` it is the float network, so that weights can be loaded or initialised; then every
deployed stage has a step per channel (``step_<stage>``) and the input has levels (``levels``), both
in the state that a checkpoint keeps. Weak classifiers stay in float: they vanish.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tssd.errors import ConfigError, NetworkError
from tssd.train.config import TrainConfig
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.networks import models
from tssd.train.networks.network import READOUT, Span, SpikingNet, Unrolling, input_span
from tssd.train.networks.neuron import NeuronModel
from tssd.train.networks.stages import StageSpec
from tssd.train.networks.user_module import UserNet
from tssd.train.quantization import stage as run_stage
from tssd.train.quantization.weights import first_step
from tssd.train.quantization.widths import ChipWidths, WeightBits, chip_of, weight_bits

PIXEL_MAX = 255
LEVELS = (255, 127, 63, 31, 15, 7)  # largest payloads of the input that are tried
COARSER = 0.1  # bits that the layers behind the input may lose, in the mean of their channels
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
            run_stage.check_layer(self.stage(name))
            self.register_buffer(STEP + name, torch.ones(channels, dtype=torch.float64))

    @property
    def begun(self) -> bool:
        return bool(self.levels)

    def layer(self, name: str) -> run_stage.RoundedLayer:
        """What the integers of a deployed stage follow from."""
        stage = self.stage(name)
        link = run_stage.check_layer(stage)
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
            weight = run_stage.check_layer(self.stage(name)).weights.weight
            step = self.get_buffer(STEP + name)
            assert isinstance(weight, Tensor)
            step.copy_(first_step(weight, self.bits[name], not self.stage(name).spiking))
        two_valued = bool(((images == 0) | (images == 1)).all())
        top = 1 if two_valued else min(PIXEL_MAX, self.chip.payload_max)
        if top == 1 and not two_valued:
            raise ConfigError(
                "training: bits",
                found="pictures of more than two values, and a chip whose spikes carry no payload",
                allowed="a chip with graded spikes, or recordings of events",
                hint="--target loihi2",
            )
        tried = (top, *(level for level in LEVELS if level < top))
        lost = {level: self._lost(level) for level in tried}
        least = lost[tried[-1]] + COARSER
        self.levels.fill_(next(level for level in tried if lost[level] <= least))

    def _lost(self, level: int) -> float:
        """Bits that the layers behind the input lose to the chip's fields, in the mean."""
        self.levels.fill_(level)
        layers = [self.layer(n) for n in self.bits if "input" in self.stage(n).sources]
        try:
            lost = [(run_stage.fitting_step(x) / x.step).log2().clamp(0, 16) for x in layers]
        except NetworkError:
            if level == LEVELS[-1]:
                raise
            return math.inf
        return float(torch.cat(lost).mean())

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
        pixels = (images * PIXEL_MAX).round()
        return ((pixels * int(self.levels) + PIXEL_MAX // 2) / PIXEL_MAX).floor()

    def in_integers(self, time_steps: int) -> FloatNetwork | None:
        from tssd.train.quantization.whole import whole_network

        return whole_network(self, time_steps)


def build(config: TrainConfig, input_shape: tuple[int, ...], classes: int) -> SpikingNet | UserNet:
    """The network of *config*, in float or with its ``bits``, initialised from its seed."""
    if not config.bits:
        return models.build(config, input_shape, classes)
    if ":" in config.model:
        raise NetworkError(
            "training: bits",
            found=f"{config.bits!r} with a module of your own",
            allowed="a built-in network",
            hint="round it after training: tssd export --weight-bits 4",
        )
    net = models.build_stages(config, input_shape, classes)
    made = QuantizedNet(
        net.specs, input_shape, net.neuron, config.learn_leak, config.bits, chip_of(config)
    )
    made.load_state_dict(made.state_dict() | net.state_dict())
    return made
