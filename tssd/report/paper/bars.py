"""Charts of layers and of steps; each draws a report onto axes and returns them."""

from typing import TYPE_CHECKING

from tssd.report import words
from tssd.report.model import ENERGY_PARTS, Report
from tssd.report.paper.style import filled, filled_of_many, legend_above, lined
from tssd.report.view import ENERGIES, spike_sources

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PJ_PER_UJ = 1e6


def draw_accuracy(report: Report, axes: "Axes") -> "Axes":
    """Accuracy after each stage and of each engine that ran, with its 95 % interval."""
    ran = {name: share for name, share in report.accuracy.items() if share is not None}
    for place, (name, share) in enumerate(ran.items()):
        between = report.intervals.get(name)
        ends = (share, share) if between is None else (between.low, between.high)
        error = [[100 * (share - ends[0])], [100 * (ends[1] - share)]]
        axes.errorbar(100 * share, place, xerr=error, fmt="o", capsize=2, color="#16305c",
                      markersize=3.5)  # fmt: skip
    axes.set_yticks(range(len(ran)), list(ran))
    axes.invert_yaxis()
    axes.set_xlabel(f"accuracy, % of {report.samples:,} samples (95 % interval)")
    axes.grid(axis="x")
    return axes


def draw_spikes(report: Report, axes: "Axes") -> "Axes":
    """Events per inference of each layer by who counted them."""
    sources = spike_sources(report)
    thick = 0.8 / len(sources)
    for place, (source, told) in enumerate(sources):
        counts = [layer.spikes.get(source) for layer in report.layers]
        known = [(i, c / report.samples) for i, c in enumerate(counts) if c is not None]
        offset = (place - (len(sources) - 1) / 2) * thick
        axes.barh([i + offset for i, _ in known], [c for _, c in known], thick, label=told,
                  **filled(place))  # fmt: skip
    _by_layer(report, axes, "spikes per inference")
    legend_above(axes)
    return axes


def draw_energy(report: Report, axes: "Axes") -> "Axes":
    """Dynamic energy of each layer in one inference by part; the line reaches from the low to the
    high constants. A layer whose energy is unknown has no bar, and the axis says so."""
    told = {i: e for i, x in enumerate(report.layers) if (e := x.energy_pj) is not None}
    rows, ranges = list(told), list(told.values())
    scale, unit = unit_of(max((energy.high for energy in ranges), default=1.0))
    start = [0.0] * len(rows)
    for place, part in enumerate(ENERGY_PARTS):
        parts = [getattr(energy.parts, part) / scale for energy in ranges]
        axes.barh(rows, parts, 0.7, left=start, label=words.PART_WORDS[part], **filled(place))
        start = [a + b for a, b in zip(start, parts, strict=True)]
    errors = [[(r.nominal - r.low) / scale for r in ranges],
              [(r.high - r.nominal) / scale for r in ranges]]  # fmt: skip
    axes.errorbar([r.nominal / scale for r in ranges], rows, xerr=errors, fmt="none",
                  ecolor="#000000", elinewidth=0.8, capsize=2)  # fmt: skip
    shown = f"dynamic energy per inference, {unit}"
    _by_layer(report, axes, shown if told else f"{shown}: {words.UNPRICED}")
    legend_above(axes)
    return axes


def draw_totals(report: Report, axes: "Axes") -> "Axes":
    """Dynamic, static and total energy of one inference with the range that the page gives them;
    what is not known has no bar."""
    uj = report.totals.energy_uj_per_inference
    known = [(name, r) for name in ENERGIES if (r := getattr(uj, name)) is not None]
    spreads = [words.spread(uj, name) or r for name, r in known]
    scale, unit = unit_of(max((PJ_PER_UJ * r.high for r in spreads), default=1.0))
    for place, ((_, r), around) in enumerate(zip(known, spreads, strict=True)):
        low, value, high = (PJ_PER_UJ * x / scale for x in (around.low, r.nominal, around.high))
        axes.barh(place, value, 0.6, **filled(1))
        axes.errorbar(value, place, xerr=[[value - low], [high - value]], fmt="none",
                      ecolor="#000000", elinewidth=0.8, capsize=2)  # fmt: skip
    axes.set_yticks(range(len(known)), [name for name, _ in known])
    axes.invert_yaxis()
    axes.set_xlabel(f"energy per inference, {unit}\n({words.energy_kind(uj)})")
    axes.grid(axis="x")
    return axes


def draw_steps(report: Report, axes: "Axes") -> "Axes":
    """Duration of each chip step, by what it waited for."""
    causes = list(dict.fromkeys(step.bottleneck for step in report.timeline))
    for place, cause in enumerate(causes):
        mine = [step for step in report.timeline if step.bottleneck == cause]
        look = filled_of_many(place, len(report.timeline))
        axes.bar([s.step for s in mine], [s.us for s in mine], label=cause, **look)
    axes.set(xlabel="chip step", ylabel="duration, µs")
    legend_above(axes)
    axes.grid(axis="y")
    return axes


def draw_over_time(report: Report, axes: "Axes") -> "Axes":
    """Accuracy if the answer is read after each time step, and what neurons fire in it; the rate
    has an axis of its own on the right."""
    from matplotlib.ticker import MaxNLocator

    points = report.behaviour.over_time
    steps = [point.step for point in points]
    rates = axes.twinx()
    rates.spines["right"].set_visible(True)
    rates.plot(steps, [100 * p.rate for p in points], ls="--", label="rate", **lined(1))
    rates.set(ylabel="events per neuron, %", ylim=(0, None))
    known = [(p.step, 100 * p.accuracy) for p in points if p.accuracy is not None]
    axes.plot(*zip(*known, strict=True), label="accuracy", **lined(0))
    axes.set(xlabel="time steps read", ylabel="accuracy, %", ylim=(0, 104))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    lines = [*axes.get_lines(), *rates.get_lines()]
    axes.legend(lines, [str(line.get_label()) for line in lines], loc="lower right")
    return axes


def unit_of(largest_pj: float) -> tuple[float, str]:
    """pJ in the unit that suits the largest value, and that unit."""
    units = ((1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"))
    return next(((size, unit) for size, unit in units if largest_pj >= size), (1.0, "pJ"))


def _by_layer(report: Report, axes: "Axes", label: str) -> None:
    axes.set_yticks(range(len(report.layers)), [layer.name for layer in report.layers])
    axes.set_ylim(len(report.layers) - 0.4, -0.6)
    axes.set_xlabel(label)
    axes.grid(axis="x")
