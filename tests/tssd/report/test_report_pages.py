"""What people see: pages that stand alone, bars that keep their lengths, words that are true."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from sample_report import bare_report, full_report

from tssd.contracts import check
from tssd.report import html, view, words
from tssd.report.energies import EnergyUj, Range
from tssd.report.findings import findings
from tssd.report.html import render_html
from tssd.report.markdown import render_markdown
from tssd.report.model import Constant, Report, ShareInterval, TimelineStep

REPORTS = pytest.mark.parametrize("report", [full_report(), bare_report()], ids=["full", "bare"])
SORTS = Path(html.__file__).with_name("templates").joinpath("sort.js").read_text().rstrip()
VOID = {"meta", "br", "line", "rect", "circle", "path"}


def scripts(page: str) -> list[str]:
    """What the page runs: the one that sorts tables, and nothing else."""
    found = re.findall(r"<script[^>]*>\n(.*?)</script", page, re.DOTALL)
    assert len(found) == page.count("<script")
    return found


class Page(HTMLParser):
    """Collects text and checks that every tag is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@REPORTS
def test_the_page_stands_alone_and_is_well_formed(report: Report) -> None:
    text = render_html(report)
    page = Page(text)
    assert page.open == []
    names = {name for name, _ in page.attributes}
    assert not names & {"src", "href", "onclick", "onload"}
    assert scripts(text) == [SORTS]
    assert "url(" not in text
    assert "@import" not in text
    assert render_html(report) == text


def test_what_is_given_is_escaped() -> None:
    report = replace(full_report(), network="<script>alert(1)</script>", notes=("a <b> & c",))
    html = render_html(report)
    assert scripts(html) == [SORTS]
    assert "<script>alert(1)</script> on loihi2" in Page(html).text
    assert "<script" not in render_markdown(report)


def test_every_layer_contract_and_constant_is_shown() -> None:
    report = full_report()
    for text in (Page(render_html(report)).text, render_markdown(report)):
        for name in [layer.name for layer in report.layers]:
            assert name in text
        for contract in report.contracts:
            assert contract.name in text
            assert (contract.where or "") in text
        for constant in report.constants:
            assert constant.source in text
            assert constant.kind in text
        assert "87.50 %" in text


def test_sections_of_the_simulator_appear_only_when_it_ran() -> None:
    full, bare = Page(render_html(full_report())).text, Page(render_html(bare_report())).text
    for title in ("Step by step", "The mesh"):
        assert title in full
        assert title not in bare
    assert bare.count(words.NOT_RUN) > full.count(words.NOT_RUN) > 0


def test_many_passing_contracts_fold_and_failures_stay_open() -> None:
    passing = tuple(check(f"gpu: layer{i}", True, 0, 0) for i in range(40))
    report = replace(full_report(), contracts=(*passing, check("sim: a", False, 2, 0, "a[1]")))
    html = render_html(report)
    assert html.index("sim: a") < html.index("40 contracts that pass") < html.index("gpu: layer0")


def test_an_engine_that_differs_is_marked() -> None:
    report = full_report()
    assert "differs from integer" not in render_html(report)
    wrong = replace(report, accuracy={**report.accuracy, "gpu": 0.9})
    assert "differs from integer" in render_html(wrong)


@REPORTS
def test_bars_stay_inside_their_axis(report: Report) -> None:
    for chart in (view.spike_chart(report), view.energy_chart(report), view.totals_chart(report)):
        for row in chart.rows:
            assert all(bar.start + bar.width <= 100.001 for bar in row.bars)
            assert row.whisker is None or 0 <= row.whisker[0] <= row.whisker[1] <= 100.001


def test_bar_lengths_are_proportional_and_stacks_reach_nominal() -> None:
    report = full_report()
    spikes = view.spike_chart(report)
    for layer, row in zip(report.layers, spikes.rows, strict=True):
        widths = {bar.series: bar.width for bar in row.bars}
        integer = layer.spikes["integer"]
        assert integer is not None
        per_inference = integer / report.samples
        assert widths["integer"] == pytest.approx(
            100 * per_inference / spikes.axis.maximum, abs=0.01
        )
        assert ("float" in widths) == (layer.spikes["float"] is not None)
    energy = view.energy_chart(report)
    for layer, row in zip(report.layers, energy.rows, strict=True):
        end = row.bars[-1].start + row.bars[-1].width
        assert end == pytest.approx(energy.axis.at(known(layer.energy_pj).nominal), abs=0.01)


@given(st.floats(1e-6, 1e12))
@settings(deadline=None)
def test_axes_hold_their_value_with_few_round_ticks(largest: float) -> None:
    axis = view.axis(largest)
    assert largest <= axis.maximum * (1 + 1e-9)
    assert axis.maximum <= 2.01 * largest
    assert 3 <= len(axis.ticks) <= 6
    assert axis.ticks[0].at == 0
    assert axis.ticks[-1].at == 100


def test_a_long_run_shows_the_slowest_step_of_each_group() -> None:
    steps = tuple(TimelineStep(i, 1.0, "compute") for i in range(999))
    slow = (*steps[:500], TimelineStep(500, 9.0, "traffic", "core 7 (b)"), *steps[501:])
    plot = view.timeline(replace(full_report(), timeline=slow))
    assert plot is not None
    assert len(plot.columns) <= view.MOST_STEPS
    assert [column.label for column in plot.columns if column.height == 100] == [
        "step 500: 9 µs, traffic, core 7 (b)"
    ]
    assert plot.causes == ("compute", "traffic")


def test_the_hottest_place_of_the_mesh_is_named() -> None:
    heat = view.heat(full_report())
    assert heat is not None
    assert (heat.width, heat.height) == (8, 4)
    assert heat.hottest == "(7, 3) with 21 messages"
    assert max(cell.heat for cell in heat.cells) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (words.number(1234567), "1.23 M"),
        (words.number(999999), "999,999"),
        (words.number(71.75), "71.8"),
        (words.number(None), "not run"),
        (words.energy(68.35e6), "68.3 µJ"),
        (words.energy(0.5), "0.500 pJ"),
        (words.energy(0), "0 pJ"),
        (words.duration(152.85), "153 µs"),
        (words.duration(0.2), "200 ns"),
        (words.memory(2048), "2 KiB"),
        (words.percent(0.00001), "under 0.01 %"),
        (words.difference(59 / 64, 60 / 64, 64), "1 fewer right than float"),
        (words.difference(61 / 64, 59 / 64, 64), "2 more right than float"),
        (words.difference(0.5, 0.5, 64), "as many right as float"),
        (words.difference(None, 0.915, 64), None),
        (words.right(59 / 64, 64), "59 of 64 right"),
        (words.interval(ShareInterval(0.8298, 0.9662)), "95 % interval 83.0 .. 96.6 %"),
        (words.power(0.291), "291 mW"),
        (words.energy_ends(EnergyUj(Range(0.001, 1, 2)), "dynamic"), "1 nJ .. 2 µJ"),
    ],
)
def test_numbers_in_words(text: str | None, expected: str | None) -> None:
    assert text == expected


def test_findings_name_the_layer_that_costs_most() -> None:
    report = full_report()
    layer = report.layers[2]
    costly = replace(layer, energy_pj=replace(known(layer.energy_pj), nominal=1e9))
    layers = (*report.layers[:2], costly, *report.layers[3:])
    assert findings(replace(report, layers=layers))[0].startswith("b takes 100 % of")


@pytest.mark.parametrize(
    ("static_uj", "sentence"),
    [
        (
            0.2,
            "Static power is 10 % of an inference's energy, 100 % of it charged for 1 whole"
            " chip though 4 of 128 cores are in use (under 1 % for these cores alone):"
            " fewer spikes save more than shorter steps either way.",
        ),
        (
            198.2,
            "Static power is 99 % of an inference's energy, 100 % of it charged for 1 whole"
            " chip though 4 of 128 cores are in use (77 % for these cores alone):"
            " shorter steps save more than fewer spikes either way.",
        ),
        (
            18.2,
            "Static power is 91 % of an inference's energy, 100 % of it charged for 1 whole"
            " chip though 4 of 128 cores are in use. For these cores alone it would be"
            " 24 %: that shorter steps save more than fewer spikes follows from charging the"
            " whole chip, and from nothing else.",
        ),
    ],
)
def test_advice_says_when_it_follows_from_charging_the_whole_chip(
    static_uj: float, sentence: str
) -> None:
    report, dynamic_uj = full_report(), 1.8
    uj = [Range(x, x, x) for x in (dynamic_uj, static_uj, dynamic_uj + static_uj)]
    totals = replace(report.totals, energy_uj_per_inference=EnergyUj(uj[0], uj[1], uj[2]))
    assert sentence in findings(replace(report, totals=totals))


def test_what_is_charged_by_the_core_is_not_called_the_chips() -> None:
    """40 mW a chip and 10 mW for each of 4 cores: half of it follows from the whole chip."""
    report = full_report()
    chip, core = (
        Constant(f"power_w.static_per_{of}", value, "W", "x", "measured")
        for of, value in (("chip", 0.04), ("core", 0.01))
    )
    text = " ".join(findings(replace(report, constants=(chip, core))))
    assert "50 % of it charged for 1 whole chip though 4 of 128 cores are in use" in text


def test_the_first_screen_names_each_figure_by_what_it_is() -> None:
    """Nothing there depends on how many samples were asked for without saying how many."""
    report = full_report()
    tiles = re.findall(r'<div class="tile.*?</div>', render_html(report))
    texts = [" | ".join(re.findall(r">([^<>]+)<", tile)) for tile in tiles]
    assert texts[0] == (
        "Accuracy of the integers | 87.50 % | 7 of 8 right | 95 % interval 52.9 .. 97.8 %"
        " | 94.17 % of all 360 in training"
    )
    unknown = "error not known: the times are of no fit"
    assert texts[2] == (
        f"Latency | 17.5 µs | one sample alone, first input to answer, without I/O | {unknown}"
    )
    assert texts[3] == (
        "Pace | 100,000 per second | samples back to back, without I/O | 2.5 µs per step"
        f" | {unknown}"
    )
    assert texts[7].startswith("Cores | 4 of 128 | 1 chip, ")
    assert texts[7].endswith("fullest: memory bytes, 25 % of core 2 (b)")
    uj = report.totals.energy_uj_per_inference.total
    assert uj is not None
    assert texts[5] == f"Power | {words.power(uj.nominal * 0.1)} | 1 chip, at this pace"


def test_markdown_tables_keep_their_columns() -> None:
    report = replace(full_report(), contracts=(check("a | b", False, "x\ny", 0, "c"),))
    for block in render_markdown(report).split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert len(counts) <= 1


def test_a_foreign_name_is_no_markdown() -> None:
    """Neither a link, a picture or a tag, nor the end of a cell or of a code block."""
    name = "a\\|b [x](http://evil) ![](http://evil) <b>\x1b[2J"
    commands = ("tssd verify b\n# another head",)
    report = full_report()
    report = replace(report, network=name, provenance=replace(report.provenance, commands=commands))
    page = render_markdown(report)
    head = page.splitlines()[0]
    escaped = r"a\\\|b [x\](http://evil) ![\](http://evil) &lt;b>\\x1b[2J"
    assert head.startswith(f"# {escaped} on ")
    assert r"    tssd verify b\n# another head" in page.splitlines()
