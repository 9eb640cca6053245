"""A simulated run enters a report: times replace times, sums stay sums, samples are not mixed."""

from dataclasses import replace

import pytest
from sample_report import bare_report, sample_evidence

from tssd.errors import ConfigError
from tssd.report.model import EnergyPj, Parts, Report
from tssd.report.simulated import Simulated, add_simulation

TIMING = sample_evidence().timing


def run_of(report: Report, samples: int = 8) -> Simulated:
    spikes = {layer.name: layer.spikes.integer or 0 for layer in report.layers}
    share = {layer.name: 0.2 for layer in report.layers}
    return Simulated(TIMING, share, samples, spikes, command="tssd simulate build/residual")


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
    assert [layer.spikes.sim for layer in after.layers] == [
        layer.spikes.integer for layer in before.layers
    ]


def test_counts_over_other_samples_stay_out() -> None:
    before = bare_report()
    after = add_simulation(before, run_of(before, samples=9))
    assert {layer.spikes.sim for layer in after.layers} == {None}
    assert {layer.time_share for layer in after.layers} == {0.2}


def test_energy_that_was_counted_anew_replaces_the_old() -> None:
    before = bare_report()
    new = EnergyPj(1e6, 2e6, 3e6, Parts(2e6, 0, 0, 0))
    run = replace(run_of(before), energy_pj={layer.name: new for layer in before.layers})
    dynamic = add_simulation(before, run).totals.energy_uj_per_inference.dynamic
    assert dynamic is not None
    assert dynamic.nominal == pytest.approx(2.0 * len(before.layers))


def test_a_second_run_replaces_the_first_and_is_named_once() -> None:
    once = add_simulation(bare_report(), run_of(bare_report()))
    assert add_simulation(once, run_of(bare_report())) == once
    assert once.provenance.commands.count("tssd simulate build/residual") == 1


def test_layers_of_another_network_are_refused() -> None:
    run = replace(run_of(bare_report()), time_share={"conv9": 1.0})
    with pytest.raises(ConfigError, match="layer 'conv9'; allowed: input, a, b, c, readout"):
        add_simulation(bare_report(), run)
