"""What a host writes: memories that say the network, and what cannot be built."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import mlp
from open_cores import scattered, small_chip

from tssd.calibration.int_network import IntNetwork, Reset
from tssd.errors import TargetError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.rtl.image import Image, image_of
from tssd.hw_targets.rtl.units.host import Region
from tssd.hw_targets.rtl.units.widths import CORE_SHIFT, WORD_PLACES

DEPTHS = {"link": 2, "axon_in": 2, "spike_out": 2, "synapse": 2}


def memory(image: Image, core: int, region: Region) -> dict[int, int]:
    """Word to value of one memory."""
    place, value = image.words.T
    mine = (place >> CORE_SHIFT == core) & (place >> WORD_PLACES & 7 == region)
    return dict(
        zip((place[mine] & (1 << WORD_PLACES) - 1).tolist(), value[mine].tolist(), strict=True)
    )


def weights_in(image: Image, network: IntNetwork) -> np.ndarray:
    """(targets, sources) of the network's first projection, read back out of the memories."""
    source, target = network.populations[:2]
    found = np.zeros((target.neurons, source.neurons), np.int64)
    for neuron in range(source.neurons):
        home, at = (x[source.name][neuron] for x in (image.core, image.place))
        fan = memory(image, home, Region.NEURONS)[8 * at + 4]
        for entry in range(fan & 0xFFFF, (fan & 0xFFFF) + (fan >> 16)):
            to = memory(image, home, Region.FAN_OUT)[entry]
            core = ((to >> 20 & 63) * image.sizes.width + (to >> 26)) + (to >> 16 & 15)
            axons = memory(image, core, Region.AXONS)
            row, size = axons[2 * (to & 0xFFFF)], axons[2 * (to & 0xFFFF) + 1]
            synapses = memory(image, core, Region.SYNAPSES)
            for word in range(row, row + (size & 0xFFFF)):
                local = (synapses[word] >> 16) + (size >> 16)
                here = (image.core[target.name] == core) & (image.place[target.name] == local)
                weight = synapses[word] & 0xFFFF
                found[here, neuron] += weight - (weight >> 15 << 16)
    return found


def test_the_memories_hold_the_weights(tmp_path: Path) -> None:
    network = mlp(9, 14, 3)
    chip = small_chip(tmp_path, (2, 2, 1), DEPTHS, neurons=30)
    image = image_of(network, scattered(network, chip, 2), chip)
    np.testing.assert_array_equal(weights_in(image, network), network.projections[0].weight)


def test_what_is_too_large_is_said_memory_by_memory(tmp_path: Path) -> None:
    network = mlp(9, 14, 3)
    chip = small_chip(tmp_path, (2, 2, 1), DEPTHS)
    placed = place(network, chip)
    small = chip.with_value("limits.synaptic_memory_per_core", 400)
    with pytest.raises(TargetError, match=r"core \d: 126 synapses; limit 100; 26 too many"):
        image_of(network, placed, small)
    few = chip.with_value("limits.axons_in_per_core", 8)
    with pytest.raises(TargetError, match="9 axons; limit 8; 1 too many"):
        image_of(network, placed, few)
    narrow = chip.with_value("limits.neurons_per_core", 12)  # of a placement made for another chip
    with pytest.raises(TargetError, match=r"core \d: 14 neurons; limit 12; 2 too many"):
        image_of(network, placed, narrow)


def test_sums_beyond_the_accumulators_are_refused(tmp_path: Path) -> None:
    network = mlp(9, 14, 3)
    chip = small_chip(tmp_path, (2, 2, 1), DEPTHS)
    heavy = replace(network.projections[0], weight=np.full((14, 9), 1_000_000))
    wide = replace(network, projections=(heavy, *network.projections[1:]))
    with pytest.raises(TargetError, match="sums up to 9,000,000; allowed: 8,388,607, without"):
        image_of(wide, place(network, chip), chip)
    memory = replace(network.populations[1], du=np.array([9]))
    lasting = replace(
        network,
        populations=(network.populations[0], memory, network.populations[2]),
        projections=(replace(heavy, weight=np.full((14, 9), 30_000)), *network.projections[1:]),
    )
    with pytest.raises(TargetError, match="sums up to 270,000; allowed: 262,144, with synaptic"):
        image_of(lasting, place(network, chip), chip)


def test_levels_beyond_their_bits_are_refused(tmp_path: Path) -> None:
    network = mlp(9, 14, 3, reset=Reset.SOFT)
    chip = small_chip(tmp_path, (2, 2, 1), DEPTHS)
    hidden = replace(network.populations[1], reset_by=np.array([1 << 19]))
    populations = (network.populations[0], hidden, network.populations[2])
    with pytest.raises(TargetError, match="subtracted: found 33,554,432 membrane units; allowed: "):
        image_of(replace(network, populations=populations), place(network, chip), chip)


def built(chip: ChipSpec) -> Image:
    network = mlp(9, 14, 3)
    return image_of(network, place(network, chip), chip)


@pytest.mark.parametrize(
    ("number", "value", "message"),
    [
        ("time_ns.hop_ew", 40, "hop_x_cycles: 2; allowed: 1"),
        ("time_ns.neuron_idle", 20, "time_ns.neuron_idle: 1 cycles; allowed: 4"),
        ("limits.soft_reset_compartments", 2, "soft_reset_compartments: 2; allowed: 1"),
        ("time_ns.barrier", 60, r"barrier: 3; allowed: 5 .. "),
        ("limits.axons_out_per_core", 70_000, r"fan_out: 70,000; allowed: 1 .. 65,536"),
    ],
)
def test_a_chip_that_the_circuits_are_not_is_refused(
    number: str, value: float, message: str
) -> None:
    chip = load_chip("open-core").with_value(number, value)
    with pytest.raises(TargetError, match=message):
        built(chip)


def test_other_chips_are_not_the_open_core() -> None:
    with pytest.raises(
        TargetError,
        match=r"chip loihi2-n3b: found 15 numbers that the open core does not have:\n  - hop_x",
    ):
        built(load_chip("loihi2"))
