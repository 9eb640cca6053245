"""Numbers as text: what a person reads in HTML, Markdown and the terminal."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tssd.errors import counted
from tssd.report.energies import EnergyPj, EnergyUj, Range
from tssd.report.model import KINDS, Constant, Report, ShareInterval, Totals

if TYPE_CHECKING:
    from tssd.hw_targets.costs.energy import EnergyRange
    from tssd.hw_targets.costs.interval import Promised

LAYERS_TITLE = "What quantization did, layer by layer"
SPREAD_TITLE = "Weights and membranes"
SPREAD_LEAD = (
    "How often each value comes, integers beside the folded float network on one scale: on the left"
    " incoming weights, in steps of the integers; on the right membranes after each step and its"
    " reset, in thresholds of the neuron, or in units of the float network where nothing fires."
    " Heights are logarithms of counts; the dashed line is zero; what few lie outside stands below."
)
NOT_RUN = "not run"
FLASH, RAM = "flash: code and constant tables", "RAM: static arrays"
INSTRUCTIONS = "instructions per inference"
SHORT = ("flash", "RAM", INSTRUCTIONS)
PART_WORDS = {
    "synapse": "synaptic operations",
    "neuron": "neuron updates",
    "spike": "spike generation",
    "noc": "messages between cores",
}
PRICE_WORDS = {  # what a fit tells prices of: parts, and what no layer is charged for
    "synop": PART_WORDS["synapse"],
    "neuron": PART_WORDS["neuron"],
    "message": PART_WORDS["noc"],
    "running": "stepping with nothing to do",
}
_SI = ((1e12, "T"), (1e9, "G"), (1e6, "M"))
_ENERGY = ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"), (1.0, "pJ"))
_TIME = ((1e6, "s"), (1e3, "ms"), (1.0, "µs"), (1e-3, "ns"))
_POWER = ((1.0, "W"), (1e-3, "mW"), (1e-6, "µW"))
_MEMORY = ((2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))


def number(value: float | None) -> str:
    """Three significant digits or the whole integer: ``1,234``, ``0.0123``, ``5.67 M``."""
    if value is None:
        return NOT_RUN
    for size, suffix in _SI:
        if abs(value) >= size:
            return f"{significant(value / size)} {suffix}"
    if value == round(value):
        return f"{round(value):,}"
    return significant(value)


def plain_number(value: float) -> str:
    """Three significant digits, and every digit before the point, without separators or suffixes:
    what a program or LaTeX reads as a number."""
    whole = value == round(value) or abs(value) >= 100
    return f"{value:.0f}" if whole and abs(value) < 1e15 else f"{value:.3g}"


def energy(value_pj: float | None) -> str:
    """An energy given in pJ with the unit that suits its size."""
    return _scaled(value_pj, _ENERGY)


def duration(value_us: float | None) -> str:
    """A time given in microseconds with the unit that suits its size."""
    return _scaled(value_us, _TIME)


def memory(value_bytes: float | None) -> str:
    """Bytes as B, KiB or MiB."""
    return _scaled(value_bytes, _MEMORY)


OF_THE_FIT = "90 % prediction interval"
OF_CONSTANTS = "range of the constants, error not known"
UNKNOWN = "error not known"
UNPRICED = "unknown"  # an energy of a chip file that tells none
TIME_ERROR = "error not known: the times are of no fit"


OF_A_RUN = "Time, energy and synaptic operations"  # what a simulated run brings into a report


def other_samples(report: Report) -> str | None:
    """``Time, energy and synaptic operations: 5 samples of your own x.npz``, where these are of
    other samples than the rest of the report."""
    for note in report.notes:
        if note.startswith(OF_A_RUN):
            return f"{OF_A_RUN}: {note.partition(': ')[2].removesuffix('.')}"
    return None


def spread(uj: EnergyUj, name: str) -> Range | None:
    """The range that the ``dynamic``, ``static`` or ``total`` energy is shown with, everywhere: its
    prediction interval; of a chip file without a fit the range of the constants."""
    ranged: Range | None = getattr(uj.prediction_interval or uj, name)
    return ranged


def energy_ends(uj: EnergyUj, name: str) -> str:
    """``low .. high`` of that range."""
    found = spread(uj, name)
    if found is None:
        return UNKNOWN
    return f"{energy(found.low * 1e6)} .. {energy(found.high * 1e6)}"


def energy_kind(uj: EnergyUj) -> str:
    """What the ranges of the energies are."""
    return OF_CONSTANTS if uj.prediction_interval is None else OF_THE_FIT


def energy_spread(uj: EnergyUj, name: str) -> str:
    """The range, and what it is."""
    ends = energy_ends(uj, name)
    return ends if ends == UNKNOWN else f"{ends}, {energy_kind(uj)}"


def nominal_energy(pj: "EnergyRange | EnergyPj | None") -> str:
    """The nominal value of an energy; unknown where the chip file tells none."""
    return UNPRICED if pj is None else energy(pj.nominal)


def energy_constants(pj: "EnergyRange | EnergyPj | None") -> str:
    """``low .. high`` of an energy in pJ."""
    return UNPRICED if pj is None else f"{energy(pj.low)} .. {energy(pj.high)}"


def untold(report: Report) -> str:
    """What stands where an energy or a power is missing: its price is unknown, or nothing ran."""
    return UNPRICED if any(x.energy_pj is None for x in report.layers) else NOT_RUN


def run_energy(
    dynamic: "EnergyRange | None", static: "EnergyRange | None", promised: "Promised | None"
) -> tuple[str, str]:
    """(what the ranges are, the energies): dynamic, static and total of a run with the ranges that
    the report gives them, in the terminal and in a notebook."""
    if dynamic is None or static is None:
        told = f"dynamic {nominal_energy(dynamic)}, static {nominal_energy(static)}"
        return "the chip file does not tell what costs what", told
    nominal = {"dynamic": dynamic, "static": static, "total": dynamic + static}
    parts = []
    for name, known in nominal.items():
        found = known if promised is None else getattr(promised, name)
        ends = UNKNOWN if found is None else f"{energy(found.low)} .. {energy(found.high)}"
        parts.append(f"{name} {energy(known.nominal)} ({ends})")
    return OF_CONSTANTS if promised is None else OF_THE_FIT, f"{', '.join(parts[:2])},\n{parts[2]}"


def percent(share: float | None, digits: int = 2) -> str:
    """A share of one as percent."""
    if share is None:
        return NOT_RUN
    smallest = 10.0**-digits
    if 0 < 100 * share < smallest:
        return f"under {smallest:g} %"
    return f"{100 * share:.{digits}f} %"


def difference(share: float | None, against: float | None, samples: int) -> str | None:
    """How many of *samples* more or fewer are right than in float; None if one was not run."""
    if share is None or against is None:
        return None
    more = round(share * samples) - round(against * samples)
    if not more:
        return "as many right as float"
    return f"{abs(more):,} {'more' if more > 0 else 'fewer'} right than float"


def right(share: float | None, samples: int) -> str:
    """``59 of 64 right``."""
    return NOT_RUN if share is None else f"{round(share * samples):,} of {samples:,} right"


def interval(found: ShareInterval | None) -> str:
    """The 95 % confidence interval of a share."""
    return (
        "" if found is None else f"95 % interval {100 * found.low:.1f} .. {percent(found.high, 1)}"
    )


def in_training(report: Report) -> str:
    """What training found on its whole test set, or empty."""
    if report.trained is None:
        return ""
    return f"{percent(report.trained.accuracy)} of all {report.trained.samples:,} in training"


def accuracy_line(report: Report) -> str:
    """The accuracy of the integers with its samples and its interval, in one line."""
    share = report.accuracy["integer"]
    if share is None:
        return "accuracy of the integers: not known, the samples have no labels"
    parts = (
        f"{percent(share)}, {right(share, report.samples)}",
        interval(report.intervals.get("integer")),
        difference(share, report.accuracy["float"], report.samples),
        in_training(report),
    )
    return f"accuracy of the integers: {'; '.join(part for part in parts if part)}"


def program(report: Report) -> list[tuple[str, str, str]]:
    """What the network takes as a C program: what, value, how."""
    found = report.plain_c
    if found is None:
        how = "tssd verify BUNDLE --against c"
        return [(label, NOT_RUN, how) for label in (FLASH, RAM, INSTRUCTIONS)]
    told = dict(line.split(": ", 1) for line in found.missing)
    sizes = told.get("flash and RAM")
    mean = f"valgrind, mean of the first {counted(found.samples, 'sample')}"
    return [
        (FLASH, memory(found.flash_bytes), sizes or found.built),
        (RAM, memory(found.ram_bytes), sizes or "without the stack"),
        (INSTRUCTIONS, number(found.instructions), told.get("instructions", mean)),
    ]


def program_line(report: Report) -> str:
    """The same in one line."""
    told = (
        f"{value} {short}" if value != NOT_RUN else f"{short} not measured ({how})"
        for short, (_, value, how) in zip(SHORT, program(report), strict=True)
    )
    return f"as plain C: {', '.join(told)}"


def power(value_w: float | None) -> str:
    """A power given in W with the unit that suits its size."""
    return _scaled(value_w, _POWER)


def power_w(report: Report) -> Range | None:
    """All of the energy of an inference at the pace of inferences."""
    uj, pace = report.totals.energy_uj_per_inference.total, report.totals.inferences_per_s
    if uj is None or pace is None:
        return None
    return Range(*(1e-6 * pace * energy_uj for energy_uj in (uj.low, uj.nominal, uj.high)))


def cores(totals: Totals) -> str:
    """``6 of 128``: cores in use, and cores on the chips in use."""
    if totals.cores is None or totals.cores_there is None:
        return number(totals.cores)
    return f"{totals.cores:,} of {totals.cores_there:,}"


def fullest(totals: Totals) -> str:
    """The resource that leaves the least room, or empty."""
    full = totals.fullest
    if full is None:
        return ""
    if not full.amount:  # a report of an earlier version
        share = f"{percent(full.share, 0)} of core {full.core}"
        return f"fullest: {full.resource}, {share} ({full.layers})"
    return f"fullest: {full.resource} {full.amount}, core {full.core} ({full.layers})"


def size(shape: Sequence[int]) -> str:
    """A shape as ``32 × 14 × 14``."""
    return " × ".join(map(str, shape))


def bounds(constant: Constant) -> str:
    """``low .. high`` of a constant, or empty where it has none or no width."""
    if {constant.low, constant.high} <= {None, constant.value}:
        return ""
    ends = [plain(end) if end is not None else "?" for end in (constant.low, constant.high)]
    return " .. ".join(ends)


def plain(value: float) -> str:
    """A constant as it was given, without trailing zeros."""
    return f"{value:g}"


def kinds(constants: Sequence[Constant]) -> str:
    """How many constants are measured, published, derived, assumed."""
    counts = Counter(constant.kind for constant in constants)
    listed = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind])
    plural = "" if len(constants) == 1 else "s"
    return f"{len(constants)} constant{plural}: {listed}" if constants else "no constants"


def _scaled(value: float | None, units: tuple[tuple[float, str], ...]) -> str:
    if value is None:
        return NOT_RUN
    for size_of_unit, unit in units:
        if abs(value) >= size_of_unit:
            return f"{significant(value / size_of_unit)} {unit}"
    return f"{significant(value / units[-1][0])} {units[-1][1]}"


def significant(value: float) -> str:
    """Three significant digits without an exponent for everyday sizes."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 1:
        return f"{value:.3g}"
    return f"{value:.3f}" if abs(value) >= 0.01 else f"{value:.2e}"
