"""What dominates, in sentences: findings from a report's own figures."""

from collections.abc import Sequence

from tssd.errors import counted
from tssd.report.model import ENERGY_PARTS, LayerRow, Report
from tssd.report.words import (
    PART_WORDS,
    PRICE_WORDS,
    UNPRICED,
    cores,
    duration,
    number,
    percent,
    power,
    power_w,
    significant,
    untold,
)


def findings(report: Report) -> tuple[str, ...]:
    """What dominates, in sentences; only what the report's own figures say."""
    sentences = [
        _costliest_layer(report.layers),
        _costliest_part(report.layers),
        _static_share(report),
        energy_trust(report),
        _slowest_layer(report),
        _pace(report),
        _spread(report),
    ]
    return tuple(sentence for sentence in sentences if sentence)


def _pace(report: Report) -> str:
    """Latency and pace by their names, what holds the steps up, and the power at this pace."""
    totals, watts = report.totals, power_w(report)
    if totals.us_per_step is None:
        return f"Bottleneck: {report.bottleneck}." if report.bottleneck else ""
    step, pace = duration(totals.us_per_step), number(totals.inferences_per_s)
    drawn = "" if watts is None else f", {power(watts.nominal)}"
    limit = f"; limited by {report.bottleneck}" if report.bottleneck else ""
    if totals.timing == "bound":
        return (
            f"A lower bound of the time: at least {step} per step, at most {pace} inferences per"
            f" second, without I/O{limit}."
        )
    return (
        f"Latency {duration(totals.latency_us)}: one sample alone. Pace: {pace} inferences per"
        f" second, {step} per step{drawn}, samples back to back, without I/O{limit}."
    )


def _costliest_layer(layers: Sequence[LayerRow]) -> str:
    told = {x.name: x.energy_pj for x in layers if x.energy_pj is not None}
    whole = sum(energy.nominal for energy in told.values())
    if not whole:
        return ""
    name, top = max(told.items(), key=lambda item: item[1].nominal)
    part = max(ENERGY_PARTS, key=lambda name: getattr(top.parts, name))
    within = getattr(top.parts, part) / top.nominal
    return (
        f"{name} takes {percent(top.nominal / whole, 0)} of the dynamic energy; "
        f"{percent(within, 0)} of that goes into {PART_WORDS[part]}."
    )


def _costliest_part(layers: Sequence[LayerRow]) -> str:
    sums = {
        name: sum(getattr(x.energy_pj.parts, name) for x in layers if x.energy_pj is not None)
        for name in ENERGY_PARTS
    }
    whole = sum(sums.values())
    if not whole:
        return ""
    ranked = sorted((name for name in sums if sums[name]), key=lambda name: -sums[name])
    listed = [f"{PART_WORDS[name]} {percent(sums[name] / whole, 0)}" for name in ranked]
    return f"Over all layers: {', '.join(listed)}."


def _static_share(report: Report) -> str:
    """Static power's share, what it is charged for, and whether advice follows from that choice."""
    totals, uj = report.totals, report.totals.energy_uj_per_inference
    if uj.static is None or uj.total is None or not uj.total.nominal:
        return ""
    share = uj.static.nominal / uj.total.nominal
    said = f"Static power is {percent(share, 0)} of an inference's energy"
    advice = _lever(share)
    if totals.cores is None or not totals.cores_there:
        return f"{said}: {advice}."
    whole = _share_of_whole_chips(report)
    said += f", {percent(whole, 0)} of it charged for {counted(totals.chips or 1, 'whole chip')}"
    said += f" though {cores(totals)} cores are in use"
    used = uj.static.nominal * (1 - whole + whole * totals.cores / totals.cores_there)
    part = used / (used + uj.total.nominal - uj.static.nominal)
    if _lever(part) == advice:
        return f"{said} ({percent(part, 0)} for these cores alone): {advice} either way."
    return (
        f"{said}. For these cores alone it would be {percent(part, 0)}: that {advice}"
        " follows from charging the whole chip, and from nothing else."
    )


def energy_trust(report: Report) -> str:
    """How good the energy is, on runs that the chip file never saw."""
    trust = report.totals.trust
    if untold(report) == UNPRICED:
        return "Energy unknown: the chip file does not tell what costs what, so none is told."
    if trust is None:
        return "The energies of this chip file were not fitted to measured runs: no error is known."
    fitted = f"Energy: fitted on {counted(trust.readings, 'reading')} of {trust.silicon}"
    if trust.median_error is None or trust.worst_error is None:
        quality = "one run alone, so no error on others is known"
    else:
        quality = (
            f"on runs not used: median {percent(trust.median_error, 0)}, worst"
            f" {percent(trust.worst_error, 0)}; 90 % of such runs are promised within a factor"
            f" {trust.factor:.1f} (held: {percent(trust.coverage or 0.0, 0)})"
        )
    told = f"; what weighs most: {PRICE_WORDS[trust.dominant]}"
    unknown = [PRICE_WORDS[name] for name in trust.not_told]
    return f"{fitted}; {quality}{told}" + (
        f"; no run tells {' or '.join(unknown)}." if unknown else "."
    )


def _share_of_whole_chips(report: Report) -> float:
    """How much of the static power the chip file charges for chips, the rest for their cores."""
    watts = {c.name: c.value for c in report.constants}
    chips = watts.get("power_w.static_per_chip", 0.0) * (report.totals.chips or 1)
    in_use = watts.get("power_w.static_per_core", 0.0) * (report.totals.cores or 0)
    return chips / (chips + in_use) if chips + in_use else 1.0


def _lever(static_share: float) -> str:
    if static_share > 0.5:
        return "shorter steps save more than fewer spikes"
    return "fewer spikes save more than shorter steps"


def _slowest_layer(report: Report) -> str:
    timed = [layer for layer in report.layers if layer.time_share is not None]
    if not timed:
        return ""
    top = max(timed, key=lambda layer: layer.time_share or 0.0)
    time = "the time of the bound" if report.totals.timing == "bound" else "the simulated time"
    return f"{top.name} sets the pace for {percent(top.time_share, 0)} of {time}."


def _spread(report: Report) -> str:
    """How far the constants alone move the energy, where no fit says how good it is."""
    uj = report.totals.energy_uj_per_inference
    known = uj.total or uj.dynamic
    if known is None or not known.low or uj.prediction_interval is not None:
        return ""
    what = "total" if uj.total else "dynamic"
    factor = significant(known.high / known.low)
    return f"From the low to the high constants the {what} energy spans a factor of {factor}."
