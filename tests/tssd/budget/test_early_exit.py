"""Early exit: the definition's own answers after every step, and only what was done until then."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from strategies import random_conv_network

from tssd.budget.early_exit import Stepwise, exit_cost, exit_tallies, stepwise
from tssd.calibration.encode import as_inputs
from tssd.calibration.int_network import InputCoding, IntNetwork, MembraneRead, Reset
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import layerwise
from tssd.cli import cli
from tssd.errors import ConfigError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.costs.counters import count
from tssd.hw_targets.gpu.engine import count as count_events
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.sim.functional import simulate
from tssd.hw_targets.sim.program import prepare
from tssd.hw_targets.sim.record import cut, length_alone, one_at_a_time

CHIP = load_chip("loihi2")


def network_and_inputs(seed: int, steps: int = 5) -> tuple[IntNetwork, IntArray]:
    """Two or three layers, and frames that change from step to step."""
    reset = (Reset.SOFT, Reset.HARD)[seed % 2]
    network = random_conv_network(seed, reset, time_steps=steps, coding=InputCoding.SPIKES)
    rng = np.random.default_rng(seed)
    shape = (steps, 6, *network.source.shape)
    return network, rng.integers(0, 2, shape).astype(np.int64)


@pytest.mark.parametrize("read", [MembraneRead.LAST, MembraneRead.LARGEST])
@pytest.mark.parametrize("seed", range(3))
def test_after_t_steps_it_answers_as_a_network_of_t_steps(seed: int, read: MembraneRead) -> None:
    network, inputs = network_and_inputs(seed)
    last = replace(network.readout, membrane_read=read)
    network = replace(network, populations=(*network.populations[:-1], last))
    found = stepwise(network, as_inputs(inputs))
    for t in range(1, network.time_steps + 1):
        answers = layerwise(network.with_time_steps(t), inputs[:t]).readout
        np.testing.assert_array_equal(found.answers[t - 1], answers.argmax(-1))
        highest = np.sort(answers, axis=-1)
        np.testing.assert_array_equal(found.margins[t - 1], highest[:, -1] - highest[:, -2])


@pytest.mark.parametrize("seed", range(4))
def test_what_was_sent_until_the_exit_is_what_the_simulator_records_until_then(seed: int) -> None:
    """Sample by sample alone on the chip, cut in the chip step in which the answer is there."""
    network, inputs = network_and_inputs(seed)
    drawn = np.random.default_rng(seed).integers(1, network.time_steps + 1, (inputs.shape[1],))
    exits: IntArray = drawn.astype(np.int64)
    tallies = exit_tallies(network, as_inputs(inputs), exits)
    deepest = length_alone(network) - network.time_steps
    program = prepare(network)
    wanted = {
        (e, p.name): np.zeros(p.neurons, np.int64) for e in exits for p in network.populations
    }
    for b, e in enumerate(exits.tolist()):
        sample = simulate(program, inputs[:, b : b + 1])
        record = cut(one_at_a_time(network, sample), range(e + deepest))
        for name, spikes in record.spikes.items():
            wanted[e, name] += np.bincount(spikes[:, 1], minlength=len(wanted[e, name]))
    assert sorted(tallies) == sorted(set(exits.tolist()))
    for e, tally in tallies.items():
        assert tally.time_steps == e + deepest
        for name, events in tally.events.items():
            np.testing.assert_array_equal(events.ravel(), wanted[e, name], err_msg=name)


@pytest.mark.parametrize("seed", range(3))
def test_operations_are_the_counters_own(seed: int) -> None:
    network, inputs = network_and_inputs(seed)
    found = stepwise(network, as_inputs(inputs))
    placement = place(network, CHIP)
    for exits in (found.exits(np.inf), found.exits(float(np.median(found.margins)))):
        tallies = exit_tallies(network, as_inputs(inputs), exits)
        cost = exit_cost(network, tallies, placement, CHIP)
        assert cost.synops == pytest.approx(found.operations(exits), rel=1e-12)
    every = count_events(network, inputs)
    whole = sum(count(network, every, placement, CHIP).synops().values()) / every.samples
    assert found.operations(found.exits(np.inf)) == pytest.approx(whole, rel=1e-12)


def test_a_still_input_counts_in_every_step_until_the_exit() -> None:
    network = random_conv_network(2, Reset.SOFT, time_steps=4)
    frame = np.random.default_rng(0).integers(0, 256, (2, *network.source.shape))
    still = np.broadcast_to(frame, (4, *frame.shape))
    moving = np.array(still)
    exits = np.array([1, 3])
    for a, b in zip(
        exit_tallies(network, as_inputs(still), exits).values(),
        exit_tallies(network, as_inputs(moving), exits).values(),
        strict=True,
    ):
        for name in a.events:
            np.testing.assert_array_equal(a.events[name], b.events[name])
    np.testing.assert_array_equal(
        stepwise(network, as_inputs(still)).synops, stepwise(network, as_inputs(moving)).synops
    )


def by_hand(margins: IntArray, answers: IntArray, depth: tuple[int, ...] = (0, 1, 2)) -> Stepwise:
    """One operation in every step of every population."""
    whole = np.ones((*margins.shape, len(depth)), np.int64)
    return Stepwise(answers, margins, whole, np.array(depth))


def test_the_first_margin_that_is_reached_ends_a_sample() -> None:
    margins = np.array([[5, 1, 0], [9, 7, 0], [2, 8, 0]])
    found = by_hand(margins, np.array([[1, 2, 0], [1, 1, 0], [0, 0, 3]]))
    assert found.exits(5).tolist() == [1, 2, 3]
    assert found.exits(6).tolist() == [2, 2, 3]
    assert found.answered(found.exits(5)).tolist() == [1, 1, 3]
    # the read-out has done e steps, the layer before e + 1, the input e + 2, none more than 3
    assert found.operations(np.array([1, 1, 1])) == 1 + 2 + 3
    assert found.operations(np.array([2, 2, 2])) == 2 + 3 + 3
    assert found.operations(np.array([1, 2, 3])) == pytest.approx((6 + 8 + 9) / 3)
    assert found.operations(np.array([1, 2, 3]), at_once=True) == pytest.approx((3 + 6 + 9) / 3)


def test_what_has_no_step_or_class_to_leave_out_is_refused() -> None:
    network, inputs = network_and_inputs(0, steps=1)
    with pytest.raises(ConfigError, match="found a network of 1 time step; allowed: 2 steps"):
        stepwise(network, as_inputs(inputs))
    network, inputs = network_and_inputs(0)
    one = replace(network.readout, shape=(1,), bias_mant=network.readout.bias_mant[:1])
    into = replace(network.projections[-1], weight=network.projections[-1].weight[:1])
    alone = replace(
        network,
        populations=(*network.populations[:-1], one),
        projections=(*network.projections[:-1], into),
    )
    with pytest.raises(ConfigError, match="found a read-out of 1 neuron; allowed: 2 classes"):
        stepwise(alone, as_inputs(inputs))


@pytest.mark.parametrize("drop", ["-1", "0", "nan", "101"])
def test_a_drop_that_no_sample_can_show_is_refused(drop: str) -> None:
    with pytest.raises(ConfigError, match=f"--max-drop: found {drop}; allowed: more than 0 points"):
        CliRunner().invoke(cli, ["early-exit", "B", "--max-drop", drop], catch_exceptions=False)
    assert not Path("B").exists()
