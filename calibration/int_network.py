"""IntNetwork: the network in integers, exactly what is deployed.

Units: weights, thresholds and activations are in *weight units*; membrane states are in 1/64 of a
weight unit. ``scale`` relates both to the float network: float value = weight units / scale, or
channel by channel where a population has ``channel_scales``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import assert_never

import numpy as np

from tssd.arrays import FloatArray
from tssd.calibration.integer import DECAY_ONE, UNIT, IntArray
from tssd.errors import NetworkError, counted
from tssd.train.handover.fields import amount, arrays_of, since
from tssd.train.handover.float_network import (
    MembraneRead,
    PopulationKind,
    ProjectionKind,
    Reset,
    check_graph,
    check_read,
    check_reset,
)

__all__ = [
    "Activity",
    "InputCoding",
    "IntNetwork",
    "MembraneRead",
    "Population",
    "PopulationKind",
    "Projection",
    "ProjectionKind",
    "Reset",
    "Runner",
]


NEURON_STATES = ("u", "v")  # what a neuron keeps from step to step, as calibration.neuron has it
MEMBRANE = "v"  # the state that is compared with the threshold, and a readout's answer


class InputCoding(StrEnum):
    """How a sample enters the first population.

    GRADED: its values are the payloads of graded spikes, every step. SPIKES: zeros and ones per
    step. BIAS: the first population is a LIF and the sample is its bias mantissa per neuron.
    """

    GRADED = "graded"
    BIAS = "bias"
    SPIKES = "spikes"

    @property
    def as_bias(self) -> bool:
        """Whether a sample is a bias of neurons instead of what a population sends."""
        match self:
            case InputCoding.BIAS:
                return True
            case InputCoding.GRADED | InputCoding.SPIKES:
                return False
            case _:
                assert_never(self)

    @property
    def binary(self) -> bool:
        """Whether the input population sends zeros and ones alone."""
        match self:
            case InputCoding.SPIKES:
                return True
            case InputCoding.GRADED | InputCoding.BIAS:
                return False
            case _:
                assert_never(self)

    @property
    def graded(self) -> bool:
        """Whether the input population sends payloads."""
        return not self.as_bias and not self.binary


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons of one integer model (see ``calibration.neuron``).

    Parameter arrays are int64, have the rank of ``shape`` and broadcast to it.
    ``du`` = 4096 means no synaptic memory; ``dv`` = 0 means no leak. A RELAY has neither state nor
    threshold: it emits its summed activation as a payload. A READOUT never fires. ``reset_by`` is
    what a soft reset subtracts, in weight units as ``vth``.
    """

    name: str
    shape: tuple[int, ...]  # (C, H, W) or (N,)
    kind: PopulationKind
    reset: Reset
    du: IntArray
    dv: IntArray
    vth: IntArray = field(metadata=amount("threshold"))
    bias_mant: IntArray
    bias_exp: int = 6
    scale: float = 1.0
    reset_by: IntArray | None = field(default=None, metadata=amount("reset amount", 2))  # None: vth
    channel_scales: tuple[float, ...] = field(default=(), metadata=since(3))  # (): ``scale`` of all
    membrane_read: MembraneRead = field(default=MembraneRead.LAST, metadata=since(4))

    def __post_init__(self) -> None:
        if not self.shape:
            where = f"population {self.name}: shape"
            raise NetworkError(where, found="()", allowed="(C, H, W) or (N,)")
        check_reset(self.name, self.reset, self.reset_by is not None)
        check_read(self.name, self.kind, self.membrane_read)
        for label, array in arrays_of(self).items():
            _check_broadcast(self.name, label, array, self.shape)
        if len(self.channel_scales) not in (0, self.shape[0]):
            raise NetworkError(
                f"population {self.name}: channel_scales",
                found=str(len(self.channel_scales)),
                allowed=f"none, or one for each of {self.shape[0]} channels",
            )

    @property
    def scales(self) -> FloatArray:
        """Weight units per unit of the float network, broadcasting to ``shape``."""
        size = (-1,) + (1,) * (len(self.shape) - 1)
        return np.array(self.channel_scales or (self.scale,)).reshape(size)

    @property
    def neurons(self) -> int:
        return int(np.prod(self.shape))

    @property
    def states(self) -> tuple[str, ...]:
        """The state variables that its neurons keep, by name."""
        return NEURON_STATES if self.kind.has_state else ()

    @property
    def has_state(self) -> bool:
        return bool(self.states)

    @property
    def bias(self) -> IntArray:
        """Bias in membrane units: mantissa shifted by the exponent."""
        e = self.bias_exp
        return self.bias_mant << e if e >= 0 else self.bias_mant >> -e

    @property
    def subtracted(self) -> IntArray:
        """What a soft reset takes from v, in weight units."""
        return self.vth if self.reset_by is None else self.reset_by

    @property
    def levels(self) -> dict[str, IntArray]:
        """What its rule compares the membrane with, or takes from it, in weight units."""
        return {"threshold": self.vth, "subtracted": self.subtracted}

    @property
    def lifted(self) -> int:
        """The most by which a reset raises v, in membrane units: a negative amount adds."""
        if not self.reset.subtracts:
            return 0
        return -UNIT * int(self.subtracted.min(initial=0))

    @property
    def sunk(self) -> int:
        """The most by which a reset leaves v below zero, in membrane units: a neuron that just
        fired stood above vth."""
        if not self.reset.subtracts:
            return 0
        return UNIT * int((self.subtracted - self.vth).max(initial=0))


@dataclass(frozen=True, eq=False)
class Projection:
    """Integer weights from ``source`` to ``target``.

    ``weight`` is (out, in) for DENSE (an image source is flattened in C, H, W order) and
    (C_out, C_in / groups, k_h, k_w) for CONV2D and SUM_POOL, in torch's orientation.
    ``weight_exp`` shifts the sum, not the weights. ``delay``: steps beyond the synapse's own one.
    """

    source: str
    target: str
    kind: ProjectionKind
    weight: IntArray
    weight_exp: int = 0
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    delay: int = 0

    @property
    def name(self) -> str:
        return f"{self.source} -> {self.target}"

    @property
    def is_loop(self) -> bool:
        """From a population to itself."""
        return self.source == self.target


@dataclass(frozen=True, eq=False)
class IntNetwork:
    """Populations in topological order (input first, readout last) and the projections between.

    A projection to an earlier or the same population is recurrent. ``input_max`` is the largest
    payload that the input may carry (1 for SPIKES, the largest bias mantissa for BIAS).
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    time_steps: int
    input_coding: InputCoding = InputCoding.GRADED
    input_max: int = 255

    def __post_init__(self) -> None:
        check_graph(
            [p.name for p in self.populations], [(j.source, j.target) for j in self.projections]
        )
        if self.time_steps < 1:
            raise NetworkError("network", found=f"{self.time_steps} time steps", allowed=">= 1")
        first = self.populations[0].kind
        wanted = PopulationKind.LIF if self.input_coding.as_bias else PopulationKind.INPUT
        if first is not wanted:
            raise NetworkError(
                f"population {self.populations[0].name}",
                found=f"kind {first} with {self.input_coding} input",
                allowed=wanted,
            )

    @property
    def source(self) -> Population:
        return self.populations[0]

    @property
    def readout(self) -> Population:
        return self.populations[-1]

    def index(self, name: str) -> int:
        return [p.name for p in self.populations].index(name)

    def population(self, name: str) -> Population:
        return self.populations[self.index(name)]

    def incoming(self, name: str) -> tuple[Projection, ...]:
        return tuple(j for j in self.projections if j.target == name)

    def outgoing(self, name: str) -> tuple[Projection, ...]:
        return tuple(j for j in self.projections if j.source == name)

    def is_recurrent(self, projection: Projection) -> bool:
        return self.index(projection.target) <= self.index(projection.source)

    def with_time_steps(self, time_steps: int) -> "IntNetwork":
        return replace(self, time_steps=time_steps)


SPIKES = "spikes"  # the one quantity that every population has
States = Mapping[str, Mapping[str, IntArray]]  # state -> population -> (T, B, *shape)


def state_names(network: IntNetwork) -> tuple[str, ...]:
    """Every state that some neuron of *network* keeps, in the neurons' own order."""
    return tuple(dict.fromkeys(name for p in network.populations for name in p.states))


@dataclass(frozen=True, eq=False)
class Activity:
    """What a run of B samples over T local steps did.

    ``spikes[name]`` has shape (T, B, *population shape): 0/1 for LIF, payloads for INPUT and RELAY;
    local step t of a population at depth d is chip step t + d. ``readout`` is the answer of the
    last population, (B, *shape): its final membrane, or its largest (``answer``).
    ``states[state][name]`` (T, B, *shape) are what the neurons keep after each step (the membrane
    after the reset), where that was asked for.
    """

    spikes: Mapping[str, IntArray]
    readout: IntArray
    states: States = field(default_factory=dict)

    def recorded(self, quantity: str) -> Mapping[str, IntArray]:
        """The spikes or one state, by population; empty where it was not recorded."""
        return self.spikes if quantity == SPIKES else self.states.get(quantity, {})


def activity(network: IntNetwork, spikes: Mapping[str, IntArray], states: States) -> Activity:
    """What a run did, whose recorded membranes hold the answer."""
    return Activity(spikes, answer(network, states[MEMBRANE][network.readout.name]), states)


def answer(network: IntNetwork, membranes: IntArray) -> IntArray:
    """What is read of the readout's membranes (T, ...): of the last step, or the largest."""
    every = network.readout.membrane_read.of_every_step
    read: IntArray = membranes.max(axis=0) if every else membranes[-1]
    return read


Runner = Callable[[IntNetwork, IntArray], Activity]  # inputs (T, B, *input shape)


def constant(value: int, shape: tuple[int, ...]) -> IntArray:
    """A parameter array that broadcasts *value* over *shape*."""
    return np.full((1,) * len(shape), value, np.int64)


def plain_population(name: str, shape: tuple[int, ...], kind: PopulationKind) -> Population:
    """A population without state or threshold (INPUT, RELAY)."""
    zero = constant(0, shape)
    return Population(name, shape, kind, Reset.NONE, constant(DECAY_ONE, shape), zero, zero, zero)


def depths(network: IntNetwork) -> dict[str, int]:
    """Longest forward path from the input, in projections: population p works in chip steps
    depth + 1 .. depth + T."""
    depth = {network.source.name: 0}
    for population in network.populations[1:]:
        forward = [j for j in network.incoming(population.name) if not network.is_recurrent(j)]
        depth[population.name] = 1 + max((depth[j.source] for j in forward), default=0)
    return depth


def interval(network: IntNetwork) -> int:
    """Chip steps from one sample to the next: the time steps plus the longest extra delay."""
    return network.time_steps + max((j.delay for j in network.projections), default=0)


def lag(network: IntNetwork, projection: Projection, depth: Mapping[str, int]) -> int:
    """How many local steps late a spike arrives: 0 for an aligned projection.

    A spike of chip step c arrives at step c + 1 + delay. Negative means that the skip path is too
    short for the target's window: raise, and name the missing delay.
    """
    late = depth[projection.source] + 1 + projection.delay - depth[projection.target]
    if late < 0:
        raise NetworkError(
            f"projection {projection.name}",
            found=f"a skip that arrives {counted(-late, 'step')} early",
            allowed=f"delay >= {projection.delay - late}",
            hint="align the network, or add relay populations",
        )
    return late


def _check_broadcast(name: str, label: str, array: IntArray, shape: tuple[int, ...]) -> None:
    fits = array.ndim == len(shape) and all(
        a in (1, s) for a, s in zip(array.shape, shape, strict=True)
    )
    if array.dtype != np.int64 or not fits:
        raise NetworkError(
            f"population {name}: {label}",
            found=f"{array.dtype} array of shape {array.shape}",
            allowed=f"int64, rank {len(shape)}, broadcasting to {shape}",
        )
