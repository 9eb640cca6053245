"""Input from outside: the port's messages in closed form and on the machine stepped by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from networks import mlp
from slow_machine import Message, SlowMachine

from tssd.calibration.int_network import InputCoding, IntNetwork, Reset
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.bound import mean_bound
from tssd.hw_targets.costs.counters import count
from tssd.hw_targets.costs.energy import running_pj
from tssd.hw_targets.mapping.choices import Choices, InputFrom
from tssd.hw_targets.mapping.placement import Placement, place
from tssd.hw_targets.sim import summary
from tssd.hw_targets.sim.engine import Run, run, run_record, tally_of
from tssd.hw_targets.sim.record import SpikeRecord
from tssd.hw_targets.sim.timing import Mode
from tssd.hw_targets.sim.trace import chrome_trace

OUTSIDE = Choices(input_from=InputFrom.OUTSIDE)
INJECT_NS = 40


def network() -> IntNetwork:
    spiking = mlp(12, 9, 4, reset=Reset.SOFT)
    return replace(spiking, input_coding=InputCoding.SPIKES, input_max=1)


def chip(base: str = "loihi2") -> ChipSpec:
    """Small and coarse, so that it can be stepped by hand: a cycle of 1 ns, twelve cores, no
    barrier that hides the work, a host of so many ns a spike."""
    found = load_chip(base)
    whole = {"synop_dense": 1, "synop_sparse": 1, "synop_conv": 1, "memory_read": 0}
    whole |= {"neuron_idle": 2, "neuron_active": 3, "neuron_microcode": 5, "spike": 3}
    whole |= {"message_in": 4, "message_out": 5, "hop_ew": 4, "hop_ns": 6, "chip_hop": 30}
    whole |= {"barrier": 1, "barrier_chip_hop": 0}
    for name, value in whole.items():
        found = found.with_value(f"time_ns.{name}", value)
    rest = {"time_ns.cycle": 1, "host.spike_in": INJECT_NS, "link.bandwidth": 4}
    rest |= {"limits.neurons_per_core": 6, "limits.cores_per_chip": 12}
    rest |= {"mesh.width": 3, "mesh.height": 2, "mesh.cores_per_router": 2}
    for name, value in rest.items():
        found = found.with_value(name, value)
    return found


def fed(
    spikes: list[int], on: ChipSpec, host: bool, mode: Mode = "cycle", choices: Choices = OUTSIDE
) -> Run:
    """One step in which the input neurons *spikes* fire and nothing else does."""
    silent = np.zeros((0, 2), np.int64)
    events = {p.name: silent for p in network().populations}
    events["input"] = np.array([[0, n] for n in spikes], np.int64).reshape(-1, 2)
    placed = place(network(), on, choices=choices)
    return run_record(network(), SpikeRecord(1, events, {}), placed, on, mode, host=host)


def by_hand(ran: Run, spikes: list[int], host: bool) -> int:
    """The step on the machine of the page: each injected spike is work of the port, its messages
    leave one after the other; the cores update their neurons and send nothing."""
    plan, placed, machine = ran.plan, ran.placement, ran.plan.machine
    each, updates = ran.chip.cycles(ran.chip.host.spike_in) if host else 0, [0] * machine.cores
    for s in placed.slices:
        if s.population != "input":
            core = plan.slice_core[placed.slices.index(s)]
            soft = network().population(s.population).reset.subtracts
            time = ran.chip.time_ns
            update = ran.chip.cycles(time.neuron_microcode if soft else time.neuron_active)
            compartments = ran.chip.limits.soft_reset_compartments.count if soft else 1
            active = ran.record.active[s.population][0, s.neurons].sum()
            idle = min(ran.chip.cycles(time.neuron_idle), update)
            updates[core] += compartments * int(active * update + (len(s.neurons) - active) * idle)
    messages = []
    for n in spikes:
        fan = plan.wires.fan[
            slice(*plan.wires.fan_first[plan.rank["input"][n] : plan.rank["input"][n] + 2])
        ]
        works = [each] + [0] * (len(fan) - 1)
        messages += [
            Message(plan.port, int(target), int(flits), work, int(service))
            for (target, flits, service, _), work in zip(fan, works, strict=True)
        ]
    return SlowMachine(machine, messages, updates).run()


@settings(max_examples=12, deadline=None)
@given(
    spikes=st.sets(st.integers(0, 11), min_size=1),
    host=st.booleans(),
    base=st.sampled_from(["loihi2", "loihi1"]),
)
def test_a_step_fed_from_outside_is_that_of_the_machine_stepped_by_hand(
    spikes: set[int], host: bool, base: str
) -> None:
    ran = fed(sorted(spikes), chip(base), host)
    barrier = ran.plan.machine.barrier_cycles
    assert ran.timing.cycles.tolist() == [by_hand(ran, sorted(spikes), host) + barrier]
    bound = fed(sorted(spikes), chip(base), host, "bound")
    assert bound.timing.cycles[0] <= ran.timing.cycles[0]


def test_one_spike_takes_the_sum_of_its_way() -> None:
    """Injection, spike-out, two local links and the hops, axon-in, synapses."""
    on = chip()
    one = fed([3], on.with_value("time_ns.neuron_idle", 0), host=True)
    machine, placed = one.plan.machine, one.placement
    ends = []
    for i, core in enumerate(placed.cores_of("fc0")):
        _, x, y, _ = placed.sites[core]
        hops = int(x) * machine.hop_x_cycles + int(y) * machine.hop_y_cycles
        reached = (network().projections[0].weight[:, 3] != 0)[
            [s.neurons for s in placed.slices if s.core == core][0]
        ].sum()
        service = int(reached) * on.cycles(on.time_ns.synop_dense)
        sent = on.cycles(on.host.spike_in) + (i + 1) * machine.axon_out_cycles
        sent += i * machine.flit_cycles
        ends.append(sent + 2 * machine.local_cycles + hops + machine.axon_in_cycles + service)
    assert one.timing.cycles[0] == max(ends)


def test_without_the_host_injection_takes_no_time_and_that_is_said() -> None:
    on = chip()
    spikes = list(range(12))
    free, paid = fed(spikes, on, host=False), fed(spikes, on, host=True)
    assert paid.timing.cycles[0] >= 12 * on.cycles(on.host.spike_in) > free.timing.cycles[0]
    assert summary.totals(free).io == "without I/O"
    assert summary.totals(paid).io == "with the host's I/O"
    assert paid.timing.limits() == ["host"]
    assert summary.steps(paid)[0].core is None
    assert free.timing.limits() != ["host"]
    inside = fed(spikes, on, host=True, choices=Choices())
    assert inside.plan.port == -1
    assert inside.timing.host_us[0] == pytest.approx(12 * INJECT_NS / 1e3)
    assert paid.timing.host_us[0] == 0  # the machine has it


def test_the_port_is_named_where_it_is_seen() -> None:
    ran = fed([1, 2, 3], chip(), host=True)
    text = chrome_trace(ran, 0, 1)
    assert "port (input): neurons" in text
    assert "port -> router (0,0)" in text
    assert f"core {ran.plan.port} " not in text
    slow = chip().with_value("link.bandwidth", 0.001)
    row = summary.steps(fed([1, 2, 3], slow, host=False))[0]
    assert row.core == "port -> router (0,0)"


def test_a_whole_run_counts_no_core_and_no_update_for_the_input() -> None:
    rng, on = np.random.default_rng(1), chip()
    inputs = rng.integers(0, 2, (network().time_steps, 3, 12))
    placements: list[Placement] = [
        place(network(), on, choices=choices) for choices in (Choices(), OUTSIDE)
    ]
    inside, outside = (run(network(), inputs, placed, on) for placed in placements)
    for name, spikes in inside.record.spikes.items():
        assert sorted(spikes.tolist()) == sorted(outside.record.spikes[name].tolist())
    first, second = summary.totals(inside), summary.totals(outside)
    assert first.cores - second.cores == 2
    assert known(second.dynamic_pj).nominal < known(first.dynamic_pj).nominal
    layers = {layer.name: layer for layer in summary.layers(outside)}
    assert (layers["input"].cores, layers["input"].updates) == (0, 0)
    assert layers["input"].messages > 0
    static = known(second.static_pj).nominal / outside.us_per_inference / 1e6
    power = on.power_w
    assert static == pytest.approx(
        power.static_per_chip.value + second.cores * power.static_per_core.value
    )
    stepping = running_pj(on, 1, outside.us_per_inference).nominal
    assert known(second.stepping_pj).nominal == pytest.approx(stepping)


def test_the_mean_bound_charges_no_stage_for_the_port() -> None:
    on = chip().with_value("time_ns.spike", 5000)
    ran = fed(list(range(12)), on, host=False)
    tally = tally_of(network(), ran.record)
    counted = count(network(), tally, ran.placement, on)
    found = mean_bound(network(), tally, counted, ran.placement, on)
    assert float(found.terms_ns["neuron"]) < 5000
    assert found.terms_ns["link"] > 0
