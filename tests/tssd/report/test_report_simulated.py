"""A simulated run enters a report: times and costs replace theirs, sums stay sums, and what other
engines found on the same samples stays."""

from dataclasses import replace

import pytest
from sample_report import bare_report, full_report, sample_evidence

from tssd.errors import ConfigError
from tssd.report.energies import EnergyPj, Parts, Range
from tssd.report.html import render_html
from tssd.report.making.assemble import LayerCost, Times, assemble
from tssd.report.making.keeping import keep, ran
from tssd.report.making.simulated import BOUND_NOTE, TIME, Simulated, add_simulation
from tssd.report.markdown import render_markdown
from tssd.report.model import Report

TIMES = sample_evidence().times
COST = LayerCost(3.0, 2.0, 1.0, EnergyPj(1e6, 2e6, 3e6, Parts(5e5, 5e5, 5e5, 5e5)))
LINE = "tssd simulate build/residual"


def run_of(report: Report, **changes: object) -> Simulated:
    share = {layer.name: 0.2 for layer in report.layers}
    costs = {layer.name: COST for layer in report.layers}
    return replace(Simulated(TIMES, share, costs, LINE), **changes)  # type: ignore[arg-type]


def grounded(report: Report, **others: str) -> Report:
    """*report* with the hashes of its chip and samples."""
    known = {"chip": "c" * 64, "inputs": "i" * 64, **others}
    return replace(report, provenance=replace(report.provenance, **known))  # type: ignore[arg-type]


def test_times_and_costs_enter_together_and_totals_add_up() -> None:
    after = add_simulation(bare_report(), run_of(bare_report()))
    energy = after.totals.energy_uj_per_inference
    assert energy.dynamic is not None
    assert energy.static == TIMES.static_uj
    assert energy.total is not None
    assert energy.static is not None
    assert energy.dynamic.nominal == pytest.approx(2.0 * len(after.layers))
    assert energy.total.nominal == pytest.approx(energy.dynamic.nominal + energy.static.nominal)
    assert after.totals.synops == 3.0 * len(after.layers)
    assert (after.totals.us_per_step, after.totals.inferences_per_s) == (2.5, 1e5)
    assert (after.totals.latency_us, after.totals.timing) == (17.5, "cycle")
    assert (after.bottleneck, after.timeline) == (TIMES.bottleneck, TIMES.timeline)
    assert {layer.time_share for layer in after.layers} == {0.2}
    assert {layer.energy_pj for layer in after.layers} == {COST.energy_pj}


def test_spikes_and_accuracy_stay_those_of_the_engines() -> None:
    before = full_report()
    after = add_simulation(before, run_of(before))
    assert [layer.spikes for layer in after.layers] == [layer.spikes for layer in before.layers]
    assert after.accuracy == before.accuracy


def test_a_second_run_replaces_the_first_and_only_what_stands_is_named() -> None:
    once = add_simulation(bare_report(), run_of(bare_report()))
    assert add_simulation(once, run_of(bare_report())) == once
    other = add_simulation(once, run_of(bare_report(), command="tssd simulate x --samples 9"))
    assert other.provenance.stands == {TIME: "tssd simulate x --samples 9"}
    assert LINE not in other.provenance.commands
    assert other.provenance.commands[0] == bare_report().provenance.commands[0]


def test_a_bound_is_never_called_simulated() -> None:
    bound = replace(TIMES, timing="bound")
    after = add_simulation(bare_report(), run_of(bare_report(), times=bound))
    assert BOUND_NOTE in after.notes
    for page in (render_html(after), render_markdown(after)):
        assert "the simulated time" not in page
        assert "lower bound" in page
    cycles = add_simulation(after, run_of(after))
    assert BOUND_NOTE not in cycles.notes
    assert "lower bound" not in render_html(cycles)


def test_other_samples_are_marked_until_the_reports_own_come() -> None:
    before = bare_report()
    marked = add_simulation(before, run_of(before, others="2 samples of your own x.npz"))
    assert "of your own x.npz" in render_html(marked)
    own = add_simulation(marked, run_of(marked))
    assert "x.npz" not in render_html(own)


def test_layers_of_another_network_are_refused() -> None:
    run = run_of(bare_report(), time_share={"conv9": 1.0})
    with pytest.raises(ConfigError, match="layer 'conv9'; allowed: input, a, b, c, readout"):
        add_simulation(bare_report(), run)


def test_what_other_engines_found_on_the_same_samples_stays() -> None:
    """gpu and times by cycles from before; a run of onnx alone, with nothing but a bound."""
    evidence = sample_evidence()
    line = "tssd verify residual --against gpu,sim"
    known = replace(evidence.provenance, stands={"gpu": line, TIME: line}, commands=("make", line))
    before = grounded(assemble(replace(evidence, provenance=known)))
    onnx = {**evidence.tallies, "onnx": evidence.tallies["integer"]}
    del onnx["gpu"]
    new = grounded(
        assemble(
            replace(
                evidence,
                tallies=onnx,
                accuracy={"float": 1.0, "folded": 1.0, "integer": 0.875, "onnx": 0.875},
                contracts=evidence.contracts[1:2],
                times=Times("bound", None, 1.0, 1e6, Range(1.0, 1.0, 1.0)),
            )
        )
    )
    kept = keep(new, before)
    assert ran(kept) == ("gpu", "onnx")
    assert (kept.accuracy["gpu"], kept.accuracy["onnx"]) == (0.875, 0.875)
    assert [c.name for c in kept.contracts] == ["onnx: b spikes", "gpu: a spikes"]
    assert kept.totals.timing == "cycle"
    assert kept.totals.energy_uj_per_inference == before.totals.energy_uj_per_inference
    assert kept.timeline == before.timeline
    assert kept.provenance.commands[-1] == line
    assert kept.provenance.stands[TIME] == line


@pytest.mark.parametrize("changed", [{"inputs": "j" * 64}, {"chip": "d" * 64}])
def test_nothing_stays_of_other_samples_or_another_chip(changed: dict[str, str]) -> None:
    before, new = grounded(full_report()), grounded(bare_report(), **changed)
    assert keep(new, before) == new
    assert keep(bare_report(), full_report()) == bare_report()  # neither says what it is about
    assert keep(new, None) == new
