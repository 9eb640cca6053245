"""Answers over time and by class, the first difference from float, cores: by hand and by counting
twice."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_report import sample_network
from strategies import random_inputs

from tssd.calibration.int_network import Activity, Reset
from tssd.calibration.simulate import layerwise
from tssd.calibration.tally import tally
from tssd.checks.evaluation import accuracy
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.costs.counters import count
from tssd.hw_targets.mapping.choices import Choices, InputFrom
from tssd.hw_targets.mapping.placement import place
from tssd.report.behaviour.model import AnswerCount
from tssd.report.behaviour.observe import (
    BESIDE,
    MOST_STEPS,
    answers,
    chip_map,
    course,
    first_difference,
    over_time,
)
from tssd.report.making.costs import fullest

NETWORK = sample_network()
FIRING = next(p.name for p in NETWORK.populations if p.kind.fires)


def run(batch: int, seed: int = 1) -> Activity:
    return layerwise(NETWORK, random_inputs(NETWORK, seed, batch=batch))


def test_after_the_last_step_the_answer_is_the_networks() -> None:
    activity = run(6)
    labels = np.random.default_rng(0).integers(0, NETWORK.readout.neurons, 6)
    points = over_time(NETWORK, [course(NETWORK, activity, labels)])
    assert [point.step for point in points] == list(range(1, NETWORK.time_steps + 1))
    assert points[-1].accuracy == accuracy(tally(activity), labels)


def test_rates_are_the_tallys_spread_over_the_steps() -> None:
    activity = run(5)
    points = over_time(NETWORK, [course(NETWORK, activity, None)])
    firing = [p for p in NETWORK.populations if p.kind.fires]
    spikes = sum(tally(activity).spikes(p.name) for p in firing)
    neurons = sum(p.neurons for p in firing)
    assert sum(point.rate for point in points) * neurons * 5 == pytest.approx(spikes)
    assert all(point.accuracy is None for point in points)


def test_batches_give_what_all_samples_give_at_once() -> None:
    labels = np.array([0, 1, 2, 0, 1])
    whole = random_inputs(NETWORK, 1, batch=5)
    cut = [(whole[:, :2], labels[:2]), (whole[:, 2:], labels[2:])]
    parts = [course(NETWORK, layerwise(NETWORK, x), y) for x, y in cut]
    assert over_time(NETWORK, parts) == over_time(
        NETWORK, [course(NETWORK, layerwise(NETWORK, whole), labels)]
    )


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=40))
def test_every_sample_is_counted_once(rows: list[tuple[int, int, int]]) -> None:
    labels, before, after = (np.array(x) for x in zip(*rows, strict=True))
    found = answers(labels, after, before)
    assert sum(x.samples for x in found) == len(rows)
    for x in found:
        assert x.samples == rows.count((x.label, x.float or 0, x.integer))


def test_without_labels_there_are_no_answers_and_without_float_none_of_it() -> None:
    classes = np.array([1, 1, 0])
    assert answers(None, classes, classes) == ()
    assert answers(classes, classes, None) == (
        AnswerCount(0, None, 0, 1),
        AnswerCount(1, None, 1, 2),
    )


def spikes(neurons: int, steps: int = 4) -> dict[str, np.ndarray]:
    return {FIRING: np.zeros((steps, neurons), np.int64)}


def test_equal_spikes_have_no_difference() -> None:
    assert first_difference(NETWORK, 0, spikes(9), spikes(9)) is None


def test_the_first_difference_is_the_earliest_step_then_the_first_neuron() -> None:
    ours, theirs = spikes(40), spikes(40)
    theirs[FIRING][1, 20] = theirs[FIRING][1, 30] = theirs[FIRING][2, 0] = 1
    ours[FIRING][3, 21] = 1
    found = first_difference(NETWORK, 5, theirs, ours)
    assert found is not None
    assert (found.sample, found.layer, found.step, found.neuron) == (5, FIRING, 1, 20)
    assert found.neurons == tuple(range(20 - BESIDE, 20 + BESIDE))
    assert (found.float, found.integer) == (((1, 20),), ((3, 21),))


@pytest.mark.parametrize(("step", "neuron"), [(0, 0), (99, 199), (50, 100)])
def test_the_window_holds_the_difference_and_stays_small(step: int, neuron: int) -> None:
    ours, theirs = spikes(200, 100), spikes(200, 100)
    ours[FIRING][step, neuron] = 1
    found = first_difference(NETWORK, 0, theirs, ours)
    assert found is not None
    assert found.steps == MOST_STEPS
    assert len(found.neurons) == 2 * BESIDE
    assert found.integer == ((step, neuron),)
    assert found.first_step <= step < found.first_step + found.steps <= 100


def test_an_earlier_layer_comes_first_in_one_step_and_a_later_one_in_an_earlier_step() -> None:
    first, second = [p.name for p in NETWORK.populations if p.kind.fires][:2]
    theirs = {name: np.zeros((4, 9), np.int64) for name in (first, second)}
    both = {name: x.copy() for name, x in theirs.items()}
    both[first][2, 1] = both[second][2, 1] = 1
    found = first_difference(NETWORK, 0, theirs, both)
    assert found is not None
    assert found.layer == first
    both[second][1, 8] = 1
    found = first_difference(NETWORK, 0, theirs, both)
    assert found is not None
    assert (found.layer, found.step) == (second, 1)


@pytest.mark.parametrize("source", list(InputFrom))
def test_the_map_holds_every_layer_core_and_operation(source: InputFrom) -> None:
    """Of the layers on cores: a port is none."""
    chip, choices = load_chip("loihi2"), Choices(input_from=source)
    network = replace(NETWORK, populations=NETWORK.populations)
    placement, tallied = place(network, chip, choices=choices), tally(run(3))
    counted = count(network, tallied, placement, chip)
    found = chip_map(placement, chip, counted)
    assert [core.core for core in found.cores] == list(range(placement.cores))
    held = {name for core in found.cores for name in core.layers}
    assert held == {p.name for p in choices.on_cores(network)}
    synops = sum(core.synops for core in found.cores) * counted.samples
    assert synops == pytest.approx(sum(counted.synops().values()))
    top, most = fullest(placement, chip), max(found.cores, key=lambda core: core.share)
    assert (most.share, most.resource) == (top.share, top.resource)
    places = {(core.chip, core.x, core.y, core.slot) for core in found.cores}
    assert len(places) == placement.cores
    assert all(
        c.x < found.width and c.y < found.height and c.slot < found.slots for c in found.cores
    )


def test_a_hard_reset_changes_nothing_of_how_answers_are_read() -> None:
    network = replace(
        NETWORK,
        populations=tuple(
            replace(p, reset=Reset.HARD, reset_by=None) if p.kind.fires else p
            for p in NETWORK.populations
        ),
    )
    activity = layerwise(network, random_inputs(network, 2, batch=4))
    labels = tally(activity).classes()
    assert over_time(network, [course(network, activity, labels)])[-1].accuracy == 1.0
