"""What quantization did to each layer, as a table and one sentence: which layer is the worst, and
what to try."""

from collections.abc import Sequence
from dataclasses import dataclass

from tssd.calibration.comparing.kept import FEW_BITS
from tssd.report import words
from tssd.report.behaviour.model import FiringChange
from tssd.report.model import LayerRow, Report

COLUMNS = ("layer", "rate, float", "rate, integers", "spike ratio", "cosine", "rate drift") + (
    *("dead, float", "dead, integers", "always, float", "always, integers"),
    "saturated",
)
SILENT = "silent"


@dataclass(frozen=True)
class LayerTable:
    """The section of a page; ``samples``: the first so many are compared."""

    samples: int
    rows: tuple[tuple[str, ...], ...]
    sentence: str


def layer_table(report: Report) -> LayerTable | None:
    """A row for each layer that fires; None where no float network ran beside."""
    found = [(layer, layer.firing) for layer in report.layers if layer.firing is not None]
    if not found:
        return None
    rows = tuple(_row(layer, firing) for layer, firing in found)
    return LayerTable(found[0][1].samples, rows, worst_layer(report))


def _row(layer: LayerRow, firing: FiringChange) -> tuple[str, ...]:
    return (
        layer.name,
        words.percent(firing.rate_float),
        words.percent(firing.rate_integer),
        _figure(firing.spike_ratio),
        _figure(firing.cosine),
        words.percent(firing.rate_drift),
        *(f"{count:,}" for count in (firing.dead_float, firing.dead_integer)),
        *(f"{count:,}" for count in (firing.always_float, firing.always_integer)),
        words.number(layer.saturated),
    )


def _figure(value: float | None) -> str:
    return SILENT if value is None else f"{value:.4f}"


def likeness(firing: FiringChange) -> float:
    """How alike a layer fires in both, 1 for the same: the smaller of the cosine and of the spike
    ratio or its inverse; 0 where one of both is silent, 1 where both are."""
    if not firing.rate_float or not firing.rate_integer:
        return float(firing.rate_float == firing.rate_integer)
    assert firing.cosine is not None  # both fire
    return min(firing.cosine, _balance(firing))


def _balance(firing: FiringChange) -> float:
    low, high = sorted((firing.rate_float, firing.rate_integer))
    return low / high


def worst_layer(report: Report) -> str:
    """The layer that costs most answers if it alone is quantized; where none costs any, or nothing
    is known of answers, the one that fires least as in float. Then what to try."""
    before = report.accuracy.get("folded")
    alone = {x.name: x.accuracy_if_only_this_layer_is_quantized for x in report.layers}
    told = {name: share for name, share in alone.items() if share is not None}
    if before is not None and told and min(told.values()) < before:
        name = min(told, key=lambda name: told[name])
        said = f"{name} costs most: {words.percent(told[name])} right with it alone in integers"
        said += f", {words.percent(before)} in float"
        return f"{said}. {_advice(_named(report.layers, name), report)}"
    compared = {x.name: x.firing for x in report.layers if x.firing is not None}
    name = min(compared, key=lambda name: likeness(compared[name]))
    firing = compared[name]
    if likeness(firing) == 1:
        return "Quantization moved no layer's spikes."
    said = f"{name} is moved most: spike ratio {_figure(firing.spike_ratio)}"
    said += f", cosine {_figure(firing.cosine)}, with what the layers before it pass on"
    return f"{said}. {_advice(_named(report.layers, name), report)}"


def _named(layers: Sequence[LayerRow], name: str) -> LayerRow:
    return next(layer for layer in layers if layer.name == name)


def _advice(layer: LayerRow, report: Report) -> str:
    """What was not done yet: bits where few are left, a scale per channel where the pattern is
    off, tuning where the rate is; last of all training."""
    done = " ".join(report.provenance.commands)
    kept = layer.kept_bits
    trained = "--set bits=" in done  # its scales and thresholds are the training's
    if kept is not None and (kept < FEW_BITS or trained):
        return (
            f"It keeps {words.number(kept)} bits: try more for it alone, as tssd calibrate --bits"
            " takes exceptions by layer"
            + ("." if trained else ", or a larger --weight-bits of export and import.")
        )
    scales = ("--scales", "--scales channel", "a scale per channel")
    tuning = ("--tuning", "--tuning spikes", "thresholds and biases fitted to float's spikes")
    firing = layer.firing
    rate_first = firing is not None and likeness(firing) == _balance(firing)
    for option, line, why in (tuning, scales) if rate_first else (scales, tuning):
        if option not in done:
            return f"Try {line} of export and import: {why}."
    return "Try tssd calibrate: training that sees the rounding."
