"""What the page and the Markdown print is what the JSON says, to the digits that are printed."""

import html
import json
import re
from functools import partial
from typing import Any

import numpy as np
import pytest
from printed_numbers import Printed, printed, unfounded
from sample_report import bare_report, full_report

from tssd.report.html import render_html
from tssd.report.markdown import render_markdown
from tssd.report.model import Report
from tssd.report.serial import from_json, to_json

SEEDS = range(3)
Table = dict[str, Any]


def drawn(seed: int) -> Table:
    """The full report with every figure drawn anew, from 10^-3 to 10^7 of what it was."""
    rng = np.random.default_rng(seed)
    table: Table = json.loads(to_json(full_report()))
    table["samples"] = int(rng.integers(7, 3000))
    for layer in table["layers"]:
        _draw_layer(layer, rng)
    totals, energy = table["totals"], table["totals"]["energy_uj_per_inference"]
    for key in ("latency_us", "us_per_step", "inferences_per_s", "synops", "spikes"):
        totals[key] = anywhere(rng)
    for key in ("dynamic", "static", "total", "stepping"):
        low, nominal, high = sorted(anywhere(rng) for _ in range(3))
        energy[key] = {"low": low, "nominal": nominal, "high": high}
    energy["total"]["nominal"] = energy["static"]["nominal"] + energy["dynamic"]["nominal"]
    energy["total"]["high"] = 2 * energy["total"]["nominal"]
    totals["cores"], totals["cores_there"] = (int(n) for n in rng.integers((3, 300), (200, 2000)))
    totals["trust"] = {
        "readings": 5, "silicon": "Oheo Gulch", "median_error": rng.random(),
        "worst_error": 3 * rng.random(), "factor": 1 + rng.random(), "coverage": rng.random(),
        "dominant": "synop", "not_told": [],
    }  # fmt: skip
    for name in ("float", "folded", "integer", "gpu"):
        table["accuracy"][name] = int(rng.integers(table["samples"])) / table["samples"]
    table["gpu"] |= {"device": "cuda", "latency_us": anywhere(rng), "how": "nvml"}
    table["gpu"]["energy_uj_per_inference"] = anywhere(rng)
    sizes = {f"{memory}_bytes": int(anywhere(rng)) for memory in ("flash", "ram")}
    table["plain_c"] |= sizes | {"instructions": anywhere(rng)}
    for step in table["timeline"]:
        step["us"] = anywhere(rng)
    for cell in table["mesh"]:
        cell["value"] = float(rng.integers(1, 10**6))
    for constant in table["constants"]:
        constant["value"] = anywhere(rng)
    for core in table["behaviour"]["chip_map"]["cores"]:
        core["share"], core["synops"] = rng.random(), anywhere(rng)
    for point in table["behaviour"]["over_time"]:
        point["accuracy"], point["rate"] = rng.random(), rng.random()
    for row in table["behaviour"]["answers"]:
        row["samples"] = int(rng.integers(1, 10**6))
    return table


def anywhere(rng: np.random.Generator) -> float:
    return float(10 ** rng.uniform(-3, 7))


def _draw_layer(layer: Table, rng: np.random.Generator) -> None:
    for key in ("synops", "neuron_updates", "messages"):
        layer[key] = anywhere(rng)
    for key in ("neurons", "synapses", "memory_bytes"):
        layer[key] = int(anywhere(rng)) + 1
    layer["rate"], layer["time_share"] = rng.random(), rng.random()
    layer["kept_bits"] = layer["kept_bits"] and 16 * rng.random()
    layer["spikes"] = {k: v and int(rng.integers(1, 10**6)) for k, v in layer["spikes"].items()}
    if layer["kind"] in ("lif", "readout"):
        for key in ("quantized", "float"):
            layer[f"agreement_if_only_this_layer_is_{key}"] = rng.random()
    if firing := layer["firing"]:
        for key in ("rate_float", "rate_integer", "cosine", "rate_drift"):
            firing[key] = rng.random()
        firing["spike_ratio"] = firing["rate_integer"] / firing["rate_float"]
        for key in ("dead_float", "dead_integer", "always_float", "always_integer"):
            firing[key] = int(rng.integers(10**5))
    for spread in filter(None, (layer["weights"], layer["membranes"])):
        spread["low"], spread["width"] = float(rng.integers(-99, 99)) - 0.5, anywhere(rng)
        if spread["unit"] == "step":
            spread["width"] = float(rng.integers(1, 9))
        for side in filter(None, (spread["integer"], spread["float"])):
            side["below"], side["above"] = (int(n) for n in rng.integers(1, 10**4, 2))
    layer["wrapped"] = layer["wrapped"] and int(rng.integers(10**5))
    energy = layer["energy_pj"]
    energy["parts"] = {part: anywhere(rng) for part in energy["parts"]}
    energy["nominal"] = sum(energy["parts"].values())
    energy["low"], energy["high"] = energy["nominal"] * rng.random(), 3 * energy["nominal"]


def words_of(page: str) -> str:
    """What a reader sees of a page, its drawings' labels too; no style, no script, no axes."""
    page = re.sub(r"<(style|script)>.*?</\1>", " ", page, flags=re.DOTALL)
    page = re.sub(r'<div class="draw axis">.*?</div>', " ", page, flags=re.DOTALL)
    labels = re.findall(r'(?:aria-label|title)="([^"]*)"', page)
    return html.unescape("\n".join([re.sub(r"<[^>]+>", "\n", page), *labels]))


def html_words(report: Report) -> str:
    return words_of(render_html(report))


def markdown_words(report: Report) -> str:
    return html.unescape(render_markdown(report))


PAGES = {"html": html_words, "markdown": markdown_words}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_number_is_the_jsons(seed: int, page: str) -> None:
    table = drawn(seed)
    text = PAGES[page](from_json(json.dumps(table)))
    assert len(list(printed(text))) > 100
    assert unfounded(text, table) == []


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("report", [full_report(), bare_report()], ids=["full", "bare"])
def test_so_of_reports_as_they_are(report: Report, page: str) -> None:
    assert unfounded(PAGES[page](report), json.loads(to_json(report))) == []


def test_a_number_of_another_report_is_found() -> None:
    """The check itself can fail: hardly any figure of one report is one of another's."""
    strange = unfounded(words_of(render_html(from_json(json.dumps(drawn(1))))), drawn(2))
    assert len(strange) > 60


COLUMNS = {  # of the tables of layers: key in the JSON, what it measures, times
    "neurons": ("neurons", "", 1), "synapses": ("synapses", "", 1), "cores": ("cores", "", 1),
    "bits": ("weight_bits", "", 1), "bits kept": ("kept_bits", "", 1),
    "memory": ("memory_bytes", "B", 1), "rate": ("rate", "%", 100),
    "synops": ("synops", "", 1), "updates": ("neuron_updates", "", 1),
    "messages": ("messages", "", 1), "time share": ("time_share", "%", 100),
}  # fmt: skip

CHANGES = {  # of the table of what quantization did: key of a layer's firing, times
    "rate, float": ("rate_float", 100), "rate, integers": ("rate_integer", 100),
    "spike ratio": ("spike_ratio", 1), "cosine": ("cosine", 1), "rate drift": ("rate_drift", 100),
    "dead, float": ("dead_float", 1), "dead, integers": ("dead_integer", 1),
    "always, float": ("always_float", 1), "always, integers": ("always_integer", 1),
}  # fmt: skip


def html_tables(page: str) -> list[list[list[str]]]:
    """Rows of cells of every table."""
    cells = partial(re.findall, r"<t[hd][^>]*>(.*?)</t[hd]>", flags=re.DOTALL)
    rows = partial(re.findall, r"<tr>(.*?)</tr>", flags=re.DOTALL)
    tables = re.findall(r"<table.*?>(.*?)</table>", page, flags=re.DOTALL)
    return [[[_plain(c) for c in cells(row)] for row in rows(table)] for table in tables]


def _plain(cell: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", cell))


def markdown_tables(text: str) -> list[list[list[str]]]:
    blocks = re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE)
    split = [[row[2:-2].split(" | ") for row in block.splitlines()] for block in blocks]
    return [[rows[0], *rows[2:]] for rows in split]


def tables_of(report: Report, page: str) -> list[list[list[str]]]:
    if page == "html":
        return html_tables(render_html(report))
    return markdown_tables(render_markdown(report))


def only(cell: str) -> Printed:
    (found,) = printed(cell)
    return found


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_table_of_layers_has_each_figure_in_its_place(seed: int, page: str) -> None:
    table = drawn(seed)
    tables = tables_of(from_json(json.dumps(table)), page)
    head, *rows = next(t for t in tables if {"synops", "energy"} <= set(t[0]))
    missing = {"synapses", "memory", "updates"} if page == "markdown" else set()
    assert set(COLUMNS) - set(head) == missing
    for cells, layer in zip(rows, table["layers"], strict=True):
        row = dict(zip(head, cells, strict=True))
        assert row["layer"] == layer["name"]
        energy = only(row["energy"])
        assert energy.measures == "pJ"
        assert energy.fits(layer["energy_pj"]["nominal"])
        for column in COLUMNS.keys() & row.keys():
            key, measures, times = COLUMNS[column]
            if layer[key] is None:
                assert row[column] == ""
            else:
                assert only(row[column]).measures == measures
                assert only(row[column]).fits(times * layer[key])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_screen_has_each_figure_in_its_place(seed: int) -> None:
    table = drawn(seed)
    page = render_html(from_json(json.dumps(table)))
    tiles = dict(re.findall(r"<dt>(.*?)</dt><dd class=\"figure[^>]*>(.*?)</dd>", page))
    totals = table["totals"]
    energy = totals["energy_uj_per_inference"]["total"]["nominal"]
    wanted = {
        "Accuracy of the integers": ("%", 100 * table["accuracy"]["integer"]),
        "Latency": ("us", totals["latency_us"]),
        "Pace": ("", totals["inferences_per_s"]),
        "Energy per inference": ("pJ", 1e6 * energy),
        "Power": ("W", 1e-6 * energy * totals["inferences_per_s"]),
        "Synaptic operations": ("", totals["synops"]),
    }
    for name, (measures, value) in wanted.items():
        found = only(tiles[name])
        assert found.measures == measures
        assert found.fits(value), name
    assert [p.value for p in printed(tiles["Cores"])] == [totals["cores"], totals["cores_there"]]


@pytest.mark.parametrize("seed", SEEDS)
def test_markdowns_other_tables_have_each_figure_in_its_place(seed: int) -> None:
    table = drawn(seed)
    accuracy, _, spikes, _, totals, program, course, changes, spread, chip, constants = (
        markdown_tables(render_markdown(from_json(json.dumps(table))))
    )
    keys = ("flash_bytes", "ram_bytes", "instructions")
    for (_, value, _), key in zip(program[1:], keys, strict=True):
        assert only(value).fits(table["plain_c"][key])
    for name, share, right, _ in accuracy[1:]:
        value = table["accuracy"][name]
        if value is None:
            assert share == "not run"
        else:
            assert only(share).fits(100 * value)
            assert next(printed(right)).value == round(value * table["samples"])
    for cells, layer in zip(spikes[1:], table["layers"], strict=True):
        row = dict(zip(spikes[0], cells, strict=True))
        for name, count in layer["spikes"].items():
            assert row[name] == ("not run" if count is None else f"{count:,}")
    said = {row[0]: row[1] for row in totals[1:]}
    assert only(said["pace: time per step, without I/O"]).fits(table["totals"]["us_per_step"])
    assert only(said["synaptic operations per inference"]).fits(table["totals"]["synops"])
    for cells, point in zip(course[1:], table["behaviour"]["over_time"], strict=True):
        assert int(cells[0]) == point["step"]
        assert only(cells[1]).fits(100 * point["accuracy"])
        assert only(cells[2]).fits(100 * point["rate"])
    stateful = [layer for layer in table["layers"] if layer["kind"] in ("lif", "readout")]
    for cells, layer in zip(changes[1:], stateful, strict=True):
        row = dict(zip(changes[0], cells, strict=True))
        for column, (key, times) in CHANGES.items() if layer["firing"] else ():
            assert only(row[column]).fits(times * layer["firing"][key]), column
        for column, key in (("alone in integers", "quantized"), ("alone in float", "float")):
            share = layer[f"agreement_if_only_this_layer_is_{key}"]
            assert only(row[column]).fits(100 * share)
        assert row["layer"] == layer["name"]
        for key in ("saturated", "wrapped"):
            assert only(row[key]).value == layer[key]
    for cells, layer in zip(spread[1:], [x for x in table["layers"] if x["weights"]], strict=True):
        row = dict(zip(spread[0], cells, strict=True))
        assert row["layer"] == layer["name"]
        low, high = list(printed(row["weights"].replace(" .. ", ", ")))[:2]
        found, bins = layer["weights"], len(layer["weights"]["integer"]["bins"])
        assert low.fits(found["low"] + 0.5)
        assert high.fits(found["low"] + bins * found["width"] - 0.5)
    for (_, name, held), layer in zip(chip[1:], table["layers"], strict=True):
        mine = [c for c in table["behaviour"]["chip_map"]["cores"] if layer["name"] in c["layers"]]
        assert name == layer["name"]
        if mine:
            cores, used = printed(held)
            assert cores.value == len(mine)
            assert used.fits(100 * max(c["share"] for c in mine))
    for cells, constant in zip(constants[1:], table["constants"], strict=True):
        assert cells[0] == constant["name"]
        assert only(cells[1]).fits(constant["value"])


@pytest.mark.parametrize(
    ("text", "value", "half", "measures"),
    [
        ("1,234", 1234, 0.5, ""), ("5.67 M", 5.67e6, 5e3, ""), ("2.64 µJ", 2.64e6, 5e3, "pJ"),
        ("1.00e-05", 1e-5, 5e-8, ""), ("25 KiB", 25 * 1024, 512, "B"), ("87.50 %", 87.5, 5e-3, "%"),
        ("3 ms", 3e3, 500, "us"),
    ],
)  # fmt: skip
def test_a_printed_number_is_read_with_its_unit(
    text: str, value: float, half: float, measures: str
) -> None:
    found = only(text)
    assert (found.value, found.half) == pytest.approx((value, half))
    assert found.measures == measures
