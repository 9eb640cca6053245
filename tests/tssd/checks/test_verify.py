"""Comparing engines: equal runs pass, a single changed slot is found and named."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import Case, cases, random_inputs, residual_network

from tssd.calibration.int_network import Activity, Reset
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import layerwise
from tssd.calibration.tally import tally
from tssd.checks.verify import compare_activities, compare_tallies
from tssd.contracts import require
from tssd.errors import ContractError


@given(cases(), st.data())
@settings(max_examples=30, deadline=None)
def test_one_changed_slot_is_named(case: Case, data: st.DataObject) -> None:
    expected = layerwise(case.network, case.inputs)
    quantities = ("spikes", "u", "v")
    quantity = data.draw(st.sampled_from(quantities))
    name = data.draw(st.sampled_from(list(expected.recorded(quantity))))
    array = expected.recorded(quantity)[name]
    at = tuple(data.draw(st.integers(0, size - 1)) for size in array.shape)
    changed = array.copy()
    changed[at] += 1
    broken = _with(expected, quantity, {**expected.recorded(quantity), name: changed})

    rows = compare_activities("peer", expected, broken, quantities=quantities, first_sample=10)
    failed = [row for row in rows if row.status == "fail"]
    assert [row.name for row in failed] == [f"peer: {name} {quantity}"]
    step, sample, *neuron = at
    assert failed[0].where == f"{name} {quantity}{neuron}, sample {10 + sample}, step {step}"
    assert failed[0].found == f"1 differ; first {array[at] + 1}, expected {array[at]}"


@given(cases())
@settings(max_examples=10, deadline=None)
def test_equal_runs_pass_every_row(case: Case) -> None:
    run = layerwise(case.network, case.inputs)
    rows = compare_activities("peer", run, run, quantities=("spikes", "u", "v"))
    stateful = [p for p in case.network.populations if p.has_state]
    assert len(rows) == len(case.network.populations) + 2 * len(stateful) + 1
    rows += compare_tallies("peer", tally(run), tally(run))
    assert {row.status for row in rows} == {"pass"}
    require(rows)


def _with(activity: Activity, quantity: str, record: dict[str, IntArray]) -> Activity:
    if quantity == "spikes":
        return replace(activity, spikes=record)
    return replace(activity, states={**activity.states, quantity: record})


def _case() -> Case:
    network = residual_network(1, Reset.HARD)
    return Case(network, random_inputs(network, 2))


def test_the_first_difference_is_the_earliest_of_the_first_sample() -> None:
    case = _case()
    run = layerwise(case.network, case.inputs)
    spikes = run.spikes["b"].copy()
    spikes[0, 2] += 1
    spikes[3, 1, 1, 4, 4] += 1
    spikes[3, 1, 1, 4, 3] += 1
    broken = replace(run, spikes={**run.spikes, "b": spikes})
    row = next(r for r in compare_activities("gpu", run, broken) if r.status == "fail")
    assert row.where == "b spikes[1, 4, 3], sample 1, step 3"


def test_a_readout_difference_is_named() -> None:
    run = layerwise(_case().network, _case().inputs)
    readout = run.readout.copy()
    readout[1, 3] -= 5
    row = compare_activities("onnx", run, replace(run, readout=readout))[-1]
    assert (row.status, row.where) == ("fail", "readout membrane[3], sample 1")


def test_a_missing_population_and_a_wrong_shape_fail_by_name() -> None:
    run = layerwise(_case().network, _case().inputs)
    less = {name: s for name, s in run.spikes.items() if name != "a"}
    rows = compare_activities("lava", run, replace(run, spikes=less))
    assert [(r.where, r.found) for r in rows if r.status == "fail"] == [("a", "no such population")]
    cut = {**run.spikes, "c": run.spikes["c"][:2]}
    rows = compare_activities("lava", run, replace(run, spikes=cut))
    assert [r.found for r in rows if r.status == "fail"] == ["shape (2, 3, 2, 5, 5)"]


def test_tallies_name_the_neuron_and_the_contract_stops_the_build() -> None:
    counted = tally(layerwise(_case().network, _case().inputs))
    events = counted.events["a"].copy()
    events[1, 2, 3] += 7
    rows = compare_tallies("sim", counted, replace(counted, events={**counted.events, "a": events}))
    failed = [row for row in rows if row.status == "fail"]
    assert [row.where for row in failed] == ["a events[1, 2, 3]"]
    with pytest.raises(ContractError, match=r"sim: a spikes \(a events\[1, 2, 3\]\)"):
        require(rows)
