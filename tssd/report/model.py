"""Report: frozen values that mirror ``tssd/report/schema/report.schema.json`` field by field.

None always means *not run* or *not known*; it is never replaced by a guess. Units are in the
names: pJ, uJ, us. Per-layer energies and counts are means per inference, spikes are totals over
all samples and steps. ``docs/report.md`` explains every field.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tssd.contracts import Contract

SCHEMA: Literal["tssd-report/2"] = "tssd-report/2"
STAGES = ("float", "folded", "integer")  # of an accuracy, before every engine's
NETWORKS = ("float", "integer")  # of a spike count, before every engine's
MEASURED = "measured"  # of a spike count, after every engine's
ENERGY_PARTS = ("synapse", "neuron", "spike", "noc")

Kind = Literal["measured", "published", "derived", "assumed"]
KINDS: tuple[Kind, ...] = ("measured", "published", "derived", "assumed")


Timing = Literal["cycle", "bound"]
# share of samples classified correctly (0..1), by stage and engine
Accuracy = Mapping[str, float | None]
# events of one population over all samples and steps, by who counted them
Spikes = Mapping[str, int | None]


@dataclass(frozen=True)
class Range:
    """low <= nominal <= high, one unit (in the name of the field that holds it)."""

    low: float
    nominal: float
    high: float


@dataclass(frozen=True)
class Parts:
    """Nominal dynamic energy in pJ: synaptic operations, neuron updates, spike generation,
    messages and hops on the network on chip."""

    synapse: float
    neuron: float
    spike: float
    noc: float


@dataclass(frozen=True)
class EnergyPj:
    """Dynamic energy of one layer in one inference, in pJ; the parts add up to nominal."""

    low: float
    nominal: float
    high: float
    parts: Parts


@dataclass(frozen=True)
class LayerRow:
    """One population. Counts are per inference (means); ``time_share`` is the share of the run's
    time in steps that this layer limits."""

    name: str
    kind: str
    shape: tuple[int, ...]
    neurons: int
    synapses: int
    cores: int | None
    weight_bits: int | None
    spikes: Spikes
    rate: float | None
    synops: float | None
    neuron_updates: float | None
    messages: float | None
    energy_pj: EnergyPj
    time_share: float | None
    accuracy_if_only_this_layer_is_quantized: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class EnergyUj:
    """Energy per inference in uJ."""

    dynamic: Range | None = None
    static: Range | None = None
    total: Range | None = None
    stepping: Range | None = None  # of the dynamic energy: chips that step, whatever they do


@dataclass(frozen=True)
class EnergyTrust:
    """How good the dynamic energy is: what the fit behind the chip file promises.

    ``median_error`` and ``worst_error``: |predicted / measured - 1| over readings whose run was
    left out of the fit, None for one run alone. ``factor``: 90 % of such readings are promised
    within it; ``coverage``: the share of them that was. ``dominant``: the price that most of this
    energy rests on; ``not_told``: prices that no measured run tells.
    """

    readings: int
    silicon: str
    median_error: float | None
    worst_error: float | None
    factor: float
    coverage: float | None
    dominant: str
    not_told: tuple[str, ...]


@dataclass(frozen=True)
class Fullest:
    """The resource that leaves the least room on any core: its share of what a core has."""

    resource: str
    share: float
    core: int
    layers: str


@dataclass(frozen=True)
class Totals:
    """The whole network; synops and spikes are means per inference.

    ``timing``: whether the times are of a simulation by cycles or a lower bound.
    ``latency_us``: one sample alone on the chip, from its first input to its answer.
    ``us_per_step`` and ``inferences_per_s``: the pace, samples back to back in the steady state;
    static energy is that of one inference at this pace, of all ``cores_there`` on the chips.
    """

    cores: int | None
    chips: int | None
    synops: float | None
    spikes: float | None
    timing: Timing | None
    latency_us: float | None
    us_per_step: float | None
    inferences_per_s: float | None
    energy_uj_per_inference: EnergyUj
    trust: EnergyTrust | None = None
    cores_there: int | None = None
    fullest: Fullest | None = None


@dataclass(frozen=True)
class ShareInterval:
    """Where a share lies with 95 % confidence, given its samples (Wilson's interval)."""

    low: float
    high: float


@dataclass(frozen=True)
class TestedAccuracy:
    """What training found on its whole test set, before anything was deployed."""

    accuracy: float
    samples: int


@dataclass(frozen=True)
class Gpu:
    """The machine the torch reference ran on; energy only where NVML measured it."""

    device: str | None = None
    energy_uj_per_inference: float | None = None
    how: Literal["nvml"] | None = None
    latency_us: float | None = None


@dataclass(frozen=True)
class Constant:
    """A number that energy and time rest on."""

    name: str
    value: float
    unit: str
    source: str
    kind: Kind
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class TimelineStep:
    """One chip step of the simulated run: how long it took, what limited it, on which core."""

    step: int
    us: float
    bottleneck: str
    core: str | None = None


@dataclass(frozen=True)
class MeshCell:
    """One place of the chip's mesh with what was measured there."""

    x: int
    y: int
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
    stands: Mapping[str, str] = field(default_factory=dict)
    chip: str | None = None
    inputs: str | None = None


@dataclass(frozen=True)
class Report:
    """Everything a reader needs to judge a network on a chip."""

    network: str
    target: str
    samples: int
    time_steps: int
    accuracy: Accuracy
    layers: tuple[LayerRow, ...]
    totals: Totals
    gpu: Gpu
    contracts: tuple[Contract, ...]
    constants: tuple[Constant, ...]
    provenance: Provenance
    dataset: str | None = None
    shown: str | None = None  # which samples: "first 64 of 360 test samples of digits"
    intervals: Mapping[str, ShareInterval] = field(default_factory=dict)  # of each accuracy
    trained: TestedAccuracy | None = None
    label: str | None = None  # how far the cost figures may be trusted, e.g. "scaled estimate"
    bottleneck: str | None = None
    timeline: tuple[TimelineStep, ...] = ()
    mesh: tuple[MeshCell, ...] = ()
    notes: tuple[str, ...] = ()
    schema: Literal["tssd-report/2"] = field(default=SCHEMA, kw_only=True)

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that the report has a place for, in its order."""
        return tuple(name for name in self.accuracy if name not in STAGES)
