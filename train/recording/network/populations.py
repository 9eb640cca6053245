"""One neuron layer's rule as a FloatPopulation.

snnTorch's late subtraction of theta is the subtraction of theta / beta in the step of the spike;
with beta = 0 nothing of the membrane is left to subtract from, and the neuron inhibits itself a
step later instead. A neuron that fires above its threshold, not at it, has the next larger one.
"""

from dataclasses import dataclass

import numpy as np

from tssd.errors import NetworkError
from tssd.train.handover.float_network import (
    FloatArray,
    FloatPopulation,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
    Reset,
)
from tssd.train.recording.network.maps import Linear, diagonal
from tssd.train.recording.tape.neurons import After, Rule, over
from tssd.train.recording.tape.values import Shape


@dataclass(frozen=True, eq=False)
class Layer:
    """A neuron layer in a network: its name, its shape there, its constants over (*shape)."""

    name: str
    path: str
    shape: Shape
    rule: Rule
    keeps: bool
    neurons: Shape  # its shape in the module

    def over(self, constant: object) -> FloatArray:
        """A constant of the rule in the shape of the population, as small as it can be said."""
        full = over(constant, self.neurons)  # type: ignore[arg-type]
        return compact(full.reshape(self.shape))

    def fault(self, found: str, allowed: str, hint: str | None = None) -> NetworkError:
        return NetworkError(f"module {self.path}", found=found, allowed=allowed, hint=hint)


def compact(full: FloatArray) -> FloatArray:
    """One value, or one per channel, where that says all; of the same rank."""
    if np.all(full == full.flat[0]):
        return full.reshape(-1)[:1].reshape((1,) * full.ndim).copy()
    first = full[:, :1, :1] if full.ndim == 3 else full
    return first.copy() if np.all(full == first) else full.copy()


def zeros(shape: Shape) -> FloatArray:
    """A constant 0 of the rank of *shape*."""
    return np.zeros((1,) * len(shape))


def input_population(shape: Shape) -> FloatPopulation:
    """What enters."""
    zero = zeros(shape)
    kind = PopulationKind.INPUT
    return FloatPopulation("input", shape, kind, Reset.NONE, zero, zero + 1, zero)


def maximum_population(name: str, shape: Shape) -> FloatPopulation:
    """Fires where at least one spike came in the same step."""
    zero = zeros(shape)
    half = zero + 0.5
    return FloatPopulation(name, shape, PopulationKind.LIF, Reset.NONE, zero, half, zero)


def neuron_population(layer: Layer, bias: FloatArray) -> FloatPopulation:
    """The firing neurons of *layer*."""
    rule = layer.rule
    theta = layer.over(rule.theta)
    threshold = theta if rule.inclusive else np.nextafter(theta, np.inf)
    if not layer.keeps:
        zero = zeros(layer.shape)
        return FloatPopulation(
            layer.name, layer.shape, PopulationKind.LIF, Reset.NONE, zero, threshold, bias
        )
    reset, amount = _reset(layer, theta)
    return FloatPopulation(
        layer.name,
        layer.shape,
        PopulationKind.LIF,
        reset,
        decay=layer.over(rule.decay),
        threshold=threshold,
        bias=bias,
        synapse_decay=None if rule.memory is None else layer.over(rule.memory),
        reset_by=amount,
    )


def forgetful(layer: Layer) -> FloatArray:
    """1 where a late subtraction must be said as a loop: nothing of the membrane is left."""
    late = layer.rule.after is After.SUBTRACT and layer.keeps
    found: FloatArray = (layer.over(layer.rule.decay) == 0) * float(late)
    return found


def _reset(layer: Layer, theta: FloatArray) -> tuple[Reset, FloatArray | None]:
    after = layer.rule.after
    if after in (After.ZERO, After.ZERO_NOW):
        return Reset.HARD, None
    if after is After.SUBTRACT_NOW:
        return Reset.SOFT, theta
    alone = forgetful(layer)
    if after is After.NONE or np.all(alone):
        return Reset.NONE, None
    return Reset.SOFT, theta / np.where(alone, 1.0, layer.over(layer.rule.decay))


def loops(layer: Layer) -> list[tuple[Linear, FloatArray | None]]:
    """What the spikes of a layer send back to it, and the bias of that map (per output)."""
    rule, found = layer.rule, list[tuple[Linear, FloatArray | None]]()
    if np.any(forgetful(layer)):
        found.append((_each(layer, -layer.over(rule.theta) * forgetful(layer)), None))
    if rule.recurrent is None:
        return found
    kind, weight, bias = rule.recurrent
    back = None if bias is None else bias.numpy()
    factor = layer.over(rule.factor)
    if not layer.keeps:
        return [(_each(layer, zeros(layer.shape)), back)]
    if kind == "each":
        return [*found, (_each(layer, layer.over(weight) * factor), None)]
    if factor.size != 1:
        raise layer.fault("spikes of several sizes sent back", "one graded_spikes_factor")
    w = weight.numpy() * float(factor.flat[0])
    made = Linear(ProjectionKind.DENSE, w)
    if kind == "convolution":
        padding = (rule.padding[0], rule.padding[-1])
        made = Linear(ProjectionKind.CONV2D, w, padding=padding)
    return [*found, (made, back)]


def _each(layer: Layer, factors: FloatArray) -> Linear:
    made = diagonal(factors, layer.shape)
    if made is None:
        raise layer.fault("a recurrent weight for each pixel", "one per channel, or a flat layer")
    return made


def projection(
    made: Linear, source: str, target: str, bias: FloatArray | None = None, delay: int = 0
) -> FloatProjection:
    """*made* between two populations."""
    return FloatProjection(
        source,
        target,
        made.kind,
        made.weight,
        bias=bias,
        stride=made.stride,
        padding=made.padding,
        dilation=made.dilation,
        groups=made.groups,
        delay=delay,
    )
