"""What must not change when the same network is said, cut, placed or buffered in another way."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from networks import mlp
from strategies import Case, cases, random_inputs

from tssd.calibration.int_network import IntNetwork, Reset, constant
from tssd.calibration.integer import IntArray
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.energy import PARTS, price
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.sim import summary
from tssd.hw_targets.sim.engine import Run, run

CHIP = load_chip("loihi2")
SIZES = (9, 12, 8, 4)


def simulated(network: IntNetwork, inputs: IntArray, chip: ChipSpec = CHIP) -> Run:
    return run(network, inputs, place(network, chip), chip)


def busy(seed: int, reset: Reset) -> IntNetwork:
    """Dense layers whose neurons all differ, with biases, and spike now and then."""
    rng = np.random.default_rng(seed)
    network = mlp(*SIZES, seed=seed, reset=reset)
    first, *others = network.populations
    drawn = [
        replace(
            p,
            vth=rng.integers(20, 200, p.shape),
            dv=rng.integers(0, 4096, p.shape),
            bias_mant=rng.integers(-9, 60, p.shape),
        )
        for p in others
    ]
    return replace(network, populations=(first, *drawn))


def same_spikes(one: Run, other: Run) -> None:
    np.testing.assert_array_equal(one.tally.readout, other.tally.readout)
    for name, events in one.tally.events.items():
        np.testing.assert_array_equal(events, other.tally.events[name])


nets = st.builds(busy, st.integers(0, 2**32 - 1), st.sampled_from([Reset.HARD, Reset.SOFT]))


@given(nets, st.permutations(range(SIZES[1])))
@settings(max_examples=8, deadline=None)
def test_neurons_in_another_order_send_the_same_spikes_at_the_same_cost(
    network: IntNetwork, order: list[int]
) -> None:
    source, hidden, *others = network.populations
    into, out, *further = network.projections
    moved = replace(
        hidden, vth=hidden.vth[order], dv=hidden.dv[order], bias_mant=hidden.bias_mant[order]
    )
    ways = (replace(into, weight=into.weight[order]), replace(out, weight=out.weight[:, order]))
    permuted = replace(network, populations=(source, moved, *others), projections=(*ways, *further))
    inputs = random_inputs(network, 0, 3)
    one, other = simulated(network, inputs), simulated(permuted, inputs)
    np.testing.assert_array_equal(
        one.tally.events[hidden.name][order], other.tally.events[hidden.name]
    )
    np.testing.assert_array_equal(one.tally.readout, other.tally.readout)
    assert one.counters.synops() == other.counters.synops()
    assert price(one.counters, CHIP).total().nominal == pytest.approx(
        price(other.counters, CHIP).total().nominal
    )


@given(nets, st.integers(2, 9))
@settings(max_examples=6, deadline=None)
def test_other_cuts_change_messages_and_time_and_nothing_else(
    network: IntNetwork, neurons: int
) -> None:
    inputs = random_inputs(network, 1, 3)
    whole = simulated(network, inputs)
    cut = simulated(network, inputs, CHIP.with_value("limits.neurons_per_core", neurons))
    assert cut.placement.cores > whole.placement.cores
    same_spikes(whole, cut)
    assert whole.counters.synops() == cut.counters.synops()
    assert whole.counters.neuron_updates() == cut.counters.neuron_updates()
    for part in ("synapse", "neuron", "spike"):
        found = price(cut.counters, CHIP).part(part).nominal
        assert found == pytest.approx(price(whole.counters, CHIP).part(part).nominal)
    assert cut.counters.total("message_out") >= whole.counters.total("message_out")


@given(cases(), st.sampled_from(["link", "axon_in", "spike_out", "synapse"]))
@settings(max_examples=6, deadline=None)
def test_buffers_change_times_alone(case: Case, buffer: str) -> None:
    wide = simulated(case.network, case.inputs)
    narrow = simulated(case.network, case.inputs, CHIP.with_value(f"buffers.{buffer}", 1))
    same_spikes(wide, narrow)
    for name, column in wide.counters.columns.items():
        np.testing.assert_array_equal(column, narrow.counters.columns[name])
    np.testing.assert_array_equal(wide.timing.terms, narrow.timing.terms)


@given(nets, st.integers(1, 3))
@settings(max_examples=6, deadline=None)
def test_silent_neurons_cost_their_updates_and_change_nothing(
    network: IntNetwork, silent: int
) -> None:
    """No weight and no bias leads to them, whatever leads on."""
    source, hidden, *others = network.populations
    into, out, *further = network.projections
    shape = (hidden.neurons + silent,)

    def wider(values: IntArray, fill: int) -> IntArray:
        return np.concatenate([np.broadcast_to(values, hidden.shape), np.full(silent, fill)])

    more = replace(
        hidden, shape=shape, du=constant(4096, shape), vth=wider(hidden.vth, 5),
        dv=wider(hidden.dv, 7), bias_mant=wider(hidden.bias_mant, 0),
    )  # fmt: skip
    ways = (
        replace(into, weight=np.concatenate([into.weight, np.zeros((silent, SIZES[0]), np.int64)])),
        replace(out, weight=np.concatenate([out.weight, np.full((SIZES[2], silent), 99)], axis=1)),
    )
    larger = replace(network, populations=(source, more, *others), projections=(*ways, *further))
    inputs = random_inputs(network, 2, 3)
    one, other = simulated(network, inputs), simulated(larger, inputs)
    events = other.tally.events[hidden.name]
    np.testing.assert_array_equal(events[: hidden.neurons], one.tally.events[hidden.name])
    assert not events[hidden.neurons :].any()
    np.testing.assert_array_equal(one.tally.readout, other.tally.readout)
    updates = {p.name: p.neurons * other.steps for p in larger.populations}
    assert other.counters.neuron_updates() == updates
    for part in ("spike", "noc"):
        found = price(other.counters, CHIP).part(part).nominal
        assert found == pytest.approx(price(one.counters, CHIP).part(part).nominal)


@given(cases())
@settings(max_examples=6, deadline=None)
def test_a_doubled_batch_doubles_every_count_and_no_figure_per_inference(case: Case) -> None:
    once = simulated(case.network, case.inputs)
    twice = simulated(case.network, np.concatenate([case.inputs] * 2, axis=1))
    for name, events in once.tally.events.items():
        np.testing.assert_array_equal(2 * events, twice.tally.events[name])
    for name, column in once.counters.columns.items():
        np.testing.assert_array_equal(2 * column, twice.counters.columns[name])
    one, two = (known(summary.totals(r).dynamic_pj).nominal for r in (once, twice))
    assert two == pytest.approx(one)


@given(cases(), st.booleans())
@settings(max_examples=6, deadline=None)
def test_parts_layers_and_cores_add_up_to_the_total(case: Case, cut: bool) -> None:
    chip = CHIP.with_value("limits.neurons_per_core", 40) if cut else CHIP
    done = simulated(case.network, case.inputs, chip)
    energy = price(done.counters, chip)
    for bound in ("low", "nominal", "high"):
        total = getattr(energy.total(), bound)
        assert sum(getattr(energy.part(p), bound) for p in PARTS) == pytest.approx(total)
        layers = [energy.layer(name) for name in done.counters.populations]
        assert sum(getattr(layer, bound) for layer in layers) == pytest.approx(total)
    assert energy.by_core().sum() == pytest.approx(energy.total().nominal)
    assert sum(row.time_share for row in summary.layers(done)) == pytest.approx(1)
    whole, stepping = summary.totals(done).dynamic_pj, summary.totals(done).stepping_pj
    assert sum(known(row.energy_pj).nominal for row in summary.layers(done)) == pytest.approx(
        known(whole).nominal - known(stepping).nominal
    )
