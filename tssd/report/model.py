"""Report: frozen values, and the one source of the report's schema.

``schema/report.schema.json`` is made from these declarations (``make schema``): types, ranges and
descriptions stand here only, and are checked when a report is read.

None always means *not run* or *not known*; it is never replaced by a guess. Units are in the
names: pJ, uJ, us. Per-layer energies and counts are means per inference, spikes are totals over
all samples and steps. ``docs/report.md`` explains every field.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from tssd.contracts import Contract
from tssd.hw_targets.c.footprint import Footprint
from tssd.report.behaviour.model import (
    MOST_COMPARED,
    Behaviour,
    Distribution,
    FiringChange,
    Share,
    about,
)
from tssd.report.energies import EnergyPj, EnergyTrust, EnergyUj
from tssd.typed import Amount, Count, Positive

SCHEMA: Literal["tssd-report/2"] = "tssd-report/2"
STAGES = ("float", "folded", "integer")  # of an accuracy, before every engine's
NETWORKS = ("float", "integer")  # of a spike count, before every engine's
MEASURED = "measured"  # of a spike count, after every engine's
ENERGY_PARTS = ("synapse", "neuron", "spike", "noc")

Kind = Literal["measured", "published", "derived", "assumed"]
KINDS: tuple[Kind, ...] = ("measured", "published", "derived", "assumed")
Timing = Literal["cycle", "bound"]


Text = str | None
Accuracy = Annotated[
    Mapping[str, Share | None],
    Meta(
        description="fractions in 0..1 after each stage, then by each engine by its name;"
        " null = not run",
        extra_json_schema={"required": list(STAGES)},
    ),
]
Spikes = Annotated[
    Mapping[str, Count | None],
    Meta(
        description="totals over all samples and steps, of the networks, of each engine by its"
        " name, measured on a chip; null = not run",
        extra_json_schema={"required": list(NETWORKS)},
    ),
]


@dataclass(frozen=True)
class LayerRow:
    """One population. Counts are per inference (means); ``time_share`` is the share of the run's
    time in steps that this layer limits."""

    name: Annotated[str, about("population name")]
    kind: Annotated[str, about("input, lif, relay or readout")]
    shape: Annotated[tuple[Count, ...], about("(C, H, W) or (N,)")]
    neurons: Annotated[Count, about("product of the shape")]
    synapses: Annotated[
        Count,
        about(
            "connections into the layer, each weight use counted (a convolution counts every"
            " position)"
        ),
    ]
    cores: Annotated[Count | None, about("cores that hold neurons of the layer")]
    weight_bits: Annotated[
        Count | None, about("bits of a stored weight of its incoming projections")
    ]
    spikes: Spikes
    rate: Annotated[Amount | None, about("events per neuron and step, of the integer network")]
    synops: Annotated[
        Amount | None, about("synaptic operations into the layer, per inference, mean")
    ]
    neuron_updates: Annotated[Amount | None, about("per inference: neurons x steps")]
    messages: Annotated[Amount | None, about("sent by the layer, per inference, mean")]
    energy_pj: Annotated[
        EnergyPj | None, about("dynamic, per inference; null where the chip file tells no energies")
    ]
    time_share: Annotated[
        Share | None, about("share of the run's time in steps that this layer limits")
    ]
    accuracy_if_only_this_layer_is_quantized: Annotated[
        Share | None,
        about("accuracy of the float network with this one layer in integers"),
    ] = None
    agreement_if_only_this_layer_is_quantized: Annotated[
        Share | None,
        about(
            f"of the first {MOST_COMPARED} samples, those that the float network with this one"
            " layer in integers answers as float does"
        ),
    ] = None
    agreement_if_only_this_layer_is_float: Annotated[
        Share | None, about("the same, with this one layer in float and all others in integers")
    ] = None
    memory_bytes: Annotated[Count | None, about("synaptic memory on all its cores")] = None
    kept_bits: Annotated[
        Amount | None,
        about(
            "effective bits of its incoming weights: log2(2 max|w| + 1), of the projection with the"
            " fewest"
        ),
    ] = None
    firing: Annotated[
        FiringChange | None,
        about("its spikes beside float's; null: it does not fire, or float was not run"),
    ] = None
    saturated: Annotated[
        Count | None,
        about(
            "how often a membrane stands at an end of its range, +-(2^23 - 1), after a step, in the"
            f" first {MOST_COMPARED} samples; null: it has none"
        ),
    ] = None
    wrapped: Annotated[
        Count | None,
        about(
            "how often its current, or the sum of a convolution into it, left its 24 bits and"
            f" turned, in the first {MOST_COMPARED} samples; null: it has none"
        ),
    ] = None
    weights: Annotated[
        Distribution | None,
        about("its incoming weights, each stored one once; null: it has none of its own"),
    ] = None
    membranes: Annotated[
        Distribution | None,
        about(
            "its membranes after every step and its reset, in the first"
            f" {MOST_COMPARED} samples; null: it has none"
        ),
    ] = None


@dataclass(frozen=True)
class Fullest:
    """The resource that leaves the least room on any core: its share of what a core has, and how
    much of how much that is, in words."""

    resource: str
    share: Amount
    core: Count
    layers: str
    amount: str = ""


@dataclass(frozen=True)
class Totals:
    """The whole network; synops and spikes are means per inference.

    ``timing``: whether the times are of a simulation by cycles or a lower bound.
    ``latency_us``: one sample alone on the chip, from its first input to its answer.
    ``us_per_step`` and ``inferences_per_s``: the pace, samples back to back in the steady state;
    static energy is that of one inference at this pace, of all ``cores_there`` on the chips.
    """

    cores: Count | None
    chips: Count | None
    synops: Amount | None
    spikes: Annotated[Amount | None, about("events per inference, all layers, mean")]
    timing: Annotated[Timing | None, about("the times are simulated by cycles, or a lower bound")]
    latency_us: Annotated[
        Amount | None,
        about("one sample alone on the chip, from its first input to its answer"),
    ]
    us_per_step: Annotated[
        Amount | None,
        about("the pace: a chip step, samples back to back in the steady state"),
    ]
    inferences_per_s: Annotated[
        Amount | None,
        about("the pace: answers per second, samples back to back in the steady state"),
    ]
    energy_uj_per_inference: Annotated[EnergyUj, about("at this pace")]
    trust: Annotated[
        EnergyTrust | None,
        about("how good the dynamic energy is: what the fit behind the chip file promises"),
    ] = None
    cores_there: Annotated[
        Count | None,
        about("usable cores of the chips in use; static power is charged for all of them"),
    ] = None
    fullest: Annotated[
        Fullest | None, about("the resource that leaves the least room on any core")
    ] = None


@dataclass(frozen=True)
class ShareInterval:
    """Where a share lies with 95 % confidence, given its samples (Wilson's interval)."""

    low: Share
    high: Share


@dataclass(frozen=True)
class TestedAccuracy:
    """What training found on its whole test set, before anything was deployed."""

    accuracy: Share
    samples: Positive


@dataclass(frozen=True)
class Gpu:
    """The machine the torch reference ran on; energy only where NVML measured it."""

    device: str | None = None
    energy_uj_per_inference: Amount | None = None
    how: Literal["nvml"] | None = None
    latency_us: Amount | None = None


@dataclass(frozen=True)
class Constant:
    """A number that energy and time rest on."""

    name: str
    value: float
    unit: str
    source: Annotated[str, Meta(min_length=3)]
    kind: Kind
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class TimelineStep:
    """One chip step of the simulated run: how long it took, what limited it, on which core."""

    step: Count
    us: Annotated[Amount, about("duration of the step")]
    bottleneck: Annotated[str, about("what the step waited for: compute, memory, traffic, barrier")]
    core: Annotated[Text, about("the core it waited for")] = None


@dataclass(frozen=True)
class MeshCell:
    """One place of the chip's mesh with what was measured there."""

    x: Count
    y: Count
    value: float
    unit: str


@dataclass(frozen=True)
class Provenance:
    """How to get the same numbers again.

    ``commands`` make what stands in the report, in their order; ``stands`` names the one behind
    each part (an engine, ``time``). ``chip`` and ``inputs``: SHA-256 of the chip's numbers and of
    the samples, so that only what belongs together is put together.
    """

    commands: tuple[str, ...]
    versions: Mapping[str, str]
    hashes: Mapping[str, str]
    stands: Annotated[Mapping[str, str], about("the command behind each part of the report")] = (
        field(default_factory=dict)
    )
    chip: Annotated[Text, about("SHA-256 of the chip's numbers")] = None
    inputs: Annotated[Text, about("SHA-256 of the samples")] = None


@dataclass(frozen=True)
class Report:
    """Everything a reader needs to judge a network on a chip."""

    network: Annotated[str, about("name of the network or bundle")]
    target: Annotated[str, about("name of the chip file that placed and priced it")]
    samples: Annotated[Positive, about("samples behind the spike counts")]
    time_steps: Annotated[Positive, about("T, the steps of one inference")]
    accuracy: Accuracy
    layers: Annotated[tuple[LayerRow, ...], Meta(min_length=1)]
    totals: Totals
    gpu: Gpu
    contracts: Annotated[
        tuple[Contract, ...], Meta(min_length=1, description="every checked hand-over")
    ]
    constants: Annotated[tuple[Constant, ...], about("every number that time and energy rest on")]
    provenance: Provenance
    dataset: Annotated[Text, about("where the samples come from")] = None
    shown: Annotated[
        Text, about("which samples were run, as: first 64 of 360 test samples of digits")
    ] = None
    intervals: Annotated[
        Mapping[str, ShareInterval],
        about("where each accuracy lies with 95 % confidence, given its samples (Wilson)"),
    ] = field(default_factory=dict)
    trained: Annotated[
        TestedAccuracy | None,
        about("accuracy that training found on its whole test set"),
    ] = None
    label: Annotated[Text, about("how far time and energy may be trusted, as: scaled estimate")] = (
        None
    )
    bottleneck: Annotated[Text, about("what limits the simulated run, in words")] = None
    timeline: Annotated[
        tuple[TimelineStep, ...],
        about("chip steps of the simulated run; empty = not simulated"),
    ] = ()
    mesh: Annotated[
        tuple[MeshCell, ...],
        about("one value per place of the chip's mesh; empty = not simulated"),
    ] = ()
    notes: Annotated[tuple[str, ...], about("what a reader should know")] = ()
    behaviour: Annotated[
        Behaviour, about("cores, answers over time and by class, the first difference from float")
    ] = field(default_factory=Behaviour)
    plain_c: Annotated[
        Footprint | None, about("what the network takes as a C program; null = not run")
    ] = None
    schema: Literal["tssd-report/2"] = field(default=SCHEMA, kw_only=True)

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that the report has a place for, in its order."""
        return tuple(name for name in self.accuracy if name not in STAGES)
