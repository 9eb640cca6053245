"""Every number of a chip file acts: another value gives another placement, count, time or price.

The widths are in ``test_widths``."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from networks import conv, lif, mlp
from strategies import random_conv_network, random_inputs

from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    PopulationKind,
    Reset,
    plain_population,
)
from tssd.errors import TargetError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.spec import HONOURED, ChipSpec
from tssd.hw_targets.costs import energy
from tssd.hw_targets.mapping.fit import fit
from tssd.hw_targets.mapping.manual import manual_placement
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.sim.engine import run

SMALL = {
    "limits.neurons_per_core": 12,
    "mesh.width": 2,
    "mesh.height": 2,
    "mesh.cores_per_router": 2,
    "limits.cores_per_chip": 4,
    "mesh.chip_columns": 2,
    "time_ns.barrier": 2,  # a floor that hides nothing
    "time_ns.memory_read": 3,
    "time_ns.message_in": 12,
    "time_ns.chip_hop": 30,
    "energy_pj.chip_hop": 5,
    "energy_pj.spike": 2,
    "energy_pj.message_in": 3,
    "power_w.board_per_chip": 0.5,
}


# what doubling does not show
OTHER: dict[str, float] = {
    "bits.row_header": 600,
    "buffers.axon_in": 1,
    "buffers.link": 1,
    "buffers.spike_out": 1,
    "buffers.synapse": 0,
    "limits.axons_in_per_core": 16,
    "limits.axons_out_per_core": 16,
    "limits.chips": 2,
    "limits.cores_per_chip": 2,
    "limits.neuron_groups_per_core": 1,
    "limits.state_words_per_core": 10,
    "limits.synaptic_memory_per_core": 200,
    "limits.thresholds_per_core": 1,
    "link.payload": 64,
    "mesh.cores_per_router": 1,
    "time_ns.neuron_idle": 0.5,
}


def small() -> ChipSpec:
    """A chip of few, small cores, so that a small network meets every part of it."""
    chip = load_chip("loihi2-prior")
    for name, value in {"limits.cores_per_chip": 1, **SMALL}.items():
        chip = chip.with_value(name, value)
    return chip


def sparse() -> IntNetwork:
    """A dense network with most of its weights at zero."""
    network = mlp(30, 20, 6)
    rng = np.random.default_rng(1)
    thinned = [
        replace(j, weight=np.where(rng.random(j.weight.shape) < 0.2, j.weight, 0))
        for j in network.projections
    ]
    return replace(network, projections=tuple(thinned))


def packed() -> IntNetwork:
    """Kernels of twelve channels whose small weights share a memory word."""
    first, last = (
        plain_population("input", (2, 3, 3), PopulationKind.INPUT),
        lif("last", (12, 3, 3)),
    )
    joined = conv(first, last, np.random.default_rng(0))
    small = replace(joined, weight=np.clip(joined.weight, -7, 7))
    return IntNetwork((first, last), (small,), 2, InputCoding.SPIKES, 1)


CHIP = small()
NETWORKS = (
    random_conv_network(3, Reset.SOFT, coding=InputCoding.GRADED),
    random_conv_network(5, Reset.HARD, coding=InputCoding.SPIKES),
    mlp(30, 20, 6),
    sparse(),
    packed(),
)
SHARED = {
    "schema": "tssd-placement/1",
    "cores": [{"core": 0, "chip": 0, "x": 0, "y": 0, "slot": 1}],
    "slices": [
        {"population": "input", "core": 0, "runs": [[0, 3]]},
        {"population": "fc0", "core": 0, "runs": [[0, 2]]},
    ],
}
NAMES = sorted(
    {
        name
        for name in (number.partition("[")[0] for number, _ in CHIP.quantities())
        if name not in HONOURED and not name.startswith("host.")  # the host is no part of the chip
    }
)


def outcome(chip: ChipSpec) -> list[Any]:
    """All that a chip decides."""
    return [shared(chip), *(fate(network, chip) for network in NETWORKS)]


def shared(chip: ChipSpec) -> str:
    """Two populations on one core, which only a placement by hand has."""
    try:
        return manual_placement(SHARED, mlp(3, 2), chip).to_json()
    except TargetError as error:
        return str(error)


def fate(network: IntNetwork, chip: ChipSpec) -> tuple[Any, ...]:
    """Whether a network fits, where it sits, how long it takes and what that costs."""
    try:
        placement = place(network, chip)
    except TargetError as error:
        return (str(error), repr(fit(network, chip)))
    done = run(network, random_inputs(network, 1, 2), placement, chip)
    us, chips = done.timing.us_per_step, placement.chips
    return (
        placement.to_json(),
        us,
        done.timing.terms.tolist(),
        done.timing.core.sum(axis=1).tolist(),
        energy.price(done.counters, chip).total(),
        energy.static_pj(chip, chips, us, placement.cores, board=True),
        energy.running_pj(chip, chips, us),
    )


@pytest.fixture(scope="module")
def usual() -> list[Any]:
    return outcome(CHIP)


@pytest.mark.parametrize("name", NAMES)
def test_another_value_gives_another_outcome(name: str, usual: list[Any]) -> None:
    number = {n.partition("[")[0]: q for n, q in CHIP.quantities()}[name]
    value = OTHER.get(name, 2 * number.value)
    assert value != number.value
    assert outcome(CHIP.with_value(name, value)) != usual
