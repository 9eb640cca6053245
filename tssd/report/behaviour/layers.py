"""What quantization did to each layer, as a table and one sentence: which layer is the worst, and
what to try."""

from collections.abc import Sequence
from dataclasses import dataclass

from tssd.calibration.comparing.kept import FEW_BITS
from tssd.errors import counted
from tssd.report import words
from tssd.report.behaviour.model import FiringChange
from tssd.report.model import LayerRow, Report

COLUMNS = ("layer", "rate, float", "rate, integers", "spike ratio", "cosine", "rate drift") + (
    *("dead, float", "dead, integers", "always, float", "always, integers"),
    *("saturated", "wrapped", "alone in integers", "alone in float"),
)
SILENT = "silent"
COMPARED = (
    "The first {} in both networks. Rates and their drift (earth mover's distance) are events per"
    " neuron and step; the cosine is of the events of every neuron in every sample; dead neurons"
    " never fire, always firing ones in every step; saturated: membranes at an end of their range;"
    " wrapped: currents that left theirs and turned."
)
AGREED = (
    "Alone in integers, alone in float: answers that are the float network's with all others the"
    " other way; with every layer in integers"
)


@dataclass(frozen=True)
class LayerTable:
    """The section of a page; ``samples``: the first so many are compared."""

    samples: int
    rows: tuple[tuple[str, ...], ...]
    sentence: str
    agreement: float | None

    @property
    def lead(self) -> str:
        """How the table is to be read."""
        said = COMPARED.format(counted(self.samples, "sample"))
        return (
            said if self.agreement is None else f"{said} {AGREED} {words.percent(self.agreement)}."
        )


def layer_table(report: Report) -> LayerTable | None:
    """A row for each layer with weights; None where no float network ran beside."""
    compared = [layer.firing.samples for layer in report.layers if layer.firing is not None]
    if not compared:
        return None
    rows = tuple(
        (layer.name, *_spikes(layer.firing), *_answers(layer))
        for layer in report.layers
        if layer.firing or layer.agreement_if_only_this_layer_is_quantized is not None
    )
    return LayerTable(compared[0], rows, worst_layer(report), report.behaviour.agreement)


def _spikes(firing: FiringChange | None) -> tuple[str, ...]:
    if firing is None:  # a readout
        return ("",) * 9
    return (
        words.percent(firing.rate_float),
        words.percent(firing.rate_integer),
        _figure(firing.spike_ratio),
        _figure(firing.cosine),
        words.percent(firing.rate_drift),
        *(f"{count:,}" for count in (firing.dead_float, firing.dead_integer)),
        *(f"{count:,}" for count in (firing.always_float, firing.always_integer)),
    )


def _answers(layer: LayerRow) -> tuple[str, ...]:
    return (
        words.number(layer.saturated),
        words.number(layer.wrapped),
        words.percent(layer.agreement_if_only_this_layer_is_quantized),
        words.percent(layer.agreement_if_only_this_layer_is_float),
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
    """The layer that costs most right answers if it alone is quantized; where none costs any, or
    labels are not known, the one that changes most answers; where none does, the one that fires
    least as in float. Then what to try."""
    before = report.accuracy.get("folded")
    alone = {x.name: x.accuracy_if_only_this_layer_is_quantized for x in report.layers}
    told = {name: share for name, share in alone.items() if share is not None}
    if before is not None and told and min(told.values()) < before:
        name = min(told, key=lambda name: told[name])
        said = f"{name} costs most: {words.percent(told[name])} right with it alone in integers"
        said += f", {words.percent(before)} in float"
        return f"{said}. {_advice(_named(report.layers, name), report)}"
    agreed = {x.name: x.agreement_if_only_this_layer_is_quantized for x in report.layers}
    like = {name: share for name, share in agreed.items() if share is not None}
    if like and min(like.values()) < 1:
        name = min(like, key=lambda name: like[name])
        said = f"{name} changes most answers: {words.percent(like[name])} are float's with it alone"
        return f"{said} in integers. {_advice(_named(report.layers, name), report)}"
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
