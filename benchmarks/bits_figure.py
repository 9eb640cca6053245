"""Bits against points lost, by calibration alone and behind one more epoch, from
``results/bits.json``. A loss is that beside the float network of the same seed, so widths that
were measured on other seeds stand side by side.

python -m benchmarks.bits_figure --out docs/bits.png
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.bits import AFTER, CALIBRATED, PARTS, TRAINED
from benchmarks.bits_page import LOST
from benchmarks.harness import RESULTS, Row
from tssd.train.study.report import COLOURS

WIDTHS = ("binary", "ternary", "3", "4", "8")  # from left to right
LABELS: Mapping[str, str] = {
    CALIBRATED: "calibration alone",
    TRAINED: "one more epoch with few bits",
    AFTER: "one more epoch in float, then calibration",
}


def losses(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Points lost by width, of each part."""
    found = {
        row.name.removesuffix(LOST): row.value
        for row in rows
        if row.name.endswith(LOST) and isinstance(row.value, float)
    }
    named = {part: {width: f"{width}, {part}" for width in WIDTHS} for part in PARTS}
    return {
        part: {width: found[name] for width, name in names.items() if name in found}
        for part, names in named.items()
    }


def draw(rows: Sequence[Row], out: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for (part, lost), colour, marker in zip(losses(rows).items(), COLOURS[3:], "os^", strict=False):
        places = [WIDTHS.index(width) for width in lost]
        axes.plot(places, list(lost.values()), marker, color=colour, label=LABELS[part])
    axes.axhline(0, color="0.5", linestyle="--", label="float network of the same seed")
    axes.set_xticks(range(len(WIDTHS)), WIDTHS)
    axes.set_xlim(-0.5, len(WIDTHS) - 0.5)
    axes.set(xlabel="bits of a weight, sign included", ylabel="points lost on the test set")
    axes.legend(loc="upper right", fontsize=8)
    figure.savefig(out, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    table = json.loads((RESULTS / "bits.json").read_text(encoding="utf-8"))
    draw([Row(**row) for row in table["rows"]], parser.parse_args().out)
