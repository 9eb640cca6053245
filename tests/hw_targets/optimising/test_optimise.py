"""Placements for time and energy: within their promise, never worse, and the same network."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import mlp, random_tally
from strategies import random_conv_network, random_inputs, residual_network

from tssd.calibration.int_network import IntNetwork, Reset, constant
from tssd.calibration.tally import Tally
from tssd.errors import ConfigError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.bound import mean_load
from tssd.hw_targets.costs.counters import count
from tssd.hw_targets.mapping.partition import tiled
from tssd.hw_targets.mapping.placement import lay_out, place
from tssd.hw_targets.mapping.rules import core_findings
from tssd.hw_targets.optimising.balance import Wish, balance, boxes_of, cores_of, shortest
from tssd.hw_targets.optimising.goal import Goal, goal_named
from tssd.hw_targets.optimising.optimise import optimise
from tssd.hw_targets.optimising.workload import workload
from tssd.hw_targets.sim.engine import run
from tssd.hw_targets.sim.functional import simulate, tally_of
from tssd.hw_targets.sim.program import prepare

CHIP = load_chip("loihi2-prior").with_value("time_ns.barrier", 1)
GOALS = [Goal.TIME, Goal.ENERGY]


def counted(network: IntNetwork, inputs: Any) -> Tally:
    return tally_of(network, simulate(prepare(network), inputs))


def busy_mlp() -> IntNetwork:
    """Neurons that fire in every step, on few synapses: their updates are the time."""
    network = mlp(4, 96, 8)
    always = replace(network.populations[1], vth=constant(0, (96,)), bias_mant=constant(1, (96,)))
    populations = (network.populations[0], always, network.populations[2])
    return replace(network, populations=populations)


def fast_reached() -> ChipSpec:
    """Loihi 2 whose cores take next to no time for what reaches them."""
    chip = CHIP
    for name in ("message_in", "synop_dense", "memory_read"):
        chip = chip.with_value(f"time_ns.{name}", 0.01)
    return chip


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), residual=st.booleans(), wish=st.sampled_from(list(Wish)))
def test_no_stage_of_any_core_takes_longer_than_asked(
    seed: int, residual: bool, wish: Wish
) -> None:
    """Against the counters of the placement, core by core; and every core within its limits."""
    make = residual_network if residual else random_conv_network
    network, chip = make(seed, Reset.SOFT), CHIP.with_value("limits.neurons_per_core", 60)
    tally = random_tally(network, seed)
    found = balance(network, chip, workload(network, tally, chip), 100)
    least = shortest(found, 100, 1e6)
    assert least is not None
    step_ns = 1.5 * least[0]
    chosen = found.within(step_ns, wish)
    assert chosen is not None
    parts = tiled(network, chip, boxes_of(chosen))
    assert not parts.findings
    assert not [f for need in parts.needs for f in core_findings("core", need, chip)]
    placement = lay_out(network, chip, parts, tally)
    load = mean_load(network, count(network, tally, placement, chip))
    time = chip.time_ns
    stages = {
        "synapse": sum(
            load[f"synop_{kind}"] * getattr(time, f"synop_{kind}").value
            for kind in ("dense", "sparse", "conv")
        ),
        "neuron": load["neuron_active"] * time.neuron_active.value
        + load["microcode"] * time.neuron_microcode.value
        + load["spike"] * time.spike.value,
        "in": load["message_in"] * time.message_in.value,
        "out": load["message_out"] * time.message_out.value,
    }
    for stage in stages.values():
        assert stage.max() <= step_ns * (1 + 1e-9)
    promised, messages = found.takes(chosen)
    assert promised <= step_ns * (1 + 1e-9)
    assert load["message_out"].sum() <= messages * (1 + 1e-9)


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("seed", range(3))
def test_never_worse_than_the_smallest_by_its_own_measure(goal: Goal, seed: int) -> None:
    network = random_conv_network(seed, Reset.HARD)
    inputs = random_inputs(network, seed, 3)
    found = optimise(network, CHIP, counted(network, inputs), inputs, goal)
    assert found.taken.of(goal) <= found.smallest.of(goal)
    assert found.taken.chips == found.smallest.chips


def test_twice_the_cores_halve_a_step_of_neuron_updates() -> None:
    """Closed form: 96 neurons that fire in every step, 3 and 4.2 ns each, on k cores take 96 / k of
    these, and each sends its message (5.1 ns) meanwhile; what they reach is made fast."""
    network, chip = busy_mlp(), fast_reached()
    events = {p.name: np.zeros(p.shape, np.int64) for p in network.populations}
    events["fc0"] += network.time_steps  # in one sample
    tally = Tally(1, network.time_steps, events, np.zeros((1, 8), np.int64))
    work = workload(network, tally, chip)
    for cores in (4, 8, 12):
        least = shortest(balance(network, chip, work, cores), cores + 2, 1e6)
        assert least is not None
        assert least[1]["fc0"].cores == cores
        assert least[0] == pytest.approx(96 / cores * 7.2, rel=0.02)


def test_the_busiest_population_gets_the_free_cores() -> None:
    network, inputs = busy_mlp(), np.zeros((4, 2, 4), np.int64)
    found = optimise(network, fast_reached(), counted(network, inputs), inputs, Goal.TIME)
    assert found.smallest.cores == 3
    assert len(found.placement.of("fc0")) > 8
    assert found.taken.us_per_step < 0.4 * found.smallest.us_per_step
    assert found.cores_there == CHIP.cores


def test_energy_stops_where_time_no_longer_pays() -> None:
    """A chip whose idle power is next to nothing has no reason to send more messages."""
    network, inputs = busy_mlp(), np.zeros((4, 2, 4), np.int64)
    thrifty = CHIP
    for name in ("static_per_chip", "static_per_core", "running_per_chip"):
        thrifty = thrifty.with_value(f"power_w.{name}", 1e-12)
    tally = counted(network, inputs)
    assert optimise(network, thrifty, tally, inputs, Goal.ENERGY).taken.cores == 3
    assert optimise(network, CHIP, tally, inputs, Goal.ENERGY).taken.cores > 3


@pytest.mark.parametrize("goal", GOALS)
def test_where_a_population_sits_changes_no_spike(goal: Goal) -> None:
    network = random_conv_network(2, Reset.SOFT)
    inputs = random_inputs(network, 1, 3)
    found = optimise(network, CHIP, counted(network, inputs), inputs, goal)
    smallest = place(network, CHIP, counted(network, inputs))
    ours, theirs = (run(network, inputs, p, CHIP) for p in (found.placement, smallest))
    for name, spikes in theirs.record.spikes.items():
        assert np.array_equal(ours.record.spikes[name], spikes)
    assert np.array_equal(ours.tally.readout, theirs.tally.readout)
    for column in ("synop_conv", "synop_dense", "synop_sparse", "spike", "neuron_active"):
        assert ours.counters.total(column) == theirs.counters.total(column)
    assert found.taken.us_per_step == pytest.approx(ours.timing.us_per_step)


def test_a_full_chip_leaves_nothing_to_spread_on() -> None:
    network, inputs = busy_mlp(), np.zeros((4, 2, 4), np.int64)
    full = CHIP.with_value("limits.cores_per_chip", 3).with_value("limits.chips", 4)
    found = optimise(network, full, counted(network, inputs), inputs, Goal.TIME)
    assert found.taken == found.smallest
    assert "nothing beats the smallest placement, 3 of 3 cores" in found.told()
    assert found.taken.chips == 1


def test_the_same_network_gives_the_same_placement_and_says_what_it_bought() -> None:
    network, inputs = busy_mlp(), np.zeros((4, 2, 4), np.int64)
    chip, tally = fast_reached(), counted(network, inputs)
    first, second = (optimise(network, chip, tally, inputs, Goal.TIME) for _ in range(2))
    assert first.placement.to_json() == second.placement.to_json()
    assert first.told().startswith(f"placed for time: {first.taken.cores} of 120 cores, ")
    assert f"instead of {first.smallest.us_per_step:.3g}" in first.told()
    table = first.to_table()
    assert (table["for"], table["samples"]) == ("time", 2)
    assert table["taken"]["cores"] == first.placement.cores


def test_cores_are_counted_over_all_populations() -> None:
    network = busy_mlp()
    tally = random_tally(network, 0)
    found = balance(network, CHIP, workload(network, tally, CHIP), 50)
    chosen = found.within(1e9, Wish.FEWEST)
    assert chosen is not None
    assert cores_of(chosen) == 3
    assert found.within(1e-3, Wish.FEWEST) is None


def test_an_unknown_goal_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'energy'"):
        goal_named("enregy")
