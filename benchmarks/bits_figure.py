"""Bits against accuracy, by calibration alone and after one more epoch, from ``results/bits.json``.

python -m benchmarks.bits_figure --out docs/bits.png
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.bits import CALIBRATED, FLOAT, PARTS, TRAINED
from benchmarks.harness import RESULTS, Row
from tssd.train.study.report import COLOURS

WIDTHS = ("binary", "ternary", "3", "4", "8")  # from left to right
LABELS: Mapping[str, str] = {CALIBRATED: "calibration alone", TRAINED: "after one more epoch"}
FLOATS: Mapping[str, str] = {CALIBRATED: FLOAT, TRAINED: f"{FLOAT}, one more epoch"}
ACCURACY = ": accuracy"


def curves(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Per cent by width of each part, its float network under ``FLOAT``."""
    found = {
        row.name.removesuffix(ACCURACY): row.value
        for row in rows
        if row.name.endswith(ACCURACY) and isinstance(row.value, float)
    }
    named = {
        part: {FLOAT: FLOATS[part], **{width: f"{width}, {part}" for width in WIDTHS}}
        for part in PARTS
    }
    return {
        part: {width: found[name] for width, name in names.items() if name in found}
        for part, names in named.items()
    }


def draw(rows: Sequence[Row], out: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for (part, values), colour in zip(curves(rows).items(), COLOURS[3:], strict=False):
        shown = [width for width in WIDTHS if width in values]
        places = [WIDTHS.index(width) for width in shown]
        percent = [values[width] for width in shown]
        axes.plot(places, percent, marker="o", color=colour, label=LABELS[part])
        if FLOAT in values:
            label = f"{FLOATS[part]}: {values[FLOAT]:.2f} %"
            axes.axhline(values[FLOAT], color=colour, linestyle="--", label=label)
    axes.set_xticks(range(len(WIDTHS)), WIDTHS)
    axes.set(xlabel="bits of a weight, sign included", ylabel="test accuracy, %")
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(out, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    table = json.loads((RESULTS / "bits.json").read_text(encoding="utf-8"))
    draw([Row(**row) for row in table["rows"]], parser.parse_args().out)
