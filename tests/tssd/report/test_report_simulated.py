"""A simulated run enters a report: times replace times, sums stay sums, samples are not mixed."""

from dataclasses import replace

import pytest
from sample_report import bare_report, sample_evidence

from tssd.errors import ConfigError
from tssd.report.model import Report
from tssd.report.simulated import Simulated, add_simulation

TIMING = sample_evidence().timing


def run_of(report: Report) -> Simulated:
    share = {layer.name: 0.2 for layer in report.layers}
    return Simulated(TIMING, share, "tssd simulate build/residual")


def test_times_and_causes_enter_and_totals_add_up() -> None:
    before = bare_report()
    after = add_simulation(before, run_of(before))
    energy = after.totals.energy_uj_per_inference
    assert energy.dynamic == before.totals.energy_uj_per_inference.dynamic
    assert energy.dynamic is not None
    assert energy.static is not None
    assert energy.total is not None
    assert energy.total.nominal == pytest.approx(energy.dynamic.nominal + energy.static.nominal)
    assert (after.totals.us_per_step, after.bottleneck) == (2.5, TIMING.bottleneck)
    assert (after.timeline, after.mesh) == (TIMING.timeline, TIMING.mesh)
    assert {layer.time_share for layer in after.layers} == {0.2}


def test_counts_stay_those_of_the_reports_own_samples() -> None:
    before = bare_report()
    after = add_simulation(before, run_of(before))
    assert [layer.spikes for layer in after.layers] == [layer.spikes for layer in before.layers]
    assert [layer.energy_pj for layer in after.layers] == [
        layer.energy_pj for layer in before.layers
    ]


def test_a_second_run_replaces_the_first_and_is_named_once() -> None:
    once = add_simulation(bare_report(), run_of(bare_report()))
    assert add_simulation(once, run_of(bare_report())) == once
    assert once.provenance.commands.count("tssd simulate build/residual") == 1


def test_layers_of_another_network_are_refused() -> None:
    run = replace(run_of(bare_report()), time_share={"conv9": 1.0})
    with pytest.raises(ConfigError, match="layer 'conv9'; allowed: input, a, b, c, readout"):
        add_simulation(bare_report(), run)
