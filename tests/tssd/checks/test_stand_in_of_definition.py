"""A compiled engine answers for the definition only where it equals it, and never as a judge."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from strategies import random_conv_network, random_inputs

from tssd.calibration.int_network import Activity, IntNetwork, Reset, Runner
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import layerwise, reference
from tssd.checks import evaluation
from tssd.checks.evaluation import EngineUnderTest, compare_engines
from tssd.errors import NetworkError

NETWORK = random_conv_network(2, Reset.SOFT, time_steps=3)
INPUTS = random_inputs(NETWORK, 1, 6)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "BATCH", 2)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batches that the definition itself runs, by their number of samples."""
    calls: list[int] = []

    def run(network: IntNetwork, inputs: IntArray) -> Activity:
        calls.append(inputs.shape[1])
        return reference(network, inputs)

    monkeypatch.setattr(evaluation, "reference", run)
    return calls


def wrong(after: int, change: Callable[[Activity], Activity]) -> Runner:
    """The definition, but for what *change* does to every batch after the first *after*."""
    seen: list[None] = []

    def run(network: IntNetwork, inputs: IntArray) -> Activity:
        seen.append(None)
        found = layerwise(network, inputs)
        return found if len(seen) <= after else change(found)

    return run


def one_v_more(activity: Activity) -> Activity:
    more = {name: v + 1 for name, v in activity.states["v"].items()}
    return replace(activity, states={**activity.states, "v": more})


def one_spike_more(activity: Activity) -> Activity:
    name = NETWORK.populations[1].name
    spikes = activity.spikes[name].copy()
    spikes[0, 0, 0, 0, 0] += 1
    return replace(activity, spikes={**activity.spikes, name: spikes})


def right(network: IntNetwork, inputs: IntArray) -> Activity:
    return layerwise(network, inputs)


def peers(run: Runner) -> tuple[EngineUnderTest, ...]:
    return (EngineUnderTest("peer", run, ("spikes", "u", "v")),)


def test_the_definition_runs_the_first_batch_and_the_stand_in_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = counted(monkeypatch)
    tallies, rows = compare_engines(NETWORK, INPUTS, peers(right), stand_in=right)
    assert calls == [2]
    assert rows[0].name == "integer: compiled (spikes, u, v)"
    assert {row.status for row in rows} == {"pass"}
    plain, alone = compare_engines(NETWORK, INPUTS, peers(right))
    assert calls == [2, 2, 2, 2]
    assert rows[1:] == alone
    for name, events in plain["integer"].events.items():
        np.testing.assert_array_equal(tallies["integer"].events[name], events)
    np.testing.assert_array_equal(tallies["integer"].readout, plain["integer"].readout)


def test_a_stand_in_that_differs_in_one_state_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch)
    bad = wrong(0, one_v_more)
    _, rows = compare_engines(NETWORK, INPUTS, peers(right), stand_in=bad)
    assert calls == [2, 2, 2]
    assert not [row for row in rows if row.name.startswith("integer")]


def test_a_network_that_it_does_not_take_is_the_definition_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuses(network: IntNetwork, inputs: IntArray) -> Activity:
        raise NetworkError("network", found="a loop", allowed="none")

    calls = counted(monkeypatch)
    compare_engines(NETWORK, INPUTS, peers(right), stand_in=refuses)
    assert calls == [2, 2, 2]


def test_an_engine_that_is_right_passes_where_the_stand_in_goes_wrong() -> None:
    _, rows = compare_engines(NETWORK, INPUTS, peers(right), stand_in=wrong(1, one_v_more))
    assert {row.status for row in rows} == {"pass"}


def test_an_engine_that_goes_wrong_late_is_named_by_the_definition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = counted(monkeypatch)
    _, rows = compare_engines(NETWORK, INPUTS, peers(wrong(2, one_spike_more)), stand_in=right)
    assert calls == [2, 2]
    (row,) = [row for row in rows if row.status == "fail"]
    assert row.where == f"{NETWORK.populations[1].name} spikes[0, 0, 0], sample 4, step 0"
