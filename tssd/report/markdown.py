"""Report -> Markdown: the same figures as tables, for a README, a pull request or a terminal."""

import re
from collections.abc import Iterable, Sequence

from tssd.errors import counted, visible
from tssd.report import words
from tssd.report.behaviour import profiles
from tssd.report.behaviour.headline import headline
from tssd.report.behaviour.layers import COLUMNS, layer_table
from tssd.report.behaviour.view import chip_map, confusion
from tssd.report.findings import findings
from tssd.report.model import LayerRow, Report


def render_markdown(report: Report) -> str:
    """The report as GitHub-flavoured Markdown; what was not run says so."""
    head = f"# {_safe(report.network)} on {_safe(report.target)}\n\n"
    head += f"{counted(report.samples, 'sample')}, {report.time_steps} time steps"
    head += f", {_safe(report.shown or report.dataset or '')}".rstrip(", ")
    head += f"; time and energy: {report.label}" if report.label else ""
    others = words.other_samples(report)
    head += "" if others is None else f". {_safe(others)}"
    sections = [
        head + ".",
        f"**{_safe(headline(report))}**",
        _section("Accuracy", _accuracy(report)),
        _section("What dominates", _list((*findings(report), *report.notes))),
        _section("Contracts", _contracts(report)),
        _section("Spikes over all samples", _spikes(report)),
        _section("Layers, per inference", _layers(report.layers)),
        _section("Whole network", _totals(report)),
        _section("As plain C", _program(report)),
        *_behaviour(report),
        _section("Constants", _constants(report)),
        _section("Made with", _provenance(report)),
    ]
    return "\n\n".join(sections) + "\n"


def markdown_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], right: int = 99
) -> str:
    """A Markdown table; columns from index *right* on are right-aligned."""
    rule = ["---:" if i >= right else "---" for i in range(len(columns))]
    lines = [columns, rule, *rows]
    return "\n".join("| " + " | ".join(_safe(cell) for cell in line) + " |" for line in lines)


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}"


def _accuracy(report: Report) -> str:
    """Share, samples that are right, and interval of every stage and engine."""
    rows = [
        (
            name,
            words.percent(share),
            "" if share is None else words.right(share, report.samples),
            words.interval(report.intervals.get(name)),
        )
        for name, share in report.accuracy.items()
    ]
    table = markdown_table(("", "accuracy", "samples", "interval"), rows, right=1)
    trained = words.in_training(report)
    return f"{table}\n\nThe network itself: {trained}." if trained else table


def _contracts(report: Report) -> str:
    rows = [
        (c.name, c.status, _given(c.found), _given(c.allowed), c.where or "")
        for c in sorted(report.contracts, key=lambda c: c.status)
    ]
    return markdown_table(("contract", "result", "found", "allowed", "where"), rows)


def _spikes(report: Report) -> str:
    sources = tuple(dict.fromkeys(source for layer in report.layers for source in layer.spikes))
    rows = [
        [layer.name, *(_count(layer.spikes.get(source)) for source in sources)]
        for layer in report.layers
    ]
    return markdown_table(("layer", *sources), rows, right=1)


def _layers(layers: Sequence[LayerRow]) -> str:
    counts = ("neurons", "cores", "bits", "bits kept", "rate", "synops", "messages")
    columns = ("layer", "kind", "shape", *counts, "energy", "low .. high", "time share")
    return markdown_table(columns, [_layer(layer) for layer in layers], right=3)


def _layer(layer: LayerRow) -> list[str]:
    energy = layer.energy_pj
    return [
        layer.name,
        layer.kind,
        words.size(layer.shape),
        words.number(layer.neurons),
        words.number(layer.cores),
        "" if layer.weight_bits is None else str(layer.weight_bits),
        "" if layer.kept_bits is None else words.number(layer.kept_bits),
        words.percent(layer.rate),
        words.number(layer.synops),
        words.number(layer.messages),
        words.nominal_energy(energy),
        words.energy_constants(energy),
        words.percent(layer.time_share, 0),
    ]


def _totals(report: Report) -> str:
    totals, uj = report.totals, report.totals.energy_uj_per_inference
    simulated = f"simulated by cycles; {words.TIME_ERROR}"
    limit = {"bound": "lower bound of the time", "cycle": simulated}
    how = limit.get(totals.timing or "", "")
    watts = words.power_w(report)
    drawn = words.untold(report) if watts is None else words.power(watts.nominal)
    rows = [
        ("cores", words.cores(totals), words.fullest(totals)),
        ("chips", words.number(totals.chips), ""),
        ("synaptic operations per inference", words.number(totals.synops), ""),
        ("spikes per inference", words.number(totals.spikes), ""),
        (
            "latency: one sample alone, first input to answer, without I/O",
            words.duration(totals.latency_us),
            "" if totals.latency_us is None else how,
        ),
        (
            "pace: inferences per second, samples back to back, without I/O",
            words.number(totals.inferences_per_s),
            how,
        ),
        ("pace: time per step, without I/O", words.duration(totals.us_per_step), how),
        ("power at this pace", drawn, ""),
    ]
    for name in ("dynamic", "static", "total"):
        known = getattr(uj, name)
        nominal = words.untold(report) if known is None else words.energy(1e6 * known.nominal)
        rows.append(
            (
                f"{name} energy per inference at this pace",
                nominal,
                words.energy_spread(uj, name) if known else "",
            )
        )
    gpu = report.gpu
    rows.append((f"GPU latency ({gpu.device or 'no device'})", words.duration(gpu.latency_us), ""))
    nvml = None if gpu.energy_uj_per_inference is None else 1e6 * gpu.energy_uj_per_inference
    rows.append(("GPU energy per inference", words.energy(nvml), gpu.how or ""))
    return markdown_table(("", "value", "low .. high, or how"), rows, right=1)


def _program(report: Report) -> str:
    return markdown_table(("", "value", "how"), words.program(report), right=99)


def _behaviour(report: Report) -> list[str]:
    """Answers over time, what quantization changed, cores; nothing of what was not looked at."""
    parts = []
    if points := report.behaviour.over_time:
        rows = [(p.step, words.percent(p.accuracy), words.percent(p.rate)) for p in points]
        columns = ("time steps read", "accuracy", "events per neuron in this step")
        parts.append(_section("Answers over time", markdown_table(columns, rows, right=0)))
    if found := confusion(report):
        parts.append(_section("Who is taken for whom", _list((*found.changes, *found.worst))))
    if table := layer_table(report):
        said = f"{_safe(table.lead)} {_safe(table.sentence)}"
        body = f"{said}\n\n{markdown_table(COLUMNS, table.rows, right=1)}"
        parts.append(_section(words.LAYERS_TITLE, body))
    if spread := profiles.profile_table(report):
        parts.append(_section(words.SPREAD_TITLE, markdown_table(profiles.COLUMNS, spread)))
    if drawn := chip_map(report):
        rows = [(number, name, cores) for number, name, cores in drawn.legend]
        parts.append(_section("The chip", markdown_table(("", "layer", "cores, fullest"), rows)))
    return parts


def _constants(report: Report) -> str:
    rows = [
        (c.name, words.plain(c.value), words.bounds(c), c.unit, c.kind, c.source)
        for c in report.constants
    ]
    table = markdown_table(("constant", "value", "low .. high", "unit", "kind", "source"), rows)
    return f"Time and energy rest on {words.kinds(report.constants)}.\n\n{table}"


def _provenance(report: Report) -> str:
    commands = "\n".join(f"    {visible(command)}" for command in report.provenance.commands)
    told = sorted(report.provenance.versions.items())
    versions = _safe(", ".join(f"{name} {v}" for name, v in told))
    return f"{commands}\n\nVersions: {versions or 'not recorded'}."


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {_safe(sentence)}" for sentence in sentences) or "Nothing was counted."


def _given(value: object) -> object:
    return "" if value is None else value


def _count(value: int | None) -> str:
    return words.NOT_RUN if value is None else f"{value:,}"


def _safe(cell: object) -> str:
    """Text that neither ends a table cell nor becomes a tag, a link or a picture."""
    plain = visible(str(cell).replace("\n", " "))
    return re.sub(r"[\\|]|\](?=[(\[:])", r"\\\g<0>", plain).replace("<", "&lt;")
