"""Latency and pace: two figures that do not depend on how many samples were asked for."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from networks import mlp
from strategies import Case, cases, random_conv_network, random_inputs

from tssd.calibration.encode import as_inputs
from tssd.calibration.int_network import IntNetwork, Reset, depths, interval
from tssd.calibration.integer import IntArray
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.sim.engine import Run, run, run_record, time_record
from tssd.hw_targets.sim.functional import simulate
from tssd.hw_targets.sim.program import prepare
from tssd.hw_targets.sim.record import SpikeRecord, from_samples
from tssd.hw_targets.sim.streaming import Ring
from tssd.hw_targets.sim.summary import steps, totals
from tssd.hw_targets.sim.timing import Mode

CHIP = load_chip("loihi2")


def simulated(
    network: IntNetwork, inputs: IntArray, chip: ChipSpec = CHIP, mode: Mode = "cycle"
) -> Run:
    return run(network, inputs, place(network, chip), chip, mode)


@given(cases(), st.integers(2, 5), st.sampled_from(["cycle", "bound"]))
@settings(max_examples=12, deadline=None)
def test_any_number_of_the_same_sample_gives_the_same_figures(
    case: Case, copies: int, mode: Mode
) -> None:
    one = case.inputs[:, :1]
    alone = simulated(case.network, one, mode=mode)
    many = simulated(case.network, np.repeat(one, copies, axis=1), mode=mode)
    np.testing.assert_array_equal(many.timing.cycles, np.tile(alone.timing.cycles, copies))
    assert many.alone_us == pytest.approx([alone.latency_us] * copies)
    for name in ("us_per_step", "inferences_per_s", "latency_us", "bottleneck"):
        few, lots = getattr(totals(alone), name), getattr(totals(many), name)
        assert lots == (few if isinstance(few, str) else pytest.approx(few))
    assert known(totals(many).static_pj).nominal == pytest.approx(
        known(totals(alone).static_pj).nominal
    )
    assert known(totals(many).dynamic_pj).nominal == pytest.approx(
        known(totals(alone).dynamic_pj).nominal
    )


@given(cases())
@settings(max_examples=8, deadline=None)
def test_a_set_shown_twice_changes_nothing(case: Case) -> None:
    once = simulated(case.network, case.inputs)
    twice = simulated(case.network, np.concatenate([case.inputs] * 2, axis=1))
    np.testing.assert_array_equal(twice.timing.cycles, np.tile(once.timing.cycles, 2))
    assert once.alone_us is not None
    np.testing.assert_array_equal(twice.alone_us, np.tile(once.alone_us, 2))


@given(cases())
@settings(max_examples=8, deadline=None)
def test_the_ring_is_what_a_long_run_adds_for_each_further_round(case: Case) -> None:
    """Differential: samples from first to last, with their filling and draining, in two lengths."""
    samples = simulate(prepare(case.network), case.inputs)
    ours = simulated(case.network, case.inputs)
    fill = max(depths(case.network).values())
    rounds = 1 + -(-fill // (interval(case.network) * len(samples)))
    short, long = (
        int(time_record(ours.plan, from_samples(case.network, samples * n)).cycles.sum())
        for n in (rounds, rounds + 1)
    )
    assert long - short == ours.timing.cycles.sum()
    alone = time_record(ours.plan, from_samples(case.network, samples[:1]))
    assert ours.alone_us is not None
    assert ours.alone_us[0] == pytest.approx(alone.step_us.sum())
    assert len(alone.cycles) == case.network.time_steps + fill


def test_figures_of_a_set_do_not_drift_with_filling_and_draining() -> None:
    """Alike samples in growing number: the old mean step fell by a third from 1 to 24 of them."""
    network = random_conv_network(4, Reset.HARD, time_steps=3)
    inputs = random_inputs(network, 1, 24)
    found = [simulated(network, inputs[:, :n]) for n in (1, 6, 24)]
    latencies = np.array([r.latency_us for r in found])
    paces = np.array([r.us_per_inference for r in found])
    assert latencies == pytest.approx(latencies[-1], rel=0.02)
    assert paces == pytest.approx(paces[-1], rel=0.02)
    assert (latencies > paces).all()  # a sample alone passes through every layer


def test_every_sample_keeps_its_own_events_in_the_ring() -> None:
    network = random_conv_network(2, Reset.HARD, time_steps=4)
    program, inputs = prepare(network), random_inputs(network, 3, 3)
    whole = Ring(program, as_inputs(inputs))
    ring, line = whole.record(range(whole.steps)), from_samples(network, simulate(program, inputs))
    assert ring.steps == interval(network) * 3
    for name, spikes in line.spikes.items():
        wrapped = spikes.copy()
        wrapped[:, 0] %= ring.steps
        assert sorted(wrapped.tolist()) == sorted(ring.spikes[name].tolist())
        assert ring.active[name].sum() == line.active[name].sum()


def test_idle_updates_between_samples_count() -> None:
    """A delayed way leaves steps between two samples; each neuron is updated in them too."""
    network = mlp(5, 4, 3)
    late = tuple(replace(j, delay=2) for j in network.projections[:1])
    network = replace(network, projections=late + network.projections[1:])
    done = simulated(network, random_inputs(network, 0, 2))
    assert done.record.steps == done.counters.steps == 2 * (network.time_steps + 2)
    updates = done.counters.neuron_updates()
    assert updates == {p.name: p.neurons * done.record.steps for p in network.populations}


def one_spike(**time_ns: float) -> Run:
    """The last of 30 neurons fires once into a core with 10: N = 30 active updates, then the
    message, then S = 10 synaptic operations. No two of them overlap: the step lasts as long as all
    three."""
    chip = CHIP
    for name, value in {"neuron_active": 100.0, "synop_dense": 10.0, **time_ns}.items():
        chip = chip.with_value(f"time_ns.{name}", value)
    network = mlp(30, 10)
    spikes = {"input": np.array([[0, 29]]), "fc0": np.zeros((0, 2), np.int64)}
    active = {p.name: np.ones((1, p.neurons), np.bool_) for p in network.populations}
    record = SpikeRecord(1, spikes, active)
    return run_record(network, record, place(network, chip), chip)


@pytest.mark.parametrize(
    ("time_ns", "words", "layer"),
    [
        ({}, "compute (neurons)", "input"),
        ({"synop_dense": 250.0}, "waiting for neurons", "input"),  # 3,000 and 2,500 ns
        ({"synop_dense": 350.0}, "waiting for synapses", "fc0"),  # 3,000 and 3,500 ns
        ({"synop_dense": 2000.0}, "compute (synapses)", "fc0"),
        ({"message_out": 3500.0}, "traffic (waiting)", "fc0"),
        ({"message_in": 2500.0}, "waiting for neurons", "input"),
    ],
)
def test_what_a_step_waits_for_is_named(time_ns: dict[str, float], words: str, layer: str) -> None:
    """A core that waits for a late neuron stage is not traffic."""
    (row,) = steps(one_spike(**time_ns))
    assert row.bottleneck == words
    assert row.core is not None
    assert row.core.endswith(f"({layer})")


def test_a_bound_waits_for_nothing() -> None:
    late = one_spike(synop_dense=250.0)
    bound = time_record(late.plan, late.record, "bound")
    assert bound.limits() == ["neuron"]
    assert bound.cycles[0] < late.timing.cycles[0]
