"""A chip file without energies: what nobody knows is told as unknown, and never as nothing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from networks import mlp
from sample_report import full_report
from strategies import random_inputs

from tssd.commands.simulate import as_table, check_priced
from tssd.errors import ConfigError, TargetError
from tssd.hw_targets.chip.chip_file import parse_chip
from tssd.hw_targets.chip.chips import chip_table, find_chip, load_chip
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.optimising.goal import Goal
from tssd.hw_targets.optimising.optimise import optimise
from tssd.hw_targets.sim.engine import Run, run
from tssd.report import view
from tssd.report.findings import findings
from tssd.report.html import render_html
from tssd.report.making.simulated import add_simulation
from tssd.report.markdown import render_markdown
from tssd.report.model import Report
from tssd.simulating.simulation_report import simulated

CHIP = load_chip("open-core")


def simulated_run() -> Run:
    network = mlp(12, 20, 5)
    return run(network, random_inputs(network, 1, batch=2), place(network, CHIP), CHIP)


def unpriced() -> Report:
    """A report whose layers have no energies, as those of the open core."""
    layers = tuple(replace(layer, energy_pj=None) for layer in full_report().layers)
    report = replace(full_report(), layers=layers)
    times = replace(simulated(simulated_run()), costs={}, time_share={})
    return add_simulation(report, times)


def test_a_simulation_tells_times_and_no_energies() -> None:
    told = json.loads(json.dumps(as_table(simulated_run())))
    assert told["totals"]["latency_us"] > 0
    for name in ("dynamic_pj", "static_pj", "stepping_pj"):
        assert told["totals"][name] is None
    assert {layer["energy_pj"] for layer in told["layers"]} == {None}


def test_a_report_says_unknown_wherever_an_energy_stands() -> None:
    report = unpriced()
    energy = report.totals.energy_uj_per_inference
    assert (energy.dynamic, energy.static, energy.total, energy.stepping) == (None,) * 4
    rows = [*view.energy_chart(report).rows, *view.totals_chart(report).rows]
    assert {(row.value, row.missing) for row in rows} == {("unknown", True)}
    assert any(finding.startswith("Energy unknown: ") for finding in findings(report))
    markdown = render_markdown(report)
    assert "| power at this pace | unknown |" in " ".join(markdown.split())
    assert "Energy unknown: " in render_html(report)


def test_what_needs_energies_is_refused() -> None:
    network, chip = mlp(12, 20, 5), CHIP
    inputs = random_inputs(network, 1, batch=2)
    with pytest.raises(ConfigError, match=r"--price open-core: found .* without \[energy_pj"):
        check_priced(chip)
    tally = simulated_run().tally
    with pytest.raises(TargetError, match="target open-core: found no energies in its chip file"):
        optimise(network, chip, tally, inputs, Goal.ENERGY)
    assert "uJ" not in optimise(network, chip, tally, inputs, Goal.TIME).told()


def test_energies_are_given_all_or_none(tmp_path: Path) -> None:
    table = chip_table(find_chip("loihi2-prior"))
    none = {name: part for name, part in table.items() if name != "energy_pj"}
    assert not parse_chip(none, "chip").energy_known
    assert parse_chip(none, "chip").power_known
    some = {**table, "energy_pj": {"spike": table["energy_pj"]["spike"]}}
    with pytest.raises(ConfigError, match="energy_pj.synop_dense: missing; needed: a number in pJ"):
        parse_chip(some, "chip")
