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


@dataclass(frozen=True)
class Totals:
    """The whole network; synops and spikes are means per inference."""

    cores: int | None
    chips: int | None
    synops: float | None
    spikes: float | None
    us_per_step: float | None
    us_per_inference: float | None
    energy_uj_per_inference: EnergyUj


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
    """How to get the same numbers again."""

    commands: tuple[str, ...]
    versions: Mapping[str, str]
    hashes: Mapping[str, str]


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
