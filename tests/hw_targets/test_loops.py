"""Recurrence from a population to itself in the torch engine and the simulator: spike for spike,
membrane for membrane what the definition gives, and counted where it is sent."""

from dataclasses import replace

import numpy as np
import pytest
from activities import assert_same
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import Case, random_conv_network, random_inputs, readout, recurrent_case
from wild_networks import wild_case

from tssd.calibration.int_network import (
    Activity,
    InputCoding,
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    Runner,
    constant,
    plain_population,
)
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import layerwise, reference
from tssd.errors import NetworkError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.costs.energy import price
from tssd.hw_targets.gpu import engine as gpu
from tssd.hw_targets.mapping.choices import SynapseFormat
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.onnx import engine as onnx
from tssd.hw_targets.sim import engine as sim
from tssd.hw_targets.sim.functional import activity, simulate
from tssd.hw_targets.sim.kernels.layout import COUNTER_NAMES
from tssd.hw_targets.sim.plan import synapse_cycles
from tssd.hw_targets.sim.program import prepare

CHIP = load_chip("loihi2")
SEEDS = st.integers(0, 2**32 - 1)


def simulated(network: IntNetwork, inputs: IntArray) -> Activity:
    return activity(network, simulate(prepare(network), inputs, record=True))


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_both_engines_equal_the_definition(seed: int) -> None:
    """Up to two loops a population, dense or convolutional, late or not; alone and in a batch."""
    case = recurrent_case(seed)
    expected = reference(case.network, case.inputs)
    assert_same(gpu.run(case.network, case.inputs, states=True), expected)
    assert_same(simulated(case.network, case.inputs), expected)


@pytest.mark.parametrize("seed", [1, 5, 6, 11])
def test_onnx_runs_the_same_networks(seed: int) -> None:
    """The first and third loop in the population that takes the sample as its bias."""
    case = recurrent_case(seed)
    found = onnx.run(case.network, case.inputs, trace=True)
    assert_same(found, reference(case.network, case.inputs))


def test_the_random_networks_have_loops_that_matter() -> None:
    cases = [recurrent_case(seed) for seed in range(12)]
    looped = [c for c in cases if any(j.is_loop for j in c.network.projections)]
    assert len(looped) > 6
    assert {c.network.input_coding for c in looped} == set(InputCoding)
    changed = 0
    for case in looped:
        forward = tuple(j for j in case.network.projections if not j.is_loop)
        plain = layerwise(replace(case.network, projections=forward), case.inputs)
        own = layerwise(case.network, case.inputs)
        changed += any(not np.array_equal(plain.spikes[n], own.spikes[n]) for n in own.spikes)
    assert changed > 6


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_dense_weights_into_an_image_reach_the_right_pixels(seed: int) -> None:
    """Wild feed-forward networks have them as side ways; the simulator numbers pixels otherwise."""
    case = wild_case(seed)
    try:
        found = simulated(case.network, case.inputs)
    except NetworkError as error:
        if "found sums up to" not in str(error):  # through relays, beyond what the kernel holds
            raise
        return
    assert_same(found, layerwise(case.network, case.inputs))


def ring(time_steps: int, samples: int) -> Case:
    """Five neurons driven one by one, each of which fires its successor in a ring one step later;
    from step to step one more neuron is on. Loop: one synapse each; onward: three each."""
    neurons = 5
    lif = Population(
        "lif",
        (neurons,),
        PopulationKind.LIF,
        Reset.HARD,
        du=constant(4096, (1,)),
        dv=constant(4096, (1,)),
        vth=constant(50, (1,)),
        bias_mant=constant(0, (1,)),
    )
    dense, one = ProjectionKind.DENSE, np.eye(neurons, dtype=np.int64) * 100
    network = IntNetwork(
        (
            plain_population("input", (neurons,), PopulationKind.INPUT),
            lif,
            readout("readout", 3, np.random.default_rng(0)),
        ),
        (
            Projection("input", "lif", dense, one),
            Projection("lif", "lif", dense, np.roll(one, 1, axis=0)),
            Projection("lif", "readout", dense, np.full((3, neurons), 7)),
        ),
        time_steps,
        InputCoding.SPIKES,
        1,
    )
    inputs = np.zeros((time_steps, samples, neurons), np.int64)
    inputs[0, :, 0] = 1
    return Case(network, inputs)


def test_synops_of_a_loop_are_counted_in_the_step_of_the_spike() -> None:
    """One neuron is on at every step: each spike is one synop through the loop and three onward,
    at the cost that the table gives; the receiving core is busy in that very step."""
    steps, samples = 6, 2
    case = ring(steps, samples)
    fired = layerwise(case.network, case.inputs).spikes["lif"]
    np.testing.assert_array_equal(fired.sum(axis=-1), np.ones((steps, samples)))
    np.testing.assert_array_equal(fired.argmax(axis=-1)[:, 0], np.arange(steps) % 5)

    placement = place(case.network, CHIP)
    run = sim.run(case.network, case.inputs, placement, CHIP)
    spikes = steps * samples
    into = {p.name: (p.synops, p.messages) for p in run.counters.projections}
    assert into == {
        "input -> lif": (samples, samples),
        "lif -> lif": (spikes, spikes),
        "lif -> readout": (3 * spikes, spikes),
    }
    assert run.counters.synops() == {"input": 0, "lif": samples + spikes, "readout": 3 * spikes}

    busy = run.timing.core[:, :, COUNTER_NAMES.index("synapse_busy")]
    (core,) = run.plan.slice_core[[n == "lif" for n in run.plan.slice_population]]
    home = run.timing.cores.tolist().index(core)
    once = np.maximum(*synapse_cycles(np.ones(1, np.int64), SynapseFormat.SPARSE, CHIP)).item()
    window = np.arange(1, 1 + steps)  # of the first sample: depth 1
    arriving = np.zeros(run.record.steps, np.int64)
    for first in (0, steps):  # the second sample follows at once
        arriving[first] += once  # the input's one spike
        around = (first + window) % len(arriving)  # the steady state comes round
        arriving[around] += once  # one spike each step through the loop
    np.testing.assert_array_equal(busy[:, home], arriving)


def test_a_loop_costs_its_synops_and_messages_and_nothing_else() -> None:
    """Closed form: the same spikes without the loop, plus events times the table."""
    case = ring(8, 1)
    whole = place(case.network, CHIP)
    run = sim.run(case.network, case.inputs, whole, CHIP)
    forward = tuple(j for j in case.network.projections if not j.is_loop)
    plain = replace(case.network, projections=forward)
    bare = sim.run_record(plain, run.record, whole, CHIP, tally=run.tally)
    table = CHIP.energy_pj
    events = run.tally.spikes("lif")
    spent = [price(r.counters, CHIP).total().nominal for r in (run, bare)]
    wanted = events * sum(
        getattr(table, column).value for column in ("synop_sparse", "message_out", "message_in")
    )
    assert events == 8
    assert spent[0] - spent[1] == pytest.approx(wanted)


def test_the_bound_holds_with_loops() -> None:
    for seed in range(6):
        case = recurrent_case(seed)
        if case.network.input_coding is InputCoding.BIAS:
            continue
        run = sim.run(case.network, case.inputs, place(case.network, CHIP), CHIP)
        fast = sim.time_record(run.plan, run.record, "bound")
        assert (run.timing.cycles >= fast.cycles).all()
        np.testing.assert_array_equal(run.timing.terms, fast.terms)
        assert run.timing.messages == run.counters.total("message_out")


def looped(network: IntNetwork, source: str, target: str) -> IntNetwork:
    shapes = [network.population(name).neurons for name in (target, source)]
    back = Projection(source, target, ProjectionKind.DENSE, np.full(shapes, 90))
    return replace(network, projections=(*network.projections, back))


def test_other_recurrence_is_refused_by_name() -> None:
    """Between populations, of sums, and of spikes from before the first step."""
    network = random_conv_network(1, Reset.HARD)
    inputs = random_inputs(network, 0)
    across = looped(network, "conv1", "conv0")
    sums = looped(network, "input", "input")
    loud = [replace(p, bias_mant=p.bias_mant * 0 + 9999) for p in network.populations]
    early = looped(replace(network, populations=tuple(loud)), "conv1", "conv1")
    told = {
        "projection conv1 -> conv0: found a way back to an earlier population": across,
        "projection input -> input: found a loop of kind input": sums,
        "population conv1: found a bias that lets it fire before data arrives": early,
    }
    for message, case in told.items():
        with pytest.raises(NetworkError, match=message):
            gpu.run(case, inputs)
        with pytest.raises(NetworkError, match=message):
            prepare(case)
    assert_same(onnx.run(across, inputs), reference(across, inputs), states=False)
    for back in (sums, looped(network, "conv0", "input")):
        with pytest.raises(NetworkError, match=r"-> input: found recurrence from \w+ to input"):
            onnx.run(back, inputs)


def early_and_late(delay: int, threshold: int = 64) -> IntNetwork:
    """input -> a -> b, where b recurs and a fires from its bias alone in every step; *delay*: of
    the way from a to b."""
    rng = np.random.default_rng(0)
    lif = Population(
        *("a", (4,), PopulationKind.LIF, Reset.HARD, constant(4096, (4,)), constant(500, (4,))),
        vth=constant(threshold, (4,)),
        bias_mant=constant(100, (4,)),
        bias_exp=6,
    )
    populations = (
        plain_population("input", (3,), PopulationKind.INPUT),
        lif,
        replace(lif, name="b", bias_mant=constant(0, (4,))),
        readout("readout", 2, rng),
    )

    def way(source: str, target: str, rows: int, columns: int, late: int = 0) -> Projection:
        weight = rng.integers(-90, 127, (rows, columns))
        return Projection(source, target, ProjectionKind.DENSE, weight, delay=late)

    ways = (way("input", "a", 4, 3), way("a", "b", 4, 4, delay), way("b", "b", 4, 4))
    last = way("b", "readout", 2, 4)
    return IntNetwork(populations, (*ways, last), 6, InputCoding.SPIKES, 1)


@pytest.mark.parametrize("run", [gpu.run, onnx.run, simulated])
def test_early_spikes_on_a_late_way_are_refused_by_every_engine(run: Runner) -> None:
    """They arrive within the window of a population that recurs, which starts from silence."""
    inputs = np.ones((6, 2, 3), np.int64)
    with pytest.raises(NetworkError, match="population a: .* into the delayed way to b"):
        run(early_and_late(delay=2), inputs)
    quiet = early_and_late(delay=2, threshold=200)  # not reached in the one step before
    expected, found = reference(quiet, inputs), run(quiet, inputs)
    assert expected.spikes["b"].any()
    for name, spikes in expected.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], spikes)


@pytest.mark.parametrize("run", [gpu.run, onnx.run, simulated])
def test_a_loop_of_a_readout_delivers_nothing(run: Runner) -> None:
    """A recurrent layer whose neurons cannot fire, as netx may hold it."""
    case = recurrent_case(1)
    size = case.network.readout.neurons
    back = Projection(
        "readout", "readout", ProjectionKind.DENSE, np.full((size, size), 99), delay=1
    )
    looping = replace(case.network, projections=(*case.network.projections, back))
    found, expected = run(looping, case.inputs), reference(case.network, case.inputs)
    np.testing.assert_array_equal(found.readout, expected.readout)
    np.testing.assert_array_equal(reference(looping, case.inputs).readout, expected.readout)
