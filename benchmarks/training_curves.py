"""Validation accuracy over the epochs of finished or running trainings, beside published figures.

    python -m benchmarks.training_curves --out docs/cifar-curves.png --published "VGG-9 94.21" \\
        vgg-9=runs/cifar-vgg9,runs/cifar-vgg9-more resnet-18=runs/cifar-resnet18

Runs that follow one another, each begun with the weights of the one before, are one curve.
"""

import argparse
from pathlib import Path

from benchmarks.training_accuracy import validation
from tssd.train.study.report import COLOURS


def draw(curves: dict[str, list[Path]], published: list[tuple[str, float]], out: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    for (name, runs), colour in zip(curves.items(), COLOURS[3:], strict=False):
        percent = [value for run in runs for value in validation(run)]
        axes.plot(range(1, len(percent) + 1), percent, marker=".", color=colour, label=name)
    for (name, value), dashes in zip(published, ("--", ":"), strict=False):
        axes.axhline(value, color="#777777", linestyle=dashes, label=f"{name} %, published")
    axes.set(xlabel="epochs", ylabel="validation accuracy, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(out, dpi=120)


def named_runs(text: str) -> tuple[str, list[Path]]:
    """``name=run,run`` of the command line."""
    name, _, runs = text.partition("=")
    return name, [Path(run) for run in runs.split(",")]


def figure_of(text: str) -> tuple[str, float]:
    """``words number``: what is shown and where the line is."""
    return text, float(text.split()[-1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curves", nargs="+", type=named_runs)
    parser.add_argument("--published", action="append", default=[], type=figure_of)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    draw(dict(arguments.curves), arguments.published, arguments.out)
