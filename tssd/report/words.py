"""Numbers and findings as text: what a person reads in HTML, Markdown and the terminal."""

from collections import Counter
from collections.abc import Sequence

from tssd.report.model import ENERGY_PARTS, KINDS, Constant, LayerRow, Range, Report

NOT_RUN = "not run"
PART_WORDS = {
    "synapse": "synaptic operations",
    "neuron": "neuron updates",
    "spike": "spike generation",
    "noc": "messages between cores",
}
_SI = ((1e12, "T"), (1e9, "G"), (1e6, "M"))
_ENERGY = ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"), (1.0, "pJ"))
_TIME = ((1e6, "s"), (1e3, "ms"), (1.0, "µs"), (1e-3, "ns"))
_MEMORY = ((2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))


def number(value: float | None) -> str:
    """Three significant digits or the whole integer: ``1,234``, ``0.0123``, ``5.67 M``."""
    if value is None:
        return NOT_RUN
    for size, suffix in _SI:
        if abs(value) >= size:
            return f"{_significant(value / size)} {suffix}"
    if value == round(value):
        return f"{round(value):,}"
    return _significant(value)


def energy(value_pj: float | None) -> str:
    """An energy given in pJ with the unit that suits its size."""
    return _scaled(value_pj, _ENERGY)


def duration(value_us: float | None) -> str:
    """A time given in microseconds with the unit that suits its size."""
    return _scaled(value_us, _TIME)


def memory(value_bytes: float | None) -> str:
    """Bytes as B, KiB or MiB."""
    return _scaled(value_bytes, _MEMORY)


def energy_range(value_uj: Range | None) -> str:
    """``low .. high`` of a range in uJ."""
    if value_uj is None:
        return NOT_RUN
    return f"{energy(value_uj.low * 1e6)} .. {energy(value_uj.high * 1e6)}"


def percent(share: float | None, digits: int = 2) -> str:
    """A share of one as percent."""
    if share is None:
        return NOT_RUN
    smallest = 10.0**-digits
    if 0 < 100 * share < smallest:
        return f"under {smallest:g} %"
    return f"{100 * share:.{digits}f} %"


def points(share: float | None, against: float | None) -> str | None:
    """The difference of two shares in percentage points; None if one was not run."""
    if share is None or against is None:
        return None
    return f"{100 * (share - against):+.2f} points".replace("-", "\N{MINUS SIGN}")


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


def findings(report: Report) -> tuple[str, ...]:
    """What dominates, in sentences; only what the report's own figures say."""
    sentences = [
        _costliest_layer(report.layers),
        _costliest_part(report.layers),
        _static_share(report),
        _slowest_layer(report.layers),
        _pace(report),
        _drift(report.layers),
        _spread(report),
    ]
    return tuple(sentence for sentence in sentences if sentence)


def kinds(constants: Sequence[Constant]) -> str:
    """How many constants are measured, published, derived, assumed."""
    counts = Counter(constant.kind for constant in constants)
    listed = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind])
    plural = "" if len(constants) == 1 else "s"
    return f"{len(constants)} constant{plural}: {listed}" if constants else "no constants"


def _pace(report: Report) -> str:
    """How long the simulated steps took and what held them up."""
    if not report.bottleneck:
        return ""
    totals, cause = report.totals, f"Bottleneck of the simulated run: {report.bottleneck}"
    if totals.us_per_step is None or totals.us_per_inference is None:
        return f"{cause}."
    step, whole = duration(totals.us_per_step), duration(totals.us_per_inference)
    return f"{cause}; {step} per step, {whole} per inference."


def _costliest_layer(layers: Sequence[LayerRow]) -> str:
    whole = sum(layer.energy_pj.nominal for layer in layers)
    if not whole:
        return ""
    top = max(layers, key=lambda layer: layer.energy_pj.nominal)
    part = max(ENERGY_PARTS, key=lambda name: getattr(top.energy_pj.parts, name))
    within = getattr(top.energy_pj.parts, part) / top.energy_pj.nominal
    return (
        f"{top.name} takes {percent(top.energy_pj.nominal / whole, 0)} of the dynamic energy; "
        f"{percent(within, 0)} of that goes into {PART_WORDS[part]}."
    )


def _costliest_part(layers: Sequence[LayerRow]) -> str:
    sums = {
        name: sum(getattr(layer.energy_pj.parts, name) for layer in layers) for name in ENERGY_PARTS
    }
    whole = sum(sums.values())
    if not whole:
        return ""
    ranked = sorted((name for name in sums if sums[name]), key=lambda name: -sums[name])
    listed = [f"{PART_WORDS[name]} {percent(sums[name] / whole, 0)}" for name in ranked]
    return f"Over all layers: {', '.join(listed)}."


def _static_share(report: Report) -> str:
    uj = report.totals.energy_uj_per_inference
    if uj.static is None or uj.total is None or not uj.total.nominal:
        return ""
    share = uj.static.nominal / uj.total.nominal
    lever = (
        "shorter steps save more than fewer spikes"
        if share > 0.5
        else ("fewer spikes save more than shorter steps")
    )
    return f"Static power is {percent(share, 0)} of an inference's energy: {lever}."


def _slowest_layer(layers: Sequence[LayerRow]) -> str:
    timed = [layer for layer in layers if layer.time_share is not None]
    if not timed:
        return ""
    top = max(timed, key=lambda layer: layer.time_share or 0.0)
    return f"{top.name} sets the pace for {percent(top.time_share, 0)} of the simulated time."


def _drift(layers: Sequence[LayerRow]) -> str:
    """The layer whose spike count quantisation changed most (layers that fire in float)."""
    changed = [
        (integer / before - 1, layer.name)
        for layer in layers
        if (integer := layer.spikes["integer"]) is not None and (before := layer.spikes["float"])
    ]
    if not changed:
        return ""
    change, name = max(changed, key=lambda pair: abs(pair[0]))
    if not change:
        return "Quantisation leaves every layer's spike count as it was in float."
    more = "more" if change > 0 else "fewer"
    return f"Quantisation moves {name} most: {percent(abs(change), 2)} {more} spikes than in float."


def _spread(report: Report) -> str:
    uj = report.totals.energy_uj_per_inference
    known = uj.total or uj.dynamic
    if known is None or not known.low:
        return ""
    what = "total" if uj.total else "dynamic"
    factor = _significant(known.high / known.low)
    return f"From the low to the high constants the {what} energy spans a factor of {factor}."


def _scaled(value: float | None, units: tuple[tuple[float, str], ...]) -> str:
    if value is None:
        return NOT_RUN
    for size_of_unit, unit in units:
        if abs(value) >= size_of_unit:
            return f"{_significant(value / size_of_unit)} {unit}"
    return f"{_significant(value / units[-1][0])} {units[-1][1]}"


def _significant(value: float) -> str:
    """Three significant digits without an exponent for everyday sizes."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 1:
        return f"{value:.3g}"
    return f"{value:.3f}" if abs(value) >= 0.01 else f"{value:.2e}"
