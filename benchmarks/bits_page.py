"""The tables of few bits in ``docs/quantization.md`` and ``docs/training.md``, from the results.

``quantization_few_<network>.json`` become one table of calibrations, ``bits.json`` one of widths.
"""

from collections.abc import Mapping, Sequence

from benchmarks.harness import Row
from tssd.report.markdown import markdown_table

LOST, DRIFT = ": points lost", ": drift of firing rates"
FEW = "quantization_few_"


def calibrations(rows: Mapping[str, Sequence[Row]], commands: Mapping[str, str]) -> str:
    """Points lost by each way of calibrating (rows) for each network and width (columns)."""
    names = [name for name in rows if name.startswith(FEW)]
    lost = {
        (name, *row.name.removesuffix(LOST).split(" bit, ")): row
        for name in names
        for row in rows[name]
        if row.name.endswith(LOST)
    }
    ways = list(dict.fromkeys(way for _, _, way in lost))
    columns = list(dict.fromkeys((name, bits) for name, bits, _ in lost))
    nets = (f"{name.removeprefix(FEW)}, {bits} bits" for name, bits in columns)
    head = ("scales, chosen by, rounding, tuning", *nets)
    cells = [(way, *(_lost(lost.get((*column, way))) for column in columns)) for way in ways]
    made = "\n".join(f"    {commands[name]}" for name in names)
    firsts = {name.removeprefix(FEW): rows[name][0] for name in names}
    samples = "; ".join(f"{net}: {x.how}, float {x.value} %" for net, x in firsts.items())
    return f"{markdown_table(head, cells)}\n\nPoints lost. {samples}.\n\n{made}"


def widths(rows: Sequence[Row], command: str) -> str:
    """Points lost by each width: by calibration alone, after one more epoch with few bits, and by
    calibration behind one more epoch in float."""
    found = {row.name: row for row in rows}
    names = list(dict.fromkeys(name.partition(", ")[0] for name in found if LOST in name))
    head = (
        *("weights", "calibration alone: lost", "goal", "drift"),
        *("an epoch with few bits: lost", "goal", "drift"),
        "an epoch in float, then calibration: lost",
    )
    cells = [
        (
            name,
            *_half(found, name, "calibrated"),
            *_half(found, name, "trained"),
            _half(found, name, "after")[0],
        )
        for name in names
    ]
    floats = [row for row in rows if row.name.startswith("float")]
    said = "; ".join(f"{row.name} {row.value} % ({row.how})" for row in floats)
    return f"{markdown_table(head, cells)}\n\n{said}. `{command}`"


def _half(found: Mapping[str, Row], name: str, part: str) -> tuple[str, str, str]:
    lost, drift = (found.get(f"{name}, {part}{what}") for what in (LOST, DRIFT))
    goal = "-" if lost is None else lost.goal or "reported"
    return _lost(lost), goal, "-" if drift is None else str(drift.value)


def _lost(row: Row | None) -> str:
    if row is None or row.value is None:
        return "-"
    *_, spread = row.how.partition("test images, ")
    return f"{row.value:.2f}" + (f" ({spread})" if spread else "")
