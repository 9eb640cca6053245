"""Report -> what the page draws: positions in percent of a chart's width, labels as text.

Pure geometry, kept out of the templates so that it can be tested: a bar is never longer than its
axis, parts of a stack add up, a count that was not run has no bar.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tssd.report import words
from tssd.report.model import ENERGY_PARTS, MEASURED, LayerRow, MeshCell, Report, TimelineStep

ENERGIES = ("dynamic", "static", "total")
REFERENCE = "reference"
SPIKE_SERIES = ("float", "integer", REFERENCE, MEASURED)
MOST_STEPS = 160  # bars of the time line; longer runs show the slowest step of each group


@dataclass(frozen=True)
class Tick:
    at: float  # percent
    label: str


@dataclass(frozen=True)
class ChartAxis:
    """0 .. maximum over 100 %."""

    maximum: float
    ticks: tuple[Tick, ...]

    def at(self, value: float) -> float:
        return round(100 * value / self.maximum, 3)


@dataclass(frozen=True)
class Bar:
    """A horizontal bar from ``start``, ``width`` long (percent), drawn as ``series``."""

    series: str
    start: float
    width: float
    label: str


@dataclass(frozen=True)
class ChartRow:
    name: str
    detail: str
    bars: tuple[Bar, ...]
    value: str
    note: str = ""
    whisker: tuple[float, float] | None = None
    missing: bool = False


@dataclass(frozen=True)
class Chart:
    axis: ChartAxis
    rows: tuple[ChartRow, ...]
    series: tuple[tuple[str, str], ...]  # (series, words)


@dataclass(frozen=True)
class Column:
    """One bar of the time line; x and height in percent of the plot."""

    x: float
    width: float
    height: float
    series: int
    label: str


@dataclass(frozen=True)
class Timeline:
    columns: tuple[Column, ...]
    causes: tuple[str, ...]
    longest: str
    first: int
    last: int
    grouped: int


@dataclass(frozen=True)
class HeatCell:
    x: int
    y: int
    heat: float  # 0 .. 1
    value: str
    label: str


@dataclass(frozen=True)
class Heat:
    width: int
    height: int
    unit: str
    hottest: str
    cells: tuple[HeatCell, ...]


def axis(largest: float, unit: str = "") -> ChartAxis:
    """An axis that holds *largest* with three to six round ticks."""
    step = _round_step(largest / 4) if largest > 0 else 0.25
    count = max(math.ceil(largest / step - 1e-9), 1)
    show = words.energy if unit == "pJ" else words.number
    maximum = step * count
    ticks = tuple(
        Tick(round(100 * i / count, 3), show(i * step) if i else "0") for i in range(count + 1)
    )
    return ChartAxis(maximum, ticks)


def reference_of(report: Report) -> str | None:
    """The engine whose counts stand beside the integer definition's: the first that ran."""
    for engine in report.engines:
        if any(layer.spikes.get(engine) is not None for layer in report.layers):
            return engine
    return None


def spike_sources(report: Report) -> tuple[tuple[str, str], ...]:
    """Who counted spikes: column and words of float, integer, the reference that ran (its word
    where none did), and a chip if there is a log of one."""
    ran = reference_of(report)
    told = f"reference ({ran})" if ran else "reference: not run"
    sources = [("float", "float network"), ("integer", "integer network")]
    sources.append((ran or REFERENCE, told))
    if any(layer.spikes.get(MEASURED) is not None for layer in report.layers):
        sources.append((MEASURED, "measured on a chip"))
    return tuple(sources)


def spike_chart(report: Report) -> Chart:
    """Events per inference of each layer: float, integer, reference, and measured if there is."""
    sources = spike_sources(report)
    columns = [column for column, _ in sources]
    counts = [layer.spikes.get(s) or 0 for layer in report.layers for s in columns]
    scale = axis(max(counts) / report.samples)
    rows = tuple(_spike_row(layer, columns, scale, report.samples) for layer in report.layers)
    names = tuple(zip(SPIKE_SERIES, (told for _, told in sources), strict=False))
    return Chart(scale, rows, names)


def energy_chart(report: Report) -> Chart:
    """Dynamic energy of each layer by part, with the whisker from low to high."""
    told = [layer.energy_pj.high for layer in report.layers if layer.energy_pj is not None]
    scale = axis(max(told, default=0.0), unit="pJ")
    rows = tuple(_energy_row(layer, scale) for layer in report.layers)
    return Chart(scale, rows, tuple(words.PART_WORDS.items()))


def totals_chart(report: Report) -> Chart:
    """Dynamic, static and total energy per inference, with the whisker of ``words.spread``."""
    uj = report.totals.energy_uj_per_inference
    ranges = (getattr(uj, name) for name in ENERGIES), (words.spread(uj, name) for name in ENERGIES)
    known = [r for found in ranges for r in found if r is not None]
    scale = axis(max((r.high for r in known), default=0.0) * 1e6, unit="pJ")
    rows = []
    for name in ENERGIES:
        r, around = getattr(uj, name), words.spread(uj, name)
        if r is None:
            rows.append(ChartRow(name, "", (), words.untold(report), missing=True))
            continue
        shown = words.energy(1e6 * r.nominal)
        bars = (Bar(name, 0, scale.at(1e6 * r.nominal), f"{name} {shown}"),)
        ends = None if around is None else (scale.at(1e6 * around.low), scale.at(1e6 * around.high))
        rows.append(ChartRow(name, "", bars, shown, words.energy_ends(uj, name), ends))
    return Chart(scale, tuple(rows), ())


def timeline(report: Report) -> Timeline | None:
    """Duration of each step, coloured by what it waited for; None if nothing was simulated."""
    if not report.timeline:
        return None
    grouped = math.ceil(len(report.timeline) / MOST_STEPS)
    groups = [report.timeline[i : i + grouped] for i in range(0, len(report.timeline), grouped)]
    shown = [max(group, key=lambda step: step.us) for group in groups]
    causes = tuple(dict.fromkeys(step.bottleneck for step in report.timeline))
    longest = max(step.us for step in shown)
    columns = tuple(
        _column(i, len(shown), step, longest, causes.index(step.bottleneck))
        for i, step in enumerate(shown)
    )
    ends = report.timeline[0].step, report.timeline[-1].step
    return Timeline(columns, causes, words.duration(longest), *ends, grouped)


def heat(report: Report) -> Heat | None:
    """The mesh as cells shaded by their share of the largest value; None if not simulated."""
    if not report.mesh:
        return None
    largest = max(cell.value for cell in report.mesh)
    hottest = max(report.mesh, key=lambda cell: cell.value)
    return Heat(
        width=1 + max(cell.x for cell in report.mesh),
        height=1 + max(cell.y for cell in report.mesh),
        unit=hottest.unit,
        hottest=f"({hottest.x}, {hottest.y}) with {words.number(hottest.value)} {hottest.unit}",
        cells=tuple(_heat_cell(cell, largest) for cell in report.mesh),
    )


def _spike_row(layer: LayerRow, sources: Sequence[str], scale: ChartAxis, samples: int) -> ChartRow:
    bars = []
    for place, source in enumerate(sources):
        count = layer.spikes.get(source)
        if count is not None:
            series = SPIKE_SERIES[place]
            text = f"{layer.name}, {source}: {words.number(count / samples)} per inference"
            bars.append(Bar(series, 0, scale.at(count / samples), f"{text} ({count:,} in all)"))
    integer = layer.spikes["integer"]
    shown = words.number(None if integer is None else integer / samples)
    return ChartRow(layer.name, words.size(layer.shape), tuple(bars), shown, _ratio(layer))


def _ratio(layer: LayerRow) -> str:
    integer, before = layer.spikes["integer"], layer.spikes["float"]
    return "" if integer is None or not before else f"{integer / before:.3f} of float"


def _energy_row(layer: LayerRow, scale: ChartAxis) -> ChartRow:
    bars, start, energy = [], 0.0, layer.energy_pj
    if energy is None:
        return ChartRow(layer.name, layer.kind, (), words.UNPRICED, missing=True)
    for part in ENERGY_PARTS:
        value = getattr(energy.parts, part)
        width = scale.at(value)
        label = f"{layer.name}, {words.PART_WORDS[part]}: {words.energy(value)}"
        bars.append(Bar(part, round(start, 3), width, label))
        start += width
    whisker = (scale.at(energy.low), scale.at(energy.high))
    shown, note = words.nominal_energy(energy), words.energy_constants(energy)
    return ChartRow(layer.name, layer.kind, tuple(bars), shown, note, whisker)


def _column(i: int, count: int, step: TimelineStep, longest: float, cause: int) -> Column:
    core = f", {step.core}" if step.core else ""
    label = f"step {step.step}: {words.duration(step.us)}, {step.bottleneck}{core}"
    gap = 0.15 if count > 40 else 0.35
    height = round(100 * step.us / longest, 2) if longest else 0.0
    x, width = round(100 * i / count, 3), round(100 / count * (1 - gap), 3)
    return Column(x, width, height, cause, label)


def _heat_cell(cell: MeshCell, largest: float) -> HeatCell:
    share = max(cell.value, 0.0) / largest if largest > 0 else 0.0
    value = words.number(cell.value)
    return HeatCell(
        cell.x, cell.y, round(share, 3), value, f"({cell.x}, {cell.y}): {value} {cell.unit}"
    )


def _round_step(value: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * f for f in (1, 2, 2.5, 5, 10) if power * f >= value * (1 - 1e-9))
