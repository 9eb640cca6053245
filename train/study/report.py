"""A study for people: one table and one figure."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tssd.atomic import write_bytes, written_whole
from tssd.train.config import TrainConfig
from tssd.train.study.few_bits import BOTH
from tssd.train.study.runs import Outcome, PairedDifference

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#333333", "#777777", "#aaaaaa", "#0072b2", "#56b4e9", "#009e73", "#d55e00", "#cc79a7",
           "#e69f00")  # fmt: skip  # Okabe and Ito's, readable without colour vision
MARKERS = "os^D"  # the next one when the colours begin again


def markdown(outcomes: Sequence[Outcome], config: TrainConfig, seeds: int) -> str:
    """The table: accuracy where the network is deployed, paired differences, costs."""
    steps = range(1, config.teacher_steps + 1)
    controls = {f"minus {outcomes[0].condition}": [o.to_baseline for o in outcomes]}
    if any(outcome.to_cut for outcome in outcomes):  # a front has no second control
        controls[f"minus {second_control(outcomes)}"] = [o.to_cut for o in outcomes]
    head = ["condition", "steps read", "accuracy", *controls]
    head += ["synops", "mean rate", *(f"T={t}" for t in steps)]
    rows = [
        _row(outcome, pairs) for outcome, *pairs in zip(outcomes, *controls.values(), strict=True)
    ]
    bits = f", bits {config.bits}" if config.bits else ""
    lines = [
        f"{config.model} on {config.dataset}, {config.epochs} epochs, {seeds} seeds{bits}, "
        f"T_s = {config.student_steps}, T_t = {config.teacher_steps}; test accuracy in %, "
        "differences in points with Student's 95 % interval, synops per inference.",
        "",
        *("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)),
        "",
        "Spikes per neuron and step:",
        "",
        *_rates(outcomes),
    ]
    return "\n".join(lines) + "\n"


def second_control(outcomes: Sequence[Outcome]) -> str:
    """What ``to_cut`` is a difference to, in words."""
    return control_named([outcome.condition for outcome in outcomes])


def control_named(conditions: Sequence[str]) -> str:
    """The second control of a study of *conditions*."""
    return BOTH if BOTH in conditions else "ce at T_t cut to T_s"


def _row(outcome: Outcome, pairs: Sequence[PairedDifference | None]) -> list[str]:
    width = outcome.half_width
    rates = outcome.rates.values()
    return [
        outcome.condition,
        str(outcome.steps),
        f"{outcome.mean:.2f}" + (f" ± {width:.2f}" if width is not None else ""),
        *("-" if pair is None else str(pair) for pair in pairs),
        f"{sum(outcome.synops.values()) / 1e6:.3f} M",
        f"{sum(rates) / len(rates):.3f}",
        *(f"{accuracy:.2f}" for accuracy in outcome.at_step),
    ]


def _rates(outcomes: Sequence[Outcome]) -> list[str]:
    layers = list(outcomes[0].rates)
    cells = [["condition", *layers], ["---"] * (len(layers) + 1)]
    cells += [[o.condition, *(f"{o.rates[name]:.3f}" for name in layers)] for o in outcomes]
    return ["| " + " | ".join(row) + " |" for row in cells]


def write_report(
    outcomes: Sequence[Outcome], config: TrainConfig, seeds: int, folder: Path
) -> None:
    """``study.md``, ``study.png`` and ``study.svg`` in *folder*."""
    write_bytes(folder / "study.md", markdown(outcomes, config, seeds).encode())
    draw(outcomes, config, [folder / "study.png", folder / "study.svg"])


def draw(outcomes: Sequence[Outcome], config: TrainConfig, paths: Sequence[Path]) -> None:
    """Accuracy at each T; differences to both controls; accuracy against synops."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.2), layout="constrained")
    curves, pairs, price = figure.subplots(1, 3)
    styles = [{"color": c, "marker": m} for m in MARKERS for c in COLOURS]
    for outcome, style in zip(outcomes, cycle(styles), strict=False):
        steps = range(1, len(outcome.at_step) + 1)
        synops = sum(outcome.synops.values()) / 1e6
        if outcome.steps == config.student_steps or outcome.to_cut is not None:
            curves.plot(steps, outcome.at_step, markersize=4, **style)
        error = outcome.half_width
        price.errorbar(synops, outcome.mean, error, ls="", label=outcome.condition, **style)
    curves.axvline(config.student_steps, color="#cccccc", zorder=0)
    curves.set(xlabel="steps read", ylabel="test accuracy, %", title="accuracy at each T")
    _draw_pairs(pairs, outcomes)
    price.set(xlabel="million synops per inference", ylabel="test accuracy, %", title="cost")
    figure.legend(*price.get_legend_handles_labels(), loc="outside right center", fontsize=8)
    figure.suptitle(
        f"{config.model} on {config.dataset}, T_s = {config.student_steps}, "
        f"T_t = {config.teacher_steps}",
        fontsize=11,
    )
    for path in paths:
        with written_whole(path) as part:
            figure.savefig(part, dpi=120)


def _draw_pairs(axes: "Axes", outcomes: Sequence[Outcome]) -> None:
    shown = [o for o in outcomes if o.to_baseline is not None]
    for place, outcome in enumerate(reversed(shown)):
        for lift, pair, colour, control in (
            (0.12, outcome.to_baseline, "#0072b2", outcomes[0].condition),
            (-0.12, outcome.to_cut, "#d55e00", second_control(outcomes)),
        ):
            if pair is not None:
                style: dict[str, Any] = {"fmt": "o", "color": colour, "capsize": 2}
                label = f"minus {control}" if place == 0 else None
                axes.errorbar(pair.mean, place + lift, xerr=pair.half_width, label=label, **style)
    axes.axvline(0, color="#cccccc", zorder=0)
    axes.set_yticks(range(len(shown)), [o.condition for o in reversed(shown)], fontsize=8)
    axes.set(xlabel="points, 95 % interval", title="difference, seed by seed")
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False)
