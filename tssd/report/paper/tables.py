"""Report -> its tables as pandas frames, and as CSV, LaTeX and Markdown in a folder."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tssd.atomic import check_room, write_text
from tssd.report import words
from tssd.report.markdown import markdown_table
from tssd.report.model import ENERGY_PARTS, LayerRow, Report
from tssd.report.paper.figures import check_formats
from tssd.report.paper.spread import bin_rows
from tssd.report.view import ENERGIES

if TYPE_CHECKING:
    from pandas import DataFrame

FORMATS = ("csv", "latex", "md")
SUFFIX = {"csv": "csv", "latex": "tex", "md": "md"}


def frames(report: Report) -> dict[str, "DataFrame"]:
    """Name -> frame, of every table of *report* that has a row; units stand in the columns' names,
    what was not run is missing."""
    import pandas

    tables = {
        "layers": [_layer(layer, report) for layer in report.layers],
        "totals": [_totals(report)],
        "accuracy": _accuracy(report),
        "contracts": [asdict(contract) for contract in report.contracts],
        "constants": [asdict(constant) for constant in report.constants],
        "steps": [asdict(step) for step in report.timeline],
        "mesh": [asdict(cell) for cell in report.mesh],
        "over-time": [asdict(point) for point in report.behaviour.over_time],
        "quantization": [
            {
                "layer": x.name,
                **asdict(x.firing),
                "saturated": x.saturated,
                "wrapped": x.wrapped,
                "agreement_if_only_quantized": x.agreement_if_only_this_layer_is_quantized,
                "agreement_if_only_float": x.agreement_if_only_this_layer_is_float,
            }
            for x in report.layers
            if x.firing is not None
        ],
        "distributions": [row for layer in report.layers for row in bin_rows(layer)],
        "answers": [asdict(row) for row in report.behaviour.answers],
        "cores": _cores(report),
    }
    return {name: pandas.DataFrame(rows) for name, rows in tables.items() if rows}


def _layer(layer: LayerRow, report: Report) -> dict[str, Any]:
    energy = layer.energy_pj
    return {
        "layer": layer.name,
        "kind": layer.kind,
        "shape": "x".join(map(str, layer.shape)),
        "neurons": layer.neurons,
        "synapses": layer.synapses,
        "cores": layer.cores,
        "memory_bytes": layer.memory_bytes,
        "weight_bits": layer.weight_bits,
        "rate": layer.rate,
        **{
            f"spikes_{name}": None if count is None else count / report.samples
            for name, count in layer.spikes.items()
        },
        "synops": layer.synops,
        "neuron_updates": layer.neuron_updates,
        "messages": layer.messages,
        "energy_pj": getattr(energy, "nominal", None),  # None: the chip file tells no energies
        "energy_low_pj": getattr(energy, "low", None),
        "energy_high_pj": getattr(energy, "high", None),
        **{
            f"energy_{part}_pj": None if energy is None else getattr(energy.parts, part)
            for part in ENERGY_PARTS
        },
        "time_share": layer.time_share,
        "accuracy_if_only_quantized": layer.accuracy_if_only_this_layer_is_quantized,
    }


def _totals(report: Report) -> dict[str, Any]:
    totals, uj = report.totals, report.totals.energy_uj_per_inference
    ranges = {
        f"{name}_{end}_uj".replace("_nominal", ""): None if r is None else getattr(r, end)
        for name in ENERGIES
        for r in [getattr(uj, name)]
        for end in ("nominal", "low", "high")
    }
    promised = {
        f"{name}_promised_{end}_uj": None if r is None else getattr(r, end)
        for name in ENERGIES
        for r in [getattr(uj.prediction_interval, name, None)]
        for end in ("low", "high")
    }
    return {
        "network": report.network,
        "target": report.target,
        "samples": report.samples,
        "time_steps": report.time_steps,
        "cores": totals.cores,
        "chips": totals.chips,
        "synops": totals.synops,
        "spikes": totals.spikes,
        "timing": totals.timing,
        "latency_us": totals.latency_us,
        "us_per_step": totals.us_per_step,
        "inferences_per_s": totals.inferences_per_s,
        **ranges,
        **promised,
        "energy_factor": None if totals.trust is None else totals.trust.factor,
    }


def _cores(report: Report) -> list[dict[str, Any]]:
    found = report.behaviour.chip_map
    return (
        []
        if found is None
        else [{**asdict(core), "layers": ", ".join(core.layers)} for core in found.cores]
    )


def _accuracy(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "stage": name,
            "accuracy": share,
            "low": None if name not in report.intervals else report.intervals[name].low,
            "high": None if name not in report.intervals else report.intervals[name].high,
            "samples": report.samples,
        }
        for name, share in report.accuracy.items()
        if share is not None
    ]


SHORT = {  # the columns of a table that a page holds: CSV has all
    "layers": (
        *("layer", "shape", "neurons", "cores", "weight_bits", "rate", "synops", "energy_pj"),
        "time_share",
    ),
    "totals": (
        *("network", "target", "samples", "time_steps", "cores", "spikes", "synops"),
        *("latency_us", "inferences_per_s", "dynamic_uj", "total_uj", "energy_factor"),
    ),
    "constants": ("name", "value", "low", "high", "unit", "kind"),
}


def write_tables(report: Report, folder: Path, formats: Sequence[str]) -> tuple[Path, ...]:
    """Every table of *report* in every one of *formats*: CSV with all columns and digits, LaTeX
    (booktabs) and Markdown with the columns that a page holds, in three digits."""
    check_formats("--format", formats, FORMATS)
    check_room(folder, "--tables")
    made = {
        folder / f"{name}.{SUFFIX[kind]}": _as(kind, name, frame)
        for name, frame in frames(report).items()
        for kind in dict.fromkeys(formats)
    }
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in made.items():
        write_text(path, text)
    return tuple(made)


def _as(kind: str, name: str, frame: "DataFrame") -> str:
    if kind == "csv":
        return str(frame.to_csv(index=False, lineterminator="\n"))
    short = frame[[c for c in SHORT.get(name, tuple(frame.columns)) if c in frame.columns]]
    if name == "totals":
        short = short.T.reset_index()
        short.columns = ["figure", "value"]
    rows = [[_cell(value) for value in row] for row in short.itertuples(index=False)]
    if kind == "md":
        return markdown_table([str(c) for c in short.columns], rows, right=1) + "\n"
    return _latex([str(c) for c in short.columns], rows)


def _cell(value: object) -> str:
    """A number in three digits; nothing where nothing was run."""
    if value is None or value != value or str(value) == "<NA>":
        return ""
    if isinstance(value, bool | str):
        return str(value)
    return words.plain_number(float(str(value)))


SPECIAL = str.maketrans(
    {
        **{c: f"\\{c}" for c in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\n": " ",
    }
)


def _latex(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""A ``tabular`` with booktabs' rules; whatever LaTeX would take for a command is escaped."""
    lines = [" & ".join(cell.translate(SPECIAL) for cell in line) + r" \\" for line in rows]
    head = " & ".join(name.translate(SPECIAL) for name in columns) + r" \\"
    kinds = "l" + "r" * (len(columns) - 1)
    body = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", head, r"\midrule", *lines]
    return "\n".join([*body, r"\bottomrule", r"\end{tabular}"]) + "\n"
