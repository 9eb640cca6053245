"""What people see: pages that stand alone, bars that keep their lengths, words that are true."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_report import bare_report, full_report

from tssd.contracts import check
from tssd.report import view, words
from tssd.report.html import render_html
from tssd.report.markdown import render_markdown
from tssd.report.model import Range, Report, TimelineStep

REPORTS = pytest.mark.parametrize("report", [full_report(), bare_report()], ids=["full", "bare"])
VOID = {"meta", "br", "line", "rect", "circle", "path"}


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
    html = render_html(report)
    page = Page(html)
    assert page.open == []
    names = {name for name, _ in page.attributes}
    assert not names & {"src", "href", "onclick", "onload"}
    assert "<script" not in html
    assert "url(" not in html
    assert "@import" not in html
    assert render_html(report) == html


def test_what_is_given_is_escaped() -> None:
    report = replace(full_report(), network="<script>alert(1)</script>", notes=("a <b> & c",))
    html = render_html(report)
    assert "<script" not in html
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
        assert "91.25 %" in text


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
        assert end == pytest.approx(energy.axis.at(layer.energy_pj.nominal), abs=0.01)


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
        (words.points(0.91, 0.915), "\N{MINUS SIGN}0.50 points"),
        (words.points(None, 0.915), None),
        (words.energy_range(Range(0.001, 1, 2)), "1 nJ .. 2 µJ"),
    ],
)
def test_numbers_in_words(text: str | None, expected: str | None) -> None:
    assert text == expected


def test_findings_name_the_layer_that_costs_most() -> None:
    report = full_report()
    layer = report.layers[2]
    costly = replace(layer, energy_pj=replace(layer.energy_pj, nominal=1e9))
    layers = (*report.layers[:2], costly, *report.layers[3:])
    assert words.findings(replace(report, layers=layers))[0].startswith("b takes 100 % of")
    less_static = replace(
        report.totals.energy_uj_per_inference,
        static=Range(0.1, 0.2, 0.3),
        total=Range(1, 2, 3),
    )
    totals = replace(report.totals, energy_uj_per_inference=less_static)
    text = " ".join(words.findings(replace(report, totals=totals)))
    assert "Static power is 10 % of an inference's energy: fewer spikes save more" in text


def test_markdown_tables_keep_their_columns() -> None:
    report = replace(full_report(), contracts=(check("a | b", False, "x\ny", 0, "c"),))
    for block in render_markdown(report).split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert len(counts) <= 1
