"""FloatNetwork: the trained network without heads and without torch, handed to calibration.

A population is a set of neurons with one neuron model; a projection carries spikes from one
population to another. Per local step t (time-major, arrays of shape ``(T, B, *shape)``)

    A[t] = sum over incoming projections of  norm(weight * pool(S_source[t]))
    U[t] = synapse_decay * U[t-1] + A[t]         without synaptic memory: U = A
    H[t] = decay * H[t-1] + U[t] + bias          decay = 1 - 1/tau
    S[t] = 1 if H[t] >= threshold                inclusive, as in the paper (arXiv 2406.07862)
    soft reset: H[t] <- H[t] - S[t] * reset_by        hard reset: H[t] <- 0 where S[t] = 1

``reset_by`` is the threshold unless the population has one of its own: a subtraction of theta that
comes a step late, behind the decay, is one of theta / decay in the step of the spike.
A projection from a population to itself is a loop: its spikes count from the next step on.
A readout never fires; its H[T] orders the classes, and with decay 1 H[T] / T is the mean logit.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import assert_never

import numpy as np

from tssd.arrays import FloatArray as FloatArray
from tssd.errors import NetworkError
from tssd.train.handover.fields import amount, said_late, since, words_of
from tssd.train.handover.input_map import InputMap


class Reset(StrEnum):
    """What happens to the membrane in the step in which the neuron fires."""

    HARD = "hard"
    SOFT = "soft"
    NONE = "none"

    @property
    def zeroes(self) -> bool:
        """Whether nothing is left of the membrane."""
        match self:
            case Reset.HARD:
                return True
            case Reset.SOFT | Reset.NONE:
                return False
            case _:
                assert_never(self)

    @property
    def subtracts(self) -> bool:
        """Whether an amount is taken from the membrane."""
        match self:
            case Reset.SOFT:
                return True
            case Reset.HARD | Reset.NONE:
                return False
            case _:
                assert_never(self)

    @property
    def keeps(self) -> bool:
        """Whether the membrane stays as it is."""
        return not self.zeroes and not self.subtracts


class PopulationKind(StrEnum):
    """INPUT emits what it is given; LIF fires; RELAY passes its sum on; READOUT only integrates."""

    INPUT = "input"
    LIF = "lif"
    RELAY = "relay"
    READOUT = "readout"

    @property
    def has_state(self) -> bool:
        """Whether its neurons keep anything from step to step."""
        match self:
            case PopulationKind.LIF | PopulationKind.READOUT:
                return True
            case PopulationKind.INPUT | PopulationKind.RELAY:
                return False
            case _:
                assert_never(self)

    @property
    def fires(self) -> bool:
        """Whether its neurons send spikes of their own, zeros and ones."""
        match self:
            case PopulationKind.LIF:
                return True
            case PopulationKind.INPUT | PopulationKind.RELAY | PopulationKind.READOUT:
                return False
            case _:
                assert_never(self)

    @property
    def reads_out(self) -> bool:
        """Whether it only integrates: its membranes are an answer."""
        return self.has_state and not self.fires

    @property
    def relays(self) -> bool:
        """Whether it sends what arrives, in the same step."""
        match self:
            case PopulationKind.RELAY:
                return True
            case PopulationKind.INPUT | PopulationKind.LIF | PopulationKind.READOUT:
                return False
            case _:
                assert_never(self)

    @property
    def enters(self) -> bool:
        """Whether it sends what it is given."""
        return not self.has_state and not self.relays


class MembraneRead(StrEnum):
    """What of a READOUT's membranes is the answer: H[T], or the largest of H[1] .. H[T]. The host
    takes the largest: no neuron of these chips keeps it."""

    LAST = "last"
    LARGEST = "largest"

    @property
    def of_every_step(self) -> bool:
        """Whether membranes before the last one count."""
        match self:
            case MembraneRead.LAST:
                return False
            case MembraneRead.LARGEST:
                return True
            case _:
                assert_never(self)


class ProjectionKind(StrEnum):
    """SUM_POOL is a depthwise convolution with weights of one, kept apart for the exporters.
    CONV2D_TRANSPOSED enlarges an image: ``geometry`` says how."""

    DENSE = "dense"
    CONV2D = "conv2d"
    SUM_POOL = "sum_pool"
    CONV2D_TRANSPOSED = "conv2d_transposed"

    @property
    def words(self) -> str:
        """What messages call it."""
        match self:
            case ProjectionKind.DENSE:
                return "matrix"
            case ProjectionKind.CONV2D:
                return "convolution"
            case ProjectionKind.SUM_POOL:
                return "sum over windows"
            case ProjectionKind.CONV2D_TRANSPOSED:
                return "transposed convolution"
            case _:
                assert_never(self)

    @property
    def spatial(self) -> bool:
        """Whether a kernel slides over an image, (C, H, W) to (C, H, W); its sum has 24 bits."""
        match self:
            case ProjectionKind.DENSE:
                return False
            case ProjectionKind.CONV2D | ProjectionKind.SUM_POOL | ProjectionKind.CONV2D_TRANSPOSED:
                return True
            case _:
                assert_never(self)


@dataclass(frozen=True, eq=False)
class FloatPopulation:
    """Neurons of one model. Parameter arrays have the rank of ``shape`` and broadcast to it."""

    name: str
    shape: tuple[int, ...]  # (C, H, W) or (N,)
    kind: PopulationKind
    reset: Reset
    decay: FloatArray
    threshold: FloatArray = field(metadata=amount("threshold"))
    bias: FloatArray
    synapse_decay: FloatArray | None = None  # None: no synaptic memory
    reset_by: FloatArray | None = field(
        default=None, metadata=amount("reset amount", 2)
    )  # None: the threshold
    membrane_read: MembraneRead = field(default=MembraneRead.LAST, metadata=since(3))

    def __post_init__(self) -> None:
        check_reset(self.name, self.reset, self.reset_by is not None)
        check_read(self.name, self.kind, self.membrane_read)

    @property
    def neurons(self) -> int:
        return int(np.prod(self.shape))

    @property
    def subtracted(self) -> FloatArray:
        """What a soft reset takes from the membrane."""
        return self.threshold if self.reset_by is None else self.reset_by


@dataclass(frozen=True, eq=False)
class Norm:
    """Batch normalisation at inference: (x - mean) / sqrt(variance + eps) * gain + shift."""

    mean: FloatArray
    variance: FloatArray
    gain: FloatArray
    shift: FloatArray
    eps: float


@dataclass(frozen=True)
class AveragePool:
    """Mean over ``kernel`` windows, no padding, incomplete windows dropped (floor)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]


@dataclass(frozen=True, eq=False)
class FloatProjection:
    """Weights from ``source`` to ``target``: pool, then linear map, then normalisation.

    ``weight`` is (out, in) for DENSE (an image source is flattened in C, H, W order) and
    (C_out, C_in / groups, k_h, k_w) for CONV2D and SUM_POOL, in torch's orientation.
    ``bias`` has one value per output or output channel, or is None.
    ``delay`` is in steps beyond the one step that every projection takes on a chip.
    """

    source: str
    target: str
    kind: ProjectionKind
    weight: FloatArray
    bias: FloatArray | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    delay: int = 0
    pool: AveragePool | None = None
    norm: Norm | None = None

    @property
    def is_loop(self) -> bool:
        """From a population to itself."""
        return self.source == self.target


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """Populations in topological order (input first, readout last) and the projections between.

    Apart from loops, projections lead forward. What enters are levels 0 .. 1.
    """

    populations: tuple[FloatPopulation, ...]
    projections: tuple[FloatProjection, ...]
    time_steps: int  # T_s: the steps of one inference
    entry: InputMap | None = None  # what the levels of its input mean; None: themselves

    def __post_init__(self) -> None:
        check_graph(
            [p.name for p in self.populations], [(j.source, j.target) for j in self.projections]
        )

    def population(self, name: str) -> FloatPopulation:
        return next(p for p in self.populations if p.name == name)

    def incoming(self, name: str) -> tuple[FloatProjection, ...]:
        return tuple(j for j in self.projections if j.target == name)

    def outgoing(self, name: str) -> tuple[FloatProjection, ...]:
        return tuple(j for j in self.projections if j.source == name)

    def with_time_steps(self, time_steps: int) -> "FloatNetwork":
        return replace(self, time_steps=time_steps)


def depths(network: FloatNetwork) -> dict[str, int]:
    """Longest path from the input, in projections."""
    depth = {network.populations[0].name: 0}
    for population in network.populations[1:]:
        sources = [j.source for j in network.incoming(population.name) if not j.is_loop]
        late = [name for name in sources if name not in depth]
        if late:
            raise NetworkError(
                f"projection {late[0]} -> {population.name}",
                found="a projection to an earlier or the same population",
                allowed="feed-forward projections, populations in topological order",
            )
        depth[population.name] = 1 + max((depth[name] for name in sources), default=0)
    return depth


def check_reset(name: str, reset: Reset, given: bool) -> None:
    """Refuse an amount of a reset that subtracts nothing."""
    if given and not reset.subtracts:
        raise NetworkError(
            f"population {name}: reset_by",
            found=f"an amount to subtract with the reset {reset}",
            allowed="one with a soft reset, else none",
        )


def check_read(name: str, kind: PopulationKind, read: MembraneRead) -> None:
    """Refuse membranes of every step as an answer where none is read."""
    if read.of_every_step and not kind.reads_out:
        raise NetworkError(
            f"population {name}: membrane_read",
            found=f"the {read} membrane as the answer of a population of kind {kind}",
            allowed=f"{MembraneRead.LAST}; another of a readout alone",
        )


def check_known(population: FloatPopulation, known: Collection[str], what: str) -> None:
    """Refuse parameters beyond the first schema's that *what* would leave out in silence."""
    for name in said_late(population).keys() - set(known):
        raise NetworkError(
            f"population {population.name}: {name}",
            found=f"a neuron with {words_of(type(population)).get(name, name)}",
            allowed=f"what {what} can say: {', '.join(('threshold, decays, bias', *known))}",
        )


def check_graph(names: list[str], edges: list[tuple[str, str]]) -> None:
    """Refuse doubled names, dangling projections, and populations nothing reaches or leaves."""
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise NetworkError(
            "populations", found=f"the name {doubled[0]!r} twice", allowed="unique names"
        )
    for source, target in edges:
        for end in (source, target):
            if end not in names:
                raise NetworkError(
                    f"projection {source} -> {target}",
                    found=f"no population {end!r}",
                    allowed=", ".join(names),
                )
    apart = [(s, t) for s, t in edges if s != t]  # a loop neither feeds nor drains
    targets, sources = {t for _, t in apart}, {s for s, _ in apart}
    for name in names[1:]:
        if name not in targets:
            raise NetworkError(
                f"population {name}", found="no projection into it", allowed="at least one"
            )
    for name in names[:-1]:
        if name not in sources:
            raise NetworkError(
                f"population {name}", found="no projection out of it", allowed="at least one"
            )
