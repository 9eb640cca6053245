"""ChipSpec: what a chip can hold, how long its events take and what they cost.

Every number is a Quantity: value, range, unit, source and kind. Values are stored in the unit of
their field, which is in the section's name or beside the field. ``chip_file`` reads them from TOML.
"""

import dataclasses
import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tssd.calibration.precision import RANGES
from tssd.errors import ConfigError, counted
from tssd.hw_targets.chip.fit_record import FitRecord
from tssd.hw_targets.chip.quantity import LEVELS, Curve, Kind, Level, Quantity, unit
from tssd.hw_targets.chip.sizes import MUST_BE_POSITIVE, beyond_memory

__all__ = [
    "LEVELS",
    "Board",
    "ChipSpec",
    "Curve",
    "Kind",
    "Level",
    "Quantity",
    "contradictions",
    "refusal",
    "whole_cycles",
]


@dataclass(frozen=True)
class Limits:
    """What one core, one chip and one system can hold."""

    neurons_per_core: Quantity = unit("neurons")  # of one compartment each
    state_words_per_core: Quantity = unit("words")  # 24-bit state variables: u and v are two
    synaptic_memory_per_core: Quantity = unit("B")
    axons_in_per_core: Quantity = unit("axons")  # source neurons with a synapse into the core
    axons_out_per_core: Quantity = unit("axons")  # (neuron, destination core) pairs
    neuron_groups_per_core: Quantity = unit("groups")  # populations sharing a core
    cores_per_chip: Quantity = unit("cores")  # that a network may use, of those on the die
    chips: Quantity = unit("chips")
    delay: Quantity = unit("steps")
    soft_reset_compartments: Quantity = unit("compartments", 1.0)  # of a neuron that subtracts
    thresholds_per_core: Quantity = unit("thresholds", 0.0)  # different ones; 0: any


@dataclass(frozen=True)
class Mesh:
    """Routers of one chip, and how chips tile the plane.

    Chip i sits at (i % chip_columns, i // chip_columns); a route runs along X, then along Y,
    through the tiled mesh.
    """

    width: Quantity = unit("routers")
    height: Quantity = unit("routers")
    cores_per_router: Quantity = unit("cores")
    chip_columns: Quantity = unit("chips")


@dataclass(frozen=True)
class Bits:
    """Bit widths, and how synapses are laid out in memory."""

    weight: Quantity = unit("bit")  # as stored; in mixed-sign blocks they hold the sign too
    decay: Quantity = unit("bit")
    state: Quantity = unit("bit")
    threshold: Quantity = unit("bit")
    bias: Quantity = unit("bit")  # of the mantissa, sign included
    bias_exponent: Quantity = unit("bit")  # unsigned: 3 bits are 0 .. 7
    weight_exponent: Quantity = unit("bit")  # signed: 4 bits are -8 .. 7; 0: weights have none
    payload: Quantity = unit("bit")  # the widest graded spike; 0 where spikes are binary
    memory_word: Quantity = unit("bit")
    row_header: Quantity = unit("bit")  # per input axon of a dense projection
    row_index: Quantity = unit("bit")  # per stored synapse of a dense projection
    sparse_index: Quantity = unit("bit")  # per stored synapse of a sparse projection
    kernel_extra: Quantity = unit("bit")  # of a packed kernel weight, beyond its magnitude's


@dataclass(frozen=True)
class TimeNs:
    """How long one event occupies its stage, in ns, and the length of a cycle."""

    cycle: Quantity = unit("ns")
    synop_dense: Quantity = unit("ns")
    synop_sparse: Quantity = unit("ns")
    synop_conv: Quantity = unit("ns")
    memory_read: Quantity = unit("ns")  # one word of synaptic memory
    neuron_idle: Quantity = unit("ns")  # a mapped neuron in a step without input
    neuron_active: Quantity = unit("ns")  # the whole update, not an addition to idle
    neuron_microcode: Quantity = unit("ns")  # an update of a neuron without a fixed-function model
    spike: Quantity = unit("ns")
    message_in: Quantity = unit("ns")
    message_out: Quantity = unit("ns")  # per destination core
    hop_ew: Quantity = unit("ns")
    hop_ns: Quantity = unit("ns")
    chip_hop: Quantity = unit("ns")  # from chip to chip, beside the router hop and the link's pace
    barrier: Curve = unit("ns")  # by routers in use, on one chip
    barrier_chip_hop: Quantity = unit("ns")  # added per chip along the sides of the array of chips


@dataclass(frozen=True)
class ChipLink:
    """Directed links between routers, between core and router, and between chips: one of these for
    each side of a chip and direction, which all that leaves the chip on that side shares."""

    bandwidth: Quantity = unit("GB/s")
    chip_bandwidth: Quantity = unit("GB/s")  # of one link between two chips in one direction
    message: Quantity = unit("bit")  # without payload
    payload: Quantity = unit("bit")  # added to the message of a graded spike
    chip_message: Quantity = unit("bit")  # the same between chips
    chip_payload: Quantity = unit("bit")


@dataclass(frozen=True)
class ChipBuffers:
    """Depth of the queues between stages."""

    link: Quantity = unit("messages")  # input buffer of a router port
    axon_in: Quantity = unit("messages")
    spike_out: Quantity = unit("messages")
    synapse: Quantity = unit("messages")  # between axon-in and synapse stage; 0: no overlap of both


@dataclass(frozen=True)
class EnergyTablePj:
    """Dynamic energy of one event, in pJ. A chip file gives all of them or none: unknown then."""

    synop_dense: Quantity = unit("pJ", 0.0)
    synop_sparse: Quantity = unit("pJ", 0.0)
    synop_conv: Quantity = unit("pJ", 0.0)
    neuron_idle: Quantity = unit("pJ", 0.0)
    neuron_active: Quantity = unit("pJ", 0.0)  # the whole update, not an addition to idle
    spike: Quantity = unit("pJ", 0.0)
    message_in: Quantity = unit("pJ", 0.0)
    message_out: Quantity = unit("pJ", 0.0)  # per destination core
    hop_ew: Quantity = unit("pJ", 0.0)
    hop_ns: Quantity = unit("pJ", 0.0)
    chip_hop: Quantity = unit("pJ", 0.0)


@dataclass(frozen=True)
class PowerW:
    """Power that flows whatever the network does; all of it given, or none."""

    static_per_chip: Quantity = unit("W", 0.0)  # a powered chip, no core enabled
    static_per_core: Quantity = unit("W", 0.0)  # added by each enabled core
    running_per_chip: Quantity = unit("W", 0.0)  # while it steps, with nothing to do; dynamic
    board_per_chip: Quantity = unit("W", 0.0)  # a chip's share of its board; counted if asked for


@dataclass(frozen=True)
class Host:
    """The processors that feed a chip and read it. Off unless asked for: it depends on how the
    input arrives, and times and energies without it say so."""

    spike_in: Quantity = unit("ns", 0.0)  # to inject one input spike; they come one by one
    read_out: Quantity = unit("ns", 0.0)  # to read the answer of one inference
    power_per_chip: Quantity = unit("W", 0.0)  # of the embedded processors while they work


@dataclass(frozen=True)
class Board:
    """A board, or software, under which a chip steps at another pace than its file's; the board's
    power counts where it is chosen."""

    title: str
    barrier: Quantity = unit("ns")
    barrier_chip_hop: Quantity | None = field(default=None, metadata={"unit": "ns"})  # as the chip
    board_per_chip: Quantity = unit("W", 0.0)


@dataclass(frozen=True)
class ChipSpec:
    """One chip: limits, mesh, widths, times, links, buffers, energies, static power."""

    name: str
    title: str
    calibrated_on: tuple[str, ...]
    limits: Limits
    mesh: Mesh
    bits: Bits
    time_ns: TimeNs
    link: ChipLink
    buffers: ChipBuffers
    energy_pj: EnergyTablePj
    power_w: PowerW
    host: Host = Host()
    barrier_follows: bool = False  # the barrier starts after the last core, or hides the work
    silicon: str = ""  # which steppings and boards the numbers speak of
    fit: FitRecord | None = None
    boards: Mapping[str, Board] = field(default_factory=dict)
    board: str | None = None  # the one chosen

    @property
    def untold(self) -> tuple[str, ...]:
        """The sections of energies and power that the chip file leaves out: unknown, not 0."""
        known = {"energy_pj": self.energy_known, "power_w": self.power_known}
        return tuple(section for section, told in known.items() if not told)

    @property
    def energy_known(self) -> bool:
        """Whether the chip file says what events cost; without it no energy can be told."""
        return self.energy_pj != EnergyTablePj()

    @property
    def power_known(self) -> bool:
        """Whether it says what flows whatever the network does."""
        return self.power_w != PowerW()

    @property
    def cores(self) -> int:
        """Cores of one chip that can be used."""
        return self.limits.cores_per_chip.count

    def cycles(self, time: Quantity, level: Level = Level.NOMINAL) -> int:
        """A duration in whole cycles: the nearest number, at least 1 unless the time is 0."""
        return whole_cycles(time.at(level), self.time_ns.cycle.value)

    def quantities(self) -> Iterator[tuple[str, Quantity]]:
        """Every number with its dotted name, curve points as ``section.name[count]``; not those of
        energies or power that the chip file leaves out."""
        for section in SECTIONS:
            part = getattr(self, section)
            if section in self.untold:
                continue
            for item in dataclasses.fields(part):
                value = getattr(part, item.name)
                if isinstance(value, Quantity):
                    yield f"{section}.{item.name}", value
                else:
                    for count, point in zip(value.at_count, value.points, strict=True):
                        yield f"{section}.{item.name}[{count}]", point

    def number(self, name: str) -> "Quantity | Curve":
        """The quantity or curve ``section.name``; ConfigError where there is none."""
        section, _, key = name.partition(".")
        found = getattr(getattr(self, section), key, None) if section in SECTIONS else None
        if isinstance(found, Quantity | Curve):
            return found
        names = sorted({n.partition("[")[0] for n, _ in self.quantities()})
        raise ConfigError(
            f"chip {self.name}", found=f"no number {name!r}", hint=_nearest(name, names)
        )

    def on_board(self, name: str) -> "ChipSpec":
        """This chip on board *name*: its barrier, and the board's power counts."""
        if name not in self.boards:
            allowed = ", ".join(self.boards) or "none: this chip file has no [boards]"
            raise ConfigError(f"board of chip {self.name}", found=repr(name), allowed=allowed)
        board = self.boards[name]
        hop = board.barrier_chip_hop or self.time_ns.barrier_chip_hop
        return replace(
            self,
            time_ns=replace(
                self.time_ns, barrier=Curve((1,), (board.barrier,)), barrier_chip_hop=hop
            ),
            power_w=replace(self.power_w, board_per_chip=board.board_per_chip),
            board=name,
        )

    def with_value(self, name: str, value: float, source: str = "set by the user") -> "ChipSpec":
        """A copy in which the quantity ``section.name`` is *value*, marked as assumed.

        A curve becomes *value* for every count. Of a price that is set the fit promises nothing.
        """
        old = self.number(name)
        section, _, key = name.partition(".")
        part: Any = getattr(self, section)
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(
                f"chip {self.name}: {name}", found=str(value), allowed="a number >= 0"
            )
        of = old.unit if isinstance(old, Quantity) else old.points[0].unit
        flat = Quantity(value, value, value, of, source, Kind.ASSUMED)
        new = flat if isinstance(old, Quantity) else Curve((1,), (flat,))
        changes: dict[str, Any] = {section: replace(part, **{key: new})}
        fit = None if section in ("energy_pj", "power_w") else self.fit
        changed = replace(self, **changes, fit=fit)
        mistakes = list(contradictions(changed))
        if mistakes:
            raise refusal(f"chip {self.name} with {name} = {value:g}", mistakes)
        return changed


SECTIONS: dict[str, type] = {
    "limits": Limits,
    "mesh": Mesh,
    "bits": Bits,
    "time_ns": TimeNs,
    "link": ChipLink,
    "buffers": ChipBuffers,
    "energy_pj": EnergyTablePj,
    "power_w": PowerW,
    "host": Host,
}
ALL_OR_NONE = ("energy_pj", "power_w")  # unknown where a file has no such section
OPTIONAL_SECTIONS = (*ALL_OR_NONE, "host")
# what the integer neuron can honour: a number beyond cannot act
HONOURED: dict[str, tuple[int, int]] = {
    "limits.delay": RANGES["delay_max"],
    "bits.weight": RANGES["weight_bits"],
    "bits.decay": RANGES["decay_bits"],
    "bits.state": RANGES["state_bits"],
    "bits.threshold": (1, RANGES["vth_max"][1].bit_length()),
    "bits.bias": (2, RANGES["bias_mant_max"][1].bit_length() + 1),
    "bits.bias_exponent": (0, RANGES["bias_exp_max"][1].bit_length()),
    "bits.weight_exponent": (0, RANGES["finer_max"][1].bit_length() + 1),
    "bits.payload": RANGES["payload_bits"],
}
CYCLE_TOLERANCE = 0.05  # a cycle so long that a nominal latency moves by more is refused


def whole_cycles(time_ns: float, cycle_ns: float) -> int:
    """The nearest whole number of cycles, at least 1 for a time that is not 0."""
    return max(1, math.floor(time_ns / cycle_ns + 0.5)) if time_ns > 0 else 0


def contradictions(spec: ChipSpec) -> Iterator[str]:
    """What no single number shows."""
    for section, names in MUST_BE_POSITIVE.items():
        for name in names:
            if getattr(getattr(spec, section), name).value <= 0:
                yield f"{section}.{name}: found 0; allowed: above 0"
    yield from _beyond_the_neuron(spec)
    yield from beyond_memory(spec)
    mesh, limits = spec.mesh, spec.limits
    places = mesh.width.count * mesh.height.count * mesh.cores_per_router.count
    if limits.cores_per_chip.count > places:
        yield (
            f"limits.cores_per_chip: found {limits.cores_per_chip.count} on a mesh with"
            f" {places} places ({mesh.width.count} x {mesh.height.count} routers"
            f" x {mesh.cores_per_router.count})"
        )
    for name, quantity in spec.quantities():
        if name.startswith("time_ns.") and name != "time_ns.cycle" and spec.time_ns.cycle.value > 0:
            steps = quantity.value / spec.time_ns.cycle.value
            if steps and abs(spec.cycles(quantity) / steps - 1) > CYCLE_TOLERANCE:
                yield (
                    f"{name}: {quantity.value:g} ns is {steps:.2f} cycles of"
                    f" {spec.time_ns.cycle.value:g} ns; allowed: within 5 % of a whole number"
                )
        whole = quantity.unit not in ("ns", "pJ", "W", "GB/s")
        if whole and quantity.value != round(quantity.value):
            yield f"{name}: found {quantity.value:g} {quantity.unit}; allowed: a whole number"


def _beyond_the_neuron(spec: ChipSpec) -> Iterator[str]:
    """Widths that the integer neuron does not compute with."""
    for name, quantity in spec.quantities():
        low, high = HONOURED.get(name, (0, math.inf))
        if not low <= quantity.value <= high:
            allowed = f"{low}" if low == high else f"{low} .. {high}"
            yield (
                f"{name}: found {quantity.value:g}; allowed: {allowed}, what the integer neuron"
                " can honour"
            )


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else "`tssd targets show` lists the names"


def refusal(where: str, mistakes: list[str]) -> ConfigError:
    lines = "".join(f"\n  - {mistake}" for mistake in mistakes)
    return ConfigError(where, found=f"{counted(len(mistakes), 'mistake')}:{lines}")
