"""The first layer's current computed off-chip, for chips that only take binary spikes.

    mant = round(S * (W * pixel / 255 + b) * 64 / 2**bias_exp)      one bias mantissa per neuron

The population behind the input becomes the source of the integer network (InputCoding.BIAS); the
host computes its constant current once per sample and writes it as bias. The scale S lets the
largest current of the calibration images just fit the mantissa; a larger one of another image is
held at the limit (such a neuron fires in every step either way).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from tssd.calibration.int_network import InputCoding, IntNetwork, constant
from tssd.calibration.integer import UNIT, IntArray
from tssd.calibration.layer import (
    Form,
    above_whole,
    current_decay,
    membrane_decay,
    nearest,
    scaled_amounts,
)
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.observe import Observation
from tssd.calibration.quantizing.quantize import apply, check_integers
from tssd.calibration.quantizing.scales import Options, Scales, choose
from tssd.errors import NetworkError
from tssd.train.handover.fields import amounts_of
from tssd.train.handover.float_activity import PIXEL_MAX, ImageArray, check_images, presented
from tssd.train.handover.float_layers import bias_current, project
from tssd.train.handover.float_network import (
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
)


@dataclass(frozen=True, eq=False)
class FrontEnd:
    """What the host computes: the projections from the input, in float, and the scale."""

    network: FloatNetwork  # the whole folded network: shapes, and what enters ``target``
    target: FloatPopulation
    scale: float
    bias_exp: int
    mant_max: int

    def encode(self, images: ImageArray) -> IntArray:
        """Bias mantissas (T, B, *target shape) of uint8 images (B, C, H, W), a view over time, or
        of frames (B, T, C, H, W)."""
        check_images(self.network, images)
        with torch.inference_mode():
            pixels = torch.tensor(presented(self.network, images)).double() / PIXEL_MAX
            current = bias_current(self.target, pixels)
            for projection in self.network.incoming(self.target.name):
                current = current + project(projection, pixels, self.target.shape)
        units = nearest(current.numpy() * (self.scale * UNIT / (1 << self.bias_exp)))
        mantissas = np.clip(units, -self.mant_max, self.mant_max).astype(np.int64)
        return np.broadcast_to(mantissas, (self.network.time_steps, *mantissas.shape[1:]))


def quantize_behind_front_end(
    network: FloatNetwork,
    precision: Precision,
    observation: Observation,
    options: Options | None = None,
) -> tuple[FrontEnd, IntNetwork, Scales]:
    """The front end, the integer network whose source is the first LIF population, and the scales
    of the layers behind it."""
    target = _only_target(network)
    options = replace(options or Options(), input_coding=InputCoding.SPIKES)  # all layers spike
    front = FrontEnd(
        network,
        target,
        _scale(target, observation.ranges[target.name].current_max, precision, network.time_steps),
        precision.bias_exp,
        precision.bias_mant_max,
    )
    scales = choose(network, observation, precision, options, exact=(target.name,))
    whole = apply(network, scales)
    amounts = {"vth": np.floor(front.scale * target.threshold)}
    amounts |= scaled_amounts(target, front.scale)
    integers: dict[str, Any] = {name: x.astype(np.int64) for name, x in amounts.items()}
    source = replace(
        whole.population(target.name),
        bias_mant=constant(0, target.shape),
        bias_exp=front.bias_exp,
        scale=front.scale,
        channel_scales=(),
        **integers,
    )
    behind = IntNetwork(
        (source, *whole.populations[2:]),
        tuple(j for j in whole.projections if j.target != target.name),
        network.time_steps,
        InputCoding.BIAS,
        precision.bias_mant_max,
    )
    check_integers(behind, precision)
    layers = {name: layer for name, layer in scales.layers.items() if name != target.name}
    return front, behind, replace(scales, input_coding=InputCoding.BIAS, layers=layers)


def front_end_of(network: IntNetwork, whole: FloatNetwork) -> FrontEnd:
    """The front end of *network*, whose input is bias, made again from the *whole* folded one."""
    source = network.source
    target = _only_target(whole)
    return FrontEnd(whole, target, source.scale, source.bias_exp, network.input_max)


def _only_target(network: FloatNetwork) -> FloatPopulation:
    """The LIF population that alone reads the input, and reads nothing else."""
    projections: tuple[FloatProjection, ...] = network.outgoing(network.populations[0].name)
    targets = {j.target for j in projections}
    second = network.populations[1]
    alone = targets == {second.name} and second.kind.fires
    if second.synapse_decay is not None:
        raise NetworkError(
            f"population {second.name}",
            found="synaptic memory behind the front end",
            allowed="a first layer without: a bias goes straight to the membrane",
            hint="use graded or spike input",
        )
    if not alone or len(network.incoming(second.name)) != len(projections):
        raise NetworkError(
            "front end",
            found=f"an input that feeds {', '.join(sorted(targets))}",
            allowed="an input that feeds only the first LIF population",
            hint="use graded or spike input",
        )
    return second


def _scale(
    target: FloatPopulation, current_max: float, precision: Precision, time_steps: int
) -> float:
    """The largest S at which currents and thresholds fit, S theta above m as ``above_whole``."""
    room = precision.bias_mant_max * 2.0**precision.bias_exp / UNIT
    theta = float(target.threshold.max())
    largest = max(float(np.abs(x).max()) for x in amounts_of(target).values())
    limit = min(room / current_max if current_max else np.inf, precision.vth_max / largest)
    form = Form(precision, precision.bias_exp)
    decays = membrane_decay(target, form), current_decay(target, form)
    above = above_whole(*decays, time_steps)
    steps = np.floor(limit * theta - above)
    if steps < 1:
        raise NetworkError(
            f"population {target.name}",
            found=f"currents up to {current_max:g} with a threshold of {theta:g}",
            allowed=f"currents below {room:g} thresholds",
        )
    return float((steps + above) / theta)
