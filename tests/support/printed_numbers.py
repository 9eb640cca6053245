"""Every number that a text prints, with its unit, and every quantity that a report's JSON says.

The quantities are worked out here from the JSON alone, by the definitions in ``docs/report.md``:
nothing of the code that prints them is used.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

# unit -> (what it measures, its size in pJ, us, W or bytes)
UNITS = {
    "%": ("%", 1.0),
    "": ("", 1.0), "M": ("", 1e6), "G": ("", 1e9), "T": ("", 1e12),
    "pJ": ("pJ", 1.0), "nJ": ("pJ", 1e3), "µJ": ("pJ", 1e6), "mJ": ("pJ", 1e9), "J": ("pJ", 1e12),
    "ns": ("us", 1e-3), "µs": ("us", 1.0), "ms": ("us", 1e3), "s": ("us", 1e6),
    "µW": ("W", 1e-6), "mW": ("W", 1e-3), "W": ("W", 1.0),
    "B": ("B", 1.0), "KiB": ("B", 1024.0), "MiB": ("B", 2.0**20),
}  # fmt: skip
NUMBER = r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"
UNIT = "|".join(sorted((re.escape(u) for u in UNITS if u), key=len, reverse=True))
TOKEN = re.compile(rf"(?<![\w.+-])({NUMBER})(?: ?({UNIT})(?![\w/]))?(?: \.\. {NUMBER} (%))?")
PROSE = ("95 % interval", "95 % confidence", "90 % of such runs")  # fixed words of the pages


@dataclass(frozen=True)
class Printed:
    """A number as printed: what it measures, its value there, and half of its last digit."""

    text: str
    measures: str
    value: float
    half: float

    def fits(self, quantity: float) -> bool:
        return abs(quantity - self.value) <= self.half * (1 + 1e-6) + 1e-12 * abs(quantity)


def printed(text: str) -> Iterator[Printed]:
    """The numbers of *text* in order; words that hold digits are none."""
    for found in TOKEN.finditer(text):
        digits, unit = found.group(1).rstrip(","), found.group(2) or found.group(3) or ""
        mantissa, _, exponent = digits.replace(",", "").partition("e")
        last = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
        measures, size = UNITS[unit]
        value = float(digits.replace(",", "")) * size
        yield Printed(f"{digits} {unit}".strip(), measures, value, 0.5 * last * size)


def texts_of(value: Any) -> list[str]:
    """Every text in nested lists and dicts, keys too, the longest first."""
    match value:
        case str():
            found = [value]
        case dict():
            found = [t for key, item in value.items() for t in (key, *texts_of(item))]
        case list():
            found = [t for item in value for t in texts_of(item)]
        case _:
            found = []
    return sorted(set(found), key=len, reverse=True)


class Quantities(dict[str, set[float]]):
    """What is measured -> values. Shares are in per cent."""

    def add(self, measures: str, *values: float | None) -> None:
        self.setdefault(measures, set()).update(v for v in values if v is not None)

    def share(self, *values: float | None) -> None:
        self.add("%", *(100 * v for v in values if v is not None))

    def has(self, found: Printed) -> bool:
        return any(found.fits(quantity) for quantity in self.get(found.measures, ()))


def quantities(report: dict[str, Any]) -> Quantities:
    """All that a page about *report* may say."""
    found = Quantities()
    found.add("", report["samples"], report["time_steps"])
    _accuracy(report, found)
    _totals(report, found)
    for layer in report["layers"]:
        _layer(layer, report["samples"], found)
    if program := report["plain_c"]:
        found.add("B", program["flash_bytes"], program["ram_bytes"])
        found.add("", program["instructions"], program["samples"])
    _findings(report, found)
    _run(report, found)
    _behaviour(report["behaviour"], report, found)
    return found


def _accuracy(report: dict[str, Any], found: Quantities) -> None:
    samples, accuracy = report["samples"], report["accuracy"]
    right = {k: round(v * samples) for k, v in accuracy.items() if v is not None}
    found.share(*accuracy.values())
    found.add("", *right.values())
    if {"integer", "float"} <= right.keys():
        found.add("", abs(right["integer"] - right["float"]))
    for interval in report["intervals"].values():
        found.share(interval["low"], interval["high"])
    if report["trained"]:
        found.share(report["trained"]["accuracy"])
        found.add("", report["trained"]["samples"])
    states = [contract["status"] for contract in report["contracts"]]
    found.add("", len(states), *(states.count(s) for s in ("pass", "fail", "not run")))


def _totals(report: dict[str, Any], found: Quantities) -> None:
    totals, gpu = report["totals"], report["gpu"]
    energy = totals["energy_uj_per_inference"]
    for known in filter(None, energy.values()):
        found.add("pJ", *(1e6 * known[level] for level in ("low", "nominal", "high")))
    if energy["total"] and totals["inferences_per_s"] is not None:
        found.add("W", 1e-6 * energy["total"]["nominal"] * totals["inferences_per_s"])
    found.add("us", totals["latency_us"], totals["us_per_step"], gpu["latency_us"])
    if gpu["energy_uj_per_inference"] is not None:
        found.add("pJ", 1e6 * gpu["energy_uj_per_inference"])
    for key in ("cores", "chips", "synops", "spikes", "inferences_per_s", "cores_there"):
        found.add("", totals[key])
    if totals["fullest"]:
        found.share(totals["fullest"]["share"])
        found.add("", totals["fullest"]["core"])
    found.add("", sum(layer["neurons"] for layer in report["layers"]))
    if trust := totals["trust"]:
        found.share(*(trust[k] for k in ("median_error", "worst_error", "coverage")))
        found.add("", trust["readings"], trust["factor"])


def _layer(layer: dict[str, Any], samples: int, found: Quantities) -> None:
    energy, spikes = layer["energy_pj"], layer["spikes"]
    found.add("pJ", *(energy[level] for level in ("low", "nominal", "high")))
    found.add("pJ", *energy["parts"].values())
    found.add("", *layer["shape"], layer["weight_bits"], layer["kept_bits"])
    for key in ("neurons", "synapses", "cores", "synops", "neuron_updates", "messages"):
        found.add("", layer[key])
    found.add("B", layer["memory_bytes"])
    alone = layer["accuracy_if_only_this_layer_is_quantized"]
    found.add("", layer["saturated"], layer["wrapped"])
    for spread in (layer["weights"], layer["membranes"]):
        _spread(spread, found) if spread else None
    found.share(*(layer[f"agreement_if_only_this_layer_is_{x}"] for x in ("quantized", "float")))
    if firing := layer["firing"]:
        found.share(firing["rate_float"], firing["rate_integer"], firing["rate_drift"])
        found.add("", *(x for key, x in firing.items() if not key.startswith("rate")))
    found.share(layer["rate"], layer["time_share"], alone)
    for count in spikes.values():
        if count is not None:
            found.add("", count, count / samples)
    if spikes["integer"] is not None and spikes["float"]:
        ratio = spikes["integer"] / spikes["float"]
        found.add("", ratio)
        found.share(abs(ratio - 1))


def _spread(spread: dict[str, Any], found: Quantities) -> None:
    """The ends of the bins (of whole numbers: the first and the last in them), shares outside."""
    inward = 0.5 if spread["unit"] == "step" else 0.0
    length = len(spread["integer"]["bins"]) * spread["width"]
    found.add("", spread["low"] + inward, spread["low"] + length - inward)
    for side in filter(None, (spread["integer"], spread["float"])):
        whole = side["below"] + sum(side["bins"]) + side["above"]
        found.share((side["below"] + side["above"]) / whole)


def _findings(report: dict[str, Any], found: Quantities) -> None:
    """Shares of the whole, as the sentences about what dominates have them."""
    layers, totals = report["layers"], report["totals"]
    nominal = [layer["energy_pj"]["nominal"] for layer in layers]
    parts = [layer["energy_pj"]["parts"] for layer in layers]
    whole = {part: sum(p[part] for p in parts) for part in ("synapse", "neuron", "spike", "noc")}
    if sum(nominal):
        found.share(max(nominal) / sum(nominal))
        found.share(*(v / sum(whole.values()) for v in whole.values()))
        found.share(*(max(p.values()) / n for p, n in zip(parts, nominal, strict=True) if n))
    static, total = (totals["energy_uj_per_inference"][k] for k in ("static", "total"))
    known = total or totals["energy_uj_per_inference"]["dynamic"]
    if known and known["low"]:
        found.add("", known["high"] / known["low"])
    if static and total:
        found.share(static["nominal"] / total["nominal"])
        price = {c["name"]: c["value"] for c in report["constants"]}
        chips = price.get("power_w.static_per_chip", 0.0) * (totals["chips"] or 1)
        in_use = price.get("power_w.static_per_core", 0.0) * (totals["cores"] or 0)
        charged = chips / (chips + in_use) if chips + in_use else 1.0
        found.share(charged)
        if totals["cores"] and totals["cores_there"]:
            kept = 1 - charged + charged * totals["cores"] / totals["cores_there"]
            alone = static["nominal"] * kept
            found.share(alone / (alone + total["nominal"] - static["nominal"]))


def _run(report: dict[str, Any], found: Quantities) -> None:
    """The time line, the mesh, the constants."""
    for step in report["timeline"]:
        found.add("", step["step"])
        found.add("us", step["us"])
    for cell in report["mesh"]:
        found.add("", cell["x"], cell["y"], cell["value"])
    if report["mesh"]:
        found.add("", *(1 + max(cell[axis] for cell in report["mesh"]) for axis in "xy"))
    kinds = [constant["kind"] for constant in report["constants"]]
    found.add("", len(kinds), *map(kinds.count, kinds))
    for constant in report["constants"]:
        found.add("", constant["value"], constant["low"], constant["high"])
    found.add("", len(report["provenance"]["hashes"]))


def _behaviour(behaviour: dict[str, Any], report: dict[str, Any], found: Quantities) -> None:
    """Cores, answers over time and by class, the first difference from float."""
    for point in behaviour["over_time"]:
        found.add("", point["step"])
        found.share(point["accuracy"], point["rate"])
    if behaviour["chip_map"]:
        _cores(behaviour["chip_map"]["cores"], [x["name"] for x in report["layers"]], found)
    _answers(behaviour["answers"], found)
    found.add("", behaviour["compared"])
    found.share(behaviour["agreement"])
    if first := behaviour["divergence"]:
        steps, neurons = first["first_step"] + np.arange(first["steps"]), first["neurons"]
        found.add("", first["sample"], first["step"], first["neuron"], *steps.tolist(), *neurons)
        found.add("", len(neurons), first["steps"])


def _cores(cores: list[dict[str, Any]], names: list[str], found: Quantities) -> None:
    for core in cores:
        found.add("", *(core[key] for key in ("core", "chip", "x", "y", "synops")))
        found.share(core["share"])
    holding = [sum(name in core["layers"] for core in cores) for name in names]
    found.add("", len(cores), *holding, *range(1, len(names) + 1))


def _answers(answers: list[dict[str, Any]], found: Quantities) -> None:
    """Classes, samples of a label with one answer, how many more than in float, and the sums."""
    cells: dict[str, Counter[tuple[int, int]]] = {"integer": Counter(), "float": Counter()}
    moved: Counter[tuple[bool, bool]] = Counter()
    for row in answers:
        for who, table in cells.items():
            if row[who] is not None:
                table[row["label"], row[who]] += row["samples"]
                found.add("", row["label"], row[who])
        if row["float"] is not None and row["float"] != row["integer"]:
            moved[row["float"] == row["label"], row["integer"] == row["label"]] += row["samples"]
    for place in {*cells["integer"], *cells["float"]}:
        count, before = cells["integer"][place], cells["float"][place]
        found.add("", count, count - before)
    found.add("", *moved.values(), sum(moved.values()))


def unfounded(text: str, report: dict[str, Any]) -> list[str]:
    """The numbers of *text* that are none of the report's: what stands in it as text is left out,
    and so is the words' own 95 %."""
    for said in (*texts_of(report), *PROSE):
        if any(c.isdigit() for c in said):
            text = text.replace(said, "¤")
    known = quantities(report)
    return [
        found.text
        for found in printed(text)
        if not known.has(found) and not _at_least(found, text, known)
    ]


def _at_least(found: Printed, text: str, known: Quantities) -> bool:
    """``under 1 %``: a share that is smaller, and not nothing."""
    small = f"under {found.text}" in text
    return small and any(0 < q < found.value for q in known.get(found.measures, ()))
