"""A network trained with few bits: its integers taken over, and held against its own spikes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, assert_never

import numpy as np

from tssd.calibration.encode import encode
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.given import GivenIntegers, GivenWeights
from tssd.calibration.quantizing.observe import Observation
from tssd.calibration.quantizing.quantize import apply
from tssd.calibration.quantizing.scales import Options, choose
from tssd.contracts import Contract, check
from tssd.errors import ConfigError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.widths import precision_of
from tssd.hw_targets.gpu.engine import run
from tssd.train.config import Schedule, TrainConfig, TrainingPrecision, recorded, with_changes
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.quantization.graph.network import QuantizedGraph
from tssd.train.quantization.graph.whole import fired_by_graph, whole_graph
from tssd.train.quantization.network import QuantizedNet
from tssd.train.quantization.whole import FiredSpikes, fired, whole_network
from tssd.train.quantization.widths import ChipWidths

SAME_SPIKES = "quantized training network -> IntNetwork: spikes"
COMPARED = 32  # samples; every spike of every population in every step
BATCH = 8


def chip_widths(target: str) -> ChipWidths:
    """The ranges of *target*, as training takes them."""
    precision = precision_of(load_chip(target))
    return ChipWidths(
        weight_bits=precision.weight_bits,
        decay_bits=precision.decay_bits,
        vth_max=precision.vth_max,
        bias_max=precision.bias_mant_max,
        activation_max=precision.activation_max,
        payload_max=precision.payload_max,
    )


def for_chip(config: TrainConfig, target: str) -> TrainConfig:
    """*config* with the ranges of *target*, that its bits are trained for."""
    widths = vars(chip_widths(target))
    return with_changes(config, **{f"chip_{name}": value for name, value in widths.items()})


def precision_of_run(config: TrainConfig) -> Precision:
    """The widths that a run with bits was trained for."""
    return Precision(
        weight_bits=config.chip_weight_bits,
        decay_bits=config.chip_decay_bits,
        vth_max=config.chip_vth_max,
        bias_mant_max=config.chip_bias_max,
        payload_bits=config.chip_payload_max.bit_length() if config.chip_payload_max > 1 else 0,
    )


def trained_on(began: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """The configuration of a run that goes on from *began* with few bits: its recipe, in float32,
    with a short cosine."""
    short = {"precision": TrainingPrecision.FP32, "schedule": Schedule.COSINE, "warm_epochs": 0}
    table = began.to_table() | short | dict(changes)
    return recorded(table, "tssd calibrate")


Quantized = QuantizedNet | QuantizedGraph


def given_by(net: Quantized) -> GivenIntegers:
    """What calibration must know to take the integers over."""
    kept = net.kept_weights().items()
    weights = {name: tuple(GivenWeights(b.field, e) for b, e in found) for name, found in kept}
    return GivenIntegers(int(net.levels), weights)


def as_trained(net: Quantized, options: Options, weight_bits: object) -> Options:
    """*options* for a network whose integers are trained: what would round again is refused."""
    asked = {
        "--weight-bits": weight_bits,
        "--search": None if options.search is Options().search else options.search,
        "--scales": options.granularity,
        "--rounding": options.rounding,
        "--tuning": options.tuning,
        "--input": options.input_coding,
    }
    for name, value in asked.items():
        if value is not None:
            raise ConfigError(
                f"{name} {value}",
                found="a run that was trained in integers",
                allowed="its own bits, scales and input",
                hint="tssd calibrate RUN --bits ..., which trains it on with others",
            )
    return replace(options, given=given_by(net))


def whole_of(net: Quantized, steps: int) -> FloatNetwork:
    """What *net* trained, in whole numbers."""
    match net:
        case QuantizedNet():
            return whole_network(net, steps)
        case QuantizedGraph():
            return whole_graph(net, steps)
        case _:
            assert_never(net)


def fired_by(net: Quantized, images: ImageArray, steps: int) -> FiredSpikes:
    """Every spike of *net* in evaluation mode."""
    match net:
        case QuantizedNet():
            return fired(net, images, steps)
        case QuantizedGraph():
            return fired_by_graph(net, images, steps)
        case _:
            assert_never(net)


def integers_of(net: Quantized, images: ImageArray, steps: int, precision: Precision) -> IntNetwork:
    """The integers that *net* was trained in; *images* say whether frames enter or pictures."""
    folded = align(fold(whole_of(net, steps)), precision.delay_max)
    options = Options(given=given_by(net))
    return apply(folded, choose(folded, Observation(images, {}), precision, options))


def same_spikes(net: Quantized, images: ImageArray, steps: int, precision: Precision) -> Contract:
    """Every spike and every final membrane of the training network, in evaluation mode, beside the
    integers' on the first samples of *images*: 0 may differ."""
    shown = images[:COMPARED]
    integers = integers_of(net, shown, steps, precision)
    differing, slots, where = 0, 0, ""
    for first in range(0, len(shown), BATCH):
        part = shown[first : first + BATCH]
        ours, theirs = fired_by(net, part, steps), run(integers, encode(integers, part))
        pairs = [(name, found, theirs.spikes[name]) for name, found in ours.spikes.items()]
        for name, a, b in (*pairs, ("the read-out's membrane", ours.membrane, theirs.readout)):
            unlike = int(np.count_nonzero(a != b.reshape(a.shape)))
            where = where or (f"first in {name}, samples from {first}" if unlike else "")
            differing, slots = differing + unlike, slots + a.size
    found = f"{differing} of {slots:,} differ"
    return check(SAME_SPIKES, differing == 0, found, "0", where or f"{len(shown)} samples")
