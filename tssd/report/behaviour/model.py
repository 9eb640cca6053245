"""Values of the report beyond counts: where layers sit, answers over time, answers by class, the
spikes around the first difference, how weights and membranes are distributed."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from tssd.typed import Amount, Count, Positive

Share = Annotated[float, Meta(ge=0, le=1)]
Event = tuple[Count, Count]
Place = Annotated[float, Meta(description="where the first bin begins")]
Width = Annotated[float, Meta(gt=0, description="of a bin")]
MOST_COMPARED = 64  # samples that are compared layer by layer: their counts are kept


def about(words: str) -> Meta:
    """What the schema says of a field."""
    return Meta(description=words)


@dataclass(frozen=True)
class CoreUse:
    """One core in use: what it holds, how full it is, what it computes."""

    core: Count
    chip: Count
    x: Annotated[Count, about("column of its router")]
    y: Annotated[Count, about("row of its router")]
    slot: Annotated[Count, about("place at its router")]
    layers: tuple[str, ...]
    resource: Annotated[str, about("the resource of it that is used up most")]
    share: Annotated[Amount, about("of what a core has of that resource")]
    synops: Annotated[Amount, about("synaptic operations per inference, mean")]


@dataclass(frozen=True)
class ChipMap:
    """The cores in use on chips of ``width`` x ``height`` routers of ``slots`` cores each."""

    width: Positive
    height: Positive
    slots: Positive
    cores: tuple[CoreUse, ...]


@dataclass(frozen=True)
class TimePoint:
    """The integer network after one time step more."""

    step: Annotated[Positive, about("time steps read, 1 .. T")]
    accuracy: Annotated[Share | None, about("share of right answers if read here; null: no labels")]
    rate: Annotated[Amount, about("events per neuron in this step, of the layers that fire")]


@dataclass(frozen=True)
class AnswerCount:
    """How many samples of one label got these two answers."""

    label: int
    float: Annotated[int | None, about("the float network's answer; null: not run")]
    integer: Annotated[int, about("the integer network's answer")]
    samples: Positive


@dataclass(frozen=True)
class Divergence:
    """The first neuron that fires otherwise in integers than in float, and those beside it.

    ``float`` and ``integer``: events as (step, neuron), of ``neurons`` and of ``steps`` steps from
    ``first_step`` on. First by sample, then by step, then by the order of the layers.
    """

    sample: Count
    layer: str
    step: Count
    neuron: Annotated[Count, about("flat index in C, H, W order")]
    first_step: Count
    steps: Positive
    neurons: tuple[Count, ...]
    float: tuple[Event, ...]
    integer: tuple[Event, ...]


@dataclass(frozen=True)
class FiringChange:
    """What quantization did to a layer that fires, over ``samples`` samples. Neurons of this layer
    get what the layers before it send, so their changes are in it too."""

    samples: Annotated[Positive, about("the first so many of the report's samples")]
    rate_float: Annotated[Amount, about("events per neuron and step, float")]
    rate_integer: Annotated[Amount, about("events per neuron and step, integers")]
    spike_ratio: Annotated[
        Amount | None, about("spikes in integers over those in float; null: none in float")
    ]
    cosine: Annotated[
        Share | None,
        about("of the events of each neuron in each sample; null: one of both is silent"),
    ]
    rate_drift: Annotated[
        Share, about("earth mover's distance of the neurons' rates, in events per neuron and step")
    ]
    dead_float: Annotated[Count, about("neurons that never fire, float")]
    dead_integer: Annotated[Count, about("neurons that never fire, integers")]
    always_float: Annotated[Count, about("neurons that fire in every step, float")]
    always_integer: Annotated[Count, about("neurons that fire in every step, integers")]


@dataclass(frozen=True)
class BinCounts:
    """Values in each bin, and those before the first and after the last."""

    below: Count
    bins: Annotated[tuple[Count, ...], Meta(min_length=1)]
    above: Count


@dataclass(frozen=True)
class Distribution:
    """How often values fall into bins ``width`` wide, the first from ``low`` on, in the integer
    network and in the folded float network on the same scale."""

    unit: Annotated[
        Literal["step", "threshold", "float"],
        about(
            "step: one of the integer weights; threshold: of the neuron's own; float: a unit of the"
            " float network"
        ),
    ]
    low: Place
    width: Width
    integer: BinCounts
    float: Annotated[BinCounts | None, about("null: not run")] = None


@dataclass(frozen=True)
class Behaviour:
    """All of it; what was not looked at is None or empty."""

    chip_map: ChipMap | None = None
    over_time: tuple[TimePoint, ...] = ()
    answers: tuple[AnswerCount, ...] = ()
    divergence: Annotated[
        Divergence | None, about("null: not looked for, or none in the samples that were")
    ] = None
    compared: Annotated[Count, about("samples in which a difference from float was looked for")] = 0
    agreement: Annotated[
        Share | None,
        about(
            f"of the first {MOST_COMPARED} samples, those that the integers answer as the folded"
            " float network does; null: float was not run"
        ),
    ] = None
